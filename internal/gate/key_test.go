package gate_test

import (
	"testing"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/fido"
	"carekey.dev/carekey/internal/credential/fido/fidotest"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/gate/gatetest"
	"carekey.dev/carekey/internal/outbox"
)

// enter signs in by a key, for whatever level it reaches.
func enter(t *testing.T, r *gatetest.Rig, key *fidotest.Key, method care.Method) (gate.Admitted, error) {
	t.Helper()
	return r.Gate.SignIn(t.Context(), gate.Admission{
		Proofs: []credential.Proof{r.KeyProof(key, method)}, Requirement: gatetest.Anything(), Terms: "2026-10",
	})
}

// TestAKeyOpensASessionOfWhatItHasShown: an RA's link sets no limit; a key that
// may be synced is AAL2 by whomever it was bound (N8).
func TestAKeyOpensASessionOfWhatItHasShown(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		for method, c := range map[care.Method]struct {
			key  *fidotest.Key
			want care.AAL
		}{
			care.SecurityKey:  {fidotest.New(gatetest.Base), care.AAL3},
			care.WindowsHello: {fidotest.NewPlatform(gatetest.Base), care.AAL3},
			care.Passkey:      {fidotest.NewSynced(gatetest.Base), care.AAL2},
		} {
			record := r.Key(gatetest.Amara, method, c.key)
			in, err := enter(t, r, c.key, method)
			if err != nil || in.Session.AAL != c.want || in.Session.Method != method || in.Session.AuthenticatorID != record.ID {
				t.Errorf("%s: %+v, %v", method, in.Session, err)
			}
		}
	})
}

// TestAKeyWithoutItsUserVerifiedOpensNothing: it is a single factor.
func TestAKeyWithoutItsUserVerifiedOpensNothing(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		key := fidotest.New(gatetest.Base)
		r.Key(gatetest.Amara, care.SecurityKey, key)
		key.UserVerified = false
		if _, err := enter(t, r, key, care.SecurityKey); !fault.Has(err, fault.FIDONotVerified) {
			t.Errorf("got %v", err)
		}
		if n := r.Count("session"); n != 0 {
			t.Errorf("%d sessions", n)
		}
	})
}

// TestAKeyOfARevokedModelIsNothingToSignInWith: whoever has another may remove
// the key, and not the other (decision 3).
func TestAKeyOfARevokedModelIsNothingToSignInWith(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		phone := r.Held(amara.UID)[0].ID
		key := r.Key(gatetest.Amara, care.SecurityKey, fidotest.New(gatetest.Base)).ID
		in := r.SignIn(amara)
		r.Revoke()
		if err := r.Gate.Remove(t.Context(), &in.Session, phone); !fault.Has(err, fault.LastAuthenticator) {
			t.Errorf("the phone: %v", err)
		}
		if err := r.Gate.Remove(t.Context(), &in.Session, key); err != nil {
			t.Errorf("the key: %v", err)
		}
	})
}

// TestAKeyBoundBySessionCountsForThatSession: record 0050, and it binds no more
// by itself than it counts for.
func TestAKeyBoundBySessionCountsForThatSession(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		first, second := fidotest.New(gatetest.Base), fidotest.NewPlatform(gatetest.Base)
		s := r.SignIn(gatetest.Amara).Session
		for i, c := range []struct {
			key    *fidotest.Key
			method care.Method
		}{{first, care.SecurityKey}, {second, care.WindowsHello}} {
			journey := []string{"one", "two"}[i]
			_, err := r.Gate.Bind(t.Context(), gate.Binding{
				Journey: journey, Enrolment: r.Enrol(gatetest.Amara, c.method, c.key), Session: &s,
				Proofs: []credential.Proof{r.Mailbox(journey, gatetest.Amara.UID, gatetest.Amara.Email)},
			})
			if err != nil {
				t.Fatal(err)
			}
			in, err := enter(t, r, c.key, c.method)
			if err != nil || in.Session.AAL != care.AAL2 {
				t.Fatalf("%s: %s, %v", c.method, in.Session.AAL, err)
			}
			s = in.Session
		}
		r.Read(func(tx *db.Tx) error {
			all, err := fido.Of(tx, gatetest.Amara.UID)
			for _, k := range all {
				if k.Level != care.AAL2 {
					t.Errorf("%s counts for %s", k.AuthenticatorID, k.Level)
				}
			}
			return err
		})
	})
}

// TestACopiedKeyIsSuspendedItsSessionsEndAndItsHolderIsTold: record 0051,
// decision 7, N22.
func TestACopiedKeyIsSuspendedItsSessionsEndAndItsHolderIsTold(t *testing.T) {
	gatetest.Each(t, func(t *testing.T, r *gatetest.Rig) {
		key := fidotest.New(gatetest.Base)
		record := r.Key(gatetest.Amara, care.SecurityKey, key)
		stolen := key.Copy()
		in, err := enter(t, r, key, care.SecurityKey)
		if err != nil {
			t.Fatal(err)
		}
		byApp := r.SignIn(gatetest.Amara)
		c, err := r.FIDO.BeginSignIn(t.Context(), []care.Method{care.SecurityKey}, "", "browser")
		if err != nil {
			t.Fatal(err)
		}
		response, err := stolen.Get(c.Options)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.FIDO.FinishSignIn(t.Context(), c.Sealed, "browser", response); !fault.Has(err, fault.FIDOCounterBack) {
			t.Fatalf("got %v", err)
		}
		for _, held := range r.Held(gatetest.Amara.UID) {
			if held.SuspendedAt.IsZero() == (held.ID == record.ID) {
				t.Errorf("%s suspended at %s", held.Method, held.SuspendedAt)
			}
		}
		if r.Alive(in.Token) != nil || r.Alive(byApp.Token) == nil {
			t.Error("want the sessions of the copied key ended, and no other")
		}
		if n := r.Count("audit_entry WHERE action = 'authenticator.suspended' AND actor = 'system'"); n != 1 { // whoever sent it
			t.Errorf("%d audit entries", n)
		}
		r.Mail(gatetest.Amara.Email, outbox.AuthenticatorSuspended)
	})
}
