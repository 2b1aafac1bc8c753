package registration

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/credential/recovery"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/throttle"
)

var recoveryCode = regexp.MustCompile(`[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{5}`)

// withCodes registers a new phone for Amara and makes recovery codes.
func (b *browser) withCodes() []string {
	b.h.t.Helper()
	b.starts(pathReplace)
	secret := b.toVerify(amaraMail)
	b.submit("", "code", b.h.Code(secret)).isAt(pathDone)
	b.submit(pathMake).isAt(pathCodes).sees(200, "Your recovery codes", "Dr Amara OSEI")
	codes := recoveryCode.FindAllString(b.Text(), -1)
	if len(codes) != 10 {
		b.h.t.Fatalf("%d codes:\n%s", len(codes), b.Text())
	}
	return codes
}

// ticket is what the sign-in room leads here with.
func (h *house) ticket() string {
	h.t.Helper()
	ticket, err := h.App.PasswordStep(h.t.Context(), amaraMail, newPassword, throttle.Subject{})
	h.must(err)
	return ticket
}

func (h *house) left() int {
	h.t.Helper()
	var n int
	h.must(h.DB.Read(h.t.Context(), func(tx *db.Tx) error {
		var err error
		n, err = recovery.Left(tx, amara)
		return err
	}))
	return n
}

func TestRecoveryCodesAreOfferedAndShown(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	codes := b.withCodes()
	h.Mail(amaraMail, outbox.RecoveryCodesMade)
	if h.left() != 10 {
		t.Errorf("%d codes are stored", h.left())
	}
	b.submit(pathCodes).sees(422, "Confirm that you have saved the codes", codes[0])
	b.submit(pathCodes, "saved", "yes").isAt(pathDone).sees(200, "Registration successful", "You have saved your recovery codes.")
	if strings.Contains(b.Text(), codes[0]) {
		t.Error("the last page shows a code")
	}
}

func TestRecoveryCodesCanBeReloadedForFiveMinutes(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	codes := b.withCodes()
	h.Clock.Later(shownLife - time.Second)
	b.get(b.At).sees(200, codes...)
	b.other().get(b.At).sees(403)
	h.Clock.Later(2 * time.Second)
	tick := b.Field("j")
	b.get(b.At).sees(410, "You took longer than we allow", "Make new recovery codes")
	// Whoever has saved them and comes back late is not stopped.
	b.get(pathAdd)
	b.Post(pathCodes, url.Values{"j": {tick}, "saved": {"yes"}})
	b.isAt(pathDone).sees(200, "You have saved your recovery codes.")
}

func TestRecoveryCodesAreOfferedForTwentyMinutes(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.starts(pathReplace)
	secret := b.toVerify(amaraMail)
	b.submit("", "code", h.Code(secret)).isAt(pathDone)
	last := b.At
	h.Clock.Later(offerLife - time.Second)
	b.get(last).sees(200, "Get recovery codes")
	h.Clock.Later(2 * time.Second)
	b.submit(pathMake).sees(403)
	b.get(last).sees(200, "Registration successful")
	if strings.Contains(b.Text(), "Get recovery codes") {
		t.Error("codes are offered that the gate would refuse")
	}
	h.Clock.Later(doneLife)
	b.get(last).sees(410)
	if h.left() != 0 {
		t.Errorf("%d codes", h.left())
	}
}

func TestLostPhoneIsReplacedWithARecoveryCode(t *testing.T) { // decision 6; N21
	h := newHouse(t)
	codes := h.browser().withCodes()
	old := h.Held(amara)[0]
	h.Clock.Later(time.Hour)

	b := h.browser()
	b.handed(h.ticket()).isAt(pathRecover).sees(200, "Enter a recovery code")
	if strings.Contains(b.At, "ticket=") {
		t.Error("the ticket stayed in the address")
	}
	b.submit("", "code", "").sees(422, "Enter a recovery code of 13 letters and numbers")
	b.submit("", "code", "0000-0000-00000").sees(422, "The recovery code is not right")
	if h.Count("mail_code WHERE used_at = 0") != 0 {
		t.Error("a mail was sent before the recovery code")
	}
	b.submit("", "code", strings.ToLower(codes[3])).isAt(pathCode).sees(200, "Check your inbox")
	if h.left() != 10 {
		t.Errorf("%d codes are left before the end", h.left())
	}
	b.submit("", "code", h.Emailed(amaraMail)).isAt(pathPassword)
	secret := b.choosePassword()
	b.submit("", "code", h.Code(secret)).isAt(pathDone).sees(200, "no longer works")
	if held := h.Held(amara); len(held) != 1 || held[0].ID == old.ID {
		t.Errorf("Amara holds %+v", held)
	}
	if h.left() != 9 {
		t.Errorf("%d codes are left, want 9", h.left())
	}
	h.Mail(amaraMail, outbox.AuthenticatorReplaced)
	h.Mail(amaraMail, outbox.RecoveryCodeUsed)

	c := b.other()
	c.handed(h.ticket())
	c.submit("", "code", codes[3]).sees(422, "this one was used already")
}

// TestRecoveryNeedsPasswordCodeAndMailbox: each is asked for, and none stands
// for another (N21).
func TestRecoveryNeedsPasswordCodeAndMailbox(t *testing.T) {
	h := newHouse(t)
	codes := h.browser().withCodes()
	h.Clock.Later(time.Hour)
	b := h.browser()
	for _, bad := range []string{"x", "AAAA", strings.Repeat("A", 200), h.ticket()} {
		b.get(pathRecover+"?ticket="+bad).sees(410, "Please enter your password again", "Sign in again")
	}
	b.get(pathRecover).sees(400)
	b.handed(h.ticket())
	recovering := b.Field("j")
	b.submit("", "code", codes[0]).isAt(pathCode)
	b.submit("", "code", "12345678").sees(422)
	for _, path := range []string{pathPassword, pathScan, pathVerify, pathDone} {
		b.get(path + "?j=" + recovering).sees(409)
	}
	if h.Held(amara)[0].Name == "" || h.left() != 10 {
		t.Error("something was spent")
	}
}

func TestRecoveryEndsTwentyMinutesAfterThePassword(t *testing.T) {
	for _, c := range []struct {
		wait  time.Duration
		works bool
	}{{10*time.Minute - time.Second, true}, {10*time.Minute + time.Second, false}} {
		h := newHouse(t)
		codes := h.browser().withCodes()
		h.Clock.Later(time.Hour)
		ticket := h.ticket()
		h.Clock.Later(9 * time.Minute)
		b := h.browser()
		b.handed(ticket)
		b.submit("", "code", codes[0])
		h.Clock.Later(time.Minute)
		b.submit("", "code", h.Emailed(amaraMail)).isAt(pathPassword)
		secret := b.choosePassword()
		h.Clock.Later(c.wait)
		b.submit("", "code", h.Code(secret))
		if c.works {
			b.isAt(pathDone)
		} else {
			b.sees(410, "Sign in again")
		}
	}
}

func TestGuessedRecoveryCodesAreThrottled(t *testing.T) {
	h := newHouse(t)
	h.browser().withCodes()
	h.Clock.Later(time.Hour)
	b := h.browser()
	b.handed(h.ticket())
	for range throttle.FreeFailures {
		b.submit("", "code", "0000-0000-00000").sees(422)
	}
	b.submit("", "code", "0000-0000-00000").sees(429, "Too many tries", "What to do about a lost phone")
}

// TestPasswordOfALostPhoneStaysInItsBrowser (ground rule 2): the address that
// the sign-in room leads to is worth nothing in another browser, where somebody
// may have found it.
func TestPasswordOfALostPhoneStaysInItsBrowser(t *testing.T) {
	h := newHouse(t)
	h.browser().withCodes()
	h.Clock.Later(time.Hour)
	b := h.browser()
	address := b.lost(h.ticket())
	b.other().get(address).sees(410, "Please enter your password again", "Sign in again")
	b.get(address).isAt(pathRecover).sees(200, "Enter a recovery code")
}
