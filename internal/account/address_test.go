package account

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/mailcode"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/page/pagetest"
	"carekey.dev/carekey/internal/person"
)

const newMail = care.Email("amara.osei@gmail.com")

// toInbox asks for a new address and goes as far as the page of its code.
func (b *browser) toInbox(address care.Email) *browser {
	b.h.t.Helper()
	b.get("/cim/profile/email").sees(http.StatusOK)
	return b.submit("/cim/profile/email", "email", string(address)).isAt("/cim/profile/email/code")
}

func TestNewAddressIsUsedForNothingUntilItsCodeIsEntered(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.get("/cim/profile/email").sees(http.StatusOK, pagetest.SeedWords(t, "profile-email")...)
	b.submit("/cim/profile/email", "email", " Amara.OSEI@gmail.com ").isAt("/cim/profile/email/code").sees(http.StatusOK, pagetest.SeedWords(t, "inbox")...)

	if p := h.Person(amara); p.Email != amaraMail || p.Pending != newMail {
		t.Fatalf("before the code: %q, waiting %q", p.Email, p.Pending)
	}
	h.must(h.DB.Read(t.Context(), func(tx *db.Tx) error {
		if _, err := person.ByEmail(tx, newMail); !errors.Is(err, db.ErrNoRows) {
			t.Errorf("the waiting address finds somebody: %v", err)
		}
		return nil
	}))
	code := h.Emailed(newMail)
	b.submit("", "code", code[:4]+" "+code[4:]).isAt("/cim/profile/email/done").sees(http.StatusOK, "Your email address is verified", string(newMail))
	if p := h.Person(amara); p.Email != newMail || p.Pending != "" {
		t.Errorf("after the code: %q, waiting %q", p.Email, p.Pending)
	}
	// N22: the address before and the one after are told.
	for _, to := range []care.Email{amaraMail, newMail} {
		if m := h.Mail(to, outbox.AddressChanged); !strings.Contains(m.Text, "/not-me?t=") {
			t.Errorf("the notice to %s has no way to say \"this wasn't me\"", to)
		}
	}
	b.get("/cim/profile").sees(http.StatusOK, string(newMail), "Verified")
}

func TestRefusedDomainSaysWhichAreAccepted(t *testing.T) {
	h := newHouse(t)
	b := h.browser().get("/cim/profile/email")
	b.submit("", "email", "amara@evil.example").sees(http.StatusUnprocessableEntity,
		"evil.example is not an accepted email domain", "nhs.net, gov.uk, ac.uk, gmail, hotmail, yahoo, live, outlook etc")
	if b.Field("email") != "amara@evil.example" {
		t.Errorf("what was typed is gone: %q", b.Field("email"))
	}
	if !strings.Contains(b.Page, `href="/help/email-domains"`) {
		t.Error("no link to the full list")
	}
	if h.Person(amara).Pending != "" || h.Count("mail_code") != 0 {
		t.Error("a refused address was kept or got a code")
	}
	b.submit("", "email", string(newMail)).isAt("/cim/profile/email/code")
}

func TestChangeOfAddressNeedsAFreshSignIn(t *testing.T) { // ASVS 7.5.1
	h := newHouse(t)
	b := h.browser().get("/cim/")
	h.Clock.Later(gate.Fresh)
	b.get("/cim/profile/email").isAt("/cim/profile/email").sees(http.StatusOK)
	if len(h.Asked) != 1 {
		t.Fatalf("asked %d times to sign in, want once", len(h.Asked))
	}
	h.Clock.Later(time.Second)
	b.get("/cim/profile/email").isAt("/cim/profile/email").sees(http.StatusOK)
	if len(h.Asked) != 2 || !h.Asked[1].AuthenticatedAfter.Equal(h.DB.Now()) {
		t.Fatalf("asked %+v", h.Asked)
	}
	h.Who = ""
	h.Clock.Later(gate.Fresh + time.Second)
	b.Get("/cim/profile/email/verify") // nothing waits for a code
	b.isAt("/cim/profile")
	b.Get("/cim/profile/email")
	b.isAt("/signin")
}

func TestAddressOfSomebodyElseIsSaidOnlyToWhoReadsItsMailbox(t *testing.T) {
	h := newHouse(t)
	free, taken := h.browser().toInbox("nobody.here@nhs.net"), h.browser().toInbox(helenMail)
	if a, b := strings.ReplaceAll(free.Text(), "nobody.here@nhs.net", "X"), strings.ReplaceAll(taken.Text(), string(helenMail), "X"); a != b {
		t.Errorf("the pages differ:\n%s\n%s", a, b)
	}
	taken.submit("", "code", "00000000").sees(http.StatusUnprocessableEntity, "The one-time password is not right")
	code := h.Emailed(helenMail)
	taken.submit("", "code", code).sees(http.StatusConflict, "This email address cannot be used", "Start again")
	if h.Person(amara).Email != amaraMail || h.Person(helen).Email != helenMail {
		t.Error("an address changed")
	}
}

func TestWrongCodesAreCountedAndFiveEndTheCode(t *testing.T) {
	h := newHouse(t)
	b := h.browser().toInbox(newMail)
	code := h.Emailed(newMail)
	wrong := "00000000"
	if code == wrong {
		wrong = "11111111"
	}
	b.submit("", "code", "12").sees(http.StatusUnprocessableEntity, "Enter 8 numbers")
	for left := mailcode.Tries - 1; left > 1; left-- {
		b.submit("", "code", wrong).sees(http.StatusUnprocessableEntity, "The one-time password is not right", "tries left")
	}
	b.submit("", "code", wrong).sees(http.StatusUnprocessableEntity, "1 try left")
	b.submit("", "code", wrong).sees(http.StatusUnprocessableEntity, "no longer works")
	b.submit("", "code", code).sees(http.StatusUnprocessableEntity, "no longer works")
	h.Clock.Later(mailcode.Pause)
	b.Submit("", url.Values{"again": {"yes"}})
	b.isAt("/cim/profile/email/code").sees(http.StatusOK, "We have sent you another One Time Password")
	b.submit("", "code", h.Emailed(newMail)).isAt("/cim/profile/email/done")
}

func TestCodeExpiresAfterTenMinutes(t *testing.T) { // N17
	h := newHouse(t)
	early, late := h.browser().toInbox("early@nhs.net"), h.browser()
	earlyCode := h.Emailed("early@nhs.net")
	h.Clock.Later(mailcode.Life - time.Second)
	early.submit("", "code", earlyCode).isAt("/cim/profile/email/done")
	late.toInbox("late@nhs.net")
	lateCode := h.Emailed("late@nhs.net")
	h.Clock.Later(mailcode.Life + time.Second)
	late.submit("", "code", lateCode).sees(http.StatusUnprocessableEntity, "works for 10 minutes, and this one is older")
}

func TestAnotherCodeIsSentOnceAMinute(t *testing.T) {
	h := newHouse(t)
	b := h.browser().toInbox(newMail)
	h.Clock.Later(mailcode.Pause - time.Second)
	b.Submit("", url.Values{"again": {"yes"}})
	b.Check()
	b.sees(http.StatusUnprocessableEntity, "once a minute")
	h.Clock.Later(2 * time.Second)
	first := h.Emailed(newMail)
	b.Submit("", url.Values{"again": {"yes"}})
	b.sees(http.StatusOK, "another One Time Password")
	second := h.Emailed(newMail)
	if first != second {
		b.submit("", "code", first).sees(http.StatusUnprocessableEntity, "not right")
	}
	b.submit("", "code", second).isAt("/cim/profile/email/done")
}

func TestFormOfTheCodeSentTwiceCountsOnce(t *testing.T) {
	h := newHouse(t)
	b := h.browser().toInbox(newMail)
	again := b.At
	code := h.Emailed(newMail)
	b.submit("", "code", code).isAt("/cim/profile/email/done")
	b.get(again).submit("", "code", code).isAt("/cim/profile/email/done")
	if n := h.Count("audit_entry WHERE action = 'address.verified'"); n != 1 {
		t.Errorf("verified %d times", n)
	}
}

func TestOlderTabWithAnotherAddressChangesNothing(t *testing.T) {
	h := newHouse(t)
	b := h.browser().toInbox("first@nhs.net")
	first := b.At
	b.toInbox("second@nhs.net")
	code := h.Emailed("first@nhs.net")
	b.get(first).submit("", "code", code).sees(http.StatusConflict, "You started again with another email address")
	if p := h.Person(amara); p.Email != amaraMail || p.Pending != "second@nhs.net" {
		t.Errorf("now %q, waiting %q", p.Email, p.Pending)
	}
}

func TestAddressThatWaitsCanBeVerifiedLater(t *testing.T) {
	h := newHouse(t)
	h.Write(func(tx *db.Tx) error { return person.SetPending(tx, amara, newMail) })
	b := h.browser().get("/cim/profile").sees(http.StatusOK, "New email address", "Not verified")
	b.get("/cim/profile/email/verify").sees(http.StatusOK, string(newMail))
	b.submit("").isAt("/cim/profile/email/code").submit("", "code", h.Emailed(newMail)).isAt("/cim/profile/email/done")
	b.get("/cim/profile/email/verify").isAt("/cim/profile")
}

func TestWaitingAddressOfARefusedDomainGetsNoCode(t *testing.T) {
	h := newHouse(t)
	h.Write(func(tx *db.Tx) error { return person.SetPending(tx, amara, "amara@evil.example") })
	b := h.browser().get("/cim/profile/email/verify").submit("")
	b.sees(http.StatusUnprocessableEntity, "evil.example is not an accepted email domain")
	if h.Count("mail_code") != 0 {
		t.Error("a code was sent")
	}
}

func TestJourneyOfAnAddressEndsWithAWayOn(t *testing.T) {
	h := newHouse(t)
	b := h.browser().toInbox(newMail)
	at, other := b.At, h.browser().get("/cim/")
	j := b.Field("j")
	for _, test := range []struct {
		name   string
		open   func() *browser
		status int
		says   string
	}{
		{"cut", func() *browser { return b.get("/cim/profile/email/code?j=" + j[:len(j)-9]) }, http.StatusBadRequest, "This page cannot go on"},
		{"changed", func() *browser { return b.get("/cim/profile/email/code?j=AAAA" + j[4:]) }, http.StatusBadRequest, "This page cannot go on"},
		{"missing", func() *browser { return b.get("/cim/profile/email/code") }, http.StatusBadRequest, "This page cannot go on"},
		{"another browser", func() *browser { return other.get(at) }, http.StatusForbidden, "Start again in this browser"},
		{"another step", func() *browser { return b.get("/cim/profile/email/done?j=" + j) }, http.StatusConflict, "That step is not the next one"},
		{"another person", func() *browser {
			session := *b
			h.Who = helen
			session.Get("/cim/") // still Amara
			session.Submit("/not-you", nil)
			return session.get(at)
		}, http.StatusForbidden, "Somebody else is signed in now"},
		{"expired", func() *browser {
			h.Who = amara
			c := h.browser().toInbox("third@nhs.net")
			h.Clock.Later(journeyLife)
			return c.get(c.At)
		}, http.StatusGone, "You took longer than we allow"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.open().sees(test.status, test.says, "Start again", "Reference")
		})
	}
}

func TestReloadAndBackShowTheSamePage(t *testing.T) {
	h := newHouse(t)
	b := h.browser().toInbox(newMail)
	at := b.At
	if first, again := b.Text(), b.get(at).Text(); first != again {
		t.Error("a reload shows another page")
	}
	code := h.Emailed(newMail)
	b.submit("", "code", "000").sees(http.StatusUnprocessableEntity)
	b.get(at).submit("", "code", code).isAt("/cim/profile/email/done").get(b.At).sees(http.StatusOK, "verified")
}

func TestFormWithoutItsTokenChangesNothing(t *testing.T) { // N18
	h := newHouse(t)
	b := h.browser().get("/cim/profile/email")
	j := b.Field("j")
	b.Post("/cim/profile/email", url.Values{"csrf": {"forged"}, "j": {j}, "email": {string(newMail)}})
	b.Check()
	b.sees(http.StatusForbidden, "Please try that again")
	if h.Person(amara).Pending != "" {
		t.Error("a forged form set an address")
	}
}

func TestSessionThatEndsMidwayComesBackToTheSamePage(t *testing.T) {
	h := newHouse(t)
	b := h.browser().toInbox(newMail)
	at, code := b.At, h.Emailed(newMail)
	form := url.Values{"j": {b.Field("j")}, "code": {code}, "csrf": {b.Field("csrf")}}
	b.Submit("/signout", nil)
	b.Post("/cim/profile/email/code", form)
	if b.At != at {
		t.Fatalf("came back to %s, want %s", b.At, at)
	}
	b.submit("", "code", code).isAt("/cim/profile/email/done")
}
