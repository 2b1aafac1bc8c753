package oidc_test

import (
	"net/http"
	"net/url"

	"carekey.dev/carekey/internal/oidc"
	"carekey.dev/carekey/internal/oidc/claims/claimstest"
)

// redemption is the token request of e-RS for a code.
func redemption(code string, pairs ...string) url.Values {
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback},
		"client_id": {ers}, "client_secret": {ersSecret},
	}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
		if pairs[i+1] == "" {
			form.Del(pairs[i])
		}
	}
	return form
}

// tokens redeems a code and returns the answer's fields. The ID token is held
// against the published schema, and so is userinfo below.
func (h *house) tokens(code string) map[string]any {
	h.t.Helper()
	a := h.post("/access_token", redemption(code))
	if a.status != http.StatusOK {
		h.t.Fatalf("redeeming a code: %d %s", a.status, a.body)
	}
	got := object(h.t, a.body)
	claimstest.Validate(h.t, claimstest.IDToken, payload(h.t, got["id_token"].(string)))
	return got
}

func (h *house) userinfo(token string) answer {
	h.t.Helper()
	r, err := http.NewRequest(http.MethodGet, h.server.URL+oidc.RealmPath+"/userinfo", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	a := h.browser().do(r)
	if a.status == http.StatusOK && a.header.Get("Content-Type") == "application/json" {
		claimstest.Validate(h.t, claimstest.Userinfo, a.body)
	}
	return a
}
