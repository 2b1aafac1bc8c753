package page_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"carekey.dev/carekey/internal/page"
)

func TestNoticeIsDismissedWithoutJavaScriptAndStaysDismissed(t *testing.T) { // seed 0: "Dismiss"
	h := build(t)
	h.view = question()
	h.view.Notices = []page.Notice{{ID: "first", Text: "The first notice."}, {ID: "second", Text: "The second notice."}}
	h.Get("/question").Submit("/notices/dismiss", nil)
	if h.At != "/question" || strings.Contains(h.Page, "The first notice.") || !strings.Contains(h.Page, "The second notice.") {
		t.Errorf("after dismissing the first, %s shows\n%s", h.At, h.Text())
	}
	h.Submit("/notices/dismiss", nil)
	if strings.Contains(h.Page, "notice.") {
		t.Errorf("after dismissing both:\n%s", h.Text())
	}
	if h.Other().Get("/question"); !strings.Contains(h.Other().Get("/question").Page, "The first notice.") {
		t.Error("another browser does not see what was dismissed here only")
	}
}

func TestDismissingNeverLeadsElsewhere(t *testing.T) { // ASVS 3.7.2
	for _, back := range []string{"https://evil.example/", "//evil.example/", `/\evil.example`, "javascript:alert(1)", ""} {
		h := build(t)
		h.view = question()
		h.Get("/question").Stay().Post("/notices/dismiss", url.Values{"notice": {"n"}, "back": {back}})
		if got := h.Header.Get("Location"); h.Status != http.StatusSeeOther || got != "/" {
			t.Errorf("back %q: answered with %d to %q", back, h.Status, got)
		}
	}
}

func TestDismissedCookieStaysShortAndClean(t *testing.T) {
	h := build(t)
	h.view = question()
	h.Get("/question")
	token := h.Field("csrf")
	h.Stay()
	for i := range 30 {
		h.Post("/notices/dismiss", url.Values{"csrf": {token}, "notice": {fmt.Sprintf("notice-%d", i)}})
	}
	cookie := (&http.Response{Header: h.Header}).Cookies()[0]
	if n := len(strings.Split(cookie.Value, ".")); n != 20 || !strings.HasSuffix(cookie.Value, ".notice-29") {
		t.Errorf("the cookie holds %d notices: %s", n, cookie.Value)
	}
	if cookie.Name != "__Host-dismissed" || !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.MaxAge == 0 {
		t.Errorf("the cookie is %s", cookie)
	}
	if h.Post("/notices/dismiss", url.Values{"csrf": {token}, "notice": {"a; Domain=x"}}); h.Status != http.StatusBadRequest {
		t.Errorf("a made-up notice was answered with %d", h.Status)
	}
}
