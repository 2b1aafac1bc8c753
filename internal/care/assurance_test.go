package care_test

import (
	"testing"

	"pgregory.net/rapid"

	"carekey.dev/carekey/internal/care"
)

// bits makes every combination of what a proof can show.
func bits(n int) care.Evidence {
	on := func(i int) bool { return n&(1<<i) != 0 }
	return care.Evidence{
		Password: on(0), TypedCode: on(1), Key: on(2), PhishingResistant: on(3), DeviceBound: on(4), UserVerified: on(5),
		Federated: on(6), Mailbox: on(7), Introduced: on(8), RecoveryCode: on(9),
	}
}

const combinations = 1 << 10

// TestLevelOfEveryCombination is the exhaustive table: the rule in words beside
// the rule in code (NIST SP 800-63B-4 sections 2.1 to 2.3, 3.1.3.1, 3.2.5).
func TestLevelOfEveryCombination(t *testing.T) {
	for n := range combinations {
		e := bits(n)
		want := care.AALNone
		if e.Password || e.TypedCode || e.Key {
			want = care.AAL1
		}
		if e.Password && e.TypedCode || e.Federated || e.Key && e.UserVerified {
			want = care.AAL2
		}
		if e.Key && e.UserVerified && e.PhishingResistant && e.DeviceBound {
			want = care.AAL3
		}
		if got := care.Level(e); got != want {
			t.Errorf("Level(%+v) = %v, want %v", e, got, want)
		}
	}
}

// TestN6AKeyNeverCountsForMoreThanWhatStoodBehindItsBinding: NIST SP 800-63B-4
// sections 4.1 and 5.1. A limit lowers what the key adds, and nothing else.
func TestN6AKeyNeverCountsForMoreThanWhatStoodBehindItsBinding(t *testing.T) {
	for n := range combinations {
		for limit := care.AALNone; limit <= care.AAL3; limit++ {
			free, keyless := bits(n), bits(n)
			limited := free
			limited.Limit = limit
			keyless.Key = false
			want := care.Level(free)
			if limit != care.AALNone {
				want = max(care.Level(keyless), min(want, limit))
			}
			if got := care.Level(limited); got != want {
				t.Errorf("Level(%+v) = %v, want %v", limited, got, want)
			}
		}
	}
}

// TestN17EmailAloneIsNoEvidence: NIST SP 800-63B-4 section 3.1.3.1, ASVS 6.3.6.
func TestN17EmailAloneIsNoEvidence(t *testing.T) {
	alone := []care.Evidence{{Mailbox: true}, {Introduced: true}, {RecoveryCode: true}}
	if got := care.Level(alone...); got != care.AALNone {
		t.Errorf("mailbox, link and recovery code reach %v", got)
	}
}

// TestN9TypedCodesAreNeverPhishingResistant: NIST SP 800-63B-4 section 3.2.5.
func TestN9TypedCodesAreNeverPhishingResistant(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []care.Evidence
		for range rapid.IntRange(0, 6).Draw(t, "how many") {
			e := bits(rapid.IntRange(0, combinations-1).Draw(t, "evidence"))
			e.Key = false
			all = append(all, e)
		}
		if got := care.Level(all...); got > care.AAL2 {
			t.Fatalf("%v without a key", got)
		}
	})
}

func TestLevelNeverFallsWithMoreEvidence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := bits(rapid.IntRange(0, combinations-1).Draw(t, "a"))
		b := bits(rapid.IntRange(0, combinations-1).Draw(t, "b"))
		if both := care.Level(a, b); both < care.Level(a) || both < care.Level(b) {
			t.Fatalf("together %v, alone %v and %v", both, care.Level(a), care.Level(b))
		}
	})
}

func TestACROffersInTheSeedsOrder(t *testing.T) {
	four := []care.Method{care.Smartcard, care.WindowsHello, care.SecurityKey, care.IPadApp}
	for _, test := range []struct {
		acr     care.ACR
		allowed []care.Method
		want    []care.Method
	}{
		{care.AAL3Any, care.Methods(), four},
		{care.AAL2OrAAL3Any, care.Methods(), care.Methods()},
		{care.AAL2OrAAL3Any, []care.Method{care.AuthenticatorApp, care.Smartcard}, []care.Method{care.Smartcard, care.AuthenticatorApp}},
		{care.AAL2Any, care.Methods(), []care.Method{care.AuthenticatorApp, care.NHSmail, care.Passkey}},
		{"AAL2_TOTP", four, nil},
		{"NO_SUCH_CLASS", care.Methods(), nil},
	} {
		got := test.acr.Offers(test.allowed)
		if len(got) != len(test.want) {
			t.Errorf("%s offers %v, want %v", test.acr, got, test.want)
			continue
		}
		for i := range got {
			if got[i] != test.want[i] {
				t.Errorf("%s offers %v, want %v", test.acr, got, test.want)
			}
		}
	}
}

func TestACRIsNeverSatisfiedBelowItsLevel(t *testing.T) {
	for _, acr := range append(care.ACRs(), "NO_SUCH_CLASS") {
		for _, m := range care.Methods() {
			for level := care.AALNone; level <= care.AAL3; level++ {
				if acr.Satisfied(m, level) && level < acr.Least() {
					t.Errorf("%s is satisfied by %s at %v", acr, m, level)
				}
			}
		}
	}
	if care.ACR("NO_SUCH_CLASS").Satisfied(care.Smartcard, care.AAL3) {
		t.Error("an unknown class is satisfied")
	}
	if !care.AAL2OrAAL3Any.Satisfied(care.AuthenticatorApp, care.AAL2) || care.AAL3Any.Satisfied(care.AuthenticatorApp, care.AAL2) {
		t.Error("the authenticator app must satisfy AAL2_OR_AAL3_ANY and not AAL3_ANY")
	}
}
