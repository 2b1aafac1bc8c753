package oidc

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/relyingparty"
)

// FuzzAuthorizationRequest: whatever a stranger puts into the address, a request
// that is accepted keeps the promises on which the rest relies.
func FuzzAuthorizationRequest(f *testing.F) {
	rp := relyingparty.RelyingParty{
		ClientID: "555000000001.apps.national", RedirectURIs: []string{"http://localhost:9090/callback"},
		Scopes: relyingparty.Scopes(), Methods: care.Methods(), DefaultACR: care.AAL2OrAAL3Any,
	}
	for _, seed := range []string{
		"response_type=code&scope=openid+profile&state=s&nonce=n&client_id=1&redirect_uri=http://localhost:9090/callback",
		"response_type=code&scope=openid&prompt=login&prompt=login+consent&max_age=300",
		"response_type=code&scope=openid&prompt=&max_age=9223372036854775807&acr_values=AAL3_ANY+AAL2_TOTP+x",
		"response_type=code&scope=openid&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256",
		"response_type=token&request=x&scope=%ff&login_hint=a@b.nhs.uk&login_hint=b",
		"acr_values=AAL1_USERPASS&scope=openid&response_type=code",
		"response_type=code&scope=openid&response_mode=form_post&dpop_jkt=0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I&claims=%7B%22id_token%22%3A%7B%22acr%22%3A%7B%22essential%22%3Atrue%2C%22value%22%3A%22AAL3_ANY%22%7D%7D%7D",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		query, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		req, e := parse(query, rp)
		if e != nil {
			if e.code == "" || e.description == "" || e.fault == nil {
				t.Errorf("an empty refusal: %+v", e)
			}
			return
		}
		if !slices.Contains(req.scopes, "openid") || len(req.acrs) == 0 {
			t.Errorf("accepted with scopes %v and classes %v", req.scopes, req.acrs)
		}
		for _, acr := range req.acrs {
			if acr.Least() < care.AAL2 || len(acr.Offers(rp.Methods)) == 0 {
				t.Errorf("accepted with class %s", acr)
			}
		}
		if req.challenge != "" && len(req.challenge) != 43 {
			t.Errorf("accepted with challenge %q", req.challenge)
		}
		if req.mode != modeQuery && req.mode != modeFormPost || req.jkt != "" && len(req.jkt) != 43 {
			t.Errorf("accepted with mode %q and key %q", req.mode, req.jkt)
		}
		if req.silent && req.again {
			t.Error("accepted to ask nobody and to ask again")
		}
	})
}

// FuzzClaimsParameter: whatever is in the claims parameter, it is taken or
// refused as an OAuth error, and a class that was called essential is never met
// by another.
func FuzzClaimsParameter(f *testing.F) {
	rp := relyingparty.RelyingParty{Methods: care.Methods(), DefaultACR: care.AAL2OrAAL3Any}
	f.Add(`{"id_token":{"acr":{"essential":true,"values":["AAL3_ANY","x"]},"sub":{"value":"555000100101"}}}`, "AAL2_ANY")
	f.Add(`{"userinfo":{"name":null},"id_token":{"acr":null}}`, "")
	f.Add(`{"id_token":{"acr":{"essential":true,"value":7}}}`, "gold")
	f.Fuzz(func(t *testing.T, text, acrValues string) {
		w := wish{acrs: strings.Fields(acrValues)}
		if e := w.readClaims(text); e != nil {
			if e.code != "invalid_request" || strings.Contains(e.description, text) && len(text) > 30 {
				t.Errorf("refused with %s: %s", e.code, e.description)
			}
			return
		}
		acrs, e := acceptable(w, rp)
		if (e == nil) != (len(acrs) > 0) {
			t.Errorf("classes %v with %v", acrs, e)
		}
		for _, acr := range acrs {
			if len(w.essential) > 0 && !slices.Contains(w.essential, string(acr)) {
				t.Errorf("%s would do, of %v", acr, w.essential)
			}
		}
	})
}
