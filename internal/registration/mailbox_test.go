package registration

import (
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
)

// mailTries are the wrong entries after which an emailed code is dead
// (decision 5).
const mailTries = 5

func TestAnotherAddressGetsAClearAnswerWhenSignedIn(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.starts(pathReplace)
	for _, wrong := range []string{"", "amara", "Amara <amara.osei@nhs.net>"} {
		b.submit("", "email", wrong).sees(422, "Enter an email address in the correct format")
	}
	b.submit("", "email", string(priyaMail)).sees(422, "Enter the email address that is saved on your Care Identity profile")
	if got := b.Field("email"); got != string(priyaMail) {
		t.Errorf("the page kept %q", got)
	}
	b.submit("", "email", "  Amara.OSEI@nhs.net ").isAt(pathCode)
}

func TestEmailedCodeCountsWrongTries(t *testing.T) { // decision 5: 5 tries
	h := newHouse(t)
	b := h.browser()
	b.starts(pathReplace).toInbox(amaraMail)
	right := h.Emailed(amaraMail)
	wrong := "00000000"
	if right == wrong {
		wrong = "00000001"
	}
	b.submit("", "code", "12").sees(422, "Enter 8 numbers")
	b.submit("", "code", wrong).sees(422, "not right", "You have 4 tries left.")
	b.submit("", "code", wrong).sees(422, "You have 3 tries left.")
	b.submit("", "code", wrong).sees(422, "You have 2 tries left.")
	b.submit("", "code", wrong).sees(422, "You have 1 try left.")
	b.submit("", "code", wrong).sees(422, "no longer works")
	b.submit("", "code", right).sees(422, "no longer works")

	h.Clock.Later(time.Minute)
	b.submit(pathResend).isAt(pathCode).sees(200, "We have sent you another One Time Password")
	b.submit("", "code", right).sees(422) // the earlier one is dead
	b.submit("", "code", h.Emailed(amaraMail)).isAt(pathPassword)
}

func TestEmailedCodeWorksForTenMinutes(t *testing.T) { // seed 0; N17
	for _, c := range []struct {
		after time.Duration
		works bool
	}{{10*time.Minute - time.Second, true}, {10*time.Minute + time.Second, false}} {
		h := newHouse(t)
		b := h.browser()
		b.starts(pathReplace).toInbox(amaraMail)
		code := h.Emailed(amaraMail)
		h.Clock.Later(c.after)
		b.submit("", "code", code)
		if c.works {
			b.isAt(pathPassword)
		} else {
			b.sees(422, "A one-time password works for 10 minutes")
		}
	}
}

func TestEmailedCodeIsSentAgainOnceAMinuteAndFiveTimes(t *testing.T) { // decision 5
	h := newHouse(t)
	b := h.browser()
	b.starts(pathReplace).toInbox(amaraMail)
	b.submit(pathResend).sees(422, "once a minute")
	for range 5 {
		h.Clock.Later(time.Minute)
		b.submit(pathResend).sees(200, "We have sent you another One Time Password")
	}
	h.Clock.Later(time.Minute)
	b.submit(pathResend).sees(422, "Too many one-time passwords were asked for")
}

// TestMistypedAddressIsMended: the first address was wrong, so another code
// may go to the right one after a minute; a second click is no mistake.
func TestMistypedAddressIsMended(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.starts(h.linkFor(priya))
	start := b.At
	b.submit("", "email", "priya@gmail.com").isAt(pathCode)
	b.get(start).submit("", "email", "priya@gmail.com").isAt(pathCode) // back, and again
	b.get(pathEmail+"?j="+b.Field("j")).sees(200, "What is your Care Identity email address?")
	if got := b.Field("email"); got != "priya@gmail.com" {
		t.Errorf("the page kept %q", got)
	}
	b.submit("", "email", string(priyaMail)).sees(422, "Wait a minute, then enter the other address again")
	h.Clock.Later(time.Minute)
	b.toPassword(priyaMail)
}

func TestEmailedCodeIsNoOtherJourneys(t *testing.T) {
	h := newHouse(t)
	first := h.browser()
	first.starts(pathReplace).toInbox(amaraMail)
	code := h.Emailed(amaraMail)
	second := first.other()
	second.starts(pathReplace).toInbox(amaraMail)
	second.submit("", "code", code).sees(422, "not right")
	first.submit("", "code", code).isAt(pathPassword)
}

// TestNewerEmailedCodeInAnotherTab: the journey then goes on from that one.
func TestNewerEmailedCodeInAnotherTab(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.starts(pathReplace).toInbox(amaraMail)
	inbox := b.At
	b.submit("", "code", h.Emailed(amaraMail)).isAt(pathPassword)
	secret := b.choosePassword()
	verify := b.At
	h.Clock.Later(time.Minute)
	b.get(inbox).submit(pathResend).sees(200)
	b.get(verify).submit("", "code", h.Code(secret)).sees(409, "Enter the newest One Time Password")
	b.get(wayOn(b, "Enter the newest One Time Password")).isAt(pathCode)
	b.submit("", "code", h.Emailed(amaraMail)).isAt(pathPassword)
	secret = b.choosePassword()
	b.submit("", "code", h.Code(secret)).isAt(pathDone)
}

func TestPasswordRulesAreSaidInPlace(t *testing.T) { // N12, N13
	h := newHouse(t)
	b := h.browser()
	b.starts(pathReplace).toPassword(amaraMail)
	for _, c := range []struct{ password, confirm, says string }{
		{"", "", "Enter a password"},
		{"lamp 42", "lamp 42", "Password must be at least 8 characters long"},
		{"password1", "password1", "too easy to guess"},
		{"amara osei", "amara osei", "must not be your name"},
		{newPassword, newPassword + "x", "Passwords do not match"},
	} {
		b.submit("", "password", c.password, "confirm", c.confirm).isAt(pathPassword).sees(422, c.says)
		if b.Field("password") != "" || b.Field("confirm") != "" {
			t.Error("the page kept a password")
		}
	}
	if b.Field("email") != string(amaraMail) {
		t.Errorf("a password manager sees the name %q", b.Field("email"))
	}
	b.choosePassword()
}

func TestFirstCodeOfTheAppHasToBeRight(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.starts(pathReplace)
	secret := b.toVerify(amaraMail)
	at := b.At
	b.submit("", "code", "").sees(422, "Enter 6 numbers")
	b.submit("", "code", "12345678").sees(422, "Enter 6 numbers")
	wrong := "000000"
	if h.Code(secret) == wrong {
		wrong = "000001"
	}
	b.submit("", "code", wrong).sees(422, "The code is not right")
	h.Clock.Later(5 * time.Minute)
	b.get(at)
	stale := h.Code(secret)
	h.Clock.Later(2 * time.Minute)
	b.submit("", "code", stale).sees(422, "The code is not right")
	if held := h.Held(amara); len(held) != 1 || held[0].Journey != "world/"+string(amara)+"/"+string(care.AuthenticatorApp) {
		t.Errorf("Amara holds %+v", held)
	}
	b.submit("", "code", h.Code(secret)).isAt(pathDone)
}
