package e2e

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestCareIdentityManagementHome(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.signedIn(amara, withJavaScript)
	b.wantText("View your profile", "View your profile and update contact details",
		"Renew your own smartcard", "Renew your smartcard up to 90 days before it expires",
		"Change smartcard passcode", "Set a new passcode if you think yours is no longer secure.",
		"Find organisation", "Find organisations and organisational details",
		"Add other authenticators", "Use smartcard alternatives with CIS2 Authentication",
		"Help and troubleshooting", "Guidance on how to use this service and fix issues",
		"Care Identity Management and self-service smartcard unlock will be unavailable from 9:00am to 7:00pm",
		"Dr Amara OSEI", "Not you?")
	b.keep("cim-home")
	b.narrow("cim-home")
	b.press("Dismiss this notice")
	b.wantHeading("Care Identity Management")
	b.reload()
	if strings.Contains(b.text(), "will be unavailable") {
		t.Error("the dismissed notice came back")
	}
	b.follow("View your profile")
	b.wantText("amara.osei@nhs.net", "555000100101", "General Medical Practitioner", "HARBOUR STREET SURGERY")
	b.keep("cim-profile")
	b.narrow("cim-profile")
	b.press("Not you?")
	b.open(h.url + "/cim/")
	b.wantHeading("Select your login method")
}

func TestAmaraChangesHerAddress(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.signedIn(amara, withoutJavaScript)
	b.open(h.url + "/cim/profile/email")
	b.fill("email", "amara@example.com")
	b.press("Send One Time Password")
	b.wantError("nhs.net")
	b.keep("cim-email-error")
	const fresh = "amara.osei@northmoor.nhs.uk"
	b.fill("email", fresh)
	b.press("Send One Time Password")
	b.wantText("It may take a few minutes to arrive.")
	b.fill("code", "1234 5678")
	b.press("Continue")
	if !strings.HasPrefix(b.title(), "Error: ") {
		t.Errorf("a wrong code was accepted\n%s", b.scene())
	}
	b.fill("code", h.mail.code(t, fresh))
	b.press("Continue")
	b.wantHeading("Your email address is verified")
	b.keep("cim-email-done")
	h.mail.notice(t, amara.email, "address")
	h.mail.notice(t, fresh, "address")

	person := amara
	person.email = fresh
	h.signedIn(person, withJavaScript)
}

func TestAmaraReplacesHerPhone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.signedIn(amara, withJavaScript)
	b.follow("Add other authenticators")
	b.wantHeading("Select authenticator type")
	b.wantText("You can register one of each type of authenticator.",
		"Uses fingerprint biometrics on an iPad to authenticate",
		"Uses an approved email and security code to access National Care Records Service",
		"Uses facial recognition, fingerprint or PIN on supported Windows devices",
		"Uses a small physical device that is a software free alternative to smartcards")
	b.keep("cim-type")
	b.narrow("cim-type")
	b.open(h.url + "/cim/authenticators")
	b.keep("cim-authenticators")
	b.narrow("cim-authenticators")
	b.follow("Replace with a new phone")
	b.wantHeading("Register Microsoft Authenticator with your Care Identity")
	b.choose("confirm", "yes")
	b.press("Register Microsoft Authenticator")

	// Another address than the profile's gets a clear answer, for she is
	// signed in.
	b.fill("email", "somebody.else@nhs.net")
	b.press("Send One Time Password")
	if !strings.HasPrefix(b.title(), "Error: ") {
		t.Errorf("another address was accepted\n%s", b.scene())
	}
	secret := h.enrol(b, amara.email)
	b.wantRegistered()
	b.keep("register-success")
	h.mail.notice(t, amara.email, "replaced")

	// Reloading the last page registers nothing again; the recovery codes are
	// offered and shown once.
	b.reload()
	b.wantRegistered()
	codes := h.recoveryCodes(b)

	// The old phone is dead, the new one signs in.
	old := newBrowser(t, withJavaScript)
	old.open(h.url + "/cim/")
	h.password(old, amara)
	old.wantHeading("Enter your password")
	person := amara
	person.password, person.secret = chosen, secret
	h.signedIn(person, withJavaScript)

	t.Run("and loses the new one", func(t *testing.T) {
		lost := newBrowser(t, withoutJavaScript)
		lost.open(h.url + "/cim/")
		h.password(lost, demoPerson{email: amara.email, password: chosen})
		lost.follow("I do not have my phone")
		lost.keep("signin-no-phone")
		lost.press("Continue")
		lost.wantError("Select what you want to do")
		lost.choose("way", "recovery")
		lost.press("Continue")
		lost.keep("recover-code")
		lost.fill("code", "7K3M-Q9TX-2WB4N")
		lost.press("Continue")
		if !strings.HasPrefix(lost.title(), "Error: ") {
			t.Errorf("a wrong recovery code was accepted\n%s", lost.scene())
		}
		lost.fill("code", strings.ToLower(codes[3]))
		lost.press("Continue")
		lost.wantHeading("Check your inbox")
		lost.fill("code", h.mail.code(t, amara.email))
		lost.press("Continue")
		lost.wantHeading("Create a password")
		lost.fill("password", chosen+" again")
		lost.fill("confirm", chosen+" again")
		lost.press("Continue")
		third := readQR(t, lost.picture()).Query().Get("secret")
		lost.press("Next")
		lost.fill("code", h.phones.code(t, third))
		lost.press("Submit")
		lost.wantRegistered()
		h.mail.notice(t, amara.email, "phone")
	})
}

var recoveryForm = regexp.MustCompile(`[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{5}`)

// recoveryCodes takes the offer of the last page of a registration.
func (h *house) recoveryCodes(b *browser) []string {
	h.t.Helper()
	b.press("Get recovery codes")
	codes := recoveryForm.FindAllString(b.text(), -1)
	if len(codes) != 10 {
		h.t.Fatalf("%d recovery codes\n%s", len(codes), b.scene())
	}
	b.keep("recovery-codes")
	b.narrow("recovery-codes")
	return codes
}

func TestAForgottenPasswordNeedsMailboxAndApp(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := newBrowser(t, withoutJavaScript)
	b.open(h.url + "/recover/password")
	b.keep("recover-password")
	b.fill("email", amara.email)
	b.press("Send One Time Password")
	b.fill("code", h.mail.code(t, amara.email))
	b.press("Continue")
	b.walkForgotten(h)
	b.wantHeading("Your password is changed")
	h.mail.notice(t, amara.email, "password")
	person := amara
	person.password = chosen
	h.signedIn(person, withJavaScript)

	// An address that nobody has sees the same pages and gets no mail.
	nobody := newBrowser(t, withJavaScript)
	nobody.open(h.url + "/recover/password")
	nobody.fill("email", "nobody.here@nhs.net")
	nobody.press("Send One Time Password")
	nobody.wantText("It may take a few minutes to arrive.")
	for _, l := range h.mail.all() {
		if l.To == "nobody.here@nhs.net" {
			t.Errorf("an unknown address got %q", l.Subject)
		}
	}
}

// walkForgotten answers for the new password and the code of the app, in the
// order in which the pages ask.
func (b *browser) walkForgotten(h *house) {
	h.t.Helper()
	for range 2 {
		if b.attribute(`input[name="password"]`, "name") != "" {
			b.fill("password", chosen)
			b.fill("confirm", chosen)
			b.press("Continue")
		} else {
			b.fill("code", h.phones.code(h.t, amara.secret))
			b.press("Submit")
		}
	}
}

func TestThisWasNotMe(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.signedIn(amara, withJavaScript)
	b.open(h.url + "/cim/password")
	b.keep("cim-password")
	b.fill("password", chosen)
	b.fill("confirm", chosen)
	b.press("Continue")
	b.wantHeading("Your password is changed")
	l := h.mail.notice(t, amara.email, "password")
	link := regexp.MustCompile(`http://localhost:\d+/not-me\?t=[\w-]+`).FindString(l.Text)
	if link == "" {
		t.Fatalf("no link in\n%s", l.Text)
	}

	// No sign-in is needed; looking changes nothing.
	other := newBrowser(t, withoutJavaScript)
	other.open(link)
	other.keep("not-me")
	b.open(h.url + "/cim/")
	b.wantHeading("Care Identity Management")
	other.press("This was not me")
	other.wantHeading("Your identity is locked")
	b.open(h.url + "/cim/")
	b.wantHeading("Select your login method")
	other.open(link)
	other.press("This was not me")
	other.wantHeading("Your identity is locked")
}

func TestALostPhoneIsSuspended(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.signedIn(zoe, withJavaScript)
	b.open(h.url + "/cim/authenticators")
	b.load(clickCSS(`a[href^="/cim/authenticators/lost"]`))
	b.keep("cim-lost")
	b.press("Report as lost")
	b.keep("cim-reported")
	h.mail.notice(t, zoe.email, "suspended")
	b.open(h.url + "/cim/")
	b.wantHeading("Select your login method")
}

// TestWhatPeopleChangedOutlivesARestart: later starts keep what people changed.
func TestWhatPeopleChangedOutlivesARestart(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.signedIn(amara, withJavaScript)
	b.open(h.url + "/cim/password")
	b.fill("password", chosen)
	b.fill("confirm", chosen)
	b.press("Continue")
	b.wantHeading("Your password is changed")
	h.restart()
	b.open(h.url + "/cim/")
	b.wantHeading("Care Identity Management")
	person := amara
	person.password = chosen
	h.signedIn(person, withJavaScript)
}

// TestTheDemoPhoneShowsWhatARealPhoneWould compares it with oathtool.
func TestTheDemoPhoneShowsWhatARealPhoneWould(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	before := time.Now().Unix() / step
	shown := h.phone(amara.email)
	after := time.Now().Unix() / step
	if shown != totpAt(t, amara.secret, before) && shown != totpAt(t, amara.secret, after) {
		t.Errorf("the phone shows %s, oathtool %s", shown, totpAt(t, amara.secret, before))
	}
}

// TestPagesForNewcomersAndHelp opens each page that needs no sign-in; opening
// runs axe.
func TestPagesForNewcomersAndHelp(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, js := range []setting{withJavaScript, withoutJavaScript} {
		b := newBrowser(t, js)
		for name, path := range map[string]string{
			"front": "/", "phone": "/dev/phone", "inbox": "/dev/inbox", "terms": "/terms", "help": "/help",
			"help-app": "/help/authenticator-app", "help-lost": "/help/lost-phone", "help-domains": "/help/email-domains",
		} {
			b.open(h.url + path)
			b.keep(name)
			b.narrow(name)
		}
	}
}
