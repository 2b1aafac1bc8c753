package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"carekey.dev/carekey/internal/porttest"
)

// way is one way in which npm's openid-client signs people in.
type way struct {
	auth string
	// alg signs assertions and request objects with a key of its own.
	alg string
	// registered is what the relying party registered besides, settings what
	// openid-client is told besides.
	registered, settings map[string]any
	// subject is whose certificate it shows, "" for none.
	subject string
	// check looks at what came back.
	check func(t *testing.T, got map[string]any)
}

type settings = map[string]any

var ways = map[string]way{
	"client_secret_post":    {auth: "client_secret_post"},
	"client_secret_basic":   {auth: "client_secret_basic"},
	"private_key_jwt RS256": {auth: "private_key_jwt", alg: "RS256", registered: settings{"jwks_uri_signing_algorithm": "RS256"}},
	"private_key_jwt RS512": {auth: "private_key_jwt", alg: "RS512", registered: settings{"jwks_uri_signing_algorithm": "RS512"}},
	"private_key_jwt PS256": {auth: "private_key_jwt", alg: "PS256", registered: settings{"jwks_uri_signing_algorithm": "PS256"}},
	"private_key_jwt ES256": {auth: "private_key_jwt", alg: "ES256"},
	"ID token by ES256":     {auth: "client_secret_post", registered: settings{"id_token_signed_response_alg": "ES256"}, settings: settings{"metadata": settings{"id_token_signed_response_alg": "ES256"}}},
	"ID token by PS256":     {auth: "client_secret_post", registered: settings{"id_token_signed_response_alg": "PS256"}, settings: settings{"metadata": settings{"id_token_signed_response_alg": "PS256"}}},
	"form_post":             {auth: "client_secret_post", settings: settings{"parameters": settings{"response_mode": "form_post"}}},
	"refresh": {
		auth: "client_secret_post", registered: settings{"refresh_tokens": true}, settings: settings{"refresh": true, "scope": "openid offline_access"},
		check: func(t *testing.T, got map[string]any) {
			if in(got, "refreshed", "rotated") != true || in(got, "refreshed", "claims", "sub") != in(got, "claims", "sub") {
				t.Errorf("refreshed: %v", got["refreshed"])
			}
		},
	},
	"introspection and revocation": {
		auth: "client_secret_basic", settings: settings{"introspect": true, "revoke": true},
		check: func(t *testing.T, got map[string]any) {
			if in(got, "introspection", "active") != true || in(got, "revoked", "active") != false {
				t.Errorf("introspection %v, after the revocation %v", got["introspection"], got["revoked"])
			}
		},
	},
	"pushed request": {auth: "client_secret_post", settings: settings{"par": true}},
	"signed request": {
		auth: "private_key_jwt", alg: "PS256", registered: settings{"require_signed_request_object": true}, settings: settings{"jar": true},
	},
	"signed request, pushed": {auth: "private_key_jwt", alg: "ES256", settings: settings{"jar": true, "par": true}},
	"DPoP": {
		auth: "client_secret_post", settings: settings{"dpop": true},
		check: func(t *testing.T, got map[string]any) {
			if !strings.EqualFold(got["token_type"].(string), "DPoP") {
				t.Errorf("the token is of type %v", got["token_type"])
			}
		},
	},
	"strict with DPoP and refresh": {
		auth: "private_key_jwt", alg: "ES256",
		registered: settings{"profile": "strict", "dpop_bound_access_tokens": true, "refresh_tokens": true},
		settings: settings{
			"par": true, "dpop": true, "refresh": true, "scope": "openid profile offline_access",
			"metadata": settings{"id_token_signed_response_alg": "PS256"},
		},
		check: func(t *testing.T, got map[string]any) {
			if got["expires_in"] != 300.0 || in(got, "refreshed", "claims", "sub") != in(got, "claims", "sub") {
				t.Errorf("the token is good for %v s, refreshed: %v", got["expires_in"], got["refreshed"])
			}
		},
	},
	"tls_client_auth": {
		auth: "tls_client_auth", subject: "party.tls.example",
		registered: settings{"tls_client_auth_san_dns": "party.tls.example"},
	},
	"self_signed_tls_client_auth": {auth: "self_signed_tls_client_auth", subject: "party.self.example"},
	"strict with a certificate": {
		auth: "tls_client_auth", subject: "party.strict.example",
		registered: settings{
			"profile": "strict", "tls_client_auth_san_dns": "party.strict.example", "tls_client_certificate_bound_access_tokens": true,
		},
		settings: settings{"par": true, "metadata": settings{"id_token_signed_response_alg": "PS256"}},
	},
	"signed userinfo": {
		auth: "client_secret_post", registered: settings{"userinfo_signed_response_alg": "PS256"},
		settings: settings{"signed_userinfo": true, "metadata": settings{"userinfo_signed_response_alg": "PS256"}},
	},
	"nonce, max_age and roles": {
		auth:     "client_secret_post",
		settings: settings{"max_age": 3600, "scope": "openid profile email nationalrbacaccess associatedorgs selectedrole"},
		check: func(t *testing.T, got map[string]any) {
			if in(got, "claims", "selected_roleid") != in(got, "userinfo", "selected_roleid") || in(got, "userinfo", "nhsid_nrbac_roles") == nil {
				t.Errorf("roles are missing: %v", got)
			}
		},
	},
}

// TestOpenIDClientWorksUnchanged signs in with npm's openid-client in each way
// that it can: it checks issuer, state, nonce, hashes, signatures and iss
// itself, and fails what is not to its liking.
func TestOpenIDClientWorksUnchanged(t *testing.T) {
	mtls := strconv.Itoa(porttest.Port(t))
	clients := newAuthority(t)
	authorities := filepath.Join(t.TempDir(), "clients.pem")
	clients.write(authorities, "CERTIFICATE", clients.certificate.Raw)
	o := newTown(t, fmt.Sprintf("mtls: {base_url: https://localhost:%s, listen: 127.0.0.1:%s, client_ca_file: %s}\n", mtls, mtls, authorities))
	folder, port := npm(t, "openid-client"), porttest.Port(t)
	home := "http://localhost:" + strconv.Itoa(port)
	var parties []map[string]any
	cases := map[string]settings{}
	ways := maps.Clone(ways)
	const last = "signing out" // nobody is signed in after it
	ways[last] = way{auth: "client_secret_post", settings: settings{"logout": true}}
	for name, w := range ways {
		party, told := w.register(t, clients, name, home)
		parties, cases[slug(name)] = append(parties, party), told
	}
	secrets := o.register(parties...)
	for _, told := range cases {
		told["secret"] = secrets[told["client_id"].(string)]
	}
	text, err := json.Marshal(settings{"issuer": o.issuer(), "port": port, "cases": cases})
	if err != nil {
		t.Fatal(err)
	}
	node := exec.Command("node", filepath.Join(folder, "party.mjs"))
	node.Env = append(node.Environ(), append(o.trusted(), "CASES="+o.write("cases.json", string(text)))...)
	ready(t, launchServer(t, node), home+"/ready")
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(ways)), func(name string) bool { return name == last })
	for _, name := range append(names, last) {
		t.Run(name, func(t *testing.T) {
			w := ways[name]
			res, body := o.visit(home + "/login/" + slug(name))
			got := fields(t, o.onward(body))
			if res.StatusCode != 200 || in(got, "claims", "sub") != o.worker.uid || in(got, "userinfo", "sub") != o.worker.uid {
				t.Fatalf("%s: %d\n%s", res.Request.URL, res.StatusCode, body)
			}
			if w.check != nil {
				w.check(t, got)
			}
			if address, ok := got["logout"].(string); ok != (name == last) {
				t.Errorf("the address to sign out at is %q", address)
			} else if ok {
				_, body := o.visit(address)
				if in(fields(t, body), "out") != "left" {
					t.Errorf("the sign-out ended at %s", body)
				}
			}
		})
	}
}

// slug is a name as it is in an address and a client id.
func slug(name string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == ',' {
			return '-'
		}
		return r
	}, name)
}

// register returns what a relying party registers for the way, and what
// openid-client is told.
func (w way) register(t *testing.T, clients *authority, name, home string) (party, told map[string]any) {
	t.Helper()
	party = map[string]any{
		"client_id": "party." + slug(name), "name": name, "token_endpoint_auth_method": w.auth, "default_acr": "AAL2_OR_AAL3_ANY",
		"redirect_uris": []string{home + "/callback"}, "post_logout_redirect_uris": []string{home + "/out"},
	}
	told = settings{"client_id": party["client_id"], "auth": w.auth}
	if w.alg != "" {
		private, public := keyPair(t, w.alg, "key of "+name)
		party["jwks"], told["jwk"], told["alg"] = settings{"keys": []any{public}}, private, w.alg
	}
	if w.subject != "" {
		certificate, key := w.certificate(t, clients)
		told["certificate"], told["certificate_key"] = pemText(t, "CERTIFICATE", certificate.Raw), pemText(t, "PRIVATE KEY", key)
		if w.auth == "self_signed_tls_client_auth" {
			party["jwks"] = settings{"keys": []any{jose.JSONWebKey{Key: certificate.PublicKey, Certificates: []*x509.Certificate{certificate}}}}
		}
	}
	for field, value := range w.registered {
		party[field] = value
	}
	for field, value := range w.settings {
		told[field] = value
	}
	return party, told
}

// keyPair returns a new key for an algorithm as private and public JWK.
func keyPair(t *testing.T, alg, kid string) (private, public jose.JSONWebKey) {
	t.Helper()
	var key any
	var err error
	if alg == "ES256" {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		t.Fatal(err)
	}
	private = jose.JSONWebKey{Key: key, KeyID: kid, Use: "sig", Algorithm: alg}
	if !private.Valid() {
		t.Fatal(fmt.Errorf("no key for %s", alg))
	}
	return private, private.Public()
}

// certificate returns a new certificate of the way's subject and its key: one
// of the authority, or one that nobody but itself signed.
func (w way) certificate(t *testing.T, clients *authority) (*x509.Certificate, []byte) {
	t.Helper()
	key := newKey(t)
	if w.auth == "self_signed_tls_client_auth" {
		clients = &authority{t: t, key: key}
	}
	certificate := clients.sign(&x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: w.subject}, DNSNames: []string{w.subject},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, der
}

func pemText(t *testing.T, kind string, der []byte) string {
	t.Helper()
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
