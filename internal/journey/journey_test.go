package journey_test

import (
	"crypto/rand"
	"testing"
	"time"

	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/keys"
)

type steps struct{ Email string }

func sealer(c *clock, kind string) *journey.Sealer {
	return journey.New(keys.NewRing(keys.Root{1}), kind, 20*time.Minute, c.now, rand.Reader)
}

func begin(t *testing.T, s *journey.Sealer) (journey.Journey[steps], string) {
	t.Helper()
	j := journey.Begin(s, "email", steps{Email: "amara.osei@nhs.net"})
	sealed, err := journey.Seal(s, "browser", j)
	if err != nil {
		t.Fatal(err)
	}
	return j, sealed
}

func TestJourneyComesBackAsItWentOut(t *testing.T) {
	s := sealer(&clock{time.Now()}, "sign-in")
	j, sealed := begin(t, s)
	got, err := journey.Open[steps](s, "browser", sealed, "password", "email")
	if err != nil || got.ID != j.ID || got.State != j.State {
		t.Errorf("Open = %+v, %v", got, err)
	}
	other, _ := begin(t, s)
	if other.ID == j.ID {
		t.Error("two journeys have one name")
	}
}

func TestJourneyOpensInItsOwnBrowserOnly(t *testing.T) {
	s := sealer(&clock{time.Now()}, "sign-in")
	_, sealed := begin(t, s)
	if _, err := journey.Open[steps](s, "another", sealed); !fault.Has(err, fault.JourneyOtherBrowser) {
		t.Errorf("in another browser: %v", err)
	}
	if _, err := journey.Open[steps](s, "", sealed); !fault.Has(err, fault.JourneyOtherBrowser) {
		t.Errorf("without a browser: %v", err)
	}
}

func TestJourneyOpensForItsOwnKindAndStepOnly(t *testing.T) {
	c := &clock{time.Now()}
	s := sealer(c, "sign-in")
	_, sealed := begin(t, s)
	if _, err := journey.Open[steps](sealer(c, "registration"), "browser", sealed); !fault.Has(err, fault.JourneyTampered) {
		t.Errorf("as another kind: %v", err)
	}
	if _, err := journey.Open[steps](s, "browser", sealed, "code"); !fault.Has(err, fault.JourneyWrongStep) {
		t.Errorf("at another step: %v", err)
	}
}

func TestJourneyExpires(t *testing.T) {
	c := &clock{time.Now()}
	s := sealer(c, "sign-in")
	_, sealed := begin(t, s)
	c.t = c.t.Add(20*time.Minute - time.Second)
	if _, err := journey.Open[steps](s, "browser", sealed); err != nil {
		t.Errorf("one second before: %v", err)
	}
	c.t = c.t.Add(2 * time.Second)
	if _, err := journey.Open[steps](s, "browser", sealed); !fault.Has(err, fault.JourneyExpired) {
		t.Errorf("one second after: %v", err)
	}
}

func FuzzOpenJourney(f *testing.F) {
	c := &clock{time.Now()}
	s := sealer(c, "sign-in")
	j := journey.Begin(s, "email", steps{Email: "a"})
	sealed, err := journey.Seal(s, "browser", j)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := journey.Open[steps](s, "browser", text)
		if err == nil && got.ID != j.ID {
			t.Errorf("%q opened as %+v", text, got)
		}
	})
}
