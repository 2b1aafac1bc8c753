package account

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/recovery"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/throttle"
)

const newPassword = "velvet bridge 7 walnut"

func TestAuthenticatorsAreListedWithTheirState(t *testing.T) {
	h := newHouse(t)
	b := h.browser().get("/cim/authenticators").sees(http.StatusOK,
		"Microsoft Authenticator", "Registered 20 November 2026 at 9:00am", "Last used Not used yet", "You are signed in with it now",
		"0 left Make new recovery codes", "What AAL2 and AAL3 mean", "Replace with a new phone", "Report as lost", "Add other authenticators",
		"This is the only authenticator that you can sign in with, so you cannot remove it yourself")
	for _, path := range []string{"/register/replace", "/cim/authenticators/add", "/cim/password", "/cim/recovery-codes"} {
		if !strings.Contains(b.Page, `href="`+path+`"`) {
			t.Errorf("no link to %s", path)
		}
	}
}

func TestListCountsWhatCanStillSignIn(t *testing.T) {
	then := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	one, lost := credential.Record{ID: "1", Method: "authenticator_app"}, credential.Record{ID: "2", Method: "passkey", SuspendedAt: then}
	two := credential.Record{ID: "3", Method: "smartcard"}
	for _, test := range []struct {
		records []credential.Record
		only    bool
	}{{nil, false}, {[]credential.Record{one}, true}, {[]credential.Record{one, lost}, true}, {[]credential.Record{one, two}, false}, {[]credential.Record{lost}, false}} {
		if got := listed(test.records, "1", credential.Record.Usable); got.Only != test.only || len(got.Held) != len(test.records) {
			t.Errorf("listed(%v) = %+v", test.records, got)
		}
	}
}

func TestLostPhoneIsSuspendedAndItsSessionsEnd(t *testing.T) {
	h := newHouse(t)
	b, elsewhere := h.browser().get("/cim/authenticators"), h.browser().get("/cim/")
	b.get("/cim/authenticators/lost?id="+h.record(amara).ID).sees(http.StatusOK, "Report Microsoft Authenticator as lost", "this one too", "Do you have your new phone here?")
	if !h.record(amara).SuspendedAt.IsZero() {
		t.Fatal("looking suspended it")
	}
	h.Clock.Later(time.Hour - time.Minute) // at any age of the sign-in
	b.submit("/cim/authenticators/lost").isAt("/cim/authenticators/reported").sees(http.StatusOK, "Microsoft Authenticator is suspended", "Tell your Registration Authority")
	if h.record(amara).SuspendedAt.IsZero() {
		t.Error("it is not suspended")
	}
	h.Mail(amaraMail, outbox.AuthenticatorSuspended)
	h.Who = ""
	for _, c := range []*browser{b, elsewhere} {
		c.Get("/cim/")
		c.isAt("/signin")
	}
}

func TestAuthenticatorOfAnotherPersonIsNotThere(t *testing.T) {
	h := newHouse(t)
	theirs := h.record(helen).ID
	b := h.browser()
	b.get("/cim/authenticators/lost?id="+theirs).sees(http.StatusNotFound, "That authenticator is not there", "See your authenticators")
	b.get("/cim/authenticators/lost?id="+h.record(amara).ID).submit("/cim/authenticators/lost", "id", theirs).sees(http.StatusNotFound, "That authenticator is not there")
	if !h.record(helen).SuspendedAt.IsZero() {
		t.Error("another person's authenticator is suspended")
	}
}

func TestNewPasswordEndsOtherSessions(t *testing.T) {
	h := newHouse(t)
	b, elsewhere := h.browser(), h.browser().get("/cim/")
	b.get("/cim/password").sees(http.StatusOK, "Password must be at least 8 characters long", "Confirm password")
	for _, test := range []struct{ password, confirm, says string }{
		{"", "", "Enter a password"},
		{"short", "short", "Password must be at least 8 characters long"},
		{"password1", "password1", "too easy to guess"},
		{"Amara Osei 1", "Amara Osei 1", "must not be your name"},
		{newPassword, newPassword + "!", "Passwords do not match"},
	} {
		b.submit("/cim/password", "password", test.password, "confirm", test.confirm).sees(http.StatusUnprocessableEntity, test.says)
		if test.password != "" && strings.Contains(b.Page, `"`+test.password+`"`) {
			t.Errorf("the page shows the password %q", test.password)
		}
	}
	b.submit("/cim/password", "password", newPassword, "confirm", newPassword).isAt("/cim/password/done").sees(http.StatusOK, "Your password is changed")
	h.Mail(amaraMail, outbox.PasswordChanged)

	who := throttle.Subject{}
	if _, err := h.App.PasswordStep(t.Context(), amaraMail, amaraPassword, who); !fault.Has(err, fault.WrongEmailOrPassword) {
		t.Errorf("the old password: %v", err)
	}
	if _, err := h.App.PasswordStep(t.Context(), amaraMail, newPassword, who); err != nil {
		t.Errorf("the new password: %v", err)
	}
	h.Who = ""
	elsewhere.Get("/cim/")
	elsewhere.isAt("/signin")
	b.get("/cim/").isAt("/cim/")
}

func TestSecretsNeedAFreshSignIn(t *testing.T) { // ASVS 7.5.1
	h := newHouse(t)
	for _, path := range []string{"/cim/password", "/cim/recovery-codes"} {
		b := h.browser().get("/cim/")
		h.Clock.Later(gate.Fresh + time.Second)
		before := len(h.Asked)
		b.get(path).isAt(path).sees(http.StatusOK)
		if len(h.Asked) != before+1 || h.Asked[before].AuthenticatedAfter.IsZero() {
			t.Errorf("%s asked for no new sign-in", path)
		}
	}
}

func TestFormOfASecretDoesNotOutliveItsJourney(t *testing.T) {
	h := newHouse(t)
	b := h.browser().get("/cim/password")
	h.Clock.Later(journeyLife - time.Second)
	b.submit("/cim/password", "password", newPassword, "confirm", newPassword).isAt("/cim/password/done")
	b.get("/cim/password")
	h.Clock.Later(journeyLife)
	b.submit("/cim/password", "password", newPassword+"2", "confirm", newPassword+"2").sees(http.StatusGone, "Start again")
	b.get("/cim/recovery-codes").submit("/cim/recovery-codes", "j", "forged").sees(http.StatusBadRequest, "This page cannot go on", "Start again")
}

var recoveryCode = regexp.MustCompile(`\b[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{5}\b`)

func TestRecoveryCodesAreShownOnceToTheirOwner(t *testing.T) {
	h := newHouse(t)
	b := h.browser().get("/cim/recovery-codes").sees(http.StatusOK, "You have none at the moment")
	b.submit("/cim/recovery-codes").isAt("/cim/recovery-codes/new").sees(http.StatusOK, "We show these only once")
	codes := recoveryCode.FindAllString(b.Text(), -1)
	if len(codes) != recovery.Codes {
		t.Fatalf("%d codes, want %d", len(codes), recovery.Codes)
	}
	h.Mail(amaraMail, outbox.RecoveryCodesMade)
	if _, err := h.Recovery.Check(t.Context(), amara, codes[3], throttle.Subject{}); err != nil {
		t.Errorf("a code that was shown: %v", err)
	}
	at := b.At
	b.get("/cim/authenticators").sees(http.StatusOK, "10 left")

	h.Clock.Later(shownLife - time.Second)
	b.get(at).sees(http.StatusOK, codes[0])
	h.browser().get(at).sees(http.StatusForbidden, "Start again in this browser")
	h.Who = helen
	b.submit("/not-you")
	b.get(at).sees(http.StatusForbidden, "Somebody else is signed in now")
	h.Clock.Later(2 * time.Second)
	h.Who = amara
	b.get("/signout").submit("/signout")
	b.get(at).sees(http.StatusGone)
}

func TestNewRecoveryCodesEndTheOldOnes(t *testing.T) {
	h := newHouse(t)
	b := h.browser().get("/cim/recovery-codes").submit("/cim/recovery-codes")
	old := recoveryCode.FindString(b.Text())
	b.get("/cim/recovery-codes").sees(http.StatusOK, "You have 10 left", "these stop working").submit("/cim/recovery-codes")
	if _, err := h.Recovery.Check(t.Context(), amara, old, throttle.Subject{}); !fault.Has(err, fault.WrongRecoveryCode) {
		t.Errorf("an old code: %v", err)
	}
}

func TestSuspendedAppHasNoSecretsToChange(t *testing.T) {
	h := newHouse(t)
	b := h.browser().get("/cim/authenticators")
	h.Write(func(tx *db.Tx) error { return credential.Suspend(tx, h.record(amara).ID, "test") })
	b.get("/cim/password").sees(http.StatusNotFound, "That authenticator is not there")
	b.get("/cim/authenticators").sees(http.StatusOK, "Suspended on 20 November 2026", "Replace with a new phone")
	if strings.Contains(b.Page, "Report as lost") || strings.Contains(b.Page, "Make new") {
		t.Error("a suspended authenticator offers what cannot be done")
	}
}
