package oidc_test

import (
	"crypto/rand"
	"crypto/tls"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/oidc/dpop/dpoptest"
	"carekey.dev/carekey/internal/relyingparty"
)

// strictly lets the relying party of the profile strict have refresh tokens.
func (h *house) strictly() {
	h.t.Helper()
	rp := relyingparty.RelyingParty{
		ClientID: strict, Name: "Strict", AuthMethod: relyingparty.PrivateKeyJWT, JWKS: ncrsKeys(), RedirectURIs: []string{callback},
		Profile: relyingparty.Strict, Metadata: relyingparty.Metadata{RefreshTokens: true},
	}
	rp.Complete()
	rp.DefaultACR = care.AAL2OrAAL3Any
	h.register(rp)
}

// strictForm is a request of its server, with a new assertion.
func (h *house) strictForm(pairs ...string) url.Values {
	h.t.Helper()
	form := url.Values{
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion":      {h.assertion(rand.Text(), "iss", strict, "sub", strict, "aud", h.provider.Issuer())},
	}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return form
}

// strictCode signs Amara in to it, and returns the token request for the code.
func (h *house) strictCode() url.Values {
	h.t.Helper()
	request := ask("client_id", strict, "scope", "openid profile offline_access", "code_challenge", challenge(), "code_challenge_method", "S256")
	for name, values := range h.strictForm() {
		request[name] = values
	}
	a := h.post("/par", request)
	if a.status != http.StatusCreated {
		h.t.Fatalf("pushing: %d %s", a.status, a.body)
	}
	b := h.browser()
	b.withApp(amara)
	code := b.code(b.authorize(url.Values{"client_id": {strict}, "request_uri": {object(h.t, a.body)["request_uri"].(string)}}))
	return h.strictForm("grant_type", "authorization_code", "code", code, "redirect_uri", callback, "code_verifier", verifier)
}

// FAPI 2.0 section 5.3.2.1; decision 12; ASVS 10.4.14: bound tokens alone, for
// 300 seconds.
func TestTheProfileStrictGivesBoundTokensForFiveMinutes(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.strictly()
		form := h.strictCode()
		a := h.post("/access_token", form)
		if got := object(t, a.body); a.status != http.StatusBadRequest || got["error"] != "invalid_request" || !strings.Contains(a.body, "binds access tokens") {
			t.Errorf("neither proof nor certificate: %d %s", a.status, a.body)
		}
		key := dpoptest.New(t)
		// The refusal has used up neither the code nor the assertion.
		a = h.withProof(key, form)
		got := object(t, a.body)
		if a.status != http.StatusOK || got["token_type"] != "DPoP" || got["expires_in"] != 300.0 || got["refresh_token"] == nil {
			t.Fatalf("%d %s", a.status, a.body)
		}
		claims := claimsOf(t, got["id_token"].(string))
		if life := claims["exp"].(float64) - claims["iat"].(float64); life != 300 {
			t.Errorf("the ID token lives %v seconds", life)
		}
		access := got["access_token"].(string)
		for _, step := range []struct {
			pass   time.Duration
			status int
		}{{299 * time.Second, 200}, {2 * time.Second, 401}} {
			h.pass(step.pass)
			a := h.askUserinfo("Authorization", "DPoP "+access, "DPoP", key.Proof(t, "GET", h.at("/userinfo"), h.Now(), access))
			if a.status != step.status {
				t.Errorf("%v later: %d %s", step.pass, a.status, a.body)
			}
		}
	})
}

// FAPI 2.0 section 5.3.2.1 item 9: not rotated; ASVS 10.4.5: bound instead, to
// the key with which the client authenticates. The DPoP key may change (RFC 9449
// section 5), and the new access token is bound to the new one.
func TestARefreshTokenOfTheProfileStrictIsBoundAndNotRotated(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.strictly()
		key := dpoptest.New(t)
		refresh := object(t, h.withProof(key, h.strictCode()).body)["refresh_token"].(string)
		renew := func() url.Values {
			return h.strictForm("grant_type", "refresh_token", "refresh_token", refresh)
		}
		for range 3 {
			a := h.withProof(key, renew())
			got := object(t, a.body)
			if a.status != http.StatusOK || got["refresh_token"] != refresh || got["token_type"] != "DPoP" || got["expires_in"] != 300.0 {
				t.Errorf("refreshing: %d %s", a.status, a.body)
			}
		}
		if a := h.post("/access_token", renew()); a.status != http.StatusBadRequest || object(t, a.body)["error"] != "invalid_request" {
			t.Errorf("without a proof: %d %s", a.status, a.body)
		}
		another := dpoptest.New(t)
		access := object(t, h.withProof(another, renew()).body)["access_token"].(string)
		for _, test := range []struct {
			key    dpoptest.Key
			status int
		}{{another, http.StatusOK}, {key, http.StatusUnauthorized}} {
			a := h.askUserinfo("Authorization", "DPoP "+access, "DPoP", test.key.Proof(t, "GET", h.at("/userinfo"), h.Now(), access))
			if a.status != test.status {
				t.Errorf("userinfo: %d %s, want %d", a.status, a.body, test.status)
			}
		}
		stolen := renew()
		stolen.Set("client_assertion", h.assertion(rand.Text(), "iss", ncrs, "sub", ncrs, "aud", h.provider.Issuer()))
		if a := h.withProof(key, stolen); a.status != http.StatusBadRequest {
			t.Errorf("by another client: %d %s", a.status, a.body)
		}
		a := h.post("/token/revoke", h.strictForm("token", refresh))
		if a.status != http.StatusOK {
			t.Fatalf("revoking: %d %s", a.status, a.body)
		}
		if a := h.withProof(key, renew()); a.status != http.StatusBadRequest || !strings.Contains(a.body, "revoked") {
			t.Errorf("refreshing what was revoked: %d %s", a.status, a.body)
		}
	})
}

// FAPI 2.0 section 5.3.2.1: bound by mutual TLS where there is no proof.
func TestTheProfileStrictBindsToTheCertificateWithoutBeingTold(t *testing.T) {
	h := open(t)
	h.strictly()
	server, mine := h.mutual(), []tls.Certificate{certificate(t)}
	a := with(t, server, mine, request(t, server, "POST", "/access_token", h.strictCode(), ""))
	got := object(t, a.body)
	if a.status != http.StatusOK || got["token_type"] != "Bearer" {
		t.Fatalf("%d %s", a.status, a.body)
	}
	access := got["access_token"].(string)
	for _, test := range []struct {
		certificates []tls.Certificate
		status       int
	}{{mine, 200}, {nil, 401}} {
		if a := with(t, server, test.certificates, request(t, server, "GET", "/userinfo", nil, access)); a.status != test.status {
			t.Errorf("with %d certificates: %d %s", len(test.certificates), a.status, a.body)
		}
	}
}
