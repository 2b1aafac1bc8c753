package throttle

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/fault"
)

func second(s Subject) Subject {
	s.Action = "app code"
	return s
}

func redeem(t *testing.T, d *db.DB, th *Throttle, s Subject) error {
	t.Helper()
	return d.Write(t.Context(), func(tx *db.Tx) error { return th.Redeem(tx, s, second(s)) })
}

func TestRedeemIsRefusedWhileTheSecondStepHasToWait(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		th := newThrottle()
		s := stranger("amara@example.nhs.uk", "192.0.2.1")
		fail(t, d, th, s)
		for range FreeFailures {
			fail(t, d, th, second(s))
		}
		err := redeem(t, d, th, s)
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.TooManyAttempts || f.RetryAfter <= 0 || f.RetryAfter > FirstWait {
			t.Fatalf("want a wait of up to %v, got %v", FirstWait, err)
		}
		refused(t, d, th, second(s)) // and the refusal changed nothing
	})
}

func TestRedeemSucceedsAfterTheWaitAndResetsBothSteps(t *testing.T) {
	c := newClock()
	d := dbtest.OpenAt(t, c.now, schemas...)
	th := newThrottle()
	s := stranger("amara@example.nhs.uk", "192.0.2.1")
	fail(t, d, th, s)
	for range FreeFailures {
		fail(t, d, th, second(s))
	}
	c.advance(FirstWait - time.Second)
	if err := redeem(t, d, th, s); !fault.Has(err, fault.TooManyAttempts) {
		t.Fatalf("a second too early: %v", err)
	}
	c.advance(2 * time.Second)
	if err := redeem(t, d, th, s); err != nil {
		t.Fatalf("a second late: %v", err)
	}
	for _, one := range []Subject{s, second(s)} {
		if r := fail(t, d, th, one); r.TriesLeft != FreeFailures-1 {
			t.Errorf("%s: %d tries left, want a fresh count", one.Action, r.TriesLeft)
		}
	}
}

func TestRedeemDoesNotWaitForItsOwnReservation(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		th := newThrottle()
		s := stranger("amara@example.nhs.uk", "192.0.2.1")
		for range FreeFailures { // the fifth password is right, and blocks until a refund
			fail(t, d, th, s)
		}
		if err := redeem(t, d, th, s); err != nil {
			t.Fatal(err)
		}
	})
}

func TestRedeemIsOneStatement(t *testing.T) {
	d := dbtest.Open(t, schemas...)
	th := newThrottle()
	s := stranger("amara@example.nhs.uk", "192.0.2.1")
	fail(t, d, th, s)
	before := d.Counters().Statements
	if err := redeem(t, d, th, s); err != nil {
		t.Fatal(err)
	}
	if n := d.Counters().Statements - before; n != 1 {
		t.Errorf("%d statements", n)
	}
}

// Decision 9: who guesses codes from a network that has to wait is refused
// whether or not the guess is right. Wrong guesses are not counted there, so a
// right one that passed would make guessing free.
func TestRedeemIsRefusedWhileTheNetworkHasToWait(t *testing.T) {
	c := newClock()
	dbtest.EachAt(t, c.now, schemas, func(t *testing.T, d *db.DB) {
		th := newThrottle("198.51.100.0/24")
		s := stranger("amara@example.nhs.uk", "192.0.2.1")
		attempt(t, d, th, s) // the right password, before the network has to wait
		for i := range NetworkFailures {
			fail(t, d, th, stranger(fmt.Sprintf("nobody%d@example.nhs.uk", i), "192.0.2.1"))
		}
		err := redeem(t, d, th, s)
		var f *fault.Error
		if !errors.As(err, &f) || f.Kind != fault.TooManyAttempts || f.RetryAfter <= 0 || f.RetryAfter > NetworkWindow {
			t.Fatalf("want a wait of up to %v, got %v", NetworkWindow, err)
		}
		for name, free := range map[string]Subject{
			"a browser that signed in before": known("amara@example.nhs.uk", "d1", "192.0.2.1"),
			"another network":                 stranger("amara@example.nhs.uk", "192.0.2.2"),
			"an exempt network":               stranger("amara@example.nhs.uk", "198.51.100.7"),
		} {
			if err := redeem(t, d, th, free); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		c.advance(NetworkWindow + time.Second)
		if err := redeem(t, d, th, s); err != nil {
			t.Errorf("after the wait: %v", err)
		}
	})
}

// waiting asks as a verifier does, beside what it reads anyway.
func waiting(t *testing.T, d *db.DB, th *Throttle, s Subject) bool {
	t.Helper()
	var account, waits int64
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		sql, args := th.Waiting(s, tx.Now(), 2)
		return tx.Row("SELECT CAST($1 AS BIGINT), "+sql, append([]any{7}, args...)...).Scan(&account, &waits)
	})
	if err != nil {
		t.Fatal(err)
	}
	return waits != 0
}

// TestWaitingSaysWhatAnAttemptWouldMeet: by the browser's count, the account's
// and the network's, to the second.
func TestWaitingSaysWhatAnAttemptWouldMeet(t *testing.T) {
	c := newClock()
	dbtest.EachAt(t, c.now, schemas, func(t *testing.T, d *db.DB) {
		th := newThrottle()
		s := stranger("amara@example.nhs.uk", "192.0.2.1")
		for i := range FreeFailures {
			if waiting(t, d, th, s) {
				t.Fatalf("waiting after %d failures", i)
			}
			fail(t, d, th, s)
		}
		if !waiting(t, d, th, s) {
			t.Error("not waiting after the free failures")
		}
		if waiting(t, d, th, known("amara@example.nhs.uk", "d1", "192.0.2.1")) || waiting(t, d, th, second(s)) {
			t.Error("another browser, or another step, has to wait too")
		}
		c.advance(FirstWait + time.Second)
		if waiting(t, d, th, s) {
			t.Error("waiting after the wait")
		}
		for i := range NetworkFailures {
			fail(t, d, th, stranger(fmt.Sprintf("nobody%d@example.nhs.uk", i), "192.0.2.9"))
		}
		if !waiting(t, d, th, stranger("amara@example.nhs.uk", "192.0.2.9")) || waiting(t, d, th, s) {
			t.Error("want one network to wait, and no other")
		}
	})
}
