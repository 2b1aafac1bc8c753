package throttle

import (
	"errors"
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
