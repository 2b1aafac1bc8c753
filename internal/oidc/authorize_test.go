package oidc_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/oidc"
	"carekey.dev/carekey/internal/relyingparty"
)

// Wire rule 13.
func TestWhatRelyingPartiesSendTodayIsAccepted(t *testing.T) {
	h := open(t)
	long := strings.Repeat("A9_-", 150)
	for name, query := range map[string]url.Values{
		"long state":         ask("state", long),
		"odd state":          ask("state", "a b&c=d#e%20\"<é>"),
		"no state":           ask("state", ""),
		"no nonce":           ask("nonce", ""),
		"unknown parameters": ask("approval_prompt", "force", "acr", "", "acr_sig", "", "display", "page", "ui_locales", "en"),
		"unknown twice":      twice("resource", "a", "b"),
		"empty prompt":       {"response_type": {"code"}, "client_id": {ers}, "redirect_uri": {callback}, "scope": {"openid"}, "prompt": {""}, "acr_values": {""}, "max_age": {""}, "state": {"s-1"}},
		"scope order":        ask("scope", "profile selectedrole email openid nationalrbacaccess"),
		"unknown scope":      ask("scope", "openid oidc universalaccess"),
		"max_age 240":        ask("max_age", "240"),
		"max_age 3600000":    ask("max_age", "3600000"),
		"max_age for ever":   ask("max_age", "9223372036854775807"),
		"consent":            ask("prompt", "consent"),
		"unknown acr":        ask("acr_values", "urn:somewhere:level"),
		"acr list":           ask("acr_values", "AAL3_ANY  AAL2_TOTP"),
		"redirect query":     ask("redirect_uri", callback+"?from=carekey"),
	} {
		t.Run(name, func(t *testing.T) {
			b := h.browser()
			b.withApp(amara)
			a := b.authorize(query)
			b.code(a)
			got := a.to().Query()
			if got.Get("state") != query.Get("state") || got.Has("state") != (query.Get("state") != "") {
				t.Errorf("state came back as %q", got.Get("state"))
			}
			if got.Get("iss") != h.provider.Issuer() || got.Get("client_id") != ers {
				t.Errorf("the answer carries %v (wire rule 14)", got)
			}
			if name == "redirect query" && got.Get("from") != "carekey" {
				t.Error("the redirect address lost its own query")
			}
		})
	}
}

func TestARequestByPostComesBackByGet(t *testing.T) {
	h := open(t)
	b := h.browser()
	b.withApp(amara)
	r, err := http.NewRequest(http.MethodPost, h.server.URL+oidc.RealmPath+"/authorize", strings.NewReader(ask().Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", "http://localhost:9090")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	a := b.do(r)
	if a.status != http.StatusSeeOther {
		t.Fatalf("answer %d\n%s", a.status, a.body)
	}
	b.code(b.get(a.header.Get("Location")))
}

// Wire rule 13; RFC 8252 section 7.3: the port alone may vary, and what the form
// of the sign-in page may lead to varies with it.
func TestADeveloperMayUseAnyPort(t *testing.T) {
	h := open(t)
	h.change(native, func(rp *relyingparty.RelyingParty) { rp.RedirectURIs = []string{"http://localhost:*/callback"} })
	const here = "http://localhost:43210/callback"
	b := h.browser()
	if req := b.atSignIn(b.authorize(ask("client_id", native, "redirect_uri", here))); req.FormTarget != "http://localhost:43210" {
		t.Errorf("a form may lead to %q", req.FormTarget)
	}
	b.withApp(amara)
	code := b.authorize(ask("client_id", native, "redirect_uri", here)).to()
	if code.Host != "localhost:43210" || code.Query().Get("code") == "" {
		t.Fatalf("the browser goes to %s", code)
	}
	credentials := []string{"client_id", native, "client_secret", "app"}
	if a := h.post("/access_token", redemption(code.Query().Get("code"), append(credentials, "redirect_uri", "http://localhost:43211/callback")...)); a.status != http.StatusBadRequest {
		t.Errorf("the code was given for another port: %d", a.status) // RFC 6749 section 4.1.3
	}
	if a := h.post("/access_token", redemption(code.Query().Get("code"), append(credentials, "redirect_uri", here)...)); a.status != http.StatusOK {
		t.Errorf("the code: %d %s", a.status, a.body)
	}
	for _, other := range []string{"http://localhost:43210/other", "http://localhost/callback", "https://localhost:43210/callback", "http://127.0.0.1:43210/callback", "http://localhost:*/callback"} {
		if a := b.authorize(ask("client_id", native, "redirect_uri", other)); a.status != http.StatusBadRequest {
			t.Errorf("%s: %d to %q", other, a.status, a.header.Get("Location"))
		}
	}
}

func TestAnAppsOwnSchemeGetsItsCode(t *testing.T) {
	h := open(t)
	b := h.browser()
	a := b.authorize(ask("client_id", native, "redirect_uri", "uk.nhs.example:/callback"))
	if req := b.atSignIn(a); req.FormTarget != "" {
		t.Errorf("a form may lead to %q", req.FormTarget)
	}
	b.withApp(amara)
	a = b.authorize(ask("client_id", native, "redirect_uri", "uk.nhs.example:/callback"))
	if got := a.header.Get("Location"); !strings.HasPrefix(got, "uk.nhs.example:/callback?") {
		t.Errorf("the browser goes to %q", got)
	}
}

func TestWhoIsNotSignedInIsSentToSignInAndComesBack(t *testing.T) {
	h := open(t)
	b := h.browser()
	a := b.authorize(ask("login_hint", " Amara.Osei@NHS.net"))
	req := b.atSignIn(a)
	if req.ClientID != ers || req.Service != "e-RS" || req.ACR != care.AAL2OrAAL3Any || len(req.Methods) != 7 ||
		!req.AuthenticatedAfter.IsZero() || req.Role != care.NoRole || req.LoginHint != "amara.osei@nhs.net" || req.FormTarget != "http://localhost:9090" {
		t.Errorf("the requirement is %+v", req)
	}
	if !strings.HasPrefix(req.ReturnTo, oidc.RealmPath+"/authorize?") {
		t.Errorf("the way back is %q", req.ReturnTo)
	}
	b.withApp(amara)
	b.code(b.get(req.ReturnTo))
}

func TestOneSignInServesEveryRelyingParty(t *testing.T) {
	h := open(t)
	b := h.browser()
	b.withApp(amara)
	b.code(b.authorize(ask()))
	b.code(b.authorize(ask("client_id", mesh)))
}

func TestAMethodThatTheRelyingPartyDoesNotAcceptIsNotEnough(t *testing.T) {
	h := open(t)
	b := h.browser()
	b.signIn(amara, care.NHSmail, care.AAL2)
	b.code(b.authorize(ask()))
	if req := b.atSignIn(b.authorize(ask("client_id", mesh))); len(req.Methods) != 5 {
		t.Errorf("MESH offers %v", req.Methods)
	}
}

func TestALevelIsNeverLowerThanAsked(t *testing.T) {
	h := open(t)
	b := h.browser()
	b.withApp(amara)
	for _, query := range []url.Values{ask("acr_values", "AAL3_ANY"), ask("acr_values", "AAL3_FIDO2"), ask("acr_values", "AAL3_SOMETHING_NEW"), ask("client_id", cdr)} {
		req := b.atSignIn(b.authorize(query))
		if req.ACR.Least() != care.AAL3 {
			t.Errorf("%v asks for %s", query, req.ACR)
		}
	}
	b.signIn(amara, care.SecurityKey, care.AAL3)
	b.code(b.authorize(ask("acr_values", "AAL3_ANY")))
	b.atSignIn(b.authorize(ask("acr_values", "AAL2_TOTP"))) // a single method means that method
}

// Wire rule 18.
func TestPromptLoginReallySignsInAgain(t *testing.T) {
	for _, prompt := range []string{"login", "select_account", "login consent"} {
		h := open(t)
		b := h.browser()
		b.withApp(amara)
		h.pass(time.Second)
		query := ask("prompt", prompt)
		query["prompt"] = append(query["prompt"], "login") // some libraries repeat it
		req := b.atSignIn(b.authorize(query))
		b.atSignIn(b.get(req.ReturnTo)) // coming back without having signed in changes nothing
		h.pass(time.Minute)
		b.withApp(amara)
		b.code(b.get(req.ReturnTo))
		b.atSignIn(b.authorize(query)) // the next request asks again
	}
}

func TestASignInForPromptLoginSettlesWithinTenMinutes(t *testing.T) {
	h := open(t)
	b := h.browser()
	early := b.atSignIn(b.authorize(ask("prompt", "login")))
	b.withApp(amara)
	h.pass(10*time.Minute - time.Second)
	b.code(b.get(early.ReturnTo))
	h.pass(2 * time.Second)
	b.atSignIn(b.get(early.ReturnTo))
}

func TestTheMarkOfARequestIsOldAfterThirtyMinutes(t *testing.T) {
	h := open(t)
	b := h.browser()
	req := b.atSignIn(b.authorize(ask("prompt", "login")))
	h.pass(journey.RequirementLife - time.Second)
	b.withApp(amara)
	b.code(b.get(req.ReturnTo))
	h.pass(2 * time.Second)
	b.atSignIn(b.get(req.ReturnTo))
}

func TestTheMarkOfARequestCountsForItAndItsBrowserOnly(t *testing.T) {
	h := open(t)
	b := h.browser()
	req := b.atSignIn(b.authorize(ask("prompt", "login")))
	h.pass(time.Second)
	b.withApp(amara)
	mark := func(change func(url.Values)) string {
		to, err := url.Parse(req.ReturnTo)
		if err != nil {
			t.Fatal(err)
		}
		query := to.Query()
		change(query)
		return to.Path + "?" + query.Encode()
	}
	b.code(b.get(mark(func(url.Values) {})))
	for name, change := range map[string]func(url.Values){
		"another state":   func(q url.Values) { q.Set("state", "s-2") },
		"another scope":   func(q url.Values) { q.Set("scope", "openid email") },
		"one more":        func(q url.Values) { q.Set("claims", "{}") },
		"a changed mark":  func(q url.Values) { q.Set("carekey_asked", q.Get("carekey_asked")+"AAAA") },
		"no mark of ours": func(q url.Values) { q.Set("carekey_asked", "x!") },
	} {
		if a := b.get(mark(change)); a.to().Path != "/signin" {
			t.Errorf("%s: the mark counted", name)
		}
	}
	other := h.browser()
	other.withApp(amara)
	if a := other.get(req.ReturnTo); a.to().Path != "/signin" {
		t.Error("the mark counted in another browser")
	}
}

func TestMaxAgeAsksAgainWhenTheSignInIsOlder(t *testing.T) {
	h := open(t)
	b := h.browser()
	b.withApp(amara)
	h.pass(239 * time.Second)
	b.code(b.authorize(ask("max_age", "240")))
	h.pass(2 * time.Second)
	req := b.atSignIn(b.authorize(ask("max_age", "240")))
	b.withApp(amara)
	b.code(b.get(req.ReturnTo))

	h.pass(time.Second)
	zero := b.atSignIn(b.authorize(ask("max_age", "0")))
	b.atSignIn(b.get(zero.ReturnTo))
	h.pass(time.Second)
	b.withApp(amara)
	h.pass(3 * time.Second)
	b.code(b.get(zero.ReturnTo))
}

// OpenID Connect Core section 5.5.1.1.
func TestAnEssentialClassIsWhatTheIDTokenSays(t *testing.T) {
	h := open(t)
	b := h.browser()
	b.signIn(amara, care.SecurityKey, care.AAL3)
	query := ask("claims", `{"id_token":{"acr":{"essential":true,"values":["AAL2_ANY","AAL3_FIDO2"]}}}`)
	if got := claimsOf(t, h.tokens(b.code(b.authorize(query)))["id_token"].(string))["acr"]; got != "AAL3_FIDO2" {
		t.Errorf("acr is %v", got)
	}
	low := h.browser()
	low.withApp(amara)
	req := low.atSignIn(low.authorize(ask("claims", `{"id_token":{"acr":{"essential":true,"value":"AAL3_FIDO2"}}}`)))
	if req.ACR != "AAL3_FIDO2" || len(req.Also) != 0 {
		t.Errorf("the person is asked for %s or %v", req.ACR, req.Also)
	}
}

// OpenID Connect Core section 3.1.2.2: a sub in claims is that person or nobody.
func TestASubjectInClaimsIsThatPersonOrNobody(t *testing.T) {
	h := open(t)
	query := ask("claims", `{"id_token":{"sub":{"value":"`+string(zoe)+`"}}}`)
	b := h.browser()
	b.withApp(amara)
	h.pass(time.Second)
	req := b.atSignIn(b.authorize(query))
	h.pass(time.Second)
	b.withApp(amara)
	if a := b.get(req.ReturnTo); !a.atClient() || a.to().Query().Get("error") != "login_required" {
		t.Errorf("another person came back with %s", a.header.Get("Location"))
	}
	b.withApp(zoe)
	b.code(b.get(req.ReturnTo))
}

func TestPromptNoneAsksNobody(t *testing.T) {
	h := open(t)
	for name, test := range map[string]struct {
		query url.Values
		enter func(*browser)
		want  string
	}{
		"nobody signed in":     {ask(), func(*browser) {}, "login_required"},
		"level too low":        {ask("acr_values", "AAL3_ANY"), func(b *browser) { b.withApp(amara) }, "login_required"},
		"too old":              {ask("max_age", "60"), func(b *browser) { b.withApp(amara); h.pass(2 * time.Minute) }, "login_required"},
		"a role to choose":     {ask("scope", "openid selectedrole"), func(b *browser) { b.withApp(zoe) }, "interaction_required"},
		"good enough":          {ask(), func(b *browser) { b.withApp(amara) }, ""},
		"one role, not to ask": {ask("scope", "openid selectedrole"), func(b *browser) { b.withApp(amara) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := h.browser()
			test.enter(b)
			test.query.Set("prompt", "none")
			a := b.authorize(test.query)
			if test.want == "" {
				b.code(a)
			} else if got := a.to().Query().Get("error"); !a.atClient() || got != test.want {
				t.Errorf("the error is %q, want %q", got, test.want)
			}
		})
	}
}

// Domain, 1.13.
func TestARoleIsChosenOnlyWhereThereIsAChoice(t *testing.T) {
	h := open(t)
	selected := ask("scope", "openid selectedrole")
	role := func(b *browser, a answer) any {
		t.Helper()
		return claimsOf(t, h.tokens(b.code(a))["id_token"].(string))["selected_roleid"]
	}

	one := h.browser()
	one.withApp(amara)
	if got := role(one, one.authorize(selected)); got != "555000200101" {
		t.Errorf("the only role is %v", got)
	}
	none := h.browser()
	none.withApp(grace)
	if got := role(none, none.authorize(selected)); got != nil {
		t.Errorf("who has no role has %v", got)
	}

	many := h.browser()
	s := many.withApp(zoe)
	req := many.atSignIn(many.authorize(selected))
	if req.Role != care.AnyRole || !s.Satisfies(req) {
		t.Errorf("the requirement is %+v: want a role from a session that is good enough", req)
	}
	many.chooseRole(s, "555000200192")
	if got := role(many, many.get(req.ReturnTo)); got != "555000200192" {
		t.Errorf("the chosen role is %v", got)
	}
	if got := role(many, many.authorize(selected)); got != "555000200192" {
		t.Errorf("in the same session the role is %v", got)
	}
	many.chooseRole(s, "555000200101")
	many.atSignIn(many.authorize(selected)) // not the person's (any more)
}

func TestAChangedRoleIsChosenAnewEachTime(t *testing.T) {
	h := open(t)
	b := h.browser()
	s := b.withApp(zoe)
	b.chooseRole(s, "555000200191")
	h.pass(time.Second)
	changed := ask("scope", "openid changedrole")
	req := b.atSignIn(b.authorize(changed))
	if req.Role != care.AnotherRole {
		t.Errorf("the requirement is %+v", req)
	}
	if again := b.atSignIn(b.get(req.ReturnTo)); again.ReturnTo == "" {
		t.Error("coming back without a choice is a dead end")
	}
	h.pass(time.Second)
	b.chooseRole(s, "555000200193")
	code := b.code(b.get(req.ReturnTo))
	if got := claimsOf(t, h.tokens(code)["id_token"].(string))["selected_roleid"]; got != "555000200193" {
		t.Errorf("the chosen role is %v", got)
	}
	b.atSignIn(b.authorize(changed))
}

func TestWhoDoesNotSignInGoesBackWithAccessDenied(t *testing.T) {
	h := open(t)
	b := h.browser()
	req := b.atSignIn(b.authorize(ask("prompt", "login")))
	back, err := h.requirements.SealRefusal(req, journey.Cancelled)
	if err != nil {
		t.Fatal(err)
	}
	a := b.get(back)
	if got := a.to().Query(); !a.atClient() || got.Get("error") != "access_denied" || got.Get("state") != "s-1" {
		t.Errorf("the browser got %d %s", a.status, a.header.Get("Location"))
	}
	to, err := url.Parse(back)
	if err != nil {
		t.Fatal(err)
	}
	foreign := to.Query()
	foreign.Set("state", "of another request")
	b.atSignIn(b.authorize(foreign))
}

func TestAnswersOfTheAuthorizationEndpointAreNotKept(t *testing.T) {
	h := open(t)
	b := h.browser()
	for range 2 {
		a := b.authorize(ask())
		if got := a.header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("Cache-Control is %q", got)
		}
		if got := a.header.Get("Referrer-Policy"); got != "same-origin" {
			t.Errorf("Referrer-Policy is %q: the code must not travel in a Referer", got)
		}
		if a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Error("CORS is on (RFC 9700 section 2.6)")
		}
		b.withApp(amara)
	}
}
