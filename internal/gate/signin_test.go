package gate_test

import (
	"fmt"
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

var amara, helen, owen = gatetest.Amara, gatetest.Helen, gatetest.Owen

const live = `session WHERE ended_at = 0`

// admission asks for a session of any level by any method.
func admission(proofs ...credential.Proof) gate.Admission {
	return gate.Admission{Proofs: proofs, Requirement: gatetest.Anything(), Terms: "2026-10"}
}

func TestSignInOpensASessionAndRecordsIt(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		in, err := r.Gate.SignIn(t.Context(), admission(r.AppProof(amara)))
		if err != nil {
			t.Fatal(err)
		}
		record := r.Held(amara.UID)[0]
		s := r.Alive(in.Token)
		if s == nil || s.UID != amara.UID || s.AAL != care.AAL2 || s.Method != care.AuthenticatorApp ||
			s.AuthenticatorID != record.ID || s.Terms != "2026-10" || s.SID != in.Session.SID || !s.AuthTime.Equal(r.Clock.Now()) {
			t.Fatalf("session %+v", s)
		}
		if !record.LastUsed.Equal(r.Clock.Now()) {
			t.Errorf("the authenticator was last used %v", record.LastUsed)
		}
		var action, session, subject, fields string
		r.Read(func(tx *db.Tx) error {
			return tx.Row(`SELECT action, session, subject, fields FROM audit_entry WHERE action LIKE 'session.%'`).
				Scan(&action, &session, &subject, &fields)
		})
		if action != "session.opened" || session != s.SID || subject != string(amara.UID) {
			t.Errorf("audit: %s of %s in %s: %s", action, subject, session, fields)
		}
	})
}

// TestSignInReplacesTheSessionBefore: a new sign-in always gets a new token, and
// the old one is worth nothing (ASVS 7.2.4). The name that relying parties know
// stays.
func TestSignInReplacesTheSessionBefore(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		before, elsewhere := r.SignIn(amara), r.SignIn(amara)
		again := admission(r.AppProof(amara))
		again.Previous = before.Token
		in, err := r.Gate.SignIn(t.Context(), again)
		if err != nil {
			t.Fatal(err)
		}
		if in.Token == before.Token {
			t.Error("the token was used again")
		}
		if in.Session.SID != before.Session.SID {
			t.Error("relying parties know the session by another name now")
		}
		if r.Alive(before.Token) != nil || r.Alive(elsewhere.Token) == nil || r.Alive(in.Token) == nil {
			t.Error("want the old session of this browser ended, and no other")
		}
	})
}

// refusals are sign-ins that the gate must not let in.
var refusals = map[string]struct {
	ask  func(r *gatetest.Rig) gate.Admission
	want *fault.Kind
}{
	"closed meanwhile": {func(r *gatetest.Rig) gate.Admission {
		a := admission(r.AppProof(amara))
		r.Write(func(tx *db.Tx) error {
			return person.Close(tx, amara.UID, person.Closure{Reason: "left", At: r.Clock.Now()})
		})
		return a
	}, fault.NotAdmitted},
	"suspended meanwhile": {func(r *gatetest.Rig) gate.Admission {
		return changed(r, func(tx *db.Tx, id string) error { return credential.Suspend(tx, id, "lost") })
	}, fault.NotAdmitted},
	"disabled meanwhile": {func(r *gatetest.Rig) gate.Admission {
		return changed(r, func(tx *db.Tx, id string) error { _, err := credential.Disable(tx, id); return err })
	}, fault.NotAdmitted},
	"changed meanwhile": {func(r *gatetest.Rig) gate.Admission { return changed(r, credential.Changed) }, fault.NotAdmitted},
	"removed meanwhile": {func(r *gatetest.Rig) gate.Admission {
		return changed(r, func(tx *db.Tx, id string) error { return credential.NewBinder().Remove(tx, id) })
	}, fault.NotAdmitted},
	"proofs of two people": {func(r *gatetest.Rig) gate.Admission {
		return admission(r.AppProof(amara), r.Mailbox("j", helen.UID, helen.Email))
	}, fault.NotAdmitted},
	"password and code of two people": {func(r *gatetest.Rig) gate.Admission {
		return admission(r.CodeProof(amara), r.PasswordProof(helen))
	}, fault.NotAdmitted},
	"a mailbox of nobody and somebody": {func(r *gatetest.Rig) gate.Admission {
		return admission(r.Mailbox("j", "", "stranger@example.nhs.uk"), r.AppProof(amara))
	}, fault.NotAdmitted},
	"a proof that no verifier made": {func(r *gatetest.Rig) gate.Admission {
		return admission(r.AppProof(amara), credential.Proof{})
	}, fault.Internal},
	"nothing": {func(*gatetest.Rig) gate.Admission { return admission() }, fault.NotAdmitted},
	"a mailbox": {func(r *gatetest.Rig) gate.Admission {
		return admission(r.Mailbox("j", amara.UID, amara.Email))
	}, fault.LevelTooLow},
	"a mailbox and an introduction": {func(r *gatetest.Rig) gate.Admission {
		return admission(r.Mailbox("j", amara.UID, amara.Email), r.Introduce("j", amara.UID, care.AuthenticatorApp))
	}, fault.LevelTooLow},
	"a password": {func(r *gatetest.Rig) gate.Admission { return admission(r.PasswordProof(amara)) }, fault.LevelTooLow},
	"a password and a mailbox": {func(r *gatetest.Rig) gate.Admission {
		return admission(r.PasswordProof(amara), r.Mailbox("j", amara.UID, amara.Email))
	}, fault.LevelTooLow},
	"a code and a mailbox": {func(r *gatetest.Rig) gate.Admission {
		return admission(r.CodeProof(amara), r.Mailbox("j", amara.UID, amara.Email))
	}, fault.LevelTooLow},
	"a password and a recovery code": {func(r *gatetest.Rig) gate.Admission {
		codes := r.RecoveryCodes(amara)
		return admission(r.PasswordProof(amara), r.RecoveryProof(amara, codes[0]), r.Mailbox("j", amara.UID, amara.Email))
	}, fault.LevelTooLow},
	"the app where AAL3 is asked for": {func(r *gatetest.Rig) gate.Admission {
		a := admission(r.AppProof(amara))
		a.Requirement.ACR = care.AAL3Any
		return a
	}, fault.LevelTooLow},
	"the app where nobody knows what is asked for": {func(r *gatetest.Rig) gate.Admission {
		a := admission(r.AppProof(amara))
		a.Requirement.ACR = ""
		return a
	}, fault.LevelTooLow},
	"a method that the service does not accept": {func(r *gatetest.Rig) gate.Admission {
		a := admission(r.AppProof(amara))
		a.Requirement.Methods = []care.Method{care.Smartcard, care.Passkey}
		return a
	}, fault.NotAdmitted},
	"a proof that waited too long": {func(r *gatetest.Rig) gate.Admission {
		a := admission(r.AppProof(amara))
		r.Clock.Later(20*time.Minute + time.Second)
		return a
	}, fault.JourneyExpired},
	"an old proof beside a new one": {func(r *gatetest.Rig) gate.Admission {
		old := r.Mailbox("j", amara.UID, amara.Email)
		r.Clock.Later(19*time.Minute + 40*time.Second)
		return admission(r.AppProof(amara), old)
	}, fault.JourneyExpired},
}

// changed is a sign-in whose authenticator changes between proof and gate.
func changed(r *gatetest.Rig, change func(tx *db.Tx, id string) error) gate.Admission {
	a, id := admission(r.AppProof(amara)), r.Held(amara.UID)[0].ID
	r.Write(func(tx *db.Tx) error { return change(tx, id) })
	return a
}

// TestGateRefuses: nothing is opened, ended or recorded, and the code is not
// used up.
func TestGateRefuses(t *testing.T) {
	for name, c := range refusals {
		t.Run(name, func(t *testing.T) {
			gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
				before := r.SignIn(helen)
				a := c.ask(r)
				a.Previous = before.Token
				sessions, step := r.Count("session"), lastStep(r)
				_, err := r.Gate.SignIn(t.Context(), a)
				if err == nil || fault.As(err).Kind != c.want {
					t.Errorf("SignIn: %v, want %s", err, c.want.Name)
				}
				if n := r.Count("session"); n != sessions {
					t.Errorf("%d sessions more", n-sessions)
				}
				if n := r.Count(`audit_entry WHERE action = 'session.opened' AND subject = $1`, amara.UID); n != r.Count(`session WHERE uid = $1`, amara.UID) {
					t.Errorf("%d sign-ins were recorded", n)
				}
				if r.Alive(before.Token) == nil {
					t.Error("the session before was ended")
				}
				if lastStep(r) != step {
					t.Error("the code was used up")
				}
			})
		})
	}
}

func lastStep(r *gatetest.Rig) (step int64) {
	r.Read(func(tx *db.Tx) error {
		return tx.Row(`SELECT COALESCE(MAX(last_step), 0) FROM app_credential WHERE uid = $1`, amara.UID).Scan(&step)
	})
	return step
}

func TestProofWaitsTwentyMinutesForTheGate(t *testing.T) {
	r := gatetest.Open(t)
	a := admission(r.AppProof(amara))
	r.Clock.Later(20 * time.Minute)
	if _, err := r.Gate.SignIn(t.Context(), a); err != nil {
		t.Error(err)
	}
}

// TestProofOpensOneSession: N16, ASVS 6.5.1.
func TestProofOpensOneSession(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		a := admission(r.AppProof(amara))
		if _, err := r.Gate.SignIn(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Gate.SignIn(t.Context(), a); !fault.Has(err, fault.AppCodeUsed) {
			t.Errorf("the second time: %v", err)
		}
		if n := r.Count(live); n != 1 {
			t.Errorf("%d sessions", n)
		}
	})
}

// TestNoSessionWithoutItsAuditEntry: the entry and the session commit together
// (decision 19). When the log cannot be written nobody gets in, and the code is
// as good as before.
func TestNoSessionWithoutItsAuditEntry(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		a := admission(r.AppProof(amara))
		rename := func(from, to string) {
			r.Write(func(tx *db.Tx) error {
				_, err := tx.Exec(fmt.Sprintf(`ALTER TABLE %s RENAME TO %s`, from, to))
				return err
			})
		}
		rename("audit_entry", "audit_elsewhere")
		if _, err := r.Gate.SignIn(t.Context(), a); err == nil {
			t.Error("signed in without an audit entry")
		}
		if n := r.Count("session"); n != 0 {
			t.Errorf("%d sessions", n)
		}
		rename("audit_elsewhere", "audit_entry")
		if _, err := r.Gate.SignIn(t.Context(), a); err != nil {
			t.Errorf("with the log again: %v", err)
		}
	})
}
