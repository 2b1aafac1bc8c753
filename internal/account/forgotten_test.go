package account

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/mailcode"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/throttle"
)

// forgets goes as far as the page of the emailed code.
func (b *browser) forgets(address care.Email) *browser {
	b.h.t.Helper()
	b.get(pathForgotten).sees(http.StatusOK, "What is your Care Identity email address?")
	return b.submit("", "email", string(address)).isAt(pathForgottenCode)
}

// toApp goes from there as far as the page of the app's code.
func (b *browser) toApp(address care.Email) *browser {
	b.h.t.Helper()
	b.submit("", "code", b.h.Emailed(address)).isAt(pathForgottenNew)
	return b.submit("", "password", newPassword, "confirm", newPassword).isAt(pathForgottenApp)
}

func (h *house) signsInWith(password string) bool {
	h.t.Helper()
	_, err := h.App.PasswordStep(h.t.Context(), amaraMail, password, throttle.Subject{})
	if err != nil && !fault.Has(err, fault.WrongEmailOrPassword) {
		h.t.Fatal(err)
	}
	return err == nil
}

func TestForgottenPasswordIsReplacedWithMailboxAndApp(t *testing.T) { // ASVS 6.4.3, N21
	h := newHouse(t)
	elsewhere := h.browser().get("/cim/")
	b := h.browser().forgets(amaraMail)
	b.submit("", "code", h.Emailed(amaraMail)).isAt(pathForgottenNew)
	b.submit("", "password", "osei amara", "confirm", "osei amara").sees(http.StatusUnprocessableEntity, "must not be your name")
	b.submit("", "password", newPassword, "confirm", newPassword).isAt(pathForgottenApp).sees(http.StatusOK, "Check your authenticator app")
	if strings.Contains(b.At+b.Page, "walnut") {
		t.Error("the new password is on the page")
	}
	code := h.phone(amara)
	b.submit("", "code", code[:3]+" "+code[3:]).isAt(pathForgottenDone).sees(http.StatusOK, "Your password is changed")
	if !h.signsInWith(newPassword) || h.signsInWith(amaraPassword) {
		t.Error("the new password is not the one that counts")
	}
	h.Mail(amaraMail, outbox.PasswordChanged)
	h.Who = ""
	elsewhere.Get("/cim/")
	elsewhere.isAt("/signin")
}

func TestMailboxAloneChangesNoPassword(t *testing.T) { // ASVS 6.4.3
	h := newHouse(t)
	b := h.browser().forgets(amaraMail).toApp(amaraMail)
	for _, code := range []string{"", "12345", "abcdef"} {
		b.submit("", "code", code).sees(http.StatusUnprocessableEntity, "Enter 6 numbers")
	}
	wrong := "000000"
	if h.phone(amara) == wrong {
		wrong = "000001"
	}
	b.submit("", "code", wrong).sees(http.StatusUnprocessableEntity, "The code is not right")
	if h.signsInWith(newPassword) {
		t.Error("the password changed")
	}
}

func TestCodeOfTheAppWorksOnce(t *testing.T) { // N16
	h := newHouse(t)
	code := h.phone(amara)
	h.browser().forgets(amaraMail).toApp(amaraMail).submit("", "code", code).isAt(pathForgottenDone)
	h.Clock.Later(mailcode.Pause)
	h.Clock.Set(h.DB.Now().Add(-mailcode.Pause)) // the same half minute, another journey
	b := h.browser().forgets(amaraMail).toApp(amaraMail)
	b.submit("", "code", code).sees(http.StatusUnprocessableEntity, "this one was used already")
	h.Clock.Later(30 * time.Second)
	b.submit("", "code", h.phone(amara)).isAt(pathForgottenDone)
}

func TestGuessesOfTheAppCodeAreThrottled(t *testing.T) { // decision 9
	h := newHouse(t)
	b := h.browser().forgets(amaraMail).toApp(amaraMail)
	wrong := "000000"
	if h.phone(amara) == wrong {
		wrong = "000001"
	}
	for range throttle.FreeFailures {
		b.submit("", "code", wrong).sees(http.StatusUnprocessableEntity)
	}
	b.submit("", "code", wrong).sees(http.StatusTooManyRequests, "Too many tries", "Start again")
}

func TestUnknownAddressesLookLikeKnownOnes(t *testing.T) { // ASVS 6.3.8
	h := newHouse(t)
	h.Write(func(tx *db.Tx) error {
		return person.Close(tx, helen, person.Closure{Reason: "Left", At: tx.Now()})
	})
	known := h.browser().forgets(amaraMail)
	text := strings.ReplaceAll(known.Text(), string(amaraMail), "X")
	rows, mails := h.Count("mail_code"), h.Count("outbox")
	for i, address := range []care.Email{"nobody.here@nhs.net", helenMail, newMail} {
		b := h.browser().forgets(address)
		if got := strings.ReplaceAll(b.Text(), string(address), "X"); got != text {
			t.Errorf("the page for %s differs:\n%s\n%s", address, got, text)
		}
		if h.Count("mail_code") != rows+i+1 || h.Count("outbox") != mails+i+1 {
			t.Errorf("other rows were written for %s", address)
		}
		b.submit("", "code", "00000000").sees(http.StatusUnprocessableEntity, "The one-time password is not right", "4 tries left")
	}
	known.submit("", "code", "00000000").sees(http.StatusUnprocessableEntity, "4 tries left")
	known.submit("", "code", h.Emailed(amaraMail)).isAt(pathForgottenNew)
	h.NoMail()
}

func TestForgottenPasswordHasAWayOnFromEveryPage(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.get(pathForgotten).submit("", "email", "not an address").sees(http.StatusUnprocessableEntity, "correct format")
	if b.Field("email") != "not an address" {
		t.Error("what was typed is gone")
	}
	b.submit("", "email", string(amaraMail)).isAt(pathForgottenCode)
	inbox := b.At
	for _, path := range []string{pathForgottenCode, pathForgottenNew, pathForgottenApp, pathForgottenDone} {
		b.get(path+"?j=forged").sees(http.StatusBadRequest, "Start again")
	}
	j := strings.TrimPrefix(inbox, pathForgottenCode+"?j=")
	for _, path := range []string{pathForgottenNew, pathForgottenApp, pathForgottenDone} {
		b.get(path+"?j="+j).sees(http.StatusConflict, "That step is not the next one", "Start again")
	}
	h.browser().get(inbox).sees(http.StatusForbidden, "Start again in this browser")

	b.get(inbox)
	b.Submit("", url.Values{"code": {"1"}, "csrf": {"forged"}})
	b.sees(http.StatusForbidden)
	h.Clock.Later(mailcode.Pause)
	b.get(inbox)
	first := h.Emailed(amaraMail)
	b.Submit("", url.Values{"again": {"yes"}})
	b.Check()
	b.sees(http.StatusOK, "another One Time Password")
	if second := h.Emailed(amaraMail); second != first {
		b.submit("", "code", first).sees(http.StatusUnprocessableEntity, "not right")
		b.submit("", "code", second).isAt(pathForgottenNew)
	}
	h.Clock.Later(journeyLife)
	b.submit("", "password", newPassword, "confirm", newPassword).sees(http.StatusGone, "You took longer than we allow", "Start again")
}

func TestJourneyOfAForgottenPasswordEndsWithItsUse(t *testing.T) {
	h := newHouse(t)
	b := h.browser().forgets(amaraMail).toApp(amaraMail)
	last := b.At
	b.submit("", "code", h.phone(amara)).isAt(pathForgottenDone).get(b.At).sees(http.StatusOK, "Your password is changed")
	h.Clock.Later(30 * time.Second)
	b.get(last).submit("", "code", h.phone(amara)).sees(http.StatusConflict, "That one-time password was used already")
}
