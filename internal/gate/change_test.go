package gate_test

import (
	"slices"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/recovery"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/gate/gatetest"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/person"
)

const newPassword = "seven brass kettles"

// newSecret is a change of Amara's password.
func newSecret(t *testing.T, r *gatetest.Rig) credential.Change {
	t.Helper()
	change, err := r.App.ChangePassword(t.Context(), amara.UID, r.Held(amara.UID)[0].ID, newPassword)
	if err != nil {
		t.Fatal(err)
	}
	return change
}

// changedTo reports whether Amara's password is the new one.
func changedTo(t *testing.T, r *gatetest.Rig) bool {
	t.Helper()
	_, err := r.App.PasswordStep(t.Context(), amara.Email, newPassword, gatetest.Stranger)
	if err != nil && !fault.Has(err, fault.WrongEmailOrPassword) {
		t.Fatal(err)
	}
	return err == nil
}

// TestChangingThePasswordBySession: the other sessions end (ASVS 7.4.3), what
// was proven with the old password is worth nothing, the own session stays.
func TestChangingThePasswordBySession(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		other, own, helens := r.SignIn(amara), r.SignIn(amara), r.SignIn(helen)
		pending := admission(r.AppProof(amara))
		if err := r.Gate.Change(t.Context(), gate.Changing{Change: newSecret(t, r), Session: &own.Session}); err != nil {
			t.Fatal(err)
		}
		if !changedTo(t, r) {
			t.Error("the password is the old one")
		}
		if r.Alive(other.Token) != nil || r.Alive(own.Token) == nil || r.Alive(helens.Token) == nil {
			t.Error("want her other session ended, and no more")
		}
		if _, err := r.Gate.SignIn(t.Context(), pending); !fault.Has(err, fault.NotAdmitted) {
			t.Errorf("a proof of the old password: %v", err)
		}
	})
}

// TestForgottenPassword: the mailbox and the app together (N21; ASVS 6.4.3).
// Every session ends, and nobody is signed in.
func TestForgottenPassword(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		in := r.SignIn(amara)
		err := r.Gate.Change(t.Context(), gate.Changing{Change: newSecret(t, r), Proofs: []credential.Proof{
			r.Mailbox("j", amara.UID, amara.Email), r.CodeProof(amara),
		}})
		if err != nil {
			t.Fatal(err)
		}
		if !changedTo(t, r) || r.Alive(in.Token) != nil || r.Count(live) != 0 {
			t.Error("want a new password and no session")
		}
	})
}

// TestWhoMayNotChangeAPassword: every other right.
func TestWhoMayNotChangeAPassword(t *testing.T) {
	for name, c := range map[string]struct {
		by   func(r *gatetest.Rig) gate.Changing
		want *fault.Kind
	}{
		"nobody":      {func(*gatetest.Rig) gate.Changing { return gate.Changing{} }, fault.NotAdmitted},
		"the mailbox": {proven(func(r *gatetest.Rig) []credential.Proof { return []credential.Proof{mailbox(r)} }), fault.NotAdmitted},
		"the app":     {proven(func(r *gatetest.Rig) []credential.Proof { return []credential.Proof{r.CodeProof(amara)} }), fault.NotAdmitted},
		"mailbox and old password": {proven(func(r *gatetest.Rig) []credential.Proof {
			return []credential.Proof{mailbox(r), r.PasswordProof(amara)}
		}), fault.NotAdmitted},
		"mailbox and recovery code": {proven(func(r *gatetest.Rig) []credential.Proof {
			return []credential.Proof{mailbox(r), r.RecoveryProof(amara, r.RecoveryCodes(amara)[0])}
		}), fault.NotAdmitted},
		"mailbox and introduction": {proven(func(r *gatetest.Rig) []credential.Proof {
			return []credential.Proof{mailbox(r), r.Introduce("j", amara.UID, care.AuthenticatorApp)}
		}), fault.NotAdmitted},
		"another's mailbox and app": {proven(func(r *gatetest.Rig) []credential.Proof {
			return []credential.Proof{r.Mailbox("j", helen.UID, helen.Email), r.CodeProof(helen)}
		}), fault.NotAdmitted},
		"another's mailbox": {proven(func(r *gatetest.Rig) []credential.Proof {
			return []credential.Proof{r.Mailbox("j", helen.UID, helen.Email), r.CodeProof(amara)}
		}), fault.NotAdmitted},
		"the mailbox of an address that waits, and the app": {func(r *gatetest.Rig) gate.Changing {
			const to = care.Email("amara@new.example.nhs.uk")
			r.Write(func(tx *db.Tx) error { return person.SetPending(tx, amara.UID, to) })
			return gate.Changing{Proofs: []credential.Proof{r.Mailbox("pending", amara.UID, to), r.CodeProof(amara)}}
		}, fault.NotAdmitted},
		"the mailbox that was theirs until a moment ago, and the app": {func(r *gatetest.Rig) gate.Changing {
			const to = care.Email("amara@new.example.nhs.uk")
			before := mailbox(r)
			r.Write(func(tx *db.Tx) error {
				if err := person.SetPending(tx, amara.UID, to); err != nil {
					return err
				}
				_, err := person.Verify(tx, amara.UID, to)
				return err
			})
			amaraNow := amara
			amaraNow.Email = to
			return gate.Changing{Proofs: []credential.Proof{before, r.CodeProof(amaraNow)}}
		}, fault.NotAdmitted},
		"a proof that no verifier made": {proven(func(r *gatetest.Rig) []credential.Proof {
			return []credential.Proof{mailbox(r), {}}
		}), fault.Internal},
		"another's session": {func(r *gatetest.Rig) gate.Changing {
			s := r.SignIn(helen).Session
			return gate.Changing{Session: &s}
		}, fault.NotAdmitted},
		"a session that is over": {func(r *gatetest.Rig) gate.Changing {
			s := r.SignIn(amara).Session
			r.Clock.Later(time.Hour)
			return gate.Changing{Session: &s}
		}, fault.NotAdmitted},
		"a session that is not fresh": {func(r *gatetest.Rig) gate.Changing {
			s := r.SignIn(amara).Session
			r.Clock.Later(30*time.Minute + time.Second)
			return gate.Changing{Session: &s}
		}, fault.NotFresh},
		"the journey that registered it": {func(r *gatetest.Rig) gate.Changing {
			return gate.Changing{Journey: r.Held(amara.UID)[0].Journey}
		}, fault.NotAdmitted},
	} {
		t.Run(name, func(t *testing.T) {
			gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
				by := c.by(r)
				by.Change = newSecret(t, r)
				err := r.Gate.Change(t.Context(), by)
				if err == nil || fault.As(err).Kind != c.want {
					t.Errorf("Change: %v, want %s", err, c.want.Name)
				}
				if changedTo(t, r) {
					t.Error("the password was changed")
				}
			})
		})
	}
}

func proven(proofs func(r *gatetest.Rig) []credential.Proof) func(r *gatetest.Rig) gate.Changing {
	return func(r *gatetest.Rig) gate.Changing { return gate.Changing{Proofs: proofs(r)} }
}

func mailbox(r *gatetest.Rig) credential.Proof { return r.Mailbox("mailbox", amara.UID, amara.Email) }

func TestNothingIsChangedWithoutAUsableAuthenticator(t *testing.T) {
	for name, spoil := range map[string]func(tx *db.Tx, id string, now time.Time) error{
		"suspended": func(tx *db.Tx, id string, _ time.Time) error { return credential.Suspend(tx, id, "lost") },
		"removed":   func(tx *db.Tx, id string, _ time.Time) error { return credential.NewBinder().Remove(tx, id) },
		"closed": func(tx *db.Tx, _ string, now time.Time) error {
			return person.Close(tx, amara.UID, person.Closure{Reason: "left", At: now})
		},
	} {
		t.Run(name, func(t *testing.T) {
			gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
				in, change := r.SignIn(amara), newSecret(t, r)
				r.Write(func(tx *db.Tx) error { return spoil(tx, change.AuthenticatorID(), r.Clock.Now()) })
				err := r.Gate.Change(t.Context(), gate.Changing{Change: change, Session: &in.Session})
				if !fault.Has(err, fault.NotAdmitted) {
					t.Error(err)
				}
			})
		})
	}
}

func TestChangeThatNoVerifierMade(t *testing.T) {
	r := gatetest.Open(t)
	in := r.SignIn(amara)
	if err := r.Gate.Change(t.Context(), gate.Changing{Session: &in.Session}); err == nil {
		t.Error("something was changed")
	}
}

// TestRecoveryCodesOfTheRegistration: whoever has just registered gets codes
// without signing in, for twenty minutes.
func TestRecoveryCodesOfTheRegistration(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		record, err := r.Gate.Bind(t.Context(), introduced(r, "journey", owen))
		if err != nil {
			t.Fatal(err)
		}
		make := func(journey string) error {
			_, change, err := r.Recovery.Make(t.Context(), owen.UID, record.ID)
			if err != nil {
				t.Fatal(err)
			}
			return r.Gate.Change(t.Context(), gate.Changing{Change: change, Journey: journey})
		}
		left := func() (n int) {
			r.Read(func(tx *db.Tx) (err error) {
				n, err = recovery.Left(tx, owen.UID)
				return err
			})
			return n
		}
		if err := make("another journey"); !fault.Has(err, fault.NotAdmitted) || left() != 0 {
			t.Errorf("another journey: %v", err)
		}
		r.Clock.Later(20 * time.Minute)
		if err := make("journey"); err != nil || left() != 10 {
			t.Errorf("twenty minutes later: %v", err)
		}
		r.Clock.Later(time.Second)
		if err := make("journey"); !fault.Has(err, fault.NotAdmitted) {
			t.Errorf("more than twenty minutes later: %v", err)
		}
	})
}

// TestChangingTheAddress: both addresses are told (N22), and the new one signs
// in.
func TestChangingTheAddress(t *testing.T) {
	const to = care.Email("amara@new.example.nhs.uk")
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		in := r.SignIn(amara)
		r.Write(func(tx *db.Tx) error { return person.SetPending(tx, amara.UID, to) })
		proof := r.Mailbox("j", amara.UID, to)
		if err := r.Gate.ProveAddress(t.Context(), &in.Session, proof); err != nil {
			t.Fatal(err)
		}
		if p := r.Person(amara.UID); p.Email != to || p.Pending != "" {
			t.Errorf("sign-in address %q, pending %q", p.Email, p.Pending)
		}
		told := []care.Email{}
		for _, m := range r.Mails() {
			if m.Template != outbox.AddressChanged {
				t.Errorf("a mail %s", m.Template)
			}
			told = append(told, m.To)
		}
		if slices.Sort(told); !slices.Equal(told, []care.Email{amara.Email, to}) {
			t.Errorf("told %q", told)
		}
		if r.Alive(in.Token) == nil {
			t.Error("her session ended")
		}
		r.SignIn(gatetest.Who{UID: amara.UID, Email: to, Secret: amara.Secret})
		if err := r.Gate.ProveAddress(t.Context(), &in.Session, proof); !fault.Has(err, fault.MailCodeUsed) {
			t.Errorf("the same proof again: %v", err)
		}
	})
}

func TestWhoMayNotChangeAnAddress(t *testing.T) {
	const to = care.Email("amara@new.example.nhs.uk")
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		r.Write(func(tx *db.Tx) error { return person.SetPending(tx, amara.UID, to) })
		stale := r.SignIn(amara).Session
		r.Clock.Later(30*time.Minute + time.Second)
		own, helens := r.SignIn(amara).Session, r.SignIn(helen).Session
		good := r.Mailbox("j", amara.UID, to)
		for name, c := range map[string]struct {
			err  error
			want *fault.Kind
		}{
			"another's session": {r.Gate.ProveAddress(t.Context(), &helens, good), fault.NotAdmitted},
			"a stale session":   {r.Gate.ProveAddress(t.Context(), &stale, good), fault.NotFresh},
			"no mailbox":        {r.Gate.ProveAddress(t.Context(), &own, r.CodeProof(amara)), fault.NotAdmitted},
			"no proof":          {r.Gate.ProveAddress(t.Context(), &own, credential.Proof{}), fault.Internal},
			"an address that does not wait": {
				r.Gate.ProveAddress(t.Context(), &own, r.Mailbox("j2", amara.UID, "third@example.nhs.uk")), fault.Internal,
			},
		} {
			if c.err == nil || fault.As(c.err).Kind != c.want {
				t.Errorf("%s: %v", name, c.err)
			}
		}
		r.Write(func(tx *db.Tx) error {
			if err := person.SetPending(tx, helen.UID, to); err != nil {
				return err
			}
			_, err := person.Verify(tx, helen.UID, to)
			return err
		})
		if err := r.Gate.ProveAddress(t.Context(), &own, good); !fault.Has(err, fault.AddressTaken) {
			t.Errorf("an address that somebody else has verified: %v", err)
		}
		if p := r.Person(amara.UID); p.Email != amara.Email {
			t.Errorf("the address became %q", p.Email)
		}
	})
}
