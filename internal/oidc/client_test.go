package oidc_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"carekey.dev/carekey/internal/oidc"
)

// ncrsKey is the private key of NCRS, which authenticates by private_key_jwt.
var ncrsKey = func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}()

func ncrsKeys() json.RawMessage {
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: ncrsKey.Public(), KeyID: "ncrs"}}})
	if err != nil {
		panic(err)
	}
	return text
}

// assertion is one of NCRS with the jti; pairs change a claim.
func (h *house) assertion(jti string, pairs ...any) string {
	h.t.Helper()
	claims := map[string]any{
		"iss": ncrs, "sub": ncrs, "aud": h.provider.Issuer() + "/access_token", "jti": jti, "exp": h.Now().Add(time.Minute).Unix(),
	}
	for i := 0; i < len(pairs); i += 2 {
		if claims[pairs[i].(string)] = pairs[i+1]; pairs[i+1] == nil {
			delete(claims, pairs[i].(string))
		}
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		h.t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: ncrsKey}, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		h.t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		h.t.Fatal(err)
	}
	return text
}

// asserted is a token request of NCRS, without client_id (wire rule 6).
func (h *house) asserted(code, assertion string) url.Values {
	return redemption(code, "client_id", "", "client_secret", "", "client_assertion", assertion,
		"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
}

func (h *house) issueTo(client string) string {
	h.t.Helper()
	b := h.browser()
	b.withApp(amara)
	return b.code(b.authorize(ask("client_id", client)))
}

// Wire rules 5 and 6.
func TestACodeIsExchangedByAnAssertion(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		if a := h.post("/access_token", h.asserted(h.issueTo(ncrs), h.assertion("1"))); a.status != http.StatusOK {
			t.Fatalf("answer %d %s", a.status, a.body)
		}
		code := h.issueTo(ncrs)
		before := h.Counters()
		if a := h.post("/access_token", h.asserted(code, h.assertion("2"))); a.status != http.StatusOK {
			t.Fatalf("answer %d %s", a.status, a.body)
		}
		after := h.Counters()
		if commits, statements := after.Commits-before.Commits, after.Statements-before.Statements; commits != 1 || statements != 3 {
			t.Errorf("it cost %d commits and %d statements, want 1 and 3", commits, statements)
		}
		if got := h.audited(); len(got) != 2 || got[1] != "token.issued by "+ncrs {
			t.Errorf("the audit log holds %q", got)
		}
	})
}

// Wire rules 3 and 7; RFC 7523 section 3.2.
func TestAFailedAssertionIsToldInOneWayAndDoesNotUseUpTheCode(t *testing.T) {
	h := open(t)
	code := h.issueTo(ncrs)
	for name, test := range map[string]struct{ assertion, logged string }{
		"wrong aud":     {h.assertion("1", "aud", "https://x.example"), "x.example"},
		"expired":       {h.assertion("1", "exp", start.Add(-time.Hour).Unix()), "it expired"},
		"no JWT":        {"x.y.z", "the request names no client"},
		"of e-RS":       {h.assertion("1", "iss", ers, "sub", ers), "is registered for client_secret_post"},
		"of a nobody":   {h.assertion("1", "sub", "a\x00b"), "is not registered"},
		"bad subject":   {h.assertion("1", "iss", ers), "both must be the client_id"},
		"bad signature": {h.assertion("1")[:300] + "AAAA", "the signature is by none of the client's keys"},
	} {
		a := h.post("/access_token", h.asserted(code, test.assertion))
		got := object(t, a.body)
		if a.status != http.StatusUnauthorized || got["error"] != "invalid_client" || got["error_description"] != "JWT is not valid" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
		if f := h.faults.last(); got["reference"] != f.Ref || !strings.Contains(h.log.String(), f.Ref) {
			t.Errorf("%s: the reference %s is not told or not logged: %s", name, f.Ref, a.body)
		}
		if !strings.Contains(h.log.String(), test.logged) {
			t.Errorf("%s: the log does not say %q:\n%s", name, test.logged, h.log)
		}
	}
	if a := h.post("/access_token", h.asserted(code, h.assertion("2"))); a.status != http.StatusOK {
		t.Errorf("after all these the code is not good any more: %s", a.body)
	}
}

// OpenID Connect Core section 9: jti, "MUST only be used once".
func TestAnAssertionIsGoodOnceAndAReplayDoesNotUseUpTheCode(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		assertion := h.assertion("once")
		first, second := h.issueTo(ncrs), h.issueTo(ncrs)
		if a := h.post("/access_token", h.asserted(first, assertion)); a.status != http.StatusOK {
			t.Fatalf("answer %d %s", a.status, a.body)
		}
		a := h.post("/access_token", h.asserted(second, assertion))
		if got := object(t, a.body); a.status != http.StatusUnauthorized || got["error"] != "invalid_client" || got["error_description"] != "JWT is not valid" {
			t.Errorf("the second use: %d %s", a.status, a.body)
		}
		if !strings.Contains(h.log.String(), "the assertion was used before") {
			t.Error("the log does not say that the assertion was used before")
		}
		if got := h.audited(); len(got) != 2 || !strings.HasPrefix(got[1], "token.refused by unauthenticated invalid_client") {
			t.Errorf("the audit log holds %q", got)
		}
		if a := h.post("/access_token", h.asserted(second, h.assertion("another"))); a.status != http.StatusOK {
			t.Errorf("the code is used up by a replay: %d %s", a.status, a.body)
		}
	})
}

// RFC 8414 section 2: what the endpoint takes, and nothing else.
func TestDiscoveryNamesTheWaysOfClientAuthentication(t *testing.T) {
	doc := object(t, open(t).browser().get(oidc.RealmPath+"/.well-known/openid-configuration").body)
	for name, want := range map[string]string{
		"token_endpoint_auth_methods_supported":            "[client_secret_post client_secret_basic private_key_jwt]",
		"token_endpoint_auth_signing_alg_values_supported": "[RS256 RS512 PS256 ES256]",
		"introspection_endpoint_auth_methods_supported":    "[client_secret_post client_secret_basic private_key_jwt]",
		"revocation_endpoint_auth_methods_supported":       "[client_secret_post client_secret_basic private_key_jwt]",
	} {
		if got := texts(doc[name]); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
}

func texts(list any) string {
	var all []string
	for _, one := range list.([]any) {
		all = append(all, one.(string))
	}
	return "[" + strings.Join(all, " ") + "]"
}

// OpenID Connect Core section 9, at the endpoints that write nothing of their
// own: a replay is refused there too, and after them at the token endpoint.
func TestAnAssertionIsGoodOnceAcrossEndpoints(t *testing.T) {
	h := open(t)
	for _, path := range []string{"/introspect", "/token/revoke"} {
		assertion := h.assertion(path)
		form := h.asserted("", assertion)
		form.Set("token", "made-up")
		if a := h.post(path, form); a.status != http.StatusOK {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
		if a := h.post(path, form); a.status != http.StatusUnauthorized || object(t, a.body)["error"] != "invalid_client" {
			t.Errorf("%s, the second use: %d %s", path, a.status, a.body)
		}
		if a := h.post("/access_token", h.asserted(h.issueTo(ncrs), assertion)); a.status != http.StatusUnauthorized {
			t.Errorf("%s, used at the token endpoint: %d %s", path, a.status, a.body)
		}
	}
}

// The audit log is never cut back: who holds a code, as every worker does for a
// moment, must not be able to fill it with refusals (ASVS 15.2.2).
func TestRefusalsOfAStrangerWithACodeAreAuditedOnceAMinute(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		b.withApp(amara)
		for range 3 {
			code := b.code(b.authorize(ask()))
			for range 3 {
				h.post("/access_token", redemption(code, "client_secret", "guessed"))
			}
		}
		if got := h.audited(); len(got) != 1 {
			t.Errorf("nine refusals within a minute left %q", got)
		}
		h.pass(time.Minute)
		h.post("/access_token", redemption(b.code(b.authorize(ask())), "client_secret", "guessed"))
		if got := h.audited(); len(got) != 2 {
			t.Errorf("a minute later the log holds %q", got)
		}
	})
}
