package gate_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/gate/gatetest"
	"carekey.dev/carekey/internal/session"
)

// What somebody can have proven, in the order in which it can be used: a code
// of the app alone comes after one with the password.
var provable = []string{"mailbox", "introduced", "introduced for a passkey", "password", "password and code", "code", "recovery code"}

// asked is a registration in the place of Amara's app.
type asked struct {
	Proven   []string
	Session  string // "none", "fresh", "stale", "Helen's"
	Replaces bool
}

// allowed is the rule in words of its own: the doc comment of gate.Binding.
func (a asked) allowed() bool {
	has := func(what string) bool { return slices.Contains(a.Proven, what) }
	switch {
	case !has("mailbox") || !a.Replaces: // she holds an app, and may hold one
		return false
	case a.Session != "none":
		return a.Session == "fresh"
	case has("introduced"):
		return true
	}
	return (has("password") || has("password and code")) && has("recovery code")
}

// bench holds every proof of Amara's, made once. What the gate refuses is not
// used up, so it serves until something is bound.
type bench struct {
	*gatetest.Rig
	proofs    map[string]credential.Proof
	sessions  map[string]*session.Session
	enrolment credential.Enrolment
	app       string
}

func newBench(t *testing.T) *bench {
	r := gatetest.Open(t)
	b := &bench{Rig: r, proofs: map[string]credential.Proof{}, sessions: map[string]*session.Session{"none": nil}}
	b.app = r.Held(amara.UID)[0].ID
	codes, stale := r.RecoveryCodes(amara), r.SignIn(amara)
	r.Clock.Later(31 * time.Minute)
	fresh, helens := r.SignIn(amara), r.SignIn(helen)
	b.sessions["stale"], b.sessions["fresh"], b.sessions["Helen's"] = &stale.Session, &fresh.Session, &helens.Session
	b.proofs["password and code"], b.proofs["code"] = r.AppProof(amara), r.CodeProof(amara)
	b.proofs["password"] = r.PasswordProof(amara)
	b.proofs["recovery code"] = r.RecoveryProof(amara, codes[0])
	b.proofs["mailbox"] = r.Mailbox("mail", amara.UID, amara.Email)
	b.proofs["introduced"] = r.Introduce("link", amara.UID, care.AuthenticatorApp)
	b.proofs["introduced for a passkey"] = r.Introduce("passkey", amara.UID, care.Passkey)
	b.enrolment, _ = r.NewApp(amara.UID, amara.Email)
	return b
}

func (b *bench) bind(t *testing.T, a asked) error {
	binding := gate.Binding{Journey: "j", Enrolment: b.enrolment, Session: b.sessions[a.Session]}
	if a.Replaces {
		binding.Replaces = b.app
	}
	for _, what := range provable {
		if slices.Contains(a.Proven, what) {
			binding.Proofs = append(binding.Proofs, b.proofs[what])
		}
	}
	_, err := b.Gate.Bind(t.Context(), binding)
	return err
}

// TestOnlyTheAllowedSetsOfProofsBind: whatever somebody has proven, only what
// the gate names binds, and nothing that comes with it opens or closes more.
func TestOnlyTheAllowedSetsOfProofsBind(t *testing.T) {
	b := newBench(t)
	bound := 0
	rapid.Check(t, func(rt *rapid.T) {
		a := asked{
			Session:  rapid.SampledFrom([]string{"none", "none", "fresh", "stale", "Helen's"}).Draw(rt, "session"),
			Replaces: rapid.Bool().Draw(rt, "replaces"),
		}
		for _, what := range provable {
			if rapid.Bool().Draw(rt, what) {
				a.Proven = append(a.Proven, what)
			}
		}
		err := b.bind(t, a)
		if (err == nil) != a.allowed() {
			rt.Fatalf("%+v: %v, want bound: %t", a, err, a.allowed())
		}
		if err == nil {
			bound++
			b = newBench(t)
			return
		}
		if kind := fault.As(err).Kind; kind == fault.Internal {
			rt.Fatalf("%+v: no sentence for the person: %v", a, err)
		}
		if held := b.Held(amara.UID); len(held) != 1 || held[0].ID != b.app {
			rt.Fatalf("%+v was refused and changed %+v", a, held)
		}
	})
	if bound == 0 {
		t.Error("nothing was ever bound: the property holds emptily")
	}
}

// TestEachAllowedSetBinds tries the smallest sets of each kind, so that the
// property above does not depend on luck.
func TestEachAllowedSetBinds(t *testing.T) {
	for _, a := range []asked{
		{[]string{"mailbox"}, "fresh", true},
		{[]string{"mailbox", "introduced"}, "none", true},
		{[]string{"mailbox", "password", "recovery code"}, "none", true},
		{[]string{"mailbox", "password and code", "recovery code"}, "none", true},
		{provable, "none", true},
		{provable, "fresh", true},
	} {
		t.Run(fmt.Sprint(a), func(t *testing.T) {
			if !a.allowed() {
				t.Fatal("the rule of this test forbids it")
			}
			if err := newBench(t).bind(t, a); err != nil {
				t.Error(err)
			}
		})
	}
}
