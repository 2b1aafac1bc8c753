package account

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/notice"
	"carekey.dev/carekey/internal/page/pagetest"
)

func TestWhoIsNotSignedInIsSentToSignInAndComesBack(t *testing.T) {
	h := newHouse(t)
	for _, path := range []string{"/cim/", "/cim/profile", "/cim/authenticators", "/cim/authenticators/lost?id=x&y=1"} {
		b := h.browser()
		b.Get(path)
		if b.At != path {
			t.Errorf("came back to %s, want %s", b.At, path)
		}
		asked := h.Asked[len(h.Asked)-1]
		if asked.ACR != care.AAL2OrAAL3Any || asked.ReturnTo != path || !asked.AuthenticatedAfter.IsZero() {
			t.Errorf("%s asked for %+v", path, asked)
		}
	}
	h.browser().get("/cim").isAt("/cim/")
}

func TestHomePageKeepsTheWordsOfSeedZero(t *testing.T) {
	h := newHouse(t)
	b := h.browser().get("/cim/").sees(http.StatusOK, pagetest.SeedWords(t, "cim-home")...)
	for _, title := range []string{"Renew your own smartcard", "Change smartcard passcode", "Find organisation"} {
		if strings.Contains(b.Page, ">"+title+"</a>") {
			t.Errorf("%q is a link, but its room is not built", title)
		}
	}
	if n := strings.Count(b.Text(), notYet); n != 3 {
		t.Errorf("%d tiles say that they are not available yet, want 3", n)
	}
	if !strings.Contains(b.Page, "Signed in as </span>Dr Amara OSEI") || !strings.Contains(b.Page, "Not you?") {
		t.Error("the page does not say who is signed in")
	}
}

func TestNoticeIsSeenBetweenItsDatesUntilItIsDismissed(t *testing.T) {
	h := newHouse(t)
	from := h.DB.Now().Add(time.Hour)
	const text = "Care Identity Management and self-service smartcard unlock will be unavailable from 9:00am to 7:00pm on Saturday 2 January."
	h.Write(func(tx *db.Tx) error {
		return notice.Put(tx, notice.Notice{ID: "n1", Show: notice.Window{From: from, Until: from.Add(time.Hour)}, Text: text})
	})
	seen := func(b *browser) bool { return strings.Contains(b.get("/cim/").sees(http.StatusOK).Text(), text) }

	b := h.browser()
	h.Clock.Set(from.Add(-time.Second))
	if seen(b) {
		t.Error("seen before its time")
	}
	h.Clock.Set(from)
	if !seen(b) {
		t.Error("not seen in its time")
	}
	b.submit("/notices/dismiss").isAt("/cim/")
	if seen(b) {
		t.Error("seen after it was dismissed")
	}
	if !seen(h.browser()) {
		t.Error("dismissed in one browser, gone in another")
	}
	h.Clock.Set(from.Add(time.Hour))
	if seen(h.browser()) {
		t.Error("seen after its time")
	}
}
