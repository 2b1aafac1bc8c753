package lease

import (
	"context"
	"errors"
	"io/fs"
	"sync/atomic"
	"testing"
	"time"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
)

const ttl = 15 * time.Second

// node is one of several programs that share a database. Its timer fires when
// the test says so.
type node struct {
	*holding
	ticks chan chan time.Time // the timers that were asked for
	waits chan time.Time      // the timer that it waits for now, once the test knows
	tasks chan running
	ended chan error
	stop  context.CancelFunc
}

// running is a task while its node holds the lease.
type running struct {
	ctx  context.Context
	held Held
	end  chan error
}

func start(t *testing.T, d *db.DB, name string) *node {
	ctx, stop := context.WithCancel(t.Context())
	n := &node{ticks: make(chan chan time.Time), tasks: make(chan running), ended: make(chan error, 1), stop: stop}
	n.holding = &holding{db: d, name: "sequencer", node: name, ttl: ttl, after: func(wait time.Duration) (<-chan time.Time, func()) {
		if wait != ttl/3 {
			t.Errorf("waits %s, want a third of the ttl", wait)
		}
		tick, done := make(chan time.Time, 1), make(chan struct{})
		go func() {
			select {
			case n.ticks <- tick:
			case <-done:
			}
		}()
		return tick, func() { close(done) }
	}}
	go func() {
		n.ended <- n.run(ctx, func(ctx context.Context, held Held) error {
			task := running{ctx, held, make(chan error)}
			n.tasks <- task
			select {
			case err := <-task.end:
				return err
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	t.Cleanup(stop)
	return n
}

// tick fires the timer that the node waits for.
func (n *node) tick() {
	if n.waits == nil {
		n.waits = <-n.ticks
	}
	n.waits <- time.Time{}
	n.waits = nil
}

func (n *node) mustNotRun(t *testing.T) {
	t.Helper()
	n.tick() // it looks again …
	select {
	case <-n.tasks:
		t.Fatal("two nodes hold the lease")
	case n.waits = <-n.ticks: // … and waits again
	}
}

func confirm(t *testing.T, d *db.DB, held Held) error {
	t.Helper()
	return d.Write(t.Context(), held.Confirm)
}

type testClock struct{ micros atomic.Int64 }

func (c *testClock) now() time.Time          { return time.UnixMicro(c.micros.Load()) }
func (c *testClock) advance(d time.Duration) { c.micros.Add(d.Microseconds()) }

// each gives a test a clock and two handles on one database.
func each(t *testing.T, test func(t *testing.T, c *testClock, d *db.DB)) {
	c := &testClock{}
	c.micros.Store(1_800_000_000_000_000)
	dbtest.EachAt(t, c.now, []fs.FS{Schema}, func(t *testing.T, d *db.DB) { test(t, c, d) })
}

func TestOneNodeHoldsTheLeaseAndTheOtherTakesOverWhenItIsReleased(t *testing.T) {
	each(t, func(t *testing.T, _ *testClock, d *db.DB) {
		a := start(t, d, "a")
		first := <-a.tasks
		b := start(t, d, "b")
		b.mustNotRun(t)
		if err := confirm(t, d, first.held); err != nil {
			t.Fatal(err)
		}
		a.stop()
		if err := <-a.ended; err != nil {
			t.Fatalf("a stopped node: %v", err)
		}
		b.tick()
		second := <-b.tasks
		if second.held.Epoch <= first.held.Epoch {
			t.Errorf("epoch %d after %d", second.held.Epoch, first.held.Epoch)
		}
		if err := confirm(t, d, first.held); !errors.Is(err, ErrLost) {
			t.Errorf("the old holder confirms: %v", err)
		}
	})
}

func TestLeaseExpiresAfterItsTTL(t *testing.T) {
	each(t, func(t *testing.T, c *testClock, d *db.DB) {
		a := start(t, d, "a") // never ticks: as good as dead
		first := <-a.tasks
		b := start(t, d, "b")
		c.advance(ttl - time.Second)
		b.mustNotRun(t)
		if err := confirm(t, d, first.held); err != nil {
			t.Fatalf("one second before: %v", err)
		}
		c.advance(2 * time.Second)
		if err := confirm(t, d, first.held); !errors.Is(err, ErrLost) {
			t.Fatalf("one second after: %v", err)
		}
		b.tick()
		<-b.tasks
		// The node that was dead wakes up, finds the lease gone and stops.
		a.tick()
		<-first.ctx.Done()
		if cause := context.Cause(first.ctx); !errors.Is(cause, ErrLost) {
			t.Errorf("the task ended because of %v", cause)
		}
		a.mustNotRun(t)
	})
}

func TestRenewalKeepsTheLease(t *testing.T) {
	each(t, func(t *testing.T, c *testClock, d *db.DB) {
		a := start(t, d, "a")
		first := <-a.tasks
		b := start(t, d, "b")
		for range 10 {
			c.advance(ttl / 3)
			a.tick()
			b.mustNotRun(t)
		}
		if err := confirm(t, d, first.held); err != nil {
			t.Error(err)
		}
	})
}

func TestRestartedProcessTakesItsOwnLeaseOverAtOnce(t *testing.T) {
	each(t, func(t *testing.T, _ *testClock, d *db.DB) {
		dead := start(t, d, "a")
		first := <-dead.tasks
		again := start(t, d, "a")
		second := <-again.tasks
		if second.held.Epoch != first.held.Epoch+1 {
			t.Errorf("epoch %d after %d", second.held.Epoch, first.held.Epoch)
		}
		if err := confirm(t, d, first.held); !errors.Is(err, ErrLost) {
			t.Errorf("the dead process confirms: %v", err)
		}
	})
}

func TestTaskThatReturnsEndsTheHolding(t *testing.T) {
	each(t, func(t *testing.T, _ *testClock, d *db.DB) {
		a := start(t, d, "a")
		task := <-a.tasks
		broken := errors.New("broken")
		task.end <- broken
		if err := <-a.ended; !errors.Is(err, broken) {
			t.Fatalf("got %v", err)
		}
		b := start(t, d, "b")
		<-b.tasks
	})
}

func TestHoldRunsItsTask(t *testing.T) {
	d := dbtest.Open(t, Schema)
	ran := false
	err := Hold(t.Context(), d, "sequencer", "a", ttl, func(_ context.Context, held Held) error {
		ran = true
		return d.Write(t.Context(), held.Confirm)
	})
	if err != nil || !ran {
		t.Fatalf("ran: %v, error: %v", ran, err)
	}
}
