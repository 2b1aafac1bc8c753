package gate_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/gate/gatetest"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/session"
)

const removals = `audit_entry WHERE action = 'authenticator.removed'`

// TestRemovingAnAuthenticator deletes it, ends what it opened and tells its
// holder by mail (N22).
func TestRemovingAnAuthenticator(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		r.Holds(amara.UID, care.SecurityKey, "key", "Lanyard")
		phone, helens := r.SignIn(amara), r.SignIn(helen)
		key := openWith(r, care.SecurityKey)
		if err := r.Gate.Remove(t.Context(), &phone.Session, "key"); err != nil {
			t.Fatal(err)
		}
		if held := r.Held(amara.UID); len(held) != 1 || held[0].ID == "key" {
			t.Errorf("she holds %+v", held)
		}
		if r.Count(live+` AND id = $1`, key.ID) != 0 || r.Alive(phone.Token) == nil || r.Alive(helens.Token) == nil {
			t.Error("want the key's session ended, and no other")
		}
		mail := r.Mail(amara.Email, outbox.AuthenticatorRemoved)
		if !strings.Contains(mail.Text, "Security key “Lanyard” was removed") || r.Count(removals) != 1 {
			t.Errorf("%d audit entries, and the mail says\n%s", r.Count(removals), mail.Text)
		}
		if err := r.Gate.Remove(t.Context(), &phone.Session, "key"); !fault.Has(err, fault.NoAuthenticator) {
			t.Errorf("removing it again: %v", err)
		}
	})
}

// TestHolderWhoDidNotRemoveStopsWhoDid: the notice's link suspends what the
// session was opened with.
func TestHolderWhoDidNotRemoveStopsWhoDid(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		r.Holds(amara.UID, care.SecurityKey, "key", "Lanyard")
		phone := r.SignIn(amara)
		if err := r.Gate.Remove(t.Context(), &phone.Session, "key"); err != nil {
			t.Fatal(err)
		}
		link := notMe.FindStringSubmatch(r.Mail(amara.Email, outbox.AuthenticatorRemoved).Text)
		if err := r.Gate.Disavow(t.Context(), link[1]); err != nil {
			t.Fatal(err)
		}
		if r.Held(amara.UID)[0].Usable() || r.Alive(phone.Token) != nil {
			t.Error("who removed it can go on")
		}
	})
}

// TestWhatCannotBeRemoved: the last that can sign in, another's, and anything by
// a sign-in that is old or over (decision 3; ASVS 7.5.1).
func TestWhatCannotBeRemoved(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		phone := r.Held(amara.UID)[0].ID
		in, helens := r.SignIn(amara), r.SignIn(helen).Session
		refused := func(what string, s *session.Session, id string, kind *fault.Kind) {
			t.Helper()
			if err := r.Gate.Remove(t.Context(), s, id); !fault.Has(err, kind) {
				t.Errorf("%s: %v", what, err)
			}
		}
		refused("the only one", &in.Session, phone, fault.LastAuthenticator)
		r.Holds(amara.UID, care.SecurityKey, "key", "Lanyard")
		if err := r.Gate.ReportLost(t.Context(), &in.Session, "key"); err != nil {
			t.Fatal(err)
		}
		refused("the only one that is not lost", &in.Session, phone, fault.LastAuthenticator)
		refused("another's", &helens, "key", fault.NoAuthenticator)
		refused("what nobody has", &in.Session, "unknown", fault.NoAuthenticator)

		r.Clock.Later(gate.Fresh + 20*time.Minute + time.Second)
		refused("by an old sign-in", &in.Session, "key", fault.NotFresh)
		again := r.SignIn(amara)
		r.Write(func(tx *db.Tx) error { return session.End(tx, again.Session.ID, "signed out") })
		refused("by one that is over", &again.Session, "key", fault.NotAdmitted)
		if len(r.Held(amara.UID)) != 2 || r.Count(removals) != 0 {
			t.Error("something was removed")
		}
		last := r.SignIn(amara)
		if err := r.Gate.Remove(t.Context(), &last.Session, "key"); err != nil {
			t.Errorf("the lost one: %v", err)
		}
	})
}

// TestOfTwoRemovalsAtOnceOneIsTheLast: on two nodes at the same moment, each of
// two authenticators is removed; one stays.
func TestOfTwoRemovalsAtOnceOneIsTheLast(t *testing.T) {
	nodes := gatetest.Nodes(t, 2)
	r := nodes[0]
	for range 10 {
		for _, id := range []string{"one", "two"} {
			if r.Count(`authenticator WHERE id = $1`, id) == 0 {
				r.Holds(gatetest.Owen.UID, care.SecurityKey, id, id)
			}
		}
		var waiting sync.WaitGroup
		for i, id := range []string{"one", "two"} {
			s := sessionOf(r)
			waiting.Go(func() {
				if err := nodes[i].Gate.Remove(t.Context(), s, id); err != nil && !fault.Has(err, fault.LastAuthenticator) {
					t.Errorf("removing %s: %v", id, err)
				}
			})
		}
		waiting.Wait()
		if n := len(r.Held(gatetest.Owen.UID)); n != 1 {
			t.Fatalf("%d are left", n)
		}
	}
}

// sessionOf signs Owen in with a smartcard of which this house knows nothing.
func sessionOf(r *gatetest.Rig) *session.Session {
	token, sid := r.Opener.NewToken()
	r.Write(func(tx *db.Tx) error {
		_, err := r.Opener.Open(tx, session.Opening{
			Token: token, SID: sid, UID: gatetest.Owen.UID, AAL: care.AAL3, Method: care.Smartcard, AuthenticatorID: "card", Terms: "1",
		})
		return err
	})
	return r.Alive(token)
}

func TestRenamingAnAuthenticator(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		r.Holds(amara.UID, care.SecurityKey, "key", "Security key")
		in, helens := r.SignIn(amara).Session, r.SignIn(helen).Session
		r.Clock.Later(14 * time.Minute) // at any age of the sign-in
		name := func() string {
			for _, record := range r.Held(amara.UID) {
				if record.ID == "key" {
					return record.Name
				}
			}
			return ""
		}
		for range 2 {
			if err := r.Gate.Rename(t.Context(), &in, "key", "  My  lanyard "); err != nil || name() != "My lanyard" {
				t.Fatalf("renamed to %q, %v", name(), err)
			}
		}
		if n := r.Count(`audit_entry WHERE action = 'authenticator.renamed'`); n != 1 {
			t.Errorf("%d audit entries, want 1", n)
		}
		if err := r.Gate.Rename(t.Context(), &helens, "key", "Mine"); !fault.Has(err, fault.NoAuthenticator) {
			t.Errorf("by another person: %v", err)
		}
		for _, bad := range []string{"", "two\u202elines", strings.Repeat("x", 41)} {
			if err := r.Gate.Rename(t.Context(), &in, "key", bad); err == nil {
				t.Errorf("%q was taken", bad)
			}
		}
		if name() != "My lanyard" {
			t.Errorf("it is called %q", name())
		}
	})
}

func TestAnAppIsNeverHeldTwice(t *testing.T) {
	g := gate.New(gate.Options{Ring: gatetest.Open(t).Ring, PerMethod: 3})
	if g.Limit(care.AuthenticatorApp) != 1 || g.Limit(care.SecurityKey) != 3 {
		t.Errorf("limits %d and %d", g.Limit(care.AuthenticatorApp), g.Limit(care.SecurityKey))
	}
}
