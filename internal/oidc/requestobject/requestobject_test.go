package requestobject_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"carekey.dev/carekey/internal/fetch"
	"carekey.dev/carekey/internal/oidc/clientkeys"
	"carekey.dev/carekey/internal/oidc/requestobject"
	"carekey.dev/carekey/internal/relyingparty"
)

const (
	client = "555000000001.apps.national"
	issuer = "https://auth.northmoor.example:443/openam"
)

var (
	now    = time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	ecKey  = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	rsaKey = must(rsa.GenerateKey(rand.Reader, 2048))
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func registered(profile relyingparty.Profile) relyingparty.RelyingParty {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: ecKey.Public(), KeyID: "e"}, {Key: rsaKey.Public(), KeyID: "r"}}}
	return relyingparty.RelyingParty{ClientID: client, Profile: profile, JWKS: must(json.Marshal(set))}
}

func reader(allow ...netip.Prefix) *requestobject.Reader {
	clock := func() time.Time { return now }
	guarded := fetch.New(fetch.Options{Allow: allow})
	return requestobject.New(requestobject.Options{
		Keys: clientkeys.New(clientkeys.Options{Client: guarded, Now: clock}), Client: guarded, Issuer: issuer, Now: clock,
	})
}

// signed returns an object; typ may be "".
func signed(t testing.TB, key crypto.Signer, alg jose.SignatureAlgorithm, typ string, payload any) string {
	t.Helper()
	options := &jose.SignerOptions{}
	if typ != "" {
		options.WithType(jose.ContentType(typ))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	return must(must(signer.Sign(must(json.Marshal(payload)))).CompactSerialize())
}

type members = map[string]any

// good is an object that both profiles take; pairs change a member or, with
// nil, take it away.
func good(pairs ...any) members {
	all := members{
		"iss": client, "aud": issuer, "exp": now.Add(5 * time.Minute).Unix(), "nbf": now.Unix(), "iat": now.Unix(), "jti": "1",
		"client_id": client, "response_type": "code", "scope": "openid", "redirect_uri": "https://rp.example/cb", "state": "s",
	}
	for i := 0; i < len(pairs); i += 2 {
		all[pairs[i].(string)] = pairs[i+1]
		if pairs[i+1] == nil {
			delete(all, pairs[i].(string))
		}
	}
	return all
}

// RFC 9101 section 4; OpenID Connect Core section 6.1.
func TestASignedRequestGivesItsParameters(t *testing.T) {
	object := good("max_age", 300, "claims", members{"id_token": members{"acr": members{"essential": true}}}, "nonce", "n&=", "display", nil, "x", true, "none", json.RawMessage("null"))
	for _, alg := range []jose.SignatureAlgorithm{jose.RS256, jose.RS512, jose.PS256, jose.ES256} {
		for _, typ := range []string{"", "JWT", "oauth-authz-req+jwt", "application/oauth-authz-req+jwt"} {
			key := crypto.Signer(rsaKey)
			if alg == jose.ES256 {
				key = ecKey
			}
			got, err := reader().Open(t.Context(), registered(relyingparty.CIS2), signed(t, key, alg, typ, object))
			if err != nil {
				t.Errorf("%s %q: %v", alg, typ, err)
				continue
			}
			for name, want := range map[string]string{
				"max_age": "300", "claims": `{"id_token":{"acr":{"essential":true}}}`, "nonce": "n&=", "x": "true", "client_id": client, "state": "s",
				"none": "", "iss": "", "aud": "", "exp": "", "jti": "", // about the object
			} {
				if got.Get(name) != want {
					t.Errorf("%s is %q, want %q", name, got.Get(name), want)
				}
			}
		}
	}
}

// RFC 9101 sections 4, 5, 6.1, 10.1 and 10.8; for strict FAPI 2.0 Message
// Signing section 5.3.1.
func TestWhyAnObjectIsRefused(t *testing.T) {
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	es := func(object members) string { return signed(t, ecKey, jose.ES256, "", object) }
	foreign := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	unsigned := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." +
		base64.RawURLEncoding.EncodeToString(must(json.Marshal(good()))) + "."
	hmac := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: make([]byte, 32)}, nil))
	for name, test := range map[string]struct {
		text, code, reason string
		strict             bool // refused in strict alone
	}{
		"unsigned":           {text: unsigned, code: "request_not_supported", reason: "unsigned"},
		"encrypted":          {text: "a.b.c.d.e", code: "request_not_supported", reason: "encrypted"},
		"no JWT":             {text: "x", reason: "not a signed JWT"},
		"large":              {text: es(good("state", strings.Repeat("s", 9<<10))), reason: "larger"},
		"another's key":      {text: signed(t, foreign, jose.ES256, "", good()), reason: "none of the client's keys"},
		"HMAC":               {text: must(must(hmac.Sign(must(json.Marshal(good())))).CompactSerialize()), reason: "algorithm"},
		"an assertion":       {text: signed(t, ecKey, jose.ES256, "client-authentication+jwt", good()), reason: "typ"},
		"a proof":            {text: signed(t, ecKey, jose.ES256, "dpop+jwt", good()), reason: "typ"},
		"assertion-like":     {text: es(good("sub", client)), reason: "sub"},
		"no object":          {text: signed(t, ecKey, jose.ES256, "", []string{"x"}), reason: "not a JSON object"},
		"null":               {text: signed(t, ecKey, jose.ES256, "", nil), reason: "not a JSON object"},
		"exp in words":       {text: es(good("exp", "soon")), reason: "wrong type"},
		"another client":     {text: es(good("client_id", "other")), reason: "client_id"},
		"another issuer":     {text: es(good("iss", "other")), reason: "iss"},
		"another audience":   {text: es(good("aud", "https://other.example")), reason: "aud"},
		"a list without us":  {text: es(good("aud", []string{"https://other.example"})), reason: "aud"},
		"nested":             {text: es(good("request", "a.b.c")), reason: "must not contain request"},
		"nested by address":  {text: es(good("request_uri", "https://rp.example/r")), reason: "must not contain request_uri"},
		"expired":            {text: es(good("exp", at(-31*time.Second))), reason: "expired"},
		"not yet":            {text: es(good("nbf", at(61*time.Second))), reason: "future"},
		"made in the future": {text: es(good("iat", at(61*time.Second))), reason: "future"},

		"no iss":      {text: es(good("iss", nil)), reason: "iss", strict: true},
		"no aud":      {text: es(good("aud", nil)), reason: "aud", strict: true},
		"no exp":      {text: es(good("exp", nil)), reason: "missing", strict: true},
		"no nbf":      {text: es(good("nbf", nil)), reason: "missing", strict: true},
		"old nbf":     {text: es(good("nbf", at(-61*time.Minute))), reason: "an hour", strict: true},
		"exp far off": {text: es(good("exp", at(61*time.Minute))), reason: "an hour", strict: true},
		"RS256":       {text: signed(t, rsaKey, jose.RS256, "", good()), reason: "algorithm", strict: true},
	} {
		for _, profile := range []relyingparty.Profile{relyingparty.CIS2, relyingparty.Strict} {
			_, err := reader().Open(t.Context(), registered(profile), test.text)
			if test.strict && profile == relyingparty.CIS2 {
				if err != nil {
					t.Errorf("%s in cis2: %v", name, err)
				}
				continue
			}
			code := test.code
			if code == "" {
				code = "invalid_request_object"
			}
			refused, ok := errors.AsType[*requestobject.Refused](err)
			if !ok || refused.Code != code || !strings.Contains(refused.Reason, test.reason) {
				t.Errorf("%s in %s: %v, want %s with %q", name, profile, err, code, test.reason)
			}
		}
	}
}

// request_object_signing_alg: that one and no other.
func TestARegisteredAlgorithmIsTheOnlyOne(t *testing.T) {
	rp := registered(relyingparty.CIS2)
	rp.RequestObjectAlg = "PS256"
	if _, err := reader().Open(t.Context(), rp, signed(t, rsaKey, jose.PS256, "", good())); err != nil {
		t.Error(err)
	}
	if _, err := reader().Open(t.Context(), rp, signed(t, rsaKey, jose.RS256, "", good())); err == nil {
		t.Error("another algorithm was taken")
	}
}

func TestClocksMayDifferByHalfAMinute(t *testing.T) {
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	for _, object := range []members{good("exp", at(-29*time.Second), "nbf", at(-time.Minute)), good("nbf", at(29*time.Second)), good("aud", []string{"x", issuer})} {
		if _, err := reader().Open(t.Context(), registered(relyingparty.Strict), signed(t, ecKey, jose.ES256, "", object)); err != nil {
			t.Errorf("%v: %v", object, err)
		}
	}
}

// OpenID Connect Core section 6.2; decision 13.
func TestAnObjectIsFetchedFromARegisteredAddressAlone(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		switch r.URL.Path {
		case "/object":
			w.Write([]byte("a.b.c\n"))
		case "/large":
			w.Write(make([]byte, 64<<10))
		case "/elsewhere":
			http.Redirect(w, r, "https://evil.example/", http.StatusFound)
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	rp := registered(relyingparty.CIS2)
	rp.RequestURIs = []string{server.URL + "/object#v1", server.URL + "/large", server.URL + "/elsewhere", server.URL + "/gone", "https://" + strings.Repeat("x", 600)}
	local := reader(netip.MustParsePrefix("127.0.0.0/8"))
	for _, uri := range []string{"/object", "/object#v1", "/object#v2"} {
		if got, err := local.Fetch(t.Context(), rp, server.URL+uri); err != nil || got != "a.b.c" {
			t.Errorf("%s: %q, %v", uri, got, err)
		}
	}
	asked = 0
	for _, uri := range []string{server.URL + "/other", server.URL + "/object?x", server.URL + "/OBJECT", "", "file:///etc/passwd", rp.RequestURIs[4]} {
		_, err := local.Fetch(t.Context(), rp, uri)
		if refused, ok := errors.AsType[*requestobject.Refused](err); !ok || refused.Code != "invalid_request_uri" || !strings.Contains(refused.Reason, "not registered") {
			t.Errorf("%q: %v", uri, err)
		}
	}
	if asked != 0 {
		t.Errorf("an address that is not registered was asked %d times", asked)
	}
	for _, path := range []string{"/elsewhere", "/gone"} {
		_, err := local.Fetch(t.Context(), rp, server.URL+path)
		if refused, ok := errors.AsType[*requestobject.Refused](err); !ok || refused.Code != "invalid_request_uri" || refused.Cause == nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if text, err := local.Fetch(t.Context(), rp, server.URL+"/large"); err == nil {
		if _, err := local.Open(t.Context(), rp, text); err == nil {
			t.Error("a large object was taken")
		}
		if len(text) > requestobject.Most+1 {
			t.Errorf("%d bytes were read", len(text))
		}
	}
	if _, err := reader().Fetch(t.Context(), rp, server.URL+"/object"); err == nil {
		t.Error("an inner address was fetched")
	}
}

func TestAnAddressThatHangsIsGivenUp(t *testing.T) {
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	defer server.Close()
	defer close(hang)
	rp := registered(relyingparty.CIS2)
	rp.RequestURIs = []string{server.URL + "/object"}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := reader(netip.MustParsePrefix("127.0.0.0/8")).Fetch(ctx, rp, rp.RequestURIs[0]); err == nil {
		t.Error("the fetch did not end")
	}
}

// Anybody can make us fetch, and choose a relying party whose server hangs. That
// one waits; the others do not (ASVS 15.2.2).
func TestARelyingPartyThatHangsHoldsUpNobodyElse(t *testing.T) {
	hang, arrived := make(chan struct{}), make(chan struct{}, 100)
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-hang
	}))
	defer slow.Close()
	defer close(hang)
	quick := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("a.b.c")) }))
	defer quick.Close()
	one, other := registered(relyingparty.CIS2), registered(relyingparty.CIS2)
	one.RequestURIs, other.ClientID, other.RequestURIs = []string{slow.URL}, "555000000002.apps.national", []string{quick.URL}
	open := reader(netip.MustParsePrefix("127.0.0.0/8"))
	strangers, leave := context.WithCancel(t.Context())
	defer leave()
	began := time.Now()
	for range 100 {
		go func() { _, _ = open.Fetch(strangers, one, slow.URL) }()
	}
	for range requestobject.MostOfOne {
		<-arrived
	}
	for range 20 {
		if _, err := open.Fetch(t.Context(), other, quick.URL); err != nil {
			t.Fatalf("the other one: %v", err)
		}
	}
	more := len(arrived)
	// On a machine so slow that the first ones are given up, others have their turn.
	if more > 0 && time.Since(began) < 4*time.Second {
		t.Errorf("%d more requests went to the one that hangs", more)
	}
}

// FuzzRequestObject: whatever the payload of a signed object is, it is taken or
// refused, and what is taken belongs to the client and names no second object.
func FuzzRequestObject(f *testing.F) {
	f.Add(string(must(json.Marshal(good()))))
	f.Add(`{"aud":["a"],"exp":1e400,"claims":{"x":[1,2]}}`)
	f.Add(`{"exp":9e99,"nbf":-9e99,"request":null}`)
	open := reader()
	f.Fuzz(func(t *testing.T, payload string) {
		signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: ecKey}, nil))
		text := must(must(signer.Sign([]byte(payload))).CompactSerialize())
		requestobject.Peek(text)
		got, err := open.Open(context.Background(), registered(relyingparty.CIS2), text)
		if err != nil {
			if refused, ok := errors.AsType[*requestobject.Refused](err); !ok || refused.Code == "" || refused.Reason == "" {
				t.Errorf("refused with %v", err)
			}
			return
		}
		if id := got.Get("client_id"); id != "" && id != client || got.Has("request") || got.Has("request_uri") {
			t.Errorf("taken with %v", got)
		}
	})
}

// FuzzUnverifiedObject: no text that a stranger sends is opened, and none makes
// the reading fail in another way than by a refusal.
func FuzzUnverifiedObject(f *testing.F) {
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("eyJhbGciOiJFUzI1NiIsImtpZCI6ImUifQ.e30.AAAA")
	open := reader()
	f.Fuzz(func(t *testing.T, text string) {
		requestobject.Peek(text)
		_, err := open.Open(context.Background(), registered(relyingparty.CIS2), text)
		if _, ok := errors.AsType[*requestobject.Refused](err); !ok {
			t.Errorf("%q: %v", text, err)
		}
	})
}
