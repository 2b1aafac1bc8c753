package registration

import (
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/gate/gatetest"
	"carekey.dev/carekey/internal/outbox"
)

func TestWorkerSignedInByAnotherMethodRegistersTheApp(t *testing.T) {
	h := newHouse(t)
	h.Who = priya
	b := h.browser()
	b.get(pathAdd).sees(200).hasSeedWords("type")
	b.submit("", "type", "authenticator_app").isAt(pathAdd + "/authenticator_app").hasSeedWords("instructions")
	b.submit("", "confirm", "yes").isAt(pathEmail).hasSeedWords("email")
	b.toInbox(priyaMail).hasSeedWords("inbox")
	mail := h.Mail(priyaMail, outbox.OneTimePassword)
	if !strings.Contains(mail.Text, "Ms Priya RAMAN asked for it") || !strings.Contains(mail.Text, "to register Microsoft Authenticator") {
		t.Errorf("the mail does not say who asked for what:\n%s", mail.Text)
	}
	code := gatetest.CodeIn(mail)
	b.submit("", "code", code[:4]+" "+code[4:]).isAt(pathPassword).hasSeedWords("password")
	b.submit("", "password", newPassword, "confirm", newPassword).isAt(pathScan).hasSeedWords("qr")
	if !strings.Contains(b.Page, `src="data:image/png;base64,`) {
		t.Error("no QR code on the page")
	}
	secret := b.scanned()
	b.submit("").isAt(pathVerify).hasSeedWords("code")
	shown := h.Code(secret)
	b.submit("", "code", shown[:3]+" "+shown[3:]).isAt(pathDone).hasSeedWords("success")
	b.sees(200, "Go back to Care Identity Management")

	held := h.Held(priya)
	if len(held) != 1 || held[0].Method != care.AuthenticatorApp || !held[0].Usable() {
		t.Errorf("Priya holds %+v", held)
	}
	if notice := h.Mail(priyaMail, outbox.AuthenticatorRegistered); !strings.Contains(notice.Text, "Microsoft Authenticator") {
		t.Errorf("the notice does not name the authenticator:\n%s", notice.Text)
	}
	if n := h.Count("audit_entry WHERE action = 'authenticator.registered' AND subject = '555000100102'"); n != 1 {
		t.Errorf("%d audit entries, want 1", n)
	}
}

func TestNewPhoneReplacesTheOldOne(t *testing.T) {
	h := newHouse(t)
	old := h.Held(amara)[0]
	b := h.browser()
	b.get(pathAdd).sees(200, "Registered", "Replace it with a new phone")
	b.starts(pathReplace)
	secret := b.toVerify(amaraMail)
	if held := h.Held(amara); len(held) != 1 || held[0].ID != old.ID {
		t.Fatalf("before the last page Amara holds %+v", held)
	}
	b.submit("", "code", h.Code(secret)).isAt(pathDone).sees(200, "no longer works")
	held := h.Held(amara)
	if len(held) != 1 || held[0].ID == old.ID {
		t.Fatalf("Amara holds %+v", held)
	}
	h.Mail(amaraMail, outbox.AuthenticatorReplaced)
	b.get(pathAdd).isAt(pathAdd).sees(200, "Registered") // her session outlives the old phone
}

func TestOneOfEachType(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.get(pathAdd).sees(200, "You have registered this type.")
	b.Post(pathAdd, map[string][]string{"type": {"authenticator_app"}})
	b.sees(422, "Select the type of authenticator that you want to register")
	b.get(pathAdd + "/authenticator_app").isAt(pathAdd)
	b.Post(pathAdd, map[string][]string{"type": {"ipad_app"}})
	b.sees(422)
	b.get(pathAdd + "/ipad_app").sees(404)

	h.Who = priya
	p := b.other()
	p.get(pathReplace).isAt(pathAdd) // nothing to replace
	p.submit("").sees(422, "Select the type")
}

// TestSecondJourneyOfOneTypeIsRefused: two tabs begin before either ends.
func TestSecondJourneyOfOneTypeIsRefused(t *testing.T) {
	h := newHouse(t)
	h.Who = priya
	first := h.browser()
	second := first.other()
	for _, b := range []*browser{first, second} {
		b.starts(pathAdd + "/authenticator_app")
	}
	one := first.toVerify(priyaMail)
	h.Clock.Later(time.Minute)
	two := second.toVerify(priyaMail)
	first.submit("", "code", h.Code(one)).isAt(pathDone)
	second.submit("", "code", h.Code(two)).sees(409, "You can register one of each type of authenticator.", "Start again")
	if n := len(h.Held(priya)); n != 1 {
		t.Errorf("Priya holds %d authenticators", n)
	}
}

func TestInstructionsOfSelfServiceWorkForThreeMinutes(t *testing.T) { // seed 0; decision 5
	for _, c := range []struct {
		after time.Duration
		works bool
	}{{3*time.Minute - time.Second, true}, {3*time.Minute + time.Second, false}} {
		h := newHouse(t)
		b := h.browser()
		b.get(pathReplace).sees(200)
		h.Clock.Later(c.after)
		b.submit("", "confirm", "yes")
		if c.works {
			b.isAt(pathEmail)
			continue
		}
		b.sees(410, "You took longer than we allow", "Start again")
		b.get(pathReplace).sees(200, "Register this device")
	}
}

func TestSoleAccessHasToBeConfirmed(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.get(pathReplace).submit("").sees(422, "Confirm that only you will have access to the device")
	b.submit("", "confirm", "yes").isAt(pathEmail)
}

func TestRegistrationNeedsAFreshSignIn(t *testing.T) { // ASVS 7.5.1
	h := newHouse(t)
	b := h.browser()
	b.get(pathReplace).sees(200)
	if len(h.Asked) != 1 || !h.Asked[0].AuthenticatedAfter.IsZero() {
		t.Fatalf("asked for %+v", h.Asked)
	}
	h.Clock.Later(gate.Fresh - startWithin + time.Second)
	b.get(pathReplace).isAt(pathReplace).sees(200)
	if len(h.Asked) != 2 || !h.Asked[1].AuthenticatedAfter.Equal(h.DB.Now()) {
		t.Errorf("asked for %+v, want a sign-in from now on", h.Asked)
	}
	b.get(pathAdd)
	if len(h.Asked) != 2 {
		t.Error("looking at the types asked for another sign-in")
	}
}

func TestJourneyGoesOnAfterTheSessionEnded(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.starts(pathReplace).toPassword(amaraMail)
	h.endSessions(amara)
	b.submit("", "password", newPassword, "confirm", newPassword)
	// The sign-in led back to the page where the journey stood.
	b.isAt(pathPassword).sees(200, "Create a password")
	secret := b.choosePassword()
	b.submit("", "code", h.Code(secret)).isAt(pathDone)
}

func TestJourneyIsNoOtherPersons(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.starts(pathReplace)
	h.endSessions(amara)
	h.Who = priya
	b.submit("", "email", string(amaraMail)).sees(403, "Somebody else is signed in now", "Start again")

	// Nor is the page before it, with the "Register" button.
	h.Who = amara
	c := b.other()
	c.get(pathReplace)
	stamp := c.Field("j")
	h.endSessions(amara)
	h.Who = priya
	c.get(pathAdd)
	c.Post(pathAdd+"/authenticator_app", map[string][]string{"j": {stamp}, "confirm": {"yes"}})
	c.sees(403, "Somebody else is signed in now")
	if len(h.Held(priya)) != 0 {
		t.Error("Priya was given something")
	}
}

func TestSomebodyWithoutAnAddressIsSentToTheProfile(t *testing.T) {
	h := newHouse(t)
	h.Who = karl
	b := h.browser()
	b.get(pathAdd+"/authenticator_app").sees(200, "Add an email address first")
	if !strings.Contains(b.Page, `href="/cim/profile/email"`) {
		t.Error("no way to add an address")
	}
}

func TestFinishingTwiceRegistersOnce(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.starts(pathReplace)
	secret := b.toVerify(amaraMail)
	at := b.At
	b.submit("", "code", h.Code(secret)).isAt(pathDone)
	first := h.Held(amara)
	b.get(b.At).isAt(pathDone).sees(200, "Registration successful") // reload

	b.get(at).isAt(pathVerify) // back
	b.submit("", "code", h.Code(secret)).isAt(pathDone).sees(200, "Registration successful")
	if held := h.Held(amara); len(held) != 1 || held[0].ID != first[0].ID {
		t.Errorf("Amara holds %+v, want %+v", held, first)
	}
	if n := h.Count("audit_entry WHERE action = 'authenticator.registered' AND subject = '555000100101'"); n != 2 { // with the world's
		t.Errorf("%d audit entries, want 2", n)
	}
}
