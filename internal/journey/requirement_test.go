package journey_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/keys"
)

var asked = care.Requirement{
	ClientID: "555000000001.apps.national", Service: "e-RS", ACR: care.AAL2OrAAL3Any,
	Methods: care.Methods(), Role: care.AnyRole, AuthenticatedAfter: time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC),
	ReturnTo: "/authorize?client_id=555&state=%26+x&carekey_asked=abc", FormTarget: "http://localhost:9090",
}

// clock is a time that a test moves.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func requirements() (*journey.Requirements, *clock) {
	c := &clock{time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)}
	return journey.NewRequirements(keys.NewRing(keys.Root{1}), c.now), c
}

func TestRequirementOpensAsItWasSealed(t *testing.T) {
	q, _ := requirements()
	sealed, err := q.SealRequirement(asked)
	if err != nil {
		t.Fatal(err)
	}
	got, err := q.OpenRequirement(sealed)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(asked, got); diff != "" {
		t.Error(diff)
	}
}

func TestRequirementExpiresAfterThirtyMinutes(t *testing.T) {
	q, c := requirements()
	sealed, err := q.SealRequirement(asked)
	if err != nil {
		t.Fatal(err)
	}
	c.t = c.t.Add(journey.RequirementLife - time.Second)
	if _, err := q.OpenRequirement(sealed); err != nil {
		t.Errorf("one second before: %v", err)
	}
	c.t = c.t.Add(2 * time.Second)
	got, err := q.OpenRequirement(sealed)
	if !fault.Has(err, fault.JourneyExpired) {
		t.Errorf("one second after: %v", err)
	}
	if got.Service != "e-RS" {
		t.Errorf("the expired requirement names %q to go back to", got.Service)
	}
}

func TestTamperedRequirementDoesNotOpen(t *testing.T) {
	q, _ := requirements()
	sealed, err := q.SealRequirement(asked)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "x", sealed[:len(sealed)-4], "AAAA" + sealed[4:], sealed + "!"} {
		if _, err := q.OpenRequirement(bad); !fault.Has(err, fault.JourneyTampered) {
			t.Errorf("OpenRequirement(%.20q) = %v, want a tampered journey", bad, err)
		}
	}
}

func TestRefusalCountsForItsOwnAddressOnly(t *testing.T) {
	q, c := requirements()
	back, err := q.SealRefusal(asked, journey.Cancelled)
	if err != nil {
		t.Fatal(err)
	}
	to, err := url.Parse(back)
	if err != nil {
		t.Fatal(err)
	}
	if to.Path != "/authorize" || to.Query().Get("state") != "& x" {
		t.Errorf("the way back %q lost what was asked", back)
	}
	if why, ok := q.OpenRefusal(to.Path, to.Query()); !ok || why != journey.Cancelled {
		t.Errorf("OpenRefusal = %q, %v", why, ok)
	}

	other := to.Query()
	other.Set("state", "another request")
	if _, ok := q.OpenRefusal(to.Path, other); ok {
		t.Error("a refusal counted for another request")
	}
	if _, ok := q.OpenRefusal("/elsewhere", to.Query()); ok {
		t.Error("a refusal counted for another path")
	}
	sealed, err := q.SealRequirement(asked)
	if err != nil {
		t.Fatal(err)
	}
	swapped := to.Query()
	swapped.Set(journey.RefusalParameter, sealed)
	if _, ok := q.OpenRefusal(to.Path, swapped); ok {
		t.Error("a requirement counted as a refusal")
	}
	c.t = c.t.Add(journey.RequirementLife)
	if _, ok := q.OpenRefusal(to.Path, to.Query()); ok {
		t.Error("an expired refusal counted")
	}
}

func FuzzOpenRequirement(f *testing.F) {
	q, _ := requirements()
	sealed, err := q.SealRequirement(asked)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add(strings.ToUpper(sealed))
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := q.OpenRequirement(text); err == nil && r.ReturnTo != asked.ReturnTo {
			t.Errorf("%q opened as %+v", text, r)
		}
	})
}
