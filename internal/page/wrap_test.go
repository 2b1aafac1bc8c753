package page_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/page/pagetest"
)

func TestEveryAnswerCarriesTheSecurityHeaders(t *testing.T) { // decision 14; ASVS 3.4
	h := build(t, func(o *page.Options) { o.Secure = true })
	h.view = question()
	want := map[string]string{
		"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
			"form-action 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'",
		"Referrer-Policy":              "same-origin",
		"X-Content-Type-Options":       "nosniff",
		"X-Frame-Options":              "DENY",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Cache-Control":                "no-store",
		"Strict-Transport-Security":    "max-age=31536000; includeSubDomains",
		"Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=(), " +
			"publickey-credentials-create=(self), publickey-credentials-get=(self)",
	}
	for _, path := range []string{"/question", "/no/such/page"} {
		h.Get(path)
		for name, value := range want {
			if got := h.Header.Get(name); got != value {
				t.Errorf("%s: %s is\n%s\nnot\n%s", path, name, got, value)
			}
		}
	}
}

func TestStrictTransportSecurityOnlyOverHTTPS(t *testing.T) {
	h := build(t)
	h.Get("/done")
	if got := h.Header.Get("Strict-Transport-Security"); got != "" {
		t.Errorf("a page that may be reached by http says Strict-Transport-Security: %s", got)
	}
}

func TestFormsMayLeadToTheNamedOriginsOnly(t *testing.T) { // CSP form-action, decision 14
	h := build(t)
	h.view = question()
	h.view.FormTargets = []string{"https://ers.example.nhs.uk/callback?x=1", "http://localhost:9090", "https://evil.example; script-src *",
		"javascript:alert(1)", "", "https://*"}
	h.Get("/question")
	want := "form-action 'self' https://ers.example.nhs.uk http://localhost:9090; base-uri"
	if got := h.Header.Get("Content-Security-Policy"); !strings.Contains(got, want) {
		t.Errorf("the policy %q does not hold %q", got, want)
	}
}

func TestBrowserCookieHasItsAttributes(t *testing.T) { // N18; ASVS 3.3
	h := build(t)
	h.view = question()
	h.Get("/question")
	cookies := (&http.Response{Header: h.Header}).Cookies()
	if len(cookies) != 1 {
		t.Fatalf("%d cookies, not one: %v", len(cookies), cookies)
	}
	c := cookies[0]
	if c.Name != "__Host-browser" || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.SameSite != http.SameSiteLaxMode || c.MaxAge != 0 || !c.Expires.IsZero() {
		t.Errorf("the cookie is %s", c)
	}
	if len(c.Value) != 22 {
		t.Errorf("the value %q is not 128 bits in base64url", c.Value)
	}
	h.Get("/question")
	if h.Header.Get("Set-Cookie") != "" {
		t.Error("a browser that has its mark was given another")
	}
}

func TestNoCookieWhereNoPageNeedsOne(t *testing.T) {
	h := build(t)
	if h.Get("/assets/x/nhsuk.css"); h.Header.Get("Set-Cookie") != "" {
		t.Error("an asset sets a cookie")
	}
}

func TestMadeUpBrowserCookieIsReplaced(t *testing.T) {
	kit := pagetest.Kit(t)
	var seen string
	handler := kit.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { seen = page.Browser(r) }))
	request := httptest.NewRequest("GET", "/", nil)
	request.AddCookie(&http.Cookie{Name: "__Host-browser", Value: "short"})
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, request)
	if seen == "short" || len(seen) != 22 || !strings.Contains(answer.Header().Get("Set-Cookie"), seen) {
		t.Errorf("a cookie that we did not make was answered with %q and %q", seen, answer.Header().Get("Set-Cookie"))
	}
}

func TestFormWithItsTokenIsAccepted(t *testing.T) { // N18; ASVS 3.5.1
	h := build(t)
	h.view = question()
	h.view.Journey = "sealed"
	h.Get("/question").Submit("", url.Values{"email": {"amara@example.nhs.uk"}})
	if h.posts != 1 || h.At != "/done" {
		t.Fatalf("the form was answered with %d at %s:\n%s", h.Status, h.At, h.Page)
	}
	if h.sent.Get("j") != "sealed" || h.sent.Get("email") != "amara@example.nhs.uk" {
		t.Errorf("the handler saw %v", h.sent)
	}
}

func TestSeeOtherAfterPost(t *testing.T) { // RFC 9700 4.12
	h := build(t)
	h.view = question()
	h.Get("/question").Stay()
	if h.Submit("", nil); h.Status != http.StatusSeeOther {
		t.Errorf("a POST was answered with %d, not 303", h.Status)
	}
}

func TestForgedFormsAreRefused(t *testing.T) { // N18; ASVS 3.5.1, 3.5.3
	h := build(t)
	h.view = question()
	mine := h.Get("/question").Field("csrf")
	other := h.Other()
	theirs := other.Get("/question").Field("csrf")
	if mine == theirs {
		t.Fatal("two browsers have the same token")
	}
	for name, fields := range map[string]url.Values{
		"no token":                {"csrf": {""}},
		"another browser's token": {"csrf": {theirs}},
		"not a token":             {"csrf": {"%%%"}},
	} {
		h.Get("/question").Post("/question", fields)
		if h.Status != http.StatusForbidden || h.posts != 0 {
			t.Errorf("%s: answered with %d, %d posts came through", name, h.Status, h.posts)
		}
		pagetest.Check(t, h.Page)
	}
	stranger := h.Other()
	if stranger.Post("/question", url.Values{"csrf": {mine}}); stranger.Status != http.StatusForbidden {
		t.Errorf("a browser without cookie: answered with %d", stranger.Status)
	}
}

func TestFormFromAnotherSiteIsRefusedEvenWithTheToken(t *testing.T) { // decision 14
	h := build(t)
	h.view = question()
	token := h.Get("/question").Field("csrf")
	for name, headers := range map[string]http.Header{
		"Sec-Fetch-Site": {"Sec-Fetch-Site": {"cross-site"}},
		"Origin":         {"Origin": {"https://evil.example"}},
	} {
		if status := h.Raw("POST", "/question", url.Values{"csrf": {token}}.Encode(), headers); status != http.StatusForbidden {
			t.Errorf("%s: answered with %d, not 403", name, status)
		}
	}
	if status := h.Raw("POST", "/question", url.Values{"csrf": {token}}.Encode(), http.Header{"Sec-Fetch-Site": {"same-origin"}}); status != http.StatusSeeOther {
		t.Errorf("the same site: answered with %d, not 303", status)
	}
	if h.posts != 1 {
		t.Errorf("%d posts came through, not 1", h.posts)
	}
}

func TestExemptPathTakesAForeignPostAndLeavesTheBrowserAlone(t *testing.T) {
	h := build(t)
	if status := h.Raw("POST", "/token", "grant_type=authorization_code", http.Header{"Origin": {"https://ers.example.nhs.uk"}}); status != http.StatusSeeOther {
		t.Errorf("answered with %d, not 303", status)
	}
	if h.posts != 1 {
		t.Error("the post did not come through")
	}
	kit := pagetest.Kit(t)
	kit.Exempt("/token")
	seen := "not called"
	answer := httptest.NewRecorder()
	kit.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { seen = page.Browser(r) })).
		ServeHTTP(answer, httptest.NewRequest("POST", "/token", nil))
	if seen != "" || answer.Header().Get("Set-Cookie") != "" {
		t.Errorf("a POST across sites was given a new mark %q: its journeys in other tabs would end", seen)
	}
}

func TestFormsHaveALimitOf64KiB(t *testing.T) {
	h := build(t)
	h.view = question()
	token := h.Get("/question").Field("csrf")
	fixed := len(url.Values{"csrf": {token}, "email": {""}}.Encode())
	for _, test := range []struct {
		size, status int
	}{{page.MaxForm, http.StatusOK}, {page.MaxForm + 1, http.StatusRequestEntityTooLarge}} {
		h.Post("/question", url.Values{"csrf": {token}, "email": {strings.Repeat("a", test.size-fixed)}})
		if h.Status != test.status {
			t.Errorf("a form of %d bytes was answered with %d, not %d", test.size, h.Status, test.status)
		}
	}
	pagetest.Check(t, h.Page)
	if len(h.faults) != 1 || h.faults[0].Kind != fault.FormTooLarge {
		t.Errorf("recorded %v", h.faults)
	}
	if status := h.Raw("POST", "/token", strings.Repeat("a", page.MaxForm+1), nil); status != http.StatusRequestEntityTooLarge {
		t.Errorf("an exempt path took a form that is too large: %d", status)
	}
}

func TestUnreadableFormHasAPage(t *testing.T) {
	h := build(t)
	h.Get("/done")
	if status := h.Raw("POST", "/question", "a=%zz", nil); status != http.StatusBadRequest {
		t.Errorf("answered with %d, not 400", status)
	}
}

func TestUnknownPathAndWrongMethodHavePages(t *testing.T) {
	h := build(t)
	h.view = question()
	h.Get("/no/such/page")
	if h.Status != http.StatusNotFound || !strings.Contains(h.Text(), fault.NotFound.Title) {
		t.Errorf("answered with %d: %s", h.Status, h.Text())
	}
	pagetest.Check(t, h.Page)
	h.Get("/question").Post("/done", nil)
	if h.Status != http.StatusMethodNotAllowed || !strings.Contains(h.Text(), fault.MethodNotAllowed.Title) {
		t.Errorf("answered with %d: %s", h.Status, h.Text())
	}
	if got := h.Header.Get("Allow"); got != "GET, HEAD" {
		t.Errorf("Allow is %q", got)
	}
	pagetest.Check(t, h.Page)
}
