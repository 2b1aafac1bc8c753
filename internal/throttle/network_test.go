package throttle

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
)

func TestNetworkOfManyFailuresMakesUnknownBrowsersWait(t *testing.T) {
	c := newClock()
	dbtest.EachAt(t, c.now, schemas, func(t *testing.T, d *db.DB) {
		th := newThrottle()
		for n := range NetworkFailures {
			fail(t, d, th, stranger(fmt.Sprintf("worker%d@example.nhs.uk", n), "2001:db8::1"))
		}
		// The same /64, another address in it.
		neighbour := stranger("amara@example.nhs.uk", "2001:db8::ffff:2")
		if f := refused(t, d, th, neighbour); f.RetryAfter != NetworkWindow || !strings.Contains(f.Message(), "15 minutes") {
			t.Fatalf("got %q, retry after %s", f.Message(), f.RetryAfter)
		}
		if failures, _ := counts(t, d, th, neighbour, ruleAccount); failures != 0 {
			t.Errorf("a refused attempt counts %d failures for its address", failures)
		}
		succeed(t, d, th, known("amara@example.nhs.uk", "own", "2001:db8::1"))
		fail(t, d, th, stranger("amara@example.nhs.uk", "2001:db8:0:1::1"))
		c.advance(NetworkWindow - time.Second)
		refused(t, d, th, neighbour)
		c.advance(2 * time.Second)
		succeed(t, d, th, neighbour)
	})
}

// Good sign-ins never count, not even while their second step is being typed.
func TestSignInsInProgressAreNotFailuresOfTheirNetwork(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		th := newThrottle()
		const hospital = "192.0.2.1"
		for n := range 5 * NetworkFailures {
			attempt(t, d, th, stranger(fmt.Sprintf("worker%d@example.nhs.uk", n), hospital))
		}
		for n := range 5 * NetworkFailures {
			s := stranger(fmt.Sprintf("worker%d@example.nhs.uk", n), hospital)
			if err := d.Write(t.Context(), func(tx *db.Tx) error { return th.Refund(tx, s) }); err != nil {
				t.Fatal(err)
			}
		}
		if failures, _ := counts(t, d, th, stranger("any", hospital), ruleNetwork); failures != 0 {
			t.Errorf("the network has %d failures", failures)
		}
	})
}

func TestFailuresOfKnownBrowsersAndExemptNetworksAreNotCountedByNetwork(t *testing.T) {
	d := dbtest.OpenAt(t, newClock().now, Schema)
	th := newThrottle("192.0.2.0/24")
	for n := range 2 * NetworkFailures {
		fail(t, d, th, known(fmt.Sprintf("worker%d@example.nhs.uk", n), "own", "198.51.100.1"))
		fail(t, d, th, stranger(fmt.Sprintf("stranger%d@example.nhs.uk", n), "::ffff:192.0.2.7"))
	}
	fail(t, d, th, stranger("amara@example.nhs.uk", "198.51.100.1"))
}

// 5,000 good sign-ins from one address are not throttled while a
// guesser from the same address is.
func TestGoodSignInsAreNotThrottledWhileAGuesserAtTheSameAddressIs(t *testing.T) {
	c := newClock()
	dbtest.EachAt(t, c.now, schemas, func(t *testing.T, d *db.DB) {
		th := newThrottle()
		const hospital = "192.0.2.1"
		guessed := 0
		for n := range 1000 {
			worker := fmt.Sprintf("worker%d@example.nhs.uk", n)
			if n%2 == 0 {
				succeed(t, d, th, stranger(worker, hospital))
			} else {
				succeed(t, d, th, known(worker, "own", hospital))
			}
			if r, err := th.Attempt(t.Context(), d, stranger("amara@example.nhs.uk", hospital)); err == nil {
				guessed++
				if err := th.Failed(t.Context(), d, r); err != nil {
					t.Fatal(err)
				}
			}
			c.advance(500 * time.Millisecond)
		}
		if guessed > 12 {
			t.Errorf("the guesser had %d of 1,000 guesses", guessed)
		}
	})
}
