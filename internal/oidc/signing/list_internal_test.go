package signing

import (
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// On the way back from an HSM, the key that was to follow in the HSM is
// overtaken by one in the database. An operator who looks at the list at night
// must not wait for it.
func TestAKeyThatAnotherOvertakesIsNotShownAsComing(t *testing.T) {
	now := time.Date(2026, 11, 22, 3, 0, 0, 0, time.UTC)
	all := []stored{
		{algorithm: jose.ES256, generation: 1, created: now, from: now},
		{algorithm: jose.ES256, generation: 2, created: now, from: now.Add(DefaultPublish), label: "in the HSM"},
		{algorithm: jose.ES256, generation: 3, created: now, from: now.Add(LeastPublish)},
	}
	setStops(all)
	for after, want := range map[time.Duration][]State{
		0:                   {Signing, Replaced, Coming},
		LeastPublish:        {Kept, Replaced, Signing},
		DefaultPublish:      {Kept, Replaced, Signing},
		LeastPublish + Keep: {Retired, Retired, Signing},
	} {
		for i, k := range all {
			if got := describe(k, now.Add(after)).State; got != want[i] {
				t.Errorf("after %s key %d is %s, want %s", after, i+1, got, want[i])
			}
		}
	}
}
