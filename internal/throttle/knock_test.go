package throttle

import (
	"testing"
	"time"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
)

func knock(t *testing.T, d *db.DB, th *Throttle, s Subject) (wait time.Duration) {
	t.Helper()
	err := d.Write(t.Context(), func(tx *db.Tx) (err error) {
		wait, err = th.Knock(tx, s)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return wait
}

// Decision 9: what strangers set off is counted by network, apart from
// failures; browsers that are known and exempt networks are not.
func TestKnocksOfOneNetworkAreCountedApart(t *testing.T) {
	c := newClock()
	dbtest.EachAt(t, c.now, schemas, func(t *testing.T, d *db.DB) {
		th := newThrottle("198.51.100.0/24")
		of := func(network string) Subject {
			s := stranger("", network)
			s.Action = "mail code"
			return s
		}
		for i := range NetworkFailures {
			if wait := knock(t, d, th, of("2001:db8::1")); wait != 0 {
				t.Fatalf("knock %d waits %v", i+1, wait)
			}
			knock(t, d, th, of("198.51.100.7"))
		}
		c.advance(time.Minute)
		if wait := knock(t, d, th, of("2001:db8::ffff")); wait != NetworkWindow-time.Minute {
			t.Errorf("the same /64 waits %v", wait)
		}
		if wait := knock(t, d, th, of("198.51.100.7")); wait != 0 {
			t.Errorf("an exempt network waits %v", wait)
		}
		if wait := knock(t, d, th, known("", "d1", "2001:db8::1")); wait != 0 {
			t.Errorf("a known browser waits %v", wait)
		}
		attempt(t, d, th, stranger("amara@example.nhs.uk", "2001:db8::1")) // a sign-in there is let through
		c.advance(NetworkWindow)
		if wait := knock(t, d, th, of("2001:db8::1")); wait != 0 {
			t.Errorf("after the window: %v", wait)
		}
	})
}
