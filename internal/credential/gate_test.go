package credential_test

import (
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/internal/proof"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/gate/gatetest"
	"carekey.dev/carekey/internal/session"
)

// The tests of this file hold the gate to its rules for what no verifier makes
// yet: authenticators of AAL3, and evidence of every kind. They stand here
// because nobody else can make a proof.

// key is the evidence of a security key that is bound to its device.
var key = care.Evidence{Method: care.SecurityKey, Key: true, PhishingResistant: true, DeviceBound: true, UserVerified: true}

func ofType(method care.Method) credential.Enrolment {
	return proof.NewEnrolment(proof.EnrolmentFields{
		UID: amara, Method: method, Name: method.TypeLabel(), Store: func(*db.Tx, string, care.AAL) error { return nil },
	})
}

// register binds an authenticator past the gate and returns its record.
func register(r *gatetest.Rig, method care.Method) (record credential.Record) {
	r.Write(func(tx *db.Tx) (err error) {
		record, err = credential.NewBinder().Bind(tx, "a "+string(method), "its journey "+string(method), ofType(method), care.AAL3)
		return err
	})
	return record
}

func proofBy(r *gatetest.Rig, record credential.Record, e care.Evidence) credential.Proof {
	return proof.New(proof.Fields{UID: record.UID, AuthenticatorID: record.ID, Version: record.Version, Evidence: e, At: r.Clock.Now()})
}

func admission(acr care.ACR, proofs ...credential.Proof) gate.Admission {
	return gate.Admission{Proofs: proofs, Requirement: care.Requirement{ACR: acr, Methods: care.Methods()}, Terms: "2026-10"}
}

// TestNothingCountsForMoreThanWhatStoodBehindItsBinding: N6, N23, and record
// 0050. A session binds what counts for its own level at most; a session of
// AAL3 and an RA set no limit.
func TestNothingCountsForMoreThanWhatStoodBehindItsBinding(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		low := r.SignIn(gatetest.Amara).Session
		record := register(r, care.SecurityKey)
		high, err := r.Gate.SignIn(t.Context(), admission(care.AAL3Any, proofBy(r, record, key)))
		if err != nil {
			t.Fatal(err)
		}
		r.Write(func(tx *db.Tx) error { return credential.NewBinder().Remove(tx, record.ID) })
		device := care.Evidence{Key: true, PhishingResistant: true, DeviceBound: true, UserVerified: true}
		synced := care.Evidence{Key: true, PhishingResistant: true, UserVerified: true}
		for i, step := range []struct {
			method   care.Method
			evidence care.Evidence
			by       *session.Session
			want     care.AAL
		}{
			{care.Passkey, device, &low, care.AAL2},
			{care.IPadApp, synced, &low, care.AAL2},
			{care.NHSmail, care.Evidence{Federated: true}, &high.Session, care.AAL2},
			{care.WindowsHello, device, &high.Session, care.AAL3},
			{care.Smartcard, device, nil, care.AAL3},
			{care.SecurityKey, synced, nil, care.AAL2},
		} {
			limit := care.AALNone
			journey := "j" + strconv.Itoa(i)
			proofs := []credential.Proof{r.Mailbox(journey, amara, gatetest.Amara.Email)}
			if step.by == nil {
				proofs = append(proofs, r.Introduce(journey, amara, step.method))
			}
			step.evidence.Method = step.method
			_, err := r.Gate.Bind(t.Context(), gate.Binding{
				Journey: journey, Session: step.by, Proofs: proofs,
				Enrolment: proof.NewEnrolment(proof.EnrolmentFields{
					UID: amara, Method: step.method, Name: "x", Evidence: step.evidence,
					Store: func(_ *db.Tx, _ string, l care.AAL) error { limit = l; return nil },
				}),
			})
			if err != nil || limit != step.want {
				t.Errorf("%s: limit %s, want %s: %v", step.method, limit, step.want, err)
			}
		}
	})
}

// TestRecoveryNeverRaisesALevel: decision 6. What reaches AAL3 comes back by an
// RA only (N21), whatever was proven.
func TestRecoveryNeverRaisesALevel(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		record := register(r, care.SecurityKey)
		password := care.Evidence{Method: care.SecurityKey, Password: true}
		_, err := r.Gate.Bind(t.Context(), gate.Binding{
			Journey: "j", Enrolment: ofType(care.SecurityKey), Replaces: record.ID, Proofs: []credential.Proof{
				r.Mailbox("j", amara, gatetest.Amara.Email), proofBy(r, record, password),
				proof.New(proof.Fields{UID: amara, Evidence: care.Evidence{RecoveryCode: true}, At: r.Clock.Now()}),
			},
		})
		if !fault.Has(err, fault.NotAdmitted) {
			t.Errorf("a security key by a recovery code: %v", err)
		}
	})
}

// TestRecoveryReplacesTheAuthenticatorOfItsPassword, and no other of the type.
func TestRecoveryReplacesTheAuthenticatorOfItsPassword(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		second := register(r, care.AuthenticatorApp)
		codes := r.RecoveryCodes(gatetest.Amara)
		enrolment, _ := r.NewApp(amara, gatetest.Amara.Email)
		_, err := r.Gate.Bind(t.Context(), gate.Binding{
			Journey: "j", Enrolment: enrolment, Replaces: second.ID, Proofs: []credential.Proof{
				r.Mailbox("j", amara, gatetest.Amara.Email), r.PasswordProof(gatetest.Amara), r.RecoveryProof(gatetest.Amara, codes[0]),
			},
		})
		if !fault.Has(err, fault.NotAdmitted) {
			t.Error(err)
		}
	})
}

// TestChangingASecretNeedsItsLevel: a session of the app changes nothing of an
// authenticator that reaches AAL3.
func TestChangingASecretNeedsItsLevel(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		low, record := r.SignIn(gatetest.Amara).Session, register(r, care.SecurityKey)
		stored := false
		change := proof.NewChange(proof.ChangeFields{
			UID: amara, AuthenticatorID: record.ID, What: credential.Password, Store: func(*db.Tx) error { stored = true; return nil },
		})
		err := r.Gate.Change(t.Context(), gate.Changing{Change: change, Session: &low})
		if !fault.Has(err, fault.LevelTooLow) || stored {
			t.Errorf("stored: %t, %v", stored, err)
		}
	})
}

// TestSessionIsWorthWhatItsAuthenticatorHasShown: N6. Whatever the evidence, a
// session has the level that it reaches and is opened only if that is enough;
// evidence of two authenticators never adds up.
func TestSessionIsWorthWhatItsAuthenticatorHasShown(t *testing.T) {
	r := gatetest.Open(t)
	app, record := r.Held(amara)[0], register(r, care.SecurityKey)
	acrs := map[care.ACR]care.AAL{care.AAL3Any: care.AAL3, care.AAL2OrAAL3Any: care.AAL2}
	rapid.Check(t, func(rt *rapid.T) {
		flag := func(name string) bool { return rapid.Bool().Draw(rt, name) }
		e := care.Evidence{
			Method: care.SecurityKey, Password: flag("password"), TypedCode: flag("code"), Key: flag("key"),
			PhishingResistant: flag("phishing resistant"), DeviceBound: flag("device bound"), UserVerified: flag("user verified"),
			Federated: flag("federated"), Mailbox: flag("mailbox"), Introduced: flag("introduced"), RecoveryCode: flag("recovery code"),
		}
		acr := rapid.SampledFrom([]care.ACR{care.AAL3Any, care.AAL2OrAAL3Any}).Draw(rt, "acr")
		proofs := []credential.Proof{proofBy(r, record, e)}
		two := flag("and the app")
		if two {
			proofs = append(proofs, proofBy(r, app, care.Evidence{Method: care.AuthenticatorApp, Password: true, TypedCode: true}))
		}
		in, err := r.Gate.SignIn(t.Context(), admission(acr, proofs...))
		if want := !two && care.Level(e) >= acrs[acr]; (err == nil) != want {
			rt.Fatalf("%+v for %s, two: %t: %v", e, acr, two, err)
		}
		if err == nil && (in.Session.AAL != care.Level(e) || in.Session.Method != care.SecurityKey) {
			rt.Fatalf("%+v opened %s by %s", e, in.Session.AAL, in.Session.Method)
		}
	})
}

// TestFaultOfAProofsUseComesThrough, and undoes what other proofs have used.
func TestFaultOfAProofsUseComesThrough(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		record := register(r, care.SecurityKey)
		spent := proof.New(proof.Fields{
			UID: amara, Evidence: care.Evidence{Mailbox: true}, At: r.Clock.Now(),
			Consume: func(*db.Tx) error { return fault.New(fault.MailCodeUsed, nil) },
		})
		good := r.Mailbox("j", amara, gatetest.Amara.Email)
		_, err := r.Gate.SignIn(t.Context(), admission(care.AAL3Any, proofBy(r, record, key), good, spent))
		if !fault.Has(err, fault.MailCodeUsed) {
			t.Errorf("SignIn: %v", err)
		}
		if _, err := r.Gate.SignIn(t.Context(), admission(care.AAL3Any, proofBy(r, record, key), good)); err != nil {
			t.Errorf("the other proofs again: %v", err)
		}
	})
}
