package account

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/session"
)

func TestSigningOutEndsTheSessionAndItsCookie(t *testing.T) {
	h := newHouse(t)
	b := h.browser().get("/cim/")
	b.get("/signout").sees(http.StatusOK, "Do you want to sign out?", "Dr Amara OSEI")
	if h.Count("session WHERE ended_at = 0") != 1 {
		t.Fatal("looking signed out")
	}
	b.submit("/signout").isAt("/signout").sees(http.StatusOK, "You have signed out")
	if h.Count("session WHERE ended_at = 0") != 0 {
		t.Error("the session lives on")
	}
	if h.Count("audit_entry WHERE action = 'session.ended'") != 1 {
		t.Error("no audit entry")
	}
	h.Who = ""
	b.Get("/cim/")
	b.isAt("/signin")
	// Twice, from an old tab: nothing more to do, and no error.
	b.get("/signout")
	b.Post("/signout", url.Values{"csrf": {h.browser().get("/recover/password").Field("csrf")}})
	b.sees(http.StatusForbidden)
	b.get("/recover/password")
	b.Post("/signout", nil)
	b.isAt("/signout").sees(http.StatusOK, "You have signed out")
}

func TestSignOutTakesTheCookieAway(t *testing.T) {
	h := newHouse(t)
	b := h.browser().get("/cim/")
	b.Stay()
	b.Submit("/signout", nil)
	if b.Status != http.StatusSeeOther {
		t.Errorf("answered %d, want 303", b.Status)
	}
	gone := false
	for _, line := range b.Header.Values("Set-Cookie") {
		gone = gone || strings.HasPrefix(line, session.Cookie+"=;") && strings.Contains(line, "Max-Age=0")
	}
	if !gone {
		t.Errorf("the cookie stays: %q", b.Header.Values("Set-Cookie"))
	}
}

// OpenID Connect Front-Channel Logout section 3, and decision 8.
func TestServicesHearOfASignOutThroughTheBrowserThatHeldIt(t *testing.T) {
	for _, door := range []string{"/signout", "/not-you"} {
		h := newHouse(t)
		b := h.browser().get("/cim/")
		if strings.Contains(b.Page, "<iframe") || strings.Contains(b.Header.Get("Content-Security-Policy"), "frame-src") {
			t.Fatal("there are frames on a page of somebody who is signed in")
		}
		b.submit(door).isAt(door)
		if !strings.Contains(b.Page, `<iframe src="https://ers.example.nhs.uk/frontchannel?sid=`) {
			t.Errorf("%s: no frame on\n%s", door, b.Page)
		}
		if policy := b.Header.Get("Content-Security-Policy"); !strings.HasSuffix(policy, "; frame-src https://ers.example.nhs.uk") {
			t.Errorf("%s: the policy is %q", door, policy)
		}
		b.get(door)
		if strings.Contains(b.Page, "<iframe") {
			t.Errorf("%s: frames although nobody has just signed out", door)
		}
	}
}

func TestNotYouSaysWhoIsNotSignedInAnyMore(t *testing.T) {
	h := newHouse(t)
	b := h.browser().get("/cim/profile")
	b.submit("/not-you").isAt("/not-you").sees(http.StatusOK, "Dr Amara OSEI is signed out", "You can now sign in as yourself")
	if h.Count("session WHERE ended_at = 0") != 0 {
		t.Error("the session lives on")
	}
	h.Clock.Later(shownLife)
	b.get(b.At).sees(http.StatusOK, "You have signed out")
	b.get("/not-you?j=forged").sees(http.StatusOK, "You have signed out")
}

// notMe is the link of a notice.
var notMe = regexp.MustCompile(`/not-me\?t=\S+`)

func TestThisWasNotMe(t *testing.T) {
	h := newHouse(t)
	b := h.browser().get("/cim/password")
	b.submit("/cim/password", "password", newPassword, "confirm", newPassword)
	text := h.Mail(amaraMail, outbox.PasswordChanged).Text
	link := notMe.FindString(text)
	if link == "" {
		t.Fatalf("no link in the notice:\n%s", text)
	}

	// Whoever reads the mail is in a browser of their own, not signed in.
	reader := h.browser()
	reader.get(link).sees(http.StatusOK, "Was this not you?", "every session of yours ends")
	if h.Count("session WHERE ended_at = 0") != 1 || !h.record(amara).SuspendedAt.IsZero() {
		t.Fatal("opening the link changed something: programs that look at mail do that")
	}
	reader.submit("/not-me").isAt("/not-me/done").sees(http.StatusOK, "Your identity is locked", "Call your Registration Authority now")
	if h.Count("session WHERE ended_at = 0") != 0 || h.record(amara).SuspendedAt.IsZero() {
		t.Error("a session lives on, or the authenticator")
	}
	h.Mail(amaraMail, outbox.AuthenticatorSuspended)
	reader.get(link).submit("/not-me").isAt("/not-me/done") // twice is as good as once

	h.Clock.Later(240*time.Hour - time.Second)
	reader.get(link).sees(http.StatusOK)
	h.Clock.Later(time.Second)
	reader.get(link).sees(http.StatusGone, "This link no longer works", "Get help if somebody else uses your identity")
	reader.get("/not-me?t=forged").sees(http.StatusGone, "This link no longer works")
	reader.get("/not-me").sees(http.StatusGone)
}
