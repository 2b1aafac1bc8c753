package oidc_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/oidc"
	"carekey.dev/carekey/internal/oidc/dpop/dpoptest"
)

// OpenID Connect Core section 2: a verifier takes the key from what the provider
// publishes, so the header names one there and brings none.
func TestTheHeaderOfAnIDTokenNamesAPublishedKeyAndBringsNone(t *testing.T) {
	h := open(t)
	_, code := h.issue()
	token := h.tokens(code)["id_token"].(string)
	head, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		t.Fatal(err)
	}
	got := object(t, string(text))
	if len(got) != 3 || got["alg"] != "RS256" || got["typ"] != "JWT" || got["kid"] == "" {
		t.Errorf("the header is %v", got)
	}
	if keys := h.browser().get(oidc.RealmPath + "/connect/jwk_uri").body; !strings.Contains(keys, got["kid"].(string)) {
		t.Errorf("key %v is not among %s", got["kid"], keys)
	}
}

// OpenID Connect Core sections 2 and 3.1.2.1: nonce comes back as it was sent,
// and only then.
func TestANonceComesBackUnchangedAndOnlyIfItWasSent(t *testing.T) {
	h := open(t)
	for _, nonce := range []string{"", "n-1", strings.Repeat("n", 64), "a b&c=d#e%20\"<é>", strings.Repeat("9", 1024)} {
		_, code := h.issue("nonce", nonce)
		got := h.tokens(code)
		claim, there := claimsOf(t, got["id_token"].(string))["nonce"]
		if there != (nonce != "") || there && claim != nonce || (got["nonce"] != nil) != there || there && got["nonce"] != nonce {
			t.Errorf("nonce %.20q came back as %v and %v", nonce, claim, got["nonce"])
		}
	}
}

// RFC 6749 sections 5.1 and 5.2; RFC 9126 section 2.2; RFC 7662 section 4: no
// answer to a relying party's server may be kept, whatever it says.
func TestNoAnswerToAProgramMayBeKept(t *testing.T) {
	h := open(t)
	_, code := h.issue()
	for name, a := range map[string]answer{
		"tokens":         h.post("/access_token", redemption(code)),
		"no tokens":      h.post("/access_token", redemption(code)),
		"no client":      h.post("/access_token", nil),
		"introspection":  h.post("/introspect", redemption("", "token", "x")),
		"no question":    h.post("/introspect", redemption("")),
		"revocation":     h.post("/token/revoke", redemption("", "token", "x")),
		"no revocation":  h.post("/token/revoke", redemption("")),
		"a push":         h.post("/par", ask("client_secret", ersSecret)),
		"no push":        h.post("/par", ask()),
		"userinfo":       h.userinfo("x"),
		"no registering": h.program(http.MethodPost, h.registerAt(), "x", "{}"),
	} {
		if got := a.header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: %d, Cache-Control is %q", name, a.status, got)
		}
		if kind, pragma := a.header.Get("Content-Type"), a.header.Get("Pragma"); a.body != "" && (kind != "application/json" || pragma != "no-cache") {
			t.Errorf("%s: Content-Type is %q, Pragma %q", name, kind, pragma)
		}
	}
}

// RFC 6749 section 3.2, RFC 7662 section 2.1, RFC 7009 section 2.1, RFC 9126
// section 2: POST, so that no secret stands in an address.
func TestProgramsPost(t *testing.T) {
	h := open(t)
	for _, path := range []string{"/access_token", "/introspect", "/token/revoke", "/par"} {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodHead} {
			r, err := http.NewRequest(method, h.at(path)+"?client_id="+ers+"&client_secret="+url.QueryEscape(ersSecret), nil)
			if err != nil {
				t.Fatal(err)
			}
			if a := h.browser().do(r); a.status != http.StatusMethodNotAllowed || !strings.Contains(a.header.Get("Allow"), "POST") {
				t.Errorf("%s %s: %d, Allow %q", method, path, a.status, a.header.Get("Allow"))
			}
		}
	}
}

// RFC 6749 sections 3.1 and 3.2: a parameter without a value is as good as
// absent, and one that nobody knows is ignored.
func TestAnEmptyParameterIsAbsentAndAnUnknownOneIgnored(t *testing.T) {
	h := open(t)
	query := ask()
	for _, name := range []string{"response_mode", "prompt", "max_age", "acr_values", "claims", "login_hint", "id_token_hint", "code_challenge", "code_challenge_method", "dpop_jkt", "request", "request_uri", "registration", "display"} {
		query.Set(name, "")
	}
	query.Set("x_unknown", "1")
	b := h.browser()
	b.withApp(amara)
	form := redemption(b.code(b.authorize(query)))
	for _, name := range []string{"code_verifier", "scope", "client_assertion", "client_assertion_type", "refresh_token"} {
		form.Set(name, "")
	}
	form.Set("x_unknown", "1")
	if a := h.post("/access_token", form); a.status != http.StatusOK {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// RFC 6749 section 5.2: error and error_description keep to their characters,
// and nothing of what was sent is in them.
func TestErrorsOfProgramsRepeatNothingAndKeepToTheirCharacters(t *testing.T) {
	h := open(t)
	const nasty = "<script>\"evil\\\x00\n\u00e9"
	for _, path := range []string{"/access_token", "/introspect", "/token/revoke", "/par"} {
		for _, name := range []string{
			"client_id", "client_secret", "grant_type", "code", "redirect_uri", "code_verifier", "refresh_token", "scope", "token",
			"client_assertion", "client_assertion_type", "request_uri", "response_type", "prompt", "max_age", "claims", "request", "dpop_jkt",
		} {
			form := ask("client_secret", ersSecret)
			for more, values := range redemption("x") {
				form[more] = values
			}
			form.Set(name, nasty)
			a := h.post(path, form)
			if a.status < 400 {
				continue // it means nothing there
			}
			got := object(t, a.body)
			code, _ := got["error"].(string)
			description, _ := got["error_description"].(string)
			if code == "" || description == "" || len(got) != 2 {
				t.Errorf("%s, %s: %d %s", path, name, a.status, a.body)
			}
			for _, r := range code + description {
				if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
					t.Errorf("%s, %s: %q holds %q", path, name, code+description, r)
				}
			}
			if strings.Contains(a.body, "evil") || strings.Contains(a.body, "u003c") {
				t.Errorf("%s, %s: repeats what was sent: %s", path, name, a.body)
			}
		}
	}
}

// RFC 9700 sections 2.1.2 and 2.4; RFC 6749 section 5.2: no password, no
// implicit flow, nothing but the grants that discovery names.
func TestNoOtherGrantThanThoseOfDiscovery(t *testing.T) {
	h := open(t)
	doc := object(t, h.browser().get(discoveryPath).body)
	if got := texts(doc["grant_types_supported"]); got != "[authorization_code refresh_token]" {
		t.Errorf("grant_types_supported is %s", got)
	}
	if got := texts(doc["response_types_supported"]); got != "[code]" {
		t.Errorf("response_types_supported is %s", got)
	}
	for _, grant := range []string{
		"password", "client_credentials", "implicit", "urn:ietf:params:oauth:grant-type:device_code",
		"urn:ietf:params:oauth:grant-type:jwt-bearer", "urn:ietf:params:oauth:grant-type:token-exchange", "AUTHORIZATION_CODE",
	} {
		form := redemption("x", "grant_type", grant, "username", "amara.osei@nhs.net", "password", "x", "scope", "openid")
		if a := h.post("/access_token", form); a.status != http.StatusBadRequest || object(t, a.body)["error"] != "unsupported_grant_type" {
			t.Errorf("%s: %d %s", grant, a.status, a.body)
		}
	}
	b := h.browser()
	b.withApp(amara)
	for _, kind := range []string{"token", "id_token", "id_token token", "code token", "code id_token", "code id_token token", "none", "Code"} {
		got := b.authorize(ask("response_type", kind)).to()
		if got.Query().Get("error") != "unsupported_response_type" || got.Fragment != "" {
			t.Errorf("%s: %s", kind, got)
		}
	}
}

// OpenID Connect Core sections 2, 5.3.2 and 8.1: one sub for a person, to every
// relying party and in every answer.
func TestAPersonIsTheSameSubjectEverywhere(t *testing.T) {
	h := open(t)
	_, first := h.offline()
	second := h.mustRefresh(first["refresh_token"])
	_, code := h.issue()
	other := h.tokens(code)
	for name, got := range map[string]any{
		"ID token":                 claimsOf(t, first["id_token"].(string))["sub"],
		"ID token after a refresh": claimsOf(t, second["id_token"].(string))["sub"],
		"another relying party":    claimsOf(t, other["id_token"].(string))["sub"],
		"userinfo":                 object(t, h.userinfo(second["access_token"].(string)).body)["sub"],
		"introspection":            h.introspect(rota, rotaSecret, second["access_token"])["sub"],
	} {
		if got != string(amara) {
			t.Errorf("%s: sub is %v", name, got)
		}
	}
}

// RFC 6750 section 2 and RFC 9449 section 7.1: the schemes are compared without
// regard to case (RFC 9110 section 11.1).
func TestTheSchemeOfATokenIsReadInAnyCase(t *testing.T) {
	h := open(t)
	key, got := h.bound()
	access := got["access_token"].(string)
	for _, scheme := range []string{"DPoP", "dpop", "DPOP", "dPoP"} {
		if a := h.askUserinfo("Authorization", scheme+" "+access, "DPoP", key.Proof(t, "GET", h.at("/userinfo"), h.Now(), access)); a.status != http.StatusOK {
			t.Errorf("%s: %d %s", scheme, a.status, a.body)
		}
	}
	_, code := h.issue()
	plain := h.tokens(code)["access_token"].(string)
	for _, scheme := range []string{"Bearer", "bearer", "BEARER"} {
		if a := h.askUserinfo("Authorization", scheme+" "+plain); a.status != http.StatusOK {
			t.Errorf("%s: %d %s", scheme, a.status, a.body)
		}
	}
}

// FAPI 2.0 section 5.3.2.1: clocks differ. A proof whose iat is ten seconds off
// is taken, one of more than a minute ahead is not, and exp and nbf hold too.
func TestAProofMayBeTenSecondsOff(t *testing.T) {
	h := open(t)
	for _, test := range []struct {
		off  time.Duration
		good bool
	}{{-10 * time.Second, true}, {10 * time.Second, true}, {61 * time.Second, false}} {
		_, code := h.issue()
		proof := dpoptest.New(t).Proof(t, "POST", h.at("/access_token"), h.Now().Add(test.off), "")
		if a := h.post("/access_token", redemption(code), "DPoP", proof); (a.status == http.StatusOK) != test.good {
			t.Errorf("%s off: %d %s", test.off, a.status, a.body)
		}
	}
}

// RFC 6749 section 10.10; RFC 6750 section 5.2: nothing that can be guessed is
// given out, and nothing twice.
func TestNothingIsGivenOutTwice(t *testing.T) {
	h := open(t)
	seen := map[string]bool{}
	for range 50 {
		_, code := h.issue()
		got := h.tokens(code)
		claims := claimsOf(t, got["id_token"].(string))
		for _, text := range []string{code, got["access_token"].(string), got["id_token"].(string), claims["at_hash"].(string), claims["auditTrackingId"].(string)} {
			if len(text) < 22 || seen[text] {
				t.Fatalf("%q was given out before, or is short", text)
			}
			seen[text] = true
		}
		uri := h.push(ask())
		if name := uri[strings.LastIndex(uri, ":")+1:]; len(name) < 22 || seen[name] {
			t.Fatalf("%q was given out before, or is short", uri)
		} else {
			seen[name] = true
		}
	}
}

// RFC 6749 section 3.1 and RFC 9700 section 4.12: the way on is 302 after a GET
// and 303 after a POST, so that no browser repeats a form elsewhere.
func TestNoFormIsRepeatedElsewhere(t *testing.T) {
	h := open(t)
	b := h.browser()
	b.withApp(amara)
	for name, test := range map[string]struct {
		answer answer
		want   int
	}{
		"a code":                    {b.authorize(ask()), http.StatusFound},
		"an error":                  {b.authorize(ask("scope", "")), http.StatusFound},
		"to sign in":                {h.browser().authorize(ask()), http.StatusFound},
		"an authorization form":     {h.post("/authorize", ask()), http.StatusSeeOther},
		"a sign-out form of a page": {h.post("/connect/endSession", nil, "Accept", "text/html"), http.StatusSeeOther},
	} {
		if test.answer.status != test.want {
			t.Errorf("%s: %d %s", name, test.answer.status, test.answer.header.Get("Location"))
		}
	}
	if a := h.post("/authorize", ask()); !strings.HasPrefix(a.header.Get("Location"), oidc.RealmPath+"/authorize?") {
		t.Errorf("the form goes on to %s", a.header.Get("Location"))
	}
}

// RFC 9110 section 15.5.2: every 401 carries a challenge, whoever sends it.
func TestEvery401CarriesAChallenge(t *testing.T) {
	h := open(t)
	replayed := h.asserted(h.issueTo(ncrs), h.assertion("once"))
	for name, test := range map[string]struct {
		answer answer
		scheme string
	}{
		"token":         {h.post("/access_token", redemption("x", "client_secret", "wrong")), "Basic "},
		"an assertion":  {h.post("/access_token", h.asserted("x", "a.b.c")), "Basic "},
		"introspection": {h.post("/introspect", redemption("x", "client_secret", "wrong")), "Basic "},
		"revocation":    {h.post("/token/revoke", redemption("x", "client_secret", "wrong")), "Basic "},
		"a push":        {h.post("/par", ask("client_secret", "wrong")), "Basic "},
		"used before":   {func() answer { h.post("/access_token", replayed); return h.post("/access_token", replayed) }(), "Basic "},
		"userinfo":      {h.userinfo("x"), "Bearer "},
		"registration":  {h.program(http.MethodPost, h.registerAt(), "x", "{}"), "Bearer "},
	} {
		if got := test.answer.header.Get("WWW-Authenticate"); test.answer.status != http.StatusUnauthorized || !strings.HasPrefix(got, test.scheme) {
			t.Errorf("%s: %d, WWW-Authenticate %q", name, test.answer.status, got)
		}
	}
}
