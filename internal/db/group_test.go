package db_test

import (
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
)

// together runs fns as calls of Write that all wait while the first one holds the database, so that SQLite puts them into one group. It returns
// what each call returned; a panic is returned as an error.
func together(t testing.TB, d *db.DB, fns ...func(tx *db.Tx) error) []error {
	t.Helper()
	var all sync.WaitGroup
	var finished atomic.Int64
	results := make([]error, len(fns))
	held, release := make(chan struct{}), make(chan struct{})
	holding := sync.OnceFunc(func() { close(held) })
	all.Go(func() {
		if err := d.Write(t.Context(), func(*db.Tx) error { holding(); <-release; return nil }); err != nil {
			t.Errorf("the first of the group: %v", err)
		}
	})
	<-held
	for i, fn := range fns {
		all.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					results[i] = fmt.Errorf("panic: %v", p)
				}
				finished.Add(1)
			}()
			results[i] = d.Write(t.Context(), fn)
		})
		for d.Counters().Pending+finished.Load() < int64(i+2) { // one after the other: the order in the group is the order here
			runtime.Gosched()
		}
	}
	close(release)
	all.Wait()
	return results
}

func increment(name string) func(tx *db.Tx) error {
	return func(tx *db.Tx) error { return add(tx, name, 1) }
}

func TestWritesThatWaitShareOneCommit(t *testing.T) {
	d := dbtest.Open(t, tables...)
	before := d.Counters().Commits
	const callers = 50
	var fns []func(tx *db.Tx) error
	for range callers {
		fns = append(fns, increment("a"))
	}
	for _, err := range together(t, d, fns...) {
		if err != nil {
			t.Error(err)
		}
	}
	if got := count(t, d, "a"); got != callers {
		t.Errorf("counter is %d, want %d", got, callers)
	}
	if commits := d.Counters().Commits - before; commits > callers/2 { // one or two, but on a machine that is very busy
		t.Errorf("%d writes took %d commits", callers+1, commits)
	}
}

// expectGroup runs culprit between two neighbours and checks that they are unharmed and that the culprit left nothing.
func expectGroup(t *testing.T, d *db.DB, culprit func(tx *db.Tx) error) error {
	t.Helper()
	before, after, left := count(t, d, "before"), count(t, d, "after"), count(t, d, "culprit")
	results := together(t, d, increment("before"), func(tx *db.Tx) error {
		if err := add(tx, "culprit", 1); err != nil {
			return err
		}
		return culprit(tx)
	}, increment("after"))
	if results[0] != nil || results[2] != nil {
		t.Errorf("the neighbours returned %v and %v", results[0], results[2])
	}
	if got := count(t, d, "before") - before; got != 1 {
		t.Errorf("the neighbour before was kept %d times", got)
	}
	if got := count(t, d, "after") - after; got != 1 {
		t.Errorf("the neighbour after was kept %d times", got)
	}
	if got := count(t, d, "culprit") - left; got != 0 {
		t.Errorf("the failed write left %d", got)
	}
	return results[1]
}

func TestFailureInAGroupIsItsOwn(t *testing.T) {
	dbtest.Each(t, tables, func(t *testing.T, d *db.DB) {
		write(t, d, func(tx *db.Tx) error { _, err := tx.Exec(`INSERT INTO account (id) VALUES ('x')`); return err })
		err := expectGroup(t, d, func(*db.Tx) error { return errRoom })
		if !errors.Is(err, errRoom) {
			t.Errorf("an error became %v", err)
		}
		err = expectGroup(t, d, func(*db.Tx) error { panic("boom") })
		if err == nil || err.Error() != "panic: boom" {
			t.Errorf("a panic became %v", err)
		}
		err = expectGroup(t, d, func(tx *db.Tx) error { _, err := tx.Exec(`INSERT INTO account (id) VALUES ('x')`); return err })
		if !db.IsUnique(err) {
			t.Errorf("a unique violation became %v", err)
		}
	})
}

func TestFailingCommitIsRunAgainOneByOne(t *testing.T) {
	dbtest.Each(t, tables, func(t *testing.T, d *db.DB) {
		err := expectGroup(t, d, func(tx *db.Tx) error {
			_, err := tx.Exec(`INSERT INTO line (id, account) VALUES ('l', 'nobody')`) // found out at COMMIT
			return err
		})
		if err == nil || !strings.Contains(strings.ToLower(err.Error()), "foreign key") {
			t.Errorf("the write whose COMMIT fails returned %v", err)
		}
	})
}

func TestInterruptedStatementDoesNotHarmItsGroup(t *testing.T) {
	t.Parallel() // it waits for the deadline
	config := db.Config{Deadline: 3 * time.Second}
	dbtest.EachWith(t, config, tables, func(t *testing.T, d *db.DB) {
		for _, err := range together(t, d, increment("warm"), increment("warm"), increment("warm")) { // nobody has to connect in that time
			if err != nil {
				t.Fatal(err)
			}
		}
		err := expectGroup(t, d, func(tx *db.Tx) error {
			// An interrupted INSERT makes SQLite roll back the whole transaction.
			_, first := tx.Exec(`INSERT INTO cell (id) WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT 'endless ' || x FROM c WHERE x = 1`)
			if second := add(tx, "culprit", 1); second == nil {
				t.Error("the transaction went on")
			}
			return first
		})
		if !errors.Is(err, db.ErrBusy) {
			t.Errorf("the interrupted write returned %v, want ErrBusy", err)
		}
	})
}

func TestFullDiskDoesNotHarmItsGroup(t *testing.T) {
	d := dbtest.Open(t, tables...)
	limit := func(pages string) {
		write(t, d, func(tx *db.Tx) error {
			var now int64
			return tx.Row(`PRAGMA max_page_count = ` + pages).Scan(&now)
		})
	}
	fill := func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO cell (id, b) WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 1000) SELECT 'fill ' || x, zeroblob(4000) FROM c`)
		return err
	}
	write(t, d, func(tx *db.Tx) error {
		return errors.Join(add(tx, "before", 1), add(tx, "culprit", 1), add(tx, "after", 1))
	})
	limit("100")
	if err := expectGroup(t, d, fill); !errors.Is(err, db.ErrFull) {
		t.Errorf("a write on a full disk returned %v, want ErrFull", err)
	}
	if err := d.Write(t.Context(), fill); !errors.Is(err, db.ErrFull) {
		t.Errorf("a write alone on a full disk returned %v, want ErrFull", err)
	}
	var rows int
	err := d.Read(t.Context(), func(tx *db.Tx) error { return tx.Row(`SELECT count(*) FROM cell`).Scan(&rows) })
	if err != nil || rows != 0 {
		t.Errorf("%d rows of a failed write are there (%v)", rows, err)
	}
	limit("1000000")
	write(t, d, fill)
}

// raw is a connection of another process to the same SQLite file.
func raw(t testing.TB, address string) *sql.DB {
	t.Helper()
	other, err := sql.Open("sqlite", "file:"+(&url.URL{Path: strings.TrimPrefix(address, "sqlite:")}).EscapedPath())
	if err != nil {
		t.Fatal(err)
	}
	other.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = other.Close() })
	return other
}

func TestLockHeldByAnotherProcessIsBusy(t *testing.T) {
	address := dbtest.SQLite(t, tables...)
	d, patient := dbtest.OpenWith(t, db.Config{Deadline: 200 * time.Millisecond}, address), dbtest.OpenWith(t, db.Config{}, address)
	other := raw(t, address)
	if _, err := other.Exec(`BEGIN IMMEDIATE; INSERT INTO counter (name, n) VALUES ('theirs', 1)`); err != nil {
		t.Fatal(err)
	}
	if err := d.Write(t.Context(), increment("ours")); !errors.Is(err, db.ErrBusy) {
		t.Errorf("Write returned %v, want ErrBusy", err)
	}
	if got := count(t, patient, "theirs"); got != 0 {
		t.Errorf("Read sees %d of an open transaction, or waited for it", got)
	}
	if _, err := other.Exec(`COMMIT`); err != nil {
		t.Fatal(err)
	}
	if err := soon(func() error { return d.Write(t.Context(), increment("ours")) }); err != nil {
		t.Error(err)
	}
	if ours, theirs := count(t, patient, "ours"), count(t, patient, "theirs"); ours != 1 || theirs != 1 {
		t.Errorf("counters are %d and %d, want 1 and 1", ours, theirs)
	}
}

func TestTwoProcessesWriteToOneFile(t *testing.T) {
	address := dbtest.SQLite(t, tables...)
	server, command := dbtest.OpenWith(t, db.Config{}, address), dbtest.OpenWith(t, db.Config{}, address)
	var all sync.WaitGroup
	for i := range 200 {
		d := []*db.DB{server, command}[i%2]
		all.Go(func() {
			if err := d.Write(t.Context(), increment("a")); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if got := count(t, server, "a"); got != 200 {
		t.Errorf("%d of 200 were kept", got)
	}
}

func TestFullQueueIsBusy(t *testing.T) {
	dbtest.EachWith(t, db.Config{Queue: 2}, tables, func(t *testing.T, d *db.DB) {
		var all sync.WaitGroup
		release := make(chan struct{})
		started := make(chan struct{}, 2)
		hold := func(tx *db.Tx) error { started <- struct{}{}; <-release; return nil }
		all.Go(func() { _ = d.Write(t.Context(), hold) })
		<-started
		var refused error
		for refused == nil { // one runs; then the queue fills
			waiting := d.Counters().Pending
			result := make(chan error, 1)
			all.Go(func() { result <- d.Write(t.Context(), hold) })
			for d.Counters().Pending == waiting && len(result) == 0 {
				runtime.Gosched()
			}
			if len(result) > 0 {
				refused = <-result
			}
		}
		if !errors.Is(refused, db.ErrBusy) {
			t.Errorf("Write returned %v, want ErrBusy", refused)
		}
		close(release)
		go func() {
			for range started { // let the others by
			}
		}()
		all.Wait()
		close(started)
	})
}

// A room that calls Write inside Write without the transaction's context waits for itself; it does not wait for ever.
func TestWaitingForOneselfEnds(t *testing.T) {
	d := dbtest.OpenWith(t, db.Config{Deadline: 50 * time.Millisecond}, dbtest.SQLite(t, tables...))
	err := soon(func() error {
		return d.Write(t.Context(), func(tx *db.Tx) error {
			if err := d.Write(t.Context(), increment("a")); !errors.Is(err, db.ErrBusy) {
				t.Errorf("Write inside Write returned %v, want ErrBusy", err)
			}
			return nil
		})
	})
	if err != nil {
		t.Error(err)
	}
	if got := count(t, d, "a"); got != 0 {
		t.Errorf("a write that was given up was done: %d", got)
	}
}
