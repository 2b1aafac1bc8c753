package throttle

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/keys"
)

var schemas = []fs.FS{Schema}

// clock is the database's clock in tests.
type clock struct{ micros atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.micros.Store(time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC).UnixMicro())
	return c
}

func (c *clock) now() time.Time          { return time.UnixMicro(c.micros.Load()) }
func (c *clock) advance(d time.Duration) { c.micros.Add(d.Microseconds()) }

func newThrottle(exempt ...string) *Throttle {
	var limits Limits
	for _, text := range exempt {
		limits.Exempt = append(limits.Exempt, netip.MustParsePrefix(text))
	}
	return New(keys.NewRing(keys.Root{1}), limits)
}

func stranger(address, network string) Subject {
	return Subject{Action: "password", Address: address, Network: netip.MustParseAddr(network)}
}

func known(address, device, network string) Subject {
	s := stranger(address, network)
	s.Known, s.Device = true, device
	return s
}

// attempt makes an attempt that is let through.
func attempt(t *testing.T, d *db.DB, th *Throttle, s Subject) Reservation {
	t.Helper()
	r, err := th.Attempt(t.Context(), d, s)
	if err != nil {
		t.Fatalf("attempt refused: %v", err)
	}
	return r
}

// fail makes an attempt that is let through and turns out wrong.
func fail(t *testing.T, d *db.DB, th *Throttle, s Subject) Reservation {
	t.Helper()
	r := attempt(t, d, th, s)
	if err := th.Failed(t.Context(), d, r); err != nil {
		t.Fatal(err)
	}
	return r
}

func succeed(t *testing.T, d *db.DB, th *Throttle, s Subject) {
	t.Helper()
	attempt(t, d, th, s)
	if err := d.Write(t.Context(), func(tx *db.Tx) error { return th.Refund(tx, s) }); err != nil {
		t.Fatal(err)
	}
}

func refused(t *testing.T, d *db.DB, th *Throttle, s Subject) *fault.Error {
	t.Helper()
	_, err := th.Attempt(t.Context(), d, s)
	var f *fault.Error
	if !errors.As(err, &f) {
		t.Fatalf("attempt was not refused: %v", err)
	}
	return f
}

func counts(t *testing.T, d *db.DB, th *Throttle, s Subject, rule int64) (failures, refusals int) {
	t.Helper()
	for _, c := range append(th.counters(s), counter{key: th.crowd(s), rule: ruleNetwork}) {
		if c.rule != rule {
			continue
		}
		err := d.Read(t.Context(), func(tx *db.Tx) error {
			return tx.Row(`SELECT failures, refused FROM throttle WHERE key = $1`, c.key).Scan(&failures, &refusals)
		})
		if err != nil && !errors.Is(err, db.ErrNoRows) {
			t.Fatal(err)
		}
	}
	return failures, refusals
}

// Decision 9: 5 failures make a growing delay, 10 and each later one 15
// minutes, on that browser class.
func TestFailuresMakeOneBrowserClassWait(t *testing.T) {
	c := newClock()
	dbtest.EachAt(t, c.now, schemas, func(t *testing.T, d *db.DB) {
		th := newThrottle()
		guesser := stranger("amara@example.nhs.uk", "192.0.2.1")
		for left := 4; left > 0; left-- {
			if r := fail(t, d, th, guesser); r.TriesLeft != left || r.Wait != 0 {
				t.Fatalf("got %+v, want %d tries left and no wait", r, left)
			}
		}
		for _, wait := range []time.Duration{
			10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second,
			15 * time.Minute, 15 * time.Minute, 15 * time.Minute,
		} {
			if r := fail(t, d, th, guesser); r.Wait != wait || r.TriesLeft != 0 {
				t.Fatalf("got %+v, want a wait of %s", r, wait)
			}
			c.advance(wait - time.Second)
			if f := refused(t, d, th, guesser); f.Kind != fault.TooManyAttempts || f.RetryAfter != time.Second {
				t.Fatalf("one second before the wait ends: %v, retry after %s", f, f.RetryAfter)
			}
			// The person's own browser does not wait.
			succeed(t, d, th, known("amara@example.nhs.uk", "device 1", "192.0.2.1"))
			c.advance(2 * time.Second)
		}
		fail(t, d, th, guesser)
	})
}

func TestFailuresOfABrowserClassAreForgottenAfterADay(t *testing.T) {
	for beyond, want := range map[time.Duration]int{-time.Second: 0, time.Second: 4} {
		c := newClock()
		d := dbtest.OpenAt(t, c.now, Schema)
		th := newThrottle()
		s := stranger("amara@example.nhs.uk", "192.0.2.1")
		for range FreeFailures {
			fail(t, d, th, s)
		}
		c.advance(classMemory + beyond)
		if r := fail(t, d, th, s); r.TriesLeft != want {
			t.Errorf("%s after a day: %d tries left, want %d", beyond, r.TriesLeft, want)
		}
	}
}

// N10 (NIST SP 800-63B-4, 3.2.2): no more than 100 consecutive failures, over
// all browsers; the 101st is refused even if it would have been right.
func TestHundredConsecutiveFailuresAreTheLast(t *testing.T) {
	c := newClock()
	dbtest.EachAt(t, c.now, schemas, func(t *testing.T, d *db.DB) {
		th := newThrottle()
		for n := 1; n <= MaxConsecutive; n++ {
			// 25 browsers of their own, so that none has to wait.
			r := fail(t, d, th, known("amara@example.nhs.uk", fmt.Sprint(n%25), "192.0.2.1"))
			if r.Exhausted != (n == MaxConsecutive) {
				t.Fatalf("failure %d: exhausted is %v", n, r.Exhausted)
			}
		}
		fresh := known("amara@example.nhs.uk", "the person's own", "192.0.2.1")
		if f := refused(t, d, th, fresh); f.Kind != fault.TriesUsedUp {
			t.Fatalf("the 101st attempt: %v", f)
		}
		// Another action, and another person, have counts of their own.
		fresh.Action = "app code"
		fail(t, d, th, fresh)
		fail(t, d, th, known("priya@example.nhs.uk", "hers", "192.0.2.1"))
		// Registering again begins a new count.
		if err := d.Write(t.Context(), func(tx *db.Tx) error { return th.Forget(tx, "password", "Amara@example.nhs.uk ") }); err != nil {
			t.Fatal(err)
		}
		fresh.Action = "password"
		fail(t, d, th, fresh)
	})
}

func TestSuccessEndsTheRowOfFailures(t *testing.T) {
	d := dbtest.OpenAt(t, newClock().now, Schema)
	th := newThrottle()
	for round := range 3 {
		for n := range MaxConsecutive - 1 {
			fail(t, d, th, known("amara@example.nhs.uk", fmt.Sprint(round, n/4), "192.0.2.1"))
		}
		succeed(t, d, th, known("amara@example.nhs.uk", "own", "192.0.2.1"))
	}
}

// Throttling is not a weapon: refused attempts are not verified, and bring the
// 100 no nearer.
func TestFloodDoesNotDisableAnAuthenticator(t *testing.T) {
	c := newClock()
	dbtest.EachAt(t, c.now, schemas, func(t *testing.T, d *db.DB) {
		th := newThrottle()
		flood := stranger("amara@example.nhs.uk", "192.0.2.1")
		passed := 0
		for range 500 {
			if r, err := th.Attempt(t.Context(), d, flood); err == nil {
				passed++
				if err := th.Failed(t.Context(), d, r); err != nil {
					t.Fatal(err)
				}
			}
			c.advance(time.Second)
		}
		if passed > 10 {
			t.Errorf("%d guesses passed in 500 seconds", passed)
		}
		if failures, refusals := counts(t, d, th, flood, ruleAccount); failures != passed || failures+refusals != 500 {
			t.Errorf("counted %d failures and %d refusals of 500 attempts, %d of them verified", failures, refusals, passed)
		}
		if failures, _ := counts(t, d, th, flood, ruleNetwork); failures != passed {
			t.Errorf("the network counts %d failures, want %d", failures, passed)
		}
		succeed(t, d, th, known("amara@example.nhs.uk", "own", "192.0.2.1"))
	})
}

// 1,000 parallel guesses on one account count as 1,000.
func TestThousandParallelGuessesCountAsThousand(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		th := newThrottle()
		s := stranger("amara@example.nhs.uk", "192.0.2.1")
		var passed atomic.Int64
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() {
				_, err := th.Attempt(t.Context(), d, s)
				if err == nil {
					passed.Add(1)
				} else if !fault.Has(err, fault.TooManyAttempts) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		// Ten seconds of wait follow the fifth; a slow machine may see them end.
		if n := passed.Load(); n < FreeFailures || n > LongFailures {
			t.Errorf("%d guesses were let through", n)
		}
		for _, rule := range []int64{ruleClass, ruleAccount} {
			if failures, refusals := counts(t, d, th, s, rule); failures+refusals != 1000 || failures != int(passed.Load()) {
				t.Errorf("rule %d counted %d failures and %d refusals", rule, failures, refusals)
			}
		}
	})
}

func TestUnverifiedAttemptIsReleased(t *testing.T) {
	c := newClock()
	dbtest.EachAt(t, c.now, schemas, func(t *testing.T, d *db.DB) {
		th := newThrottle()
		s := stranger("amara@example.nhs.uk", "192.0.2.1")
		for range 3 * MaxConsecutive {
			attempt(t, d, th, s)
			if err := d.Write(t.Context(), func(tx *db.Tx) error { return th.Release(tx, s) }); err != nil {
				t.Fatal(err)
			}
		}
		for range FreeFailures {
			fail(t, d, th, s)
		}
		c.advance(FirstWait)
		attempt(t, d, th, s)
		if err := d.Write(t.Context(), func(tx *db.Tx) error { return th.Release(tx, s) }); err != nil {
			t.Fatal(err)
		}
		// A flood that fills the workers frees nobody who was waiting.
		refused(t, d, th, s)
		if failures, _ := counts(t, d, th, s, ruleAccount); failures != FreeFailures {
			t.Errorf("%d failures, want %d", failures, FreeFailures)
		}
	})
}

func TestPeekCountsNothing(t *testing.T) {
	c := newClock()
	dbtest.EachAt(t, c.now, schemas, func(t *testing.T, d *db.DB) {
		th := newThrottle()
		s := stranger("amara@example.nhs.uk", "192.0.2.1")
		peek := func() (r Reservation, err error) {
			err = d.Read(t.Context(), func(tx *db.Tx) error {
				var err error
				r, err = th.Peek(tx, s)
				return err
			})
			return r, err
		}
		for n := range FreeFailures {
			if r, err := peek(); err != nil || r.TriesLeft != FreeFailures-n || r.Exhausted {
				t.Fatalf("after %d failures: %+v, %v", n, r, err)
			}
			fail(t, d, th, s)
		}
		if _, err := peek(); !fault.Has(err, fault.TooManyAttempts) {
			t.Fatalf("while waiting: %v", err)
		}
		c.advance(FirstWait)
		if r, err := peek(); err != nil || r.TriesLeft != 0 {
			t.Fatalf("after the wait: %+v, %v", r, err)
		}
	})
}

func TestPruneLeavesWhatStillCounts(t *testing.T) {
	c := newClock()
	dbtest.EachAt(t, c.now, schemas, func(t *testing.T, d *db.DB) {
		th := newThrottle()
		s := stranger("amara@example.nhs.uk", "192.0.2.1")
		rows := func() (n int) {
			err := d.Write(t.Context(), func(tx *db.Tx) error {
				if err := Prune(tx); err != nil {
					return err
				}
				return tx.Row(`SELECT count(*) FROM throttle`).Scan(&n)
			})
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		fail(t, d, th, s)
		for _, step := range []struct {
			after time.Duration
			want  int
		}{
			{0, 3}, {NetworkWindow - time.Second, 3}, {NetworkWindow + time.Second, 2},
			{classMemory - time.Second, 2}, {classMemory + time.Second, 1},
			{accountMemory - time.Second, 1}, {accountMemory + time.Second, 0},
		} {
			start := newClock()
			c.micros.Store(start.micros.Load() + step.after.Microseconds())
			if got := rows(); got != step.want {
				t.Errorf("%s after a failure: %d rows, want %d", step.after, got, step.want)
			}
		}
		c.micros.Store(newClock().micros.Load())
		succeed(t, d, th, known("amara@example.nhs.uk", "own", "192.0.2.1"))
		if got := rows(); got != 0 {
			t.Errorf("a good sign-in leaves %d rows", got)
		}
	})
}

// Decision 9: the same rows are written whether or not anybody has the
// address; and the budget of statements (docs/sources.md).
func TestOneStatementEach(t *testing.T) {
	d := dbtest.Open(t, Schema)
	th := newThrottle()
	s := stranger("amara@example.nhs.uk", "192.0.2.1")
	before := d.Counters().Statements
	succeed(t, d, th, s)
	if got := d.Counters().Statements - before; got != 2 {
		t.Errorf("an attempt and its refund took %d statements, want 2", got)
	}
}

func TestRowsHoldNoAddress(t *testing.T) {
	d := dbtest.Open(t, Schema)
	fail(t, d, newThrottle(), known("amara@example.nhs.uk", "device", "192.0.2.1"))
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		rows, err := tx.Rows(`SELECT key FROM throttle`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var key []byte
			if err := rows.Scan(&key); err != nil {
				return err
			}
			if len(key) != 32 {
				t.Errorf("a key of %d bytes is no HMAC-SHA256", len(key))
			}
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestWords(t *testing.T) {
	for wait, want := range map[time.Duration]string{
		time.Millisecond: "1 second", 10 * time.Second: "10 seconds", 59*time.Second + time.Millisecond: "1 minute",
		80 * time.Second: "1 minute and 20 seconds", 121 * time.Second: "2 minutes and 1 second", 15 * time.Minute: "15 minutes",
	} {
		if got := words(wait); got != want {
			t.Errorf("words(%s) = %q, want %q", wait, got, want)
		}
	}
}

func TestWarnings(t *testing.T) {
	for want, r := range map[string]Reservation{
		"": {TriesLeft: 3},
		"You have 2 tries left before you have to wait.": {TriesLeft: 2},
		"You have 1 try left before you have to wait.":   {TriesLeft: 1},
		"You can try again in 15 minutes.":               {Wait: LongWait},
		"This was the last try.":                         {Exhausted: true, Wait: LongWait},
	} {
		if got := r.Warning(); got != want {
			t.Errorf("%+v: %q, want %q", r, got, want)
		}
	}
}

func BenchmarkAttempt(b *testing.B) {
	d := dbtest.Open(b, Schema)
	th := newThrottle("192.0.2.0/24")
	var n atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			s := stranger(fmt.Sprintf("worker%d@example.nhs.uk", n.Add(1)), "192.0.2.1")
			if _, err := th.Attempt(b.Context(), d, s); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkReserve(b *testing.B) {
	d := dbtest.Open(b, Schema)
	th := newThrottle()
	s := stranger("amara@example.nhs.uk", "192.0.2.1")
	err := d.Write(b.Context(), func(tx *db.Tx) error {
		for b.Loop() {
			if _, err := th.Reserve(tx, s); err != nil {
				return err
			}
			if err := th.Refund(tx, s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}
