package clientauth_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/oidc/clientauth"
	"carekey.dev/carekey/internal/oidc/clientkeys"
	"carekey.dev/carekey/internal/relyingparty"
)

const (
	path     = "/openam/oauth2/realms/root/realms/NHSIdentity/realms/Healthcare"
	origin   = "https://id.northmoor.example:443"
	mutual   = "https://mtls.northmoor.example:443"
	issuer   = origin + path
	endpoint = issuer + "/access_token"

	ers     = "555000000001.apps.national" // client_secret_post
	ncrs    = "555000000002.apps.national" // private_key_jwt
	fapi    = "555000000003.apps.national" // private_key_jwt, strict
	rs512   = "555000000004.apps.national" // private_key_jwt, RS512 alone
	only    = "555000000005.apps.national" // private_key_jwt, aud the issuer alone
	classic = "555000000006.apps.national" // private_key_jwt, aud the endpoint alone
	authed  = "555000000007.apps.national" // tls_client_auth
	pinned  = "555000000008.apps.national" // self_signed_tls_client_auth
	away    = "555000000009.apps.national" // private_key_jwt, keys out of reach
	weak    = "555000000010.apps.national" // strict with a secret, which no check lets through

	ersSecret = "a secret/with+signs"
	urn       = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

var (
	now    = time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	rsaKey = must(rsa.GenerateKey(rand.Reader, 2048))
	ecKey  = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	wrong  = must(rsa.GenerateKey(rand.Reader, 2048))
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// registered are the relying parties of the tests.
func registered() map[string]relyingparty.RelyingParty {
	jwks := must(json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: rsaKey.Public(), KeyID: "r"}, {Key: ecKey.Public(), KeyID: "e"},
	}}))
	all := map[string]relyingparty.RelyingParty{}
	for _, rp := range []relyingparty.RelyingParty{
		{ClientID: ers, AuthMethod: relyingparty.ClientSecret, Secrets: [][]byte{keys.Hash("the one before"), keys.Hash(ersSecret)}},
		{ClientID: ncrs, AuthMethod: relyingparty.PrivateKeyJWT, JWKS: jwks},
		{ClientID: fapi, AuthMethod: relyingparty.PrivateKeyJWT, JWKS: jwks, Profile: relyingparty.Strict},
		{ClientID: rs512, AuthMethod: relyingparty.PrivateKeyJWT, JWKS: jwks, SigningAlgorithm: "RS512"},
		{ClientID: only, AuthMethod: relyingparty.PrivateKeyJWT, JWKS: jwks, Metadata: relyingparty.Metadata{Quirks: relyingparty.Quirks{AssertionAudience: relyingparty.AudienceIssuer}}},
		{ClientID: classic, AuthMethod: relyingparty.PrivateKeyJWT, JWKS: jwks, Metadata: relyingparty.Metadata{Quirks: relyingparty.Quirks{AssertionAudience: relyingparty.AudienceTokenEndpoint}}},
		{ClientID: authed, AuthMethod: relyingparty.TLSClientAuth, Metadata: relyingparty.Metadata{TLSSubject: relyingparty.TLSSubject{DNS: "ers.northmoor.example"}}},
		{ClientID: pinned, AuthMethod: relyingparty.SelfSignedTLS},
		{ClientID: away, AuthMethod: relyingparty.PrivateKeyJWT, JWKSURI: "https://127.0.0.1:1/keys"},
		{ClientID: weak, AuthMethod: relyingparty.ClientSecret, Profile: relyingparty.Strict, Secrets: [][]byte{keys.Hash(ersSecret)}},
	} {
		if rp.Profile == "" {
			rp.Profile = relyingparty.CIS2
		}
		all[rp.ClientID] = rp
	}
	return all
}

func authenticator(all map[string]relyingparty.RelyingParty) *clientauth.Authenticator {
	return clientauth.New(clientauth.Options{
		ByID: func(_ context.Context, id string) (relyingparty.RelyingParty, error) {
			rp, ok := all[id]
			if !ok {
				return rp, db.ErrNoRows
			}
			return rp, nil
		},
		Keys:   clientkeys.New(clientkeys.Options{Client: http.DefaultClient, Now: func() time.Time { return now }}),
		Issuer: issuer, TokenEndpoint: endpoint, Origins: []string{origin, mutual}, Now: func() time.Time { return now },
	})
}

// request is a POST to an endpoint.
func request(at string, headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, at, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// claims are those of a good assertion; pairs change or, with nil, remove one.
func claims(client string, pairs ...any) map[string]any {
	all := map[string]any{
		"iss": client, "sub": client, "aud": endpoint, "jti": "j-1",
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i].(string)] = pairs[i+1]
		if pairs[i+1] == nil {
			delete(all, pairs[i].(string))
		}
	}
	return all
}

// signature is how an assertion is signed; the zero value: RS256, no kid, no
// typ.
type signature struct {
	key           crypto.Signer
	alg, kid, typ string
}

func (s signature) of(payload any) string {
	if s.key == nil {
		s.key = rsaKey
	}
	if s.alg == "" {
		s.alg = "RS256"
	}
	options := &jose.SignerOptions{}
	if s.kid != "" {
		options.WithHeader("kid", s.kid)
	}
	if s.typ != "" {
		options.WithType(jose.ContentType(s.typ))
	}
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(s.alg), Key: s.key}, options))
	return must(must(signer.Sign(must(json.Marshal(payload)))).CompactSerialize())
}

// form is a body with an assertion.
func form(assertion string, pairs ...string) url.Values {
	all := url.Values{"client_assertion_type": {urn}, "client_assertion": {assertion}}
	for i := 0; i < len(pairs); i += 2 {
		all.Set(pairs[i], pairs[i+1])
	}
	return all
}

func basic(id, secret string) []string {
	return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))}
}

func mustPass(t *testing.T, a *clientauth.Authenticator, r *http.Request, form url.Values, client string) clientauth.Caller {
	t.Helper()
	caller, refused, err := a.Authenticate(r, form)
	if err != nil || refused != nil || caller.RP.ClientID != client {
		t.Errorf("got %q, refused %v, error %v; want %q", caller.RP.ClientID, refused, err, client)
	}
	return caller
}

func mustRefuse(t *testing.T, a *clientauth.Authenticator, r *http.Request, form url.Values, cause clientauth.Cause, says string) {
	t.Helper()
	caller, refused, err := a.Authenticate(r, form)
	if err != nil || refused == nil || caller.RP.ClientID != "" {
		t.Fatalf("got %q, refused %v, error %v; want %q", caller.RP.ClientID, refused, err, cause)
	}
	if refused.Cause != cause || !strings.Contains(refused.Reason, says) {
		t.Errorf("refused for %q: %s; want %q with %q", refused.Cause, refused.Reason, cause, says)
	}
	if refused.Assertion != (form.Get("client_assertion") != "") && !refused.InvalidRequest && refused.Cause != clientauth.Malformed {
		t.Errorf("%s: it was an assertion: %v", refused.Reason, refused.Assertion)
	}
}

// raw signs a text that may be no JSON.
func raw(payload string) string {
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: rsaKey}, nil))
	return must(must(signer.Sign([]byte(payload))).CompactSerialize())
}
