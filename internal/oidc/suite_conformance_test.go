package oidc_test

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/oidc"
)

// The tests of this file do what modules of the OpenID Foundation's conformance
// suite do; docs/conformance.md names them.

// OpenID Connect Discovery sections 3, 4.2 and 4.3; RFC 8414 sections 2 and 3.2.
func TestDiscoveryHasAllThatIsRequiredAndNothingEmpty(t *testing.T) {
	h := open(t)
	a := h.browser().get(discoveryPath)
	doc := object(t, a.body)
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("answer %d %v", a.status, a.header)
	}
	_, code := h.issue()
	if iss := claimsOf(t, h.tokens(code)["id_token"].(string))["iss"]; doc["issuer"] != iss || doc["issuer"] != h.provider.Issuer() {
		t.Errorf("issuer is %v, and that of ID tokens %v", doc["issuer"], iss)
	}
	for _, name := range []string{
		"issuer", "authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri", "registration_endpoint", "end_session_endpoint",
		"scopes_supported", "response_types_supported", "response_modes_supported", "grant_types_supported", "acr_values_supported",
		"subject_types_supported", "id_token_signing_alg_values_supported", "userinfo_signing_alg_values_supported", "claims_supported",
		"token_endpoint_auth_methods_supported", "token_endpoint_auth_signing_alg_values_supported", "code_challenge_methods_supported",
		"request_parameter_supported", "request_uri_parameter_supported", "claims_parameter_supported",
		"pushed_authorization_request_endpoint", "dpop_signing_alg_values_supported", "authorization_response_iss_parameter_supported",
	} {
		if _, there := doc[name]; !there {
			t.Errorf("%s is missing", name)
		}
	}
	for name, value := range doc {
		switch value := value.(type) {
		case nil:
			t.Errorf("%s is null", name)
		case []any:
			if len(value) == 0 {
				t.Errorf("%s is empty: it must be left out", name)
			}
		case string:
			if !strings.HasSuffix(name, "_endpoint") && name != "jwks_uri" && name != "issuer" {
				continue
			}
			if u, err := url.Parse(value); err != nil || u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
				t.Errorf("%s is %s", name, value)
			}
		}
	}
	for name, want := range map[string][]string{
		"scopes_supported": {"openid", "profile", "email"}, "response_types_supported": {"code"}, "subject_types_supported": {"public"},
		"response_modes_supported":              {"query", "form_post"},
		"id_token_signing_alg_values_supported": {"RS256", "ES256", "PS256"}, "userinfo_signing_alg_values_supported": {"RS256", "ES256", "PS256"},
		"token_endpoint_auth_methods_supported": {"client_secret_basic", "client_secret_post", "private_key_jwt"}, "code_challenge_methods_supported": {"S256"},
		"dpop_signing_alg_values_supported": {"ES256", "PS256"}, "claims_supported": {"sub", "iss", "auth_time", "acr", "name", "email"},
	} {
		for _, value := range want {
			if !strings.Contains(" "+strings.Trim(texts(doc[name]), "[]")+" ", " "+value+" ") {
				t.Errorf("%s lacks %s: %v", name, value, doc[name])
			}
		}
	}
	for _, missing := range []string{"address", "phone"} { // CIS2 has none, and the suite passes over them
		if strings.Contains(texts(doc["scopes_supported"])+texts(doc["claims_supported"]), missing) {
			t.Errorf("discovery names %s", missing)
		}
	}
	for name, value := range doc { // RFC 8725 section 3.2; no public clients
		if list, ok := value.([]any); ok && name != "prompt_values_supported" && strings.Contains(texts(list)+" ", "none") {
			t.Errorf("%s names none: %v", name, list)
		}
	}
}

// OpenID Connect Core section 15.1: what a provider does not act on is no error.
func TestWishesThatNothingFollowsFromAreNoErrors(t *testing.T) {
	h := open(t)
	b := h.browser()
	b.withApp(amara)
	for name, query := range map[string]url.Values{
		"display=page":    ask("display", "page"),
		"display=popup":   ask("display", "popup"),
		"ui_locales":      ask("ui_locales", "se cy"),
		"claims_locales":  ask("claims_locales", "se cy"),
		"login_hint":      ask("login_hint", "buffy@rp.example"),
		"acr_values":      ask("acr_values", "1 2"),
		"unknown":         ask("extra", "foobar"),
		"resource":        ask("resource", "https://api.example"),
		"essential name":  ask("claims", `{"userinfo":{"name":{"essential":true}}}`),
		"unknown claims":  ask("claims", `{"userinfo":{"x":null},"id_token":{"y":{"essential":true,"value":"z"}},"more":{}}`),
		"voluntary class": ask("claims", `{"id_token":{"acr":{"values":["urn:nobody"]}}}`),
		"unknown scope":   ask("scope", "openid address phone made_up"),
	} {
		t.Run(name, func(t *testing.T) { b.code(b.authorize(query)) })
	}
}

// OpenID Connect Core sections 2 and 3.1.2.1: auth_time says when the person
// really proved who they are, and max_age and prompt=login make them.
func TestTheTimeOfTheSignInIsTold(t *testing.T) {
	h := open(t)
	b := h.browser()
	at := func(a answer) float64 {
		t.Helper()
		return claimsOf(t, h.tokens(b.code(a))["id_token"].(string))["auth_time"].(float64)
	}
	b.withApp(amara)
	first := at(b.authorize(ask()))
	h.pass(30 * time.Second)
	if again := at(b.authorize(ask("max_age", "10000"))); again != first {
		t.Errorf("max_age=10000: auth_time was %v and is %v", first, again)
	}
	if again := at(b.authorize(ask("prompt", "none"))); again != first {
		t.Errorf("prompt=none: auth_time was %v and is %v", first, again)
	}
	for name, query := range map[string]url.Values{"max_age=1": ask("max_age", "1"), "prompt=login": ask("prompt", "login")} {
		h.pass(2 * time.Second)
		req := b.atSignIn(b.authorize(query))
		b.withApp(amara)
		if again := at(b.get(req.ReturnTo)); again != float64(h.Now().Unix()) {
			t.Errorf("%s: auth_time is %v, want now", name, again)
		}
	}
}

// RFC 6749 section 4.1.2: half a minute later, too, a second use revokes the
// access token and the refresh token that the first one bought.
func TestACodeUsedAgainAfterThirtySecondsRevokesWhatItBought(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.register(rotaParty())
		b := h.browser()
		b.withApp(amara)
		code := b.code(b.authorize(ask("client_id", rota, "scope", "openid offline_access", "prompt", "consent")))
		form := rotaForm("grant_type", "authorization_code", "redirect_uri", callback, "code", code)
		got := object(t, h.post("/access_token", form).body)
		for range 2 { // at 30 seconds, and after the code has expired
			h.pass(31 * time.Second)
			if a := h.post("/access_token", form); a.status != http.StatusBadRequest || object(t, a.body)["error"] != "invalid_grant" {
				t.Errorf("the second use: %d %s", a.status, a.body)
			}
		}
		if a := h.userinfo(got["access_token"].(string)); a.status != http.StatusUnauthorized {
			t.Errorf("userinfo: %d %s", a.status, a.body)
		}
		h.mustNotRefresh(got["refresh_token"], "invalid_grant", "revoked")
	})
}

// OpenID Connect RP-Initiated Logout section 2: after a sign-out nobody is
// signed in, and prompt=none says so.
func TestAfterASignOutNobodyIsSignedIn(t *testing.T) {
	h := open(t)
	h.withFarewell()
	for name, leave := range map[string]func(b *browser, hint string){
		"with everything": func(b *browser, hint string) {
			b.leave("id_token_hint", hint, "post_logout_redirect_uri", signedOutAt, "state", "s")
		},
		"with a hint alone": func(b *browser, hint string) { b.leave("id_token_hint", hint) },
		"with nothing":      func(b *browser, hint string) { b.say(b.leave(), "Yes, sign out") },
		"with state alone":  func(b *browser, hint string) { b.say(b.leave("state", "s"), "Yes, sign out") },
		"with a bad hint":   func(b *browser, hint string) { b.say(b.leave("id_token_hint", changed(hint)), "Yes, sign out") },
		"with a bad way back": func(b *browser, hint string) {
			b.leave("id_token_hint", hint, "post_logout_redirect_uri", "https://x.example/")
		},
		"with a way back, no hint": func(b *browser, hint string) {
			b.say(b.leave("post_logout_redirect_uri", signedOutAt), "Yes, sign out")
		},
	} {
		b := h.browser()
		_, hint := b.atERS(amara)
		b.code(b.authorize(ask("prompt", "none")))
		leave(b, hint)
		if got := b.authorize(ask("prompt", "none")).to().Query(); got.Get("error") != "login_required" || got.Get("state") != "s-1" {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// OpenID Connect Discovery section 3, jwks_uri, and RFC 7517 section 4: signing
// keys, each with a name of its own, and nothing private.
func TestTheKeySetIsAsRelyingPartiesNeedIt(t *testing.T) {
	h := open(t)
	a := h.browser().get(oidc.RealmPath + "/connect/jwk_uri")
	names := map[string]bool{}
	for _, one := range object(t, a.body)["keys"].([]any) {
		key := one.(map[string]any)
		kid, _ := key["kid"].(string)
		if kid == "" || names[kid] || key["use"] != "sig" || key["alg"] == nil || (key["kty"] != "RSA" && key["kty"] != "EC") {
			t.Errorf("a key is %v", key)
		}
		names[kid] = true
		for _, private := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} {
			if _, there := key[private]; there {
				t.Errorf("key %s shows %s", kid, private)
			}
		}
	}
	if len(names) < 2 {
		t.Errorf("there are %d keys", len(names))
	}
}

// RFC 9126 section 4 and FAPI 2.0 section 5.3.2.2: the pushed request alone
// counts, with a state or without one.
func TestOnlyWhatWasPushedCounts(t *testing.T) {
	h := open(t)
	b := h.browser()
	b.withApp(amara)
	query := named(h.push(ask("state", "", "nonce", "")))
	query.Set("state", "outside")
	query.Set("nonce", "outside")
	query.Set("prompt", "login")
	query.Set("response_mode", "form_post")
	a := b.authorize(query)
	code := b.code(a)
	if a.to().Query().Has("state") {
		t.Errorf("the answer carries %s", a.header.Get("Location"))
	}
	if claims := claimsOf(t, h.tokens(code)["id_token"].(string)); claims["nonce"] != nil || claims["s_hash"] != nil {
		t.Errorf("the ID token says %v", claims)
	}
}

// FAPI 2.0 section 5.3.2.1: assertions at PAR. A single aud that is the issuer;
// a clock eight seconds ahead is no obstacle, one of more than a minute is.
func TestAssertionsOfTheProfileStrictAtPAR(t *testing.T) {
	h := open(t)
	issuer := h.provider.Issuer()
	ahead := func(some time.Duration) []any {
		at := h.Now().Add(some).Unix()
		return []any{"iat", at, "nbf", at, "exp", at + 60}
	}
	for name, test := range map[string]struct {
		change []any
		status int
	}{
		"the issuer":         {nil, http.StatusCreated},
		"8 seconds ahead":    {ahead(8 * time.Second), http.StatusCreated},
		"over a minute":      {ahead(61 * time.Second), http.StatusUnauthorized},
		"5 minutes ago":      {[]any{"exp", h.Now().Add(-5 * time.Minute).Unix()}, http.StatusUnauthorized},
		"a list":             {[]any{"aud", []string{issuer}}, http.StatusUnauthorized},
		"a longer list":      {[]any{"aud", []string{issuer, "https://other.example"}}, http.StatusUnauthorized},
		"the PAR endpoint":   {[]any{"aud", issuer + "/par"}, http.StatusUnauthorized},
		"the token endpoint": {[]any{"aud", issuer + "/access_token"}, http.StatusUnauthorized},
		"somebody else":      {[]any{"aud", "https://other.example"}, http.StatusUnauthorized},
		"no aud":             {[]any{"aud", nil}, http.StatusUnauthorized},
		"no sub":             {[]any{"sub", nil}, http.StatusUnauthorized},
		"another sub":        {[]any{"sub", ers}, http.StatusUnauthorized},
		"no iss":             {[]any{"iss", nil}, http.StatusUnauthorized},
		"another iss":        {[]any{"iss", ers}, http.StatusUnauthorized},
	} {
		request := h.pushedBy(test.change...)
		if a := h.post("/par", request); a.status != test.status || (a.status != http.StatusCreated && object(t, a.body)["error"] != "invalid_client") {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

// The same module of the suite: what stands around the claims. The last of
// them is good again, so that nothing else was the reason.
func TestAssertionsThatProveNothingAtPAR(t *testing.T) {
	h := open(t)
	for _, test := range []struct {
		name   string
		spoil  func(request url.Values, head, claims, signature string)
		status int
	}{
		{"no assertion", func(r url.Values, _, _, _ string) { r.Del("client_assertion"); r.Del("client_assertion_type") }, http.StatusUnauthorized},
		{"no type", func(r url.Values, _, _, _ string) { r.Del("client_assertion_type") }, http.StatusUnauthorized},
		{"another type", func(r url.Values, _, _, _ string) {
			r.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer")
		}, http.StatusUnauthorized},
		{"alg none", func(r url.Values, _, claims, _ string) {
			r.Set("client_assertion", base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))+"."+claims+".")
		}, http.StatusUnauthorized},
		{"the signature of another", func(r url.Values, head, claims, _ string) {
			_, other, _ := strings.Cut(h.pushedBy().Get("client_assertion"), ".")
			_, signature, _ := strings.Cut(other, ".")
			r.Set("client_assertion", head+"."+claims+"."+signature)
		}, http.StatusUnauthorized},
		{"nothing wrong", func(url.Values, string, string, string) {}, http.StatusCreated},
	} {
		request := h.pushedBy()
		parts := strings.Split(request.Get("client_assertion"), ".")
		test.spoil(request, parts[0], parts[1], parts[2])
		if a := h.post("/par", request); a.status != test.status || (a.status != http.StatusCreated && object(t, a.body)["error"] != "invalid_client") {
			t.Errorf("%s: %d %s", test.name, a.status, a.body)
		}
	}
}

// pushedBy is a request of the strict relying party for /par, with its
// assertion changed in those claims.
func (h *house) pushedBy(pairs ...any) url.Values {
	request := ask("client_id", strict, "code_challenge", challenge(), "code_challenge_method", "S256")
	request.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	request.Set("client_assertion", h.assertion(rand.Text(), append([]any{"iss", strict, "sub", strict, "aud", h.provider.Issuer()}, pairs...)...))
	return request
}

// OpenID Connect Core section 6.1 and RFC 9101 section 5: one object, by one
// way, of the client in the address.
func TestWhatNoRequestObjectMayDo(t *testing.T) {
	h := open(t)
	b := h.browser()
	b.withApp(amara)
	for name, test := range map[string]struct {
		query url.Values
		want  string
	}{
		"both ways":             {withObject(h.object(), "request_uri", "https://rp.example/r", "redirect_uri", callback), "invalid_request"},
		"another client's":      {withObject(h.object("client_id", ers), "redirect_uri", callback), "invalid_request_object"},
		"another response type": {withObject(h.object(), "response_type", "code id_token", "redirect_uri", callback), "invalid_request"},
		"another object in it":  {withObject(h.object("request", h.object()), "redirect_uri", callback), "invalid_request_object"},
		"an address in it":      {withObject(h.object("request_uri", "https://rp.example/r"), "redirect_uri", callback), "invalid_request_object"},
	} {
		if a := b.authorize(test.query); !a.atClient() || a.to().Query().Get("error") != test.want || a.to().Query().Has("code") {
			t.Errorf("%s: %d %s, want %s", name, a.status, a.header.Get("Location"), test.want)
		}
	}
	double := withObject(h.object(), "redirect_uri", callback)
	double["request"] = append(double["request"], h.object())
	if a := b.authorize(double); a.to().Query().Get("error") != "invalid_request" {
		t.Errorf("two objects: %d %s", a.status, a.header.Get("Location"))
	}
}

// RFC 7591 sections 2 and 5: what a supplier says of itself without anybody
// having looked at it is taken and shown to nobody.
func TestPicturesAndLinksOfASupplierAreIgnored(t *testing.T) {
	h := open(t)
	sent := strings.Replace(rotaMetadata, "{", `{"logo_uri":"https://rota.example/logo.png","policy_uri":"https://rota.example/policy",`+
		`"tos_uri":"https://rota.example/terms","client_uri":"https://rota.example/","contacts":["a@rota.example"],"application_type":"web",`+
		`"initiate_login_uri":"https://rota.example/login","require_auth_time":true,`, 1)
	a := h.program(http.MethodPost, h.registerAt(), h.registrationToken(), sent)
	if a.status != http.StatusCreated || strings.Contains(a.body, "rota.example") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// RFC 9126 section 3, whatever the profile: a pushed request object is the whole
// request, and what stands beside it in the form is none of it.
func TestAPushedObjectIsTheWholeRequest(t *testing.T) {
	h := open(t)
	form := ask("client_id", ncrs, "state", "beside", "nonce", "beside", "prompt", "login", "scope", "openid email",
		"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", h.assertion("1"),
		"request", h.object("state", "", "nonce", ""))
	a := h.post("/par", form)
	if a.status != http.StatusCreated {
		t.Fatalf("pushing: %d %s", a.status, a.body)
	}
	b := h.browser()
	b.withApp(amara)
	a = b.authorize(url.Values{"client_id": {ncrs}, "request_uri": {object(t, a.body)["request_uri"].(string)}})
	code := b.code(a)
	if a.to().Query().Has("state") {
		t.Errorf("the answer carries %s", a.header.Get("Location"))
	}
	got := object(t, h.post("/access_token", h.asserted(code, h.assertion("2"))).body)
	if claims := claimsOf(t, got["id_token"].(string)); claims["nonce"] != nil || strings.Contains(got["scope"].(string), "email") {
		t.Errorf("tokens for %v, with %v", got["scope"], claims)
	}
}
