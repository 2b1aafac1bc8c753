package once_test

import (
	"context"
	"io/fs"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/oidc/once"
)

var (
	schemas = []fs.FS{once.Schema}
	start   = time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
)

func use(t *testing.T, d *db.DB, kind, client, name string, until time.Time) bool {
	t.Helper()
	var fresh bool
	err := d.Write(context.Background(), func(tx *db.Tx) (err error) {
		fresh, err = once.Use(tx, kind, client, name, until)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return fresh
}

func TestANameIsGoodOnceUntilItsTimeIsOver(t *testing.T) {
	now := start
	dbtest.EachAt(t, func() time.Time { return now }, schemas, func(t *testing.T, d *db.DB) {
		now = start
		until := start.Add(time.Minute)
		for _, step := range []struct {
			kind, client, name string
			want               bool
		}{
			{"client_assertion", "a", "1", true},
			{"client_assertion", "a", "1", false},
			{"client_assertion", "a", "1", false},
			{"client_assertion", "b", "1", true}, // another client's choice
			{"dpop", "a", "1", true},             // another kind of name
			{"client_assertion", "a", "\x00\xff", true},
			{"client_assertion", "a", "\x00\xff", false},
		} {
			if got := use(t, d, step.kind, step.client, step.name, until); got != step.want {
				t.Errorf("using %+v: %v", step, got)
			}
		}
		now = until.Add(-time.Microsecond)
		if use(t, d, "client_assertion", "a", "1", until.Add(time.Minute)) {
			t.Error("the name was good again before its time was over")
		}
		now = until
		if !use(t, d, "client_assertion", "a", "1", until.Add(time.Minute)) {
			t.Error("the name is not good although its time is over")
		}
		if use(t, d, "client_assertion", "a", "1", until.Add(time.Minute)) {
			t.Error("the name was good twice in its second time")
		}
	})
}

// A replay that is checked in the last moment of its time and comes to the
// database after it must not find the name free again (RFC 7523 section 3; RFC
// 9449 section 11.1).
func TestANameWhoseTimeEndedOnTheWayIsGoodForNobody(t *testing.T) {
	now := start
	dbtest.EachAt(t, func() time.Time { return now }, schemas, func(t *testing.T, d *db.DB) {
		now = start
		until := start.Add(time.Minute)
		if !use(t, d, "client_assertion", "a", "1", until) {
			t.Fatal("it was not good the first time")
		}
		for _, now = range []time.Time{until, until.Add(time.Second)} {
			if use(t, d, "client_assertion", "a", "1", until) {
				t.Errorf("it is good again %s after its time", now.Sub(until))
			}
			if err := d.Write(t.Context(), once.Prune); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// A node that clears up when a name's time is over on its own clock must not open
// the name for a replay at a node whose clock runs behind.
func TestANameStaysUsedOnTheNodeWhoseClockRunsBehind(t *testing.T) {
	url := dbtest.Postgres(t, schemas...)
	until := start.Add(time.Minute)
	ahead := dbtest.OpenWith(t, db.Config{Now: func() time.Time { return until.Add(time.Second) }}, url)
	behind := dbtest.OpenWith(t, db.Config{Now: func() time.Time { return until.Add(-time.Second) }}, url)
	if !use(t, behind, "dpop", "a", "1", until) {
		t.Fatal("it was not good the first time")
	}
	if err := ahead.Write(t.Context(), once.Prune); err != nil {
		t.Fatal(err)
	}
	if use(t, behind, "dpop", "a", "1", until) {
		t.Error("it was good twice")
	}
}

func TestPruningForgetsOnlyWhatIsOver(t *testing.T) {
	now := start
	dbtest.EachAt(t, func() time.Time { return now }, schemas, func(t *testing.T, d *db.DB) {
		now = start
		use(t, d, "dpop", "a", "short", start.Add(time.Minute))
		use(t, d, "dpop", "a", "long", start.Add(time.Hour))
		now = start.Add(3 * time.Minute)
		if err := d.Write(t.Context(), once.Prune); err != nil {
			t.Fatal(err)
		}
		left := 0
		err := d.Read(t.Context(), func(tx *db.Tx) error { return tx.Row(`SELECT count(*) FROM oidc_once`).Scan(&left) })
		if err != nil || left != 1 {
			t.Errorf("%d names are left (%v), want 1", left, err)
		}
		if use(t, d, "dpop", "a", "long", start.Add(time.Hour)) {
			t.Error("a name was forgotten that is still accepted")
		}
	})
}

// Two nodes on one PostgreSQL: of 1,000 racing uses of one jti exactly one
// wins.
func TestOfAThousandRacingUsesExactlyOneWins(t *testing.T) {
	nodes := dbtest.Nodes(t, 2, schemas...)
	race(t, nodes)
}

func TestOfAThousandRacingUsesExactlyOneWinsOnSQLite(t *testing.T) {
	race(t, []*db.DB{dbtest.Open(t, schemas...)})
}

func race(t *testing.T, nodes []*db.DB) {
	t.Helper()
	const racers = 1000
	var won atomic.Int64
	var group sync.WaitGroup
	for i := range racers {
		group.Go(func() {
			d, fresh := nodes[i%len(nodes)], false
			err := d.Write(context.Background(), func(tx *db.Tx) (err error) {
				fresh, err = once.Use(tx, "client_assertion", "a", "the one", tx.Now().Add(time.Minute))
				return err
			})
			if err != nil {
				t.Error(err)
			}
			if fresh {
				won.Add(1)
			}
		})
	}
	group.Wait()
	if won.Load() != 1 {
		t.Errorf("%d won, want 1", won.Load())
	}
}
