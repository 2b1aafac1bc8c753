package account

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/fido/fidotest"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/gate/gatetest"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/session"
)

// withKey gives Amara a security key beside her phone.
func withKey(t *testing.T) (*house, *browser) {
	t.Helper()
	h := newHouse(t)
	h.Clock.Later(time.Minute) // the phone is her first
	h.Holds(amara, care.SecurityKey, "key", "Lanyard")
	return h, h.browser()
}

func TestAuthenticatorIsRemovedAfterAFreshSignIn(t *testing.T) { // decision 3; ASVS 7.5.1; N22
	h, b := withKey(t)
	b.get(pathAuthenticators).sees(http.StatusOK, "Security key “Lanyard”", "Replace Security key “Lanyard” with another security key", "Remove")
	h.Clock.Later(gate.Fresh + time.Second)
	asked := len(h.Asked)
	b.get(pathAuthenticators+"/remove?id=key").sees(http.StatusOK, "Remove Security key “Lanyard”", "we tell you by email")
	if len(h.Asked) != asked+1 || h.Asked[asked].AuthenticatedAfter.IsZero() {
		t.Error("no new sign-in was asked for")
	}
	if len(h.Held(amara)) != 2 {
		t.Fatal("looking removed it")
	}
	b.submit(pathAuthenticators+"/remove").isAt(pathAuthenticators).sees(http.StatusOK, "Security key “Lanyard” is removed")
	if held := h.Held(amara); len(held) != 1 || held[0].Method != care.AuthenticatorApp {
		t.Errorf("she holds %+v", held)
	}
	if mail := h.Mail(amaraMail, outbox.AuthenticatorRemoved); !strings.Contains(mail.Text, "Security key “Lanyard” was removed") {
		t.Errorf("the mail says\n%s", mail.Text)
	}
}

func TestTheListSaysWhichModelIsNoLongerAccepted(t *testing.T) { // decision 3; N22
	h := newHouse(t)
	h.Clock.Later(time.Minute) // the phone is her first
	h.Key(gatetest.Who{UID: amara, Email: amaraMail}, care.SecurityKey, fidotest.New(gatetest.Base))
	b := h.browser()
	if b.get(pathAuthenticators); strings.Contains(b.Page, "no longer accepted") || strings.Contains(b.Page, "This is the only authenticator") {
		t.Error("the list says that something is wrong")
	}
	h.Revoke()
	b.get(pathAuthenticators).sees(http.StatusOK, "Its model is no longer accepted: nobody can sign in with it",
		"This is the only authenticator that you can sign in with, so you cannot remove it yourself")
	b.get(pathAuthenticators+"/remove?id="+h.record(amara).ID).sees(fault.LastAuthenticator.Status, fault.LastAuthenticator.Title)
}

func TestFormToRemoveThatWaitedTooLongAsksForASignIn(t *testing.T) {
	h, b := withKey(t)
	b.get(pathAuthenticators + "/remove?id=key")
	h.Clock.Later(gate.Fresh + journeyLife + time.Second)
	h.Write(func(tx *db.Tx) error { return session.EndAll(tx, amara, "signed out") })
	b.submit(pathAuthenticators+"/remove").isAt(pathAuthenticators+"/remove").sees(http.StatusOK, "Remove Security key")
	if len(h.Held(amara)) != 2 {
		t.Error("it is removed")
	}
}

func TestLastAuthenticatorIsNotRemovedByItsHolder(t *testing.T) { // decision 3
	h := newHouse(t)
	id := h.record(amara).ID
	b := h.browser().get(pathAuthenticators)
	if strings.Contains(b.Page, "/remove") {
		t.Error("it is offered")
	}
	b.get(pathAuthenticators+"/remove?id="+id).sees(http.StatusConflict, "You cannot remove your last authenticator", "report it as lost", "See your authenticators")
	b.get(pathAuthenticators + "/lost?id=" + id)
	b.Post(pathAuthenticators+"/remove", url.Values{"id": {id}})
	b.sees(http.StatusConflict, "You cannot remove your last authenticator")
	if len(h.Held(amara)) != 1 {
		t.Error("it is removed")
	}
}

func TestRemovingWhatOneIsSignedInWithSignsOut(t *testing.T) {
	h, b := withKey(t)
	b.get(pathAuthenticators+"/remove?id="+h.record(amara).ID).sees(http.StatusOK, "this one too")
	b.submit(pathAuthenticators+"/remove").isAt(pathAuthenticators+"/removed").sees(http.StatusOK, "Microsoft Authenticator is removed", "you are signed out now")
	if !strings.Contains(b.Header.Get("Content-Security-Policy"), "https://ers.example.nhs.uk") {
		t.Error("the services do not hear of it through the browser")
	}
	h.Who = ""
	b.Get(home)
	b.isAt("/signin")
}

func TestAuthenticatorGetsANameOfItsHolders(t *testing.T) {
	h, b := withKey(t)
	h.Clock.Later(gate.Fresh + time.Second) // at any age of the sign-in
	b.get(pathAuthenticators+"/rename?id=key").sees(http.StatusOK, "What do you call this security key?")
	if b.Field("name") != "Lanyard" {
		t.Errorf("the field holds %q", b.Field("name"))
	}
	for _, bad := range []string{"", strings.Repeat("x", 41), "a\u202eb"} {
		b.submit(pathAuthenticators+"/rename", "name", bad).sees(http.StatusUnprocessableEntity, "Enter a name with up to 40 letters")
	}
	b.submit(pathAuthenticators+"/rename", "name", "  <b>Blue</b>  key ").isAt(pathAuthenticators).
		sees(http.StatusOK, "Security key “<b>Blue</b> key” has its new name")
	b.get(pathAuthenticators).sees(http.StatusOK, "Security key “<b>Blue</b> key”")
}

func TestAuthenticatorOfAnotherPersonIsNeitherRenamedNorRemoved(t *testing.T) {
	h, b := withKey(t)
	h.Who = helen
	for _, page := range []string{"/rename", "/remove", "/lost"} {
		b.get(pathAuthenticators+page+"?id=key").sees(http.StatusNotFound, "That authenticator is not there")
		b.get(pathAuthenticators + "/rename?id=" + h.record(helen).ID)
		b.Post(pathAuthenticators+page, url.Values{"id": {"key"}, "name": {"Mine"}})
		b.sees(http.StatusNotFound, "That authenticator is not there")
	}
	if held := h.Held(amara); len(held) != 2 || held[1].Name != "Lanyard" || !held[1].SuspendedAt.IsZero() {
		t.Errorf("Amara holds %+v", held)
	}
}

func TestListShowsWhatAKeyIsAndWhenItWasUsed(t *testing.T) {
	h := newHouse(t)
	key := fidotest.New(gatetest.Base)
	h.Key(gatetest.Who{UID: amara, Email: amaraMail}, care.SecurityKey, key)
	h.browser().get(pathAuthenticators).sees(http.StatusOK, "Name "+fidotest.Model, "Model "+fidotest.Model, "Counts as AAL3", "Last used Not used yet", "Counts as AAL2")
	h.Clock.Later(time.Minute)
	_, err := h.Rig.Gate.SignIn(t.Context(), gate.Admission{
		Proofs: []credential.Proof{h.KeyProof(key, care.SecurityKey)}, Requirement: gatetest.Anything(), Terms: "1",
	})
	h.must(err)
	h.browser().get(pathAuthenticators).sees(http.StatusOK, "Last used 20 November 2026 at 9:01am")
}

func TestLostKeyIsReportedFromAnotherSignIn(t *testing.T) { // decision 3: at any level
	h, b := withKey(t)
	h.Clock.Later(time.Hour - time.Minute)
	b.get(pathAuthenticators+"/lost?id=key").sees(http.StatusOK, "Report Security key “Lanyard” as lost", "Do you have a new security key here?")
	b.submit(pathAuthenticators+"/lost").isAt(pathAuthenticators+"/reported").sees(http.StatusOK, "Security key “Lanyard” is suspended", "They can register your new security key with you")
	h.Mail(amaraMail, outbox.AuthenticatorSuspended)
	b.get(pathAuthenticators).sees(http.StatusOK, "Suspended on", "This is the only authenticator that you can sign in with")
	b.get(pathAuthenticators+"/remove?id=key").sees(http.StatusOK, "Remove Security key “Lanyard”")
}
