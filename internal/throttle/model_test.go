package throttle

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/fault"
)

// tally is the rules of decision 9 once more, in Go and without a database.
type tally struct {
	failures, refused int
	blocked, forget   time.Time
}

type model map[string]*tally

func (m model) at(key string, now time.Time) *tally {
	c := m[key]
	if c == nil || !c.forget.After(now) {
		c = &tally{}
		m[key] = c
	}
	return c
}

func modelKeys(s Subject) []string {
	if s.Known {
		return []string{"class " + s.Address + s.Device, "account " + s.Address}
	}
	return []string{"class " + s.Address, "account " + s.Address, "network " + s.Network.String()}
}

// reserve returns whether the attempt is let through.
func (m model) reserve(s Subject, now time.Time) (passes, exhausted bool) {
	for _, key := range modelKeys(s) {
		if m.at(key, now).blocked.After(now) {
			return false, key[0] == 'a'
		}
	}
	for _, key := range modelKeys(s) {
		c := m.at(key, now)
		c.failures++
		switch key[0] {
		case 'c':
			c.forget = now.Add(24 * time.Hour)
			if c.failures >= 10 {
				c.blocked = now.Add(15 * time.Minute)
			} else if c.failures >= 5 {
				c.blocked = now.Add(10 * time.Second << (c.failures - 5))
			}
		case 'a':
			c.forget = now.Add(30 * 24 * time.Hour)
			if c.failures >= 100 {
				c.blocked = c.forget
			}
		case 'n':
			if c.failures == 1 && c.forget.IsZero() {
				c.forget = now.Add(15 * time.Minute)
			}
			if c.failures >= 100 {
				c.blocked = c.forget
			}
		}
	}
	return true, false
}

func (m model) refund(s Subject, now time.Time) {
	for _, key := range modelKeys(s) {
		if key[0] != 'n' {
			delete(m, key)
			continue
		}
		c := m.at(key, now)
		c.failures = max(0, c.failures-1)
		c.blocked = time.Time{}
	}
}

// Decision 9, for any order of right and wrong attempts of several people,
// browsers and networks, and any time between them.
func TestThrottleBehavesAsItsModel(t *testing.T) {
	c := newClock()
	dbtest.EachAt(t, c.now, schemas, func(t *testing.T, d *db.DB) {
		round := 0
		rapid.Check(t, func(rt *rapid.T) {
			round++
			th := newThrottle()
			m := model{}
			for range rapid.IntRange(1, 60).Draw(rt, "steps") {
				c.advance(time.Duration(rapid.SampledFrom([]int{0, 0, 1, 9, 30, 200, 900, 90000}).Draw(rt, "seconds")) * time.Second)
				s := stranger(fmt.Sprintf("%d-%d@example.nhs.uk", round, rapid.IntRange(0, 2).Draw(rt, "person")),
					fmt.Sprintf("10.%d.%d.%d", round/256%256, round%256, rapid.IntRange(0, 1).Draw(rt, "network")))
				if device := rapid.IntRange(0, 2).Draw(rt, "device"); device > 0 {
					s.Known, s.Device = true, fmt.Sprint(device)
				}
				tries := rapid.SampledFrom([]int{1, 1, 2, 30}).Draw(rt, "tries")
				right := rapid.Bool().Draw(rt, "right")
				for range tries {
					compare(rt, d, th, m, s, c.now(), right)
				}
			}
		})
	})
}

func compare(rt *rapid.T, d *db.DB, th *Throttle, m model, s Subject, now time.Time, right bool) {
	passes, exhausted := m.reserve(s, now)
	_, err := th.Attempt(rt.Context(), d, s)
	if passes != (err == nil) || exhausted && !fault.Has(err, fault.TriesUsedUp) {
		rt.Fatalf("the model lets it through: %v; the database: %v", passes, err)
	}
	if passes && right {
		m.refund(s, now)
		if err := d.Write(rt.Context(), func(tx *db.Tx) error { return th.Refund(tx, s) }); err != nil {
			rt.Fatal(err)
		}
	}
}
