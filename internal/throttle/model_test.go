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
	failures        int
	blocked, forget time.Time
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
	passes = true
	for _, key := range modelKeys(s) {
		if m.at(key, now).blocked.After(now) {
			passes = false
			exhausted = exhausted || key[0] == 'a'
		}
	}
	if !passes {
		return false, exhausted
	}
	class, account := m.at(modelKeys(s)[0], now), m.at(modelKeys(s)[1], now)
	class.failures++
	class.forget = now.Add(24 * time.Hour)
	if class.failures >= 10 {
		class.blocked = now.Add(15 * time.Minute)
	} else if class.failures >= 5 {
		class.blocked = now.Add(10 * time.Second << (class.failures - 5))
	}
	account.failures++
	account.forget = now.Add(30 * 24 * time.Hour)
	if account.failures >= 100 {
		account.blocked = account.forget
	}
	return true, false
}

func (m model) fail(s Subject, now time.Time) {
	if s.Known {
		return
	}
	network := m.at(modelKeys(s)[2], now)
	network.failures++
	if network.failures == 1 {
		network.forget = now.Add(15 * time.Minute)
	}
	if network.failures >= 100 {
		network.blocked = network.forget
	}
}

func (m model) refund(s Subject) {
	delete(m, modelKeys(s)[0])
	delete(m, modelKeys(s)[1])
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
	r, err := th.Attempt(rt.Context(), d, s)
	if passes != (err == nil) || exhausted != fault.Has(err, fault.TriesUsedUp) {
		rt.Fatalf("the model lets it through: %v, exhausted: %v; the database: %v", passes, exhausted, err)
	}
	switch {
	case !passes:
		return
	case right:
		m.refund(s)
		err = d.Write(rt.Context(), func(tx *db.Tx) error { return th.Refund(tx, s) })
	default:
		m.fail(s, now)
		err = th.Failed(rt.Context(), d, r)
	}
	if err != nil {
		rt.Fatal(err)
	}
}
