package gate_test

import (
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/gate/gatetest"
	"carekey.dev/carekey/internal/person"
)

// introduced is a registration of an app by an RA's link.
func introduced(r *gatetest.Rig, journey string, who gatetest.Who) gate.Binding {
	enrolment, _ := r.NewApp(who.UID, who.Email)
	return gate.Binding{Journey: journey, Enrolment: enrolment, Proofs: []credential.Proof{
		r.Mailbox(journey, who.UID, who.Email), r.Introduce(journey, who.UID, care.AuthenticatorApp),
	}}
}

// bySession is a replacement of the app by a session.
func bySession(r *gatetest.Rig, journey string, who gatetest.Who, in gate.Admitted) gate.Binding {
	enrolment, _ := r.NewApp(who.UID, who.Email)
	return gate.Binding{
		Journey: journey, Enrolment: enrolment, Proofs: []credential.Proof{r.Mailbox(journey, who.UID, who.Email)},
		Session: &in.Session, Replaces: r.Held(who.UID)[0].ID,
	}
}

// refused fails the test unless err is a fault of kind and who holds the
// authenticators that they held.
func refused(t *testing.T, r *gatetest.Rig, who gatetest.Who, held []credential.Record, err error, kind *fault.Kind) {
	t.Helper()
	if err == nil || fault.As(err).Kind != kind {
		t.Errorf("%v, want %s", err, kind.Name)
	}
	now := r.Held(who.UID)
	if len(now) != len(held) || len(now) > 0 && now[0].ID != held[0].ID {
		t.Errorf("%s holds %+v, and had %+v", who.UID, now, held)
	}
	if n := r.Count(`audit_entry WHERE action = 'authenticator.registered' AND subject = $1`, who.UID); n != len(held) {
		t.Errorf("%d registrations are recorded", n)
	}
}

// TestWorkerRegistersWithTheirRA: decisions 4 and 5. The mailbox that was
// proven becomes the sign-in address of a person who has none, and the new app
// signs in.
func TestWorkerRegistersWithTheirRA(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		enrolment, secret := r.NewApp(owen.UID, owen.Email)
		b := gate.Binding{Journey: "j", Enrolment: enrolment, Proofs: []credential.Proof{
			r.Mailbox("j", owen.UID, owen.Email), r.Introduce("j", owen.UID, care.AuthenticatorApp),
		}}
		record, err := r.Gate.Bind(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		if held := r.Held(owen.UID); len(held) != 1 || held[0].ID != record.ID || held[0].Journey != "j" || held[0].Method != care.AuthenticatorApp {
			t.Errorf("Owen holds %+v", held)
		}
		if p := r.Person(owen.UID); p.Email != owen.Email || p.Pending != "" {
			t.Errorf("sign-in address %q, pending %q", p.Email, p.Pending)
		}
		r.SignIn(gatetest.Who{UID: owen.UID, Email: owen.Email, Secret: secret})
		if _, err := r.Gate.Bind(t.Context(), b); err == nil {
			t.Error("one journey registered twice")
		}
		if n := r.Count(`audit_entry WHERE action = 'authenticator.registered' AND subject = $1 AND fields LIKE '%registration authority%'`, owen.UID); n != 1 {
			t.Errorf("%d registrations are recorded", n)
		}
	})
}

// TestMailboxAndLinkAreNotEnough is the negative test of decision 4: whoever
// has the link and the mailbox, but no RA who confirms the number, gets
// nothing.
func TestMailboxAndLinkAreNotEnough(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		ctx := t.Context()
		token, err := r.Link.Create(ctx, owen.UID, care.AuthenticatorApp, "operator")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Link.Start(ctx, token, "j", "browser"); err != nil {
			t.Fatal(err)
		}
		enrolment, _ := r.NewApp(owen.UID, owen.Email)
		b := gate.Binding{Journey: "j", Enrolment: enrolment, Proofs: []credential.Proof{r.Mailbox("j", owen.UID, owen.Email)}}
		for range 2 { // before and after the number is on the screens
			if p, err := r.Link.Proof(ctx, "j"); !fault.Has(err, fault.LinkNotConfirmed) || p.Valid() {
				t.Errorf("an introduction without confirmation: %v", err)
			}
			_, err = r.Gate.Bind(ctx, b)
			refused(t, r, owen, nil, err, fault.NotAdmitted)
			if _, err := r.Link.Await(ctx, "j"); err != nil {
				t.Fatal(err)
			}
		}
		if p := r.Person(owen.UID); p.Email != "" {
			t.Errorf("the address became %q", p.Email)
		}
	})
}

// TestReplacingBySession: decision 6. New phone in, old phone out, in one
// transaction; the sessions of the old one end, but not the one that did it.
func TestReplacingBySession(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		other, own, helens := r.SignIn(amara), r.SignIn(amara), r.SignIn(helen)
		b := bySession(r, "j", amara, own)
		pending := admission(r.AppProof(amara))
		record, err := r.Gate.Bind(t.Context(), b)
		if err != nil {
			t.Fatal(err)
		}
		if held := r.Held(amara.UID); len(held) != 1 || held[0].ID != record.ID {
			t.Errorf("Amara holds %+v", held)
		}
		if s := r.Alive(own.Token); s == nil || s.AuthenticatorID != record.ID {
			t.Errorf("her own session: %+v", s)
		}
		if r.Alive(other.Token) != nil || r.Alive(helens.Token) == nil {
			t.Error("want the other session of the old phone ended, and nobody else's")
		}
		if n := r.Count(`app_credential WHERE uid = $1`, amara.UID); n != 1 {
			t.Errorf("%d apps are stored", n)
		}
		if _, err := r.Gate.SignIn(t.Context(), pending); err == nil {
			t.Error("a proof of the old phone signed in")
		}
	})
}

// TestReplacingIsOneTransaction: a replacement that cannot be finished leaves
// the old phone as it was.
func TestReplacingIsOneTransaction(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		in := r.SignIn(amara)
		held, b := r.Held(amara.UID), bySession(r, "j", amara, in)
		r.Write(func(tx *db.Tx) error { _, err := tx.Exec(`ALTER TABLE outbox RENAME TO elsewhere`); return err })
		_, err := r.Gate.Bind(t.Context(), b)
		refused(t, r, amara, held, err, fault.Internal)
		r.Write(func(tx *db.Tx) error { _, err := tx.Exec(`ALTER TABLE elsewhere RENAME TO outbox`); return err })
		if s := r.Alive(in.Token); s == nil || s.AuthenticatorID != held[0].ID {
			t.Errorf("the session: %+v", s)
		}
		r.SignIn(amara)
		if _, err := r.Gate.Bind(t.Context(), b); err != nil {
			t.Errorf("the same journey again: %v", err)
		}
	})
}

// TestLostPhone: password, recovery code and mailbox replace the app that the
// password belongs to (N21), and sign nobody in.
func TestLostPhone(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		codes, in := r.RecoveryCodes(amara), r.SignIn(amara)
		old := r.Held(amara.UID)[0]
		enrolment, secret := r.NewApp(amara.UID, amara.Email)
		record, err := r.Gate.Bind(t.Context(), gate.Binding{Journey: "j", Enrolment: enrolment, Replaces: old.ID, Proofs: []credential.Proof{
			r.Mailbox("j", amara.UID, amara.Email), r.PasswordProof(amara), r.RecoveryProof(amara, codes[3]),
		}})
		if err != nil {
			t.Fatal(err)
		}
		if held := r.Held(amara.UID); len(held) != 1 || held[0].ID != record.ID {
			t.Errorf("Amara holds %+v", held)
		}
		if r.Alive(in.Token) != nil {
			t.Error("a session of the lost phone lives")
		}
		r.SignIn(gatetest.Who{UID: amara.UID, Email: amara.Email, Secret: secret})
	})
}

// TestOneOfEachType: seed 0. A second one is refused, whoever stands behind it,
// unless it replaces the first.
func TestOneOfEachType(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		held := r.Held(amara.UID)
		b := introduced(r, "j", amara)
		_, err := r.Gate.Bind(t.Context(), b)
		refused(t, r, amara, held, err, fault.AlreadyRegistered)

		s := bySession(r, "j2", amara, r.SignIn(amara))
		s.Replaces = ""
		_, err = r.Gate.Bind(t.Context(), s)
		refused(t, r, amara, held, err, fault.AlreadyRegistered)

		s.Replaces = r.Held(helen.UID)[0].ID
		_, err = r.Gate.Bind(t.Context(), s)
		refused(t, r, amara, held, err, fault.AlreadyRegistered)

		b.Replaces = held[0].ID
		if _, err := r.Gate.Bind(t.Context(), b); err != nil {
			t.Errorf("replacing with an RA: %v", err)
		}
		if len(r.Held(helen.UID)) != 1 {
			t.Error("Helen's authenticator is gone")
		}
	})
}

func TestReplacingWhatIsNotThere(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		for _, id := range []string{"unknown", r.Held(helen.UID)[0].ID} {
			b := introduced(r, "j "+id, owen)
			b.Replaces = id
			_, err := r.Gate.Bind(t.Context(), b)
			refused(t, r, owen, nil, err, fault.NotAdmitted)
		}
	})
}

// TestBindingNeedsAFreshSession: ASVS 7.5.1. The journey begins within ten
// minutes of the sign-in and lives twenty.
func TestBindingNeedsAFreshSession(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		for _, age := range []time.Duration{30*time.Minute + time.Second, 30 * time.Minute} {
			in := r.SignIn(amara)
			r.Clock.Set(in.Session.AuthTime.Add(age))
			held := r.Held(amara.UID)
			_, err := r.Gate.Bind(t.Context(), bySession(r, "j"+age.String(), amara, in))
			if age > 30*time.Minute {
				refused(t, r, amara, held, err, fault.NotFresh)
			} else if err != nil {
				t.Errorf("after %v: %v", age, err)
			}
		}
	})
}

// TestBindingBySessionOfAnotherOrNobody: the session is read again by the gate.
func TestBindingBySessionOfAnotherOrNobody(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		in, helens, held := r.SignIn(amara), r.SignIn(helen), r.Held(amara.UID)
		b := bySession(r, "j", amara, in)
		b.Session = &helens.Session
		_, err := r.Gate.Bind(t.Context(), b)
		refused(t, r, amara, held, err, fault.NotAdmitted)

		pretending := helens.Session
		pretending.UID = amara.UID
		b.Session = &pretending
		_, err = r.Gate.Bind(t.Context(), b)
		refused(t, r, amara, held, err, fault.NotAdmitted)

		b.Session = &in.Session
		if err := r.Gate.ReportLost(t.Context(), &in.Session, held[0].ID); err != nil {
			t.Fatal(err)
		}
		_, err = r.Gate.Bind(t.Context(), b)
		refused(t, r, amara, held, err, fault.NotAdmitted)
	})
}

// TestMailboxOfAnAddressThatIsNotTheirs: only the sign-in address counts, or
// the pending one of a person who has none.
func TestMailboxOfAnAddressThatIsNotTheirs(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		b := introduced(r, "j", owen)
		introduction := b.Proofs[1]
		b.Proofs = []credential.Proof{r.Mailbox("j2", owen.UID, "somebody@example.nhs.uk"), introduction}
		_, err := r.Gate.Bind(t.Context(), b)
		refused(t, r, owen, nil, err, fault.NotAdmitted)

		// Amara wants another address. It signs nobody in until she has proven it
		// by a session, so it does not help a registration.
		r.Write(func(tx *db.Tx) error { return person.SetPending(tx, amara.UID, "amara@new.example.nhs.uk") })
		held := r.Held(amara.UID)
		s := bySession(r, "j3", amara, r.SignIn(amara))
		s.Proofs = []credential.Proof{r.Mailbox("j4", amara.UID, "amara@new.example.nhs.uk")}
		_, err = r.Gate.Bind(t.Context(), s)
		refused(t, r, amara, held, err, fault.NotAdmitted)
		if p := r.Person(amara.UID); p.Email != amara.Email {
			t.Errorf("the address became %q", p.Email)
		}
	})
}

// TestAddressThatSomebodyElseHasVerified: one sign-in address for each identity
// (decision 24).
func TestAddressThatSomebodyElseHasVerified(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		b := introduced(r, "j", owen)
		r.Write(func(tx *db.Tx) error {
			if err := person.SetPending(tx, helen.UID, owen.Email); err != nil {
				return err
			}
			_, err := person.Verify(tx, helen.UID, owen.Email)
			return err
		})
		_, err := r.Gate.Bind(t.Context(), b)
		refused(t, r, owen, nil, err, fault.AddressTaken)
	})
}

func TestWhatDoesNotBelongTogetherBindsNothing(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		helens, _ := r.NewApp(helen.UID, helen.Email)
		good := introduced(r, "j", owen)
		for name, change := range map[string]func(b *gate.Binding){
			"another person's app": func(b *gate.Binding) { b.Enrolment = helens },
			"no app":               func(b *gate.Binding) { b.Enrolment = credential.Enrolment{} },
			"no mailbox":           func(b *gate.Binding) { b.Proofs = b.Proofs[1:] },
			"no introduction":      func(b *gate.Binding) { b.Proofs = b.Proofs[:1] },
			"nothing":              func(b *gate.Binding) { b.Proofs = nil },
			"no journey":           func(b *gate.Binding) { b.Journey = "" },
			"another type's link": func(b *gate.Binding) {
				b.Proofs = []credential.Proof{b.Proofs[0], r.Introduce("j5", owen.UID, care.Passkey)}
			},
			"another person's link": func(b *gate.Binding) {
				b.Proofs = []credential.Proof{b.Proofs[0], r.Introduce("j6", amara.UID, care.AuthenticatorApp)}
			},
			"another person's post": func(b *gate.Binding) {
				b.Proofs = []credential.Proof{r.Mailbox("j7", amara.UID, owen.Email), b.Proofs[1]}
			},
		} {
			b := good
			change(&b)
			_, err := r.Gate.Bind(t.Context(), b)
			if err == nil || fault.As(err).Kind != fault.NotAdmitted {
				t.Errorf("%s: %v", name, err)
			}
		}
		refused(t, r, owen, nil, fault.New(fault.NotAdmitted, nil), fault.NotAdmitted)
		if _, err := r.Gate.Bind(t.Context(), good); err != nil {
			t.Errorf("what belongs together: %v", err)
		}
	})
}

func TestClosedPersonRegistersNothing(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		b := introduced(r, "j", owen)
		r.Write(func(tx *db.Tx) error {
			return person.Close(tx, owen.UID, person.Closure{Reason: "left", At: r.Clock.Now()})
		})
		_, err := r.Gate.Bind(t.Context(), b)
		refused(t, r, owen, nil, err, fault.NotAdmitted)
	})
}
