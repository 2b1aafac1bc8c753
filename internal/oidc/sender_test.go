package oidc_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/oidc"
	"carekey.dev/carekey/internal/oidc/dpop/dpoptest"
)

// at is the address of an endpoint.
func (h *house) at(path string) string { return h.server.URL + oidc.RealmPath + path }

// withProof sends a token request with a new proof of the key.
func (h *house) withProof(key dpoptest.Key, form url.Values) answer {
	h.t.Helper()
	return h.post("/access_token", form, "DPoP", key.Proof(h.t, "POST", h.at("/access_token"), h.Now(), ""))
}

// ask asks userinfo with these headers.
func (h *house) askUserinfo(headers ...string) answer {
	h.t.Helper()
	r, err := http.NewRequest(http.MethodGet, h.at("/userinfo"), nil)
	if err != nil {
		h.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return h.browser().do(r)
}

// bound signs Amara in with tokens that are bound to a new key.
func (h *house) bound(pairs ...string) (dpoptest.Key, map[string]any) {
	h.t.Helper()
	key := dpoptest.New(h.t)
	_, code := h.issue(pairs...)
	a := h.withProof(key, redemption(code))
	if a.status != http.StatusOK {
		h.t.Fatalf("redeeming with a proof: %d %s", a.status, a.body)
	}
	return key, object(h.t, a.body)
}

// RFC 9449 sections 5, 6.2 and 7.1.
func TestATokenIsBoundToTheKeyOfItsProof(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		key, got := h.bound("scope", "openid profile")
		if got["token_type"] != "DPoP" {
			t.Errorf("token_type is %v", got["token_type"])
		}
		access := got["access_token"].(string)
		proof := func() string { return key.Proof(t, "GET", h.at("/userinfo"), h.Now(), access) }
		for range 2 { // as often as it asks, with a proof each time
			if a := h.askUserinfo("Authorization", "DPoP "+access, "DPoP", proof()); a.status != http.StatusOK || object(t, a.body)["name"] != "OSEI Amara Dr" {
				t.Errorf("userinfo: %d %s", a.status, a.body)
			}
		}
		told := h.introspect(ers, ersSecret, access)
		if cnf, _ := told["cnf"].(map[string]any); told["token_type"] != "DPoP" || len(cnf) != 1 || cnf["jkt"] != key.JKT(t) {
			t.Errorf("introspection tells %v", told)
		}
	})
}

// RFC 9449 sections 7.1 and 7.2: who cannot show the key gets nothing.
func TestABoundTokenIsOfNoUseWithoutItsKey(t *testing.T) {
	h := open(t)
	key, got := h.bound()
	access := got["access_token"].(string)
	at := h.at("/userinfo")
	good := key.Proof(t, "GET", at, h.Now(), access)
	if a := h.askUserinfo("Authorization", "DPoP "+access, "DPoP", good); a.status != http.StatusOK {
		t.Fatalf("with its key: %d %s", a.status, a.body)
	}
	other := dpoptest.New(t)
	_, free := h.issue()
	unbound := h.tokens(free)["access_token"].(string)
	for name, test := range map[string]struct {
		headers     []string
		code, words string
	}{
		"as a bearer token":          {[]string{"Authorization", "Bearer " + access}, "invalid_token", "bound to a DPoP key"},
		"as a bearer, with a proof":  {[]string{"Authorization", "Bearer " + access, "DPoP", key.Proof(t, "GET", at, h.Now(), access)}, "invalid_token", "bound to a DPoP key"},
		"without a proof":            {[]string{"Authorization", "DPoP " + access}, "invalid_dpop_proof", "missing"},
		"with a used proof":          {[]string{"Authorization", "DPoP " + access, "DPoP", good}, "invalid_dpop_proof", "used before"},
		"with another key":           {[]string{"Authorization", "DPoP " + access, "DPoP", other.Proof(t, "GET", at, h.Now(), access)}, "invalid_token", "another DPoP key"},
		"without ath":                {[]string{"Authorization", "DPoP " + access, "DPoP", key.Proof(t, "GET", at, h.Now(), "")}, "invalid_dpop_proof", "ath"},
		"for another token":          {[]string{"Authorization", "DPoP " + access, "DPoP", key.Proof(t, "GET", at, h.Now(), "x")}, "invalid_dpop_proof", "ath"},
		"for another endpoint":       {[]string{"Authorization", "DPoP " + access, "DPoP", key.Proof(t, "GET", h.at("/introspect"), h.Now(), access)}, "invalid_dpop_proof", "htu"},
		"for another method":         {[]string{"Authorization", "DPoP " + access, "DPoP", key.Proof(t, "POST", at, h.Now(), access)}, "invalid_dpop_proof", "htm"},
		"from two minutes ago":       {[]string{"Authorization", "DPoP " + access, "DPoP", key.Proof(t, "GET", at, h.Now().Add(-2*time.Minute), access)}, "invalid_dpop_proof", "iat"},
		"an unbound token":           {[]string{"Authorization", "DPoP " + unbound, "DPoP", key.Proof(t, "GET", at, h.Now(), unbound)}, "invalid_token", "not bound"},
		"no token of ours":           {[]string{"Authorization", "DPoP x", "DPoP", key.Proof(t, "GET", at, h.Now(), "x")}, "invalid_token", "not one that was issued"},
		"two proofs":                 {[]string{"Authorization", "DPoP " + access, "DPoP", good, "DPoP", good}, "invalid_dpop_proof", "more than one"},
		"a proof that is no proof":   {[]string{"Authorization", "DPoP " + access, "DPoP", access}, "invalid_dpop_proof", "signed JWT"},
		"in small letters, no proof": {[]string{"Authorization", "dpop " + access}, "invalid_dpop_proof", "missing"},
	} {
		a := h.askUserinfo(test.headers...)
		body := object(t, a.body)
		if a.status != http.StatusUnauthorized || body["error"] != test.code || !strings.Contains(body["error_description"].(string), test.words) {
			t.Errorf("%s: %d %s, want %s that says %q", name, a.status, a.body, test.code, test.words)
		}
		challenges := strings.Join(a.header.Values("WWW-Authenticate"), "; ")
		scheme, _, _ := strings.Cut(test.headers[1], " ")
		for _, part := range []string{`Bearer realm="Carekey"`, `DPoP realm="Carekey", algs="ES256 PS256 EdDSA"`, `error="` + test.code + `"`} {
			if !strings.Contains(challenges, part) {
				t.Errorf("%s (%s): the challenge %q lacks %s", name, scheme, challenges, part)
			}
		}
		if !strings.Contains(h.log.String(), h.faults.last().Ref) {
			t.Errorf("%s: not logged", name)
		}
	}
	if strings.Contains(h.log.String(), access) || strings.Contains(h.log.String(), good) {
		t.Error("the log holds a token or a proof")
	}
}

// RFC 9449 section 5: the proof of a token request. None of these uses the code
// up.
func TestATokenRequestWithABadProofIsRefused(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		key := dpoptest.New(t)
		_, code := h.issue()
		at := h.at("/access_token")
		used := key.Proof(t, "POST", at, h.Now(), "")
		_, first := h.issue()
		if a := h.post("/access_token", redemption(first), "DPoP", used); a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
		for name, test := range map[string]struct{ proof, words string }{
			"used before":   {used, "used before"},
			"no proof":      {"x", "signed JWT"},
			"another place": {key.Proof(t, "POST", h.at("/userinfo"), h.Now(), ""), "htu"},
			"old":           {key.Proof(t, "POST", at, h.Now().Add(-time.Hour), ""), "iat"},
		} {
			a := h.post("/access_token", redemption(code), "DPoP", test.proof)
			got := object(t, a.body)
			if a.status != http.StatusBadRequest || got["error"] != "invalid_dpop_proof" || !strings.Contains(got["error_description"].(string), test.words) {
				t.Errorf("%s: %d %s", name, a.status, a.body)
			}
		}
		h.tokens(code)
	})
}

// RFC 9449 section 10: an authorization code that was asked for with dpop_jkt.
func TestACodeIsBoundToTheKeyThatTheRequestNamed(t *testing.T) {
	h := open(t)
	key := dpoptest.New(t)
	_, code := h.issue("dpop_jkt", key.JKT(t))
	for name, a := range map[string]answer{
		"no proof":    h.post("/access_token", redemption(code)),
		"another key": h.withProof(dpoptest.New(t), redemption(code)),
	} {
		if got := object(t, a.body); a.status != http.StatusBadRequest || got["error"] != "invalid_grant" || !strings.Contains(a.body, "another DPoP key") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	if a := h.withProof(key, redemption(code)); a.status != http.StatusOK {
		t.Errorf("the key itself: %d %s", a.status, a.body)
	}
	b := h.browser()
	b.withApp(amara)
	for _, bad := range []string{"x", key.JKT(t) + "A", "????"} {
		if to := b.authorize(ask("dpop_jkt", bad)).to().Query(); to.Get("error") != "invalid_request" || !strings.Contains(to.Get("error_description"), "dpop_jkt") {
			t.Errorf("dpop_jkt=%s: %v", bad, to)
		}
	}
}

// RFC 9449 section 5.2: dpop_bound_access_tokens.
func TestAClientThatRegisteredForDPoPNeedsAProof(t *testing.T) {
	h := open(t)
	rp := rotaParty()
	rp.DPoPBound = true
	h.register(rp)
	b := h.browser()
	b.withApp(amara)
	form := rotaForm("grant_type", "authorization_code", "redirect_uri", callback,
		"code", b.code(b.authorize(ask("client_id", rota, "scope", "openid offline_access"))))
	if a := h.post("/access_token", form); a.status != http.StatusBadRequest || object(t, a.body)["error"] != "invalid_request" || !strings.Contains(a.body, "proof is missing") {
		t.Errorf("without a proof: %d %s", a.status, a.body)
	}
	if a := h.withProof(dpoptest.New(t), form); object(t, a.body)["token_type"] != "DPoP" {
		t.Errorf("with a proof: %d %s", a.status, a.body)
	}
}

// RFC 8705 section 3: tls_client_certificate_bound_access_tokens.
func TestAClientThatRegisteredForItsCertificateNeedsIt(t *testing.T) {
	h := open(t)
	rp := rotaParty()
	rp.TLSBound = true
	h.register(rp)
	b := h.browser()
	b.withApp(amara)
	a := h.post("/access_token", rotaForm("grant_type", "authorization_code", "redirect_uri", callback,
		"code", b.code(b.authorize(ask("client_id", rota, "scope", "openid")))))
	if a.status != http.StatusBadRequest || object(t, a.body)["error"] != "invalid_request" || !strings.Contains(a.body, "mtls_endpoint_aliases") {
		t.Errorf("without a certificate: %d %s", a.status, a.body)
	}
}

// The family keeps its key: a refresh token in other hands buys nothing.
func TestARefreshKeepsTheKey(t *testing.T) {
	h := open(t)
	h.register(rotaParty())
	b := h.browser()
	b.withApp(amara)
	key := dpoptest.New(t)
	a := h.withProof(key, rotaForm("grant_type", "authorization_code", "redirect_uri", callback,
		"code", b.code(b.authorize(ask("client_id", rota, "scope", "openid offline_access")))))
	refresh := object(t, a.body)["refresh_token"].(string)
	h.mustNotRefresh(refresh, "invalid_grant", "bound to another key")
	form := rotaForm("grant_type", "refresh_token", "refresh_token", refresh)
	if a := h.withProof(dpoptest.New(t), form); object(t, a.body)["error"] != "invalid_grant" {
		t.Errorf("another key: %d %s", a.status, a.body)
	}
	a = h.withProof(key, form)
	if got := object(t, a.body); got["token_type"] != "DPoP" {
		t.Errorf("the key itself: %d %s", a.status, a.body)
	}
	told := h.introspect(rota, rotaSecret, object(t, a.body)["refresh_token"])
	if cnf, _ := told["cnf"].(map[string]any); cnf["jkt"] != key.JKT(t) {
		t.Errorf("introspection of the refresh token tells %v", told)
	}
}

// A proof costs a statement at the token endpoint, and a commit at userinfo,
// where a bearer token costs none.
func TestAProofCostsOneStatement(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.bound() // the directory knows e-RS from here on
		key := dpoptest.New(t)
		_, code := h.issue()
		before := h.Counters()
		access := object(t, h.withProof(key, redemption(code)).body)["access_token"].(string)
		after := h.Counters()
		if commits, statements := after.Commits-before.Commits, after.Statements-before.Statements; commits != 1 || statements != 3 {
			t.Errorf("a token request costs %d commits and %d statements, want 1 and 3", commits, statements)
		}
		h.askUserinfo("Authorization", "DPoP "+access, "DPoP", key.Proof(t, "GET", h.at("/userinfo"), h.Now(), access))
		last := h.Counters()
		if commits, statements := last.Commits-after.Commits, last.Statements-after.Statements; commits != 1 || statements != 3 {
			t.Errorf("userinfo costs %d commits and %d statements, want 1 and 3", commits, statements)
		}
	})
}

// Discovery names what proofs may be signed with (RFC 9449 section 5.1).
func TestDiscoveryNamesTheAlgorithmsOfProofs(t *testing.T) {
	h := open(t)
	doc := object(t, h.browser().get(discoveryPath).body)
	if got, _ := doc["dpop_signing_alg_values_supported"].([]any); len(got) != 3 || got[0] != "ES256" {
		t.Errorf("dpop_signing_alg_values_supported is %v", doc["dpop_signing_alg_values_supported"])
	}
}
