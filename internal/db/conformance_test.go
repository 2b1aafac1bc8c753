package db_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
)

// tables is what the tests of this package work on: a counter, a single-use ticket, and a line whose missing account is found out at COMMIT.
var tables = []fs.FS{fstest.MapFS{"schema/00001_try.sql": {Data: []byte(`-- +goose Up
CREATE TABLE counter (name TEXT PRIMARY KEY, n BIGINT NOT NULL);
CREATE TABLE ticket (id TEXT PRIMARY KEY, used BIGINT NOT NULL);
CREATE TABLE account (id TEXT PRIMARY KEY);
CREATE TABLE line (id TEXT PRIMARY KEY, account TEXT NOT NULL REFERENCES account (id) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE cell (id TEXT PRIMARY KEY, t TEXT, n BIGINT, b BYTEA);
`)}}}

var errRoom = errors.New("the room says no")

func add(tx *db.Tx, name string, n int) error {
	_, err := tx.Exec(`INSERT INTO counter (name, n) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET n = counter.n + $2`, name, n)
	return err
}

func count(t testing.TB, d *db.DB, name string) int {
	t.Helper()
	var n int
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		return tx.Row(`SELECT coalesce((SELECT n FROM counter WHERE name = $1), 0)`, name).Scan(&n)
	})
	if err != nil {
		t.Fatalf("counting %s: %v", name, err)
	}
	return n
}

func write(t testing.TB, d *db.DB, fn func(tx *db.Tx) error) {
	t.Helper()
	if err := d.Write(t.Context(), fn); err != nil {
		t.Fatalf("writing: %v", err)
	}
}

// soon is for a database with a short deadline, which a machine under load may reach before the test's own matter: busy is tried again.
func soon(try func() error) error {
	for {
		if err := try(); !errors.Is(err, db.ErrBusy) || errors.Is(err, db.ErrUncertain) {
			return err
		}
	}
}

func TestWriteIsReadAfterwards(t *testing.T) {
	dbtest.Each(t, tables, func(t *testing.T, d *db.DB) {
		before := d.Counters()
		write(t, d, func(tx *db.Tx) error { return add(tx, "a", 2) })
		if got := count(t, d, "a"); got != 2 {
			t.Errorf("counter is %d, want 2", got)
		}
		after := d.Counters()
		if commits, statements := after.Commits-before.Commits, after.Statements-before.Statements; commits != 1 || statements != 2 {
			t.Errorf("%d commits and %d statements, want 1 and 2", commits, statements)
		}
	})
}

func TestFailingFunctionLeavesNothing(t *testing.T) {
	dbtest.Each(t, tables, func(t *testing.T, d *db.DB) {
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			if err := add(tx, "a", 1); err != nil {
				return err
			}
			return fmt.Errorf("adding: %w", errRoom)
		})
		if !errors.Is(err, errRoom) {
			t.Errorf("Write returned %v, want the function's error", err)
		}
		if got := count(t, d, "a"); got != 0 {
			t.Errorf("a failed write left %d", got)
		}
	})
}

func TestSwallowedStatementErrorStillFailsTheWrite(t *testing.T) {
	dbtest.Each(t, tables, func(t *testing.T, d *db.DB) {
		write(t, d, func(tx *db.Tx) error { _, err := tx.Exec(`INSERT INTO account (id) VALUES ('x')`); return err })
		var first, second error
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			_, first = tx.Exec(`INSERT INTO account (id) VALUES ('x')`)
			second = add(tx, "a", 1)
			return nil
		})
		if !db.IsUnique(first) || !db.IsUnique(second) || !db.IsUnique(err) {
			t.Errorf("statement, next statement and Write returned %v, %v, %v: each should tell of the unique key", first, second, err)
		}
		if got := count(t, d, "a"); got != 0 {
			t.Errorf("the transaction went on after a failed statement: %d", got)
		}
	})
}

func TestUniqueIsToldFromOtherErrors(t *testing.T) {
	dbtest.Each(t, tables, func(t *testing.T, d *db.DB) {
		err := d.Write(t.Context(), func(tx *db.Tx) error { _, err := tx.Exec(`INSERT INTO counter (name) VALUES ('x')`); return err })
		if err == nil || db.IsUnique(err) {
			t.Errorf("a NOT NULL violation returned %v", err)
		}
		if db.IsUnique(nil) {
			t.Error("nil is no unique violation")
		}
		err = d.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(`INSERT INTO line (id, account) VALUES ('l', 'nobody')`)
			return err
		})
		if err == nil || db.IsUnique(err) || errors.Is(err, db.ErrUnavailable) {
			t.Errorf("a foreign key violated at COMMIT returned %v", err)
		}
	})
}

func TestPanicReachesItsCallerAndLeavesNothing(t *testing.T) {
	dbtest.Each(t, tables, func(t *testing.T, d *db.DB) {
		func() {
			defer func() {
				if recover() != "boom" {
					t.Error("the panic did not reach its caller")
				}
				if got := count(t, d, "a"); got != 0 {
					t.Errorf("the panicking write left %d", got)
				}
			}()
			_ = d.Write(t.Context(), func(tx *db.Tx) error {
				_ = add(tx, "a", 1)
				panic("boom")
			})
		}()
		func() {
			defer func() { _ = recover() }()
			_ = d.Read(t.Context(), func(*db.Tx) error { panic("boom") })
		}()
		exited := make(chan struct{})
		go func() {
			defer close(exited)
			_ = d.Write(t.Context(), func(tx *db.Tx) error {
				_ = add(tx, "a", 1)
				runtime.Goexit() // what a test's FailNow does
				return nil
			})
		}()
		<-exited
		write(t, d, func(tx *db.Tx) error { return add(tx, "a", 5) })
		if got := count(t, d, "a"); got != 5 {
			t.Errorf("after a panic and an exit the counter is %d, want 5", got)
		}
	})
}

func TestParallelIncrementsLoseNone(t *testing.T) {
	dbtest.Each(t, tables, func(t *testing.T, d *db.DB) {
		const callers = 1000
		var all sync.WaitGroup
		errs := make(chan error, callers)
		for range callers {
			all.Go(func() { errs <- d.Write(t.Context(), func(tx *db.Tx) error { return add(tx, "a", 1) }) })
		}
		all.Wait()
		close(errs)
		for err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
		if got := count(t, d, "a"); got != callers {
			t.Errorf("%d of %d increments were kept", got, callers)
		}
		if c := d.Counters(); c.Pending != 0 {
			t.Errorf("%d writes are pending", c.Pending)
		}
	})
}

// A read-modify-write in two statements needs ForUpdate on PostgreSQL.
func TestForUpdateKeepsReadModifyWriteWhole(t *testing.T) {
	dbtest.Each(t, tables, func(t *testing.T, d *db.DB) {
		write(t, d, func(tx *db.Tx) error { return add(tx, "a", 0) })
		const callers = 100
		var all sync.WaitGroup
		for range callers {
			all.Go(func() {
				err := d.Write(t.Context(), func(tx *db.Tx) error {
					var n int64
					if err := tx.Row(`SELECT n FROM counter WHERE name = $1`+tx.ForUpdate(), "a").Scan(&n); err != nil {
						return err
					}
					_, err := tx.Exec(`UPDATE counter SET n = $2 WHERE name = $1`, "a", n+1)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got := count(t, d, "a"); got != callers {
			t.Errorf("%d of %d were kept", got, callers)
		}
	})
}

func TestConditionalUpdateIsWonOnce(t *testing.T) {
	dbtest.Each(t, tables, func(t *testing.T, d *db.DB) {
		write(t, d, func(tx *db.Tx) error { _, err := tx.Exec(`INSERT INTO ticket (id, used) VALUES ('t', 0)`); return err })
		var all sync.WaitGroup
		results := make(chan error, 50)
		for range cap(results) {
			all.Go(func() {
				results <- d.Write(t.Context(), func(tx *db.Tx) error {
					var id string
					return tx.Row(`UPDATE ticket SET used = 1 WHERE id = $1 AND used = 0 RETURNING id`, "t").Scan(&id)
				})
			})
		}
		all.Wait()
		close(results)
		won := 0
		for err := range results {
			switch {
			case err == nil:
				won++
			case !errors.Is(err, db.ErrNoRows):
				t.Error(err)
			}
		}
		if won != 1 {
			t.Errorf("the ticket was used %d times", won)
		}
	})
}

func TestCallersCancellationDoesNotLoseTheWrite(t *testing.T) {
	dbtest.Each(t, tables, func(t *testing.T, d *db.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		err := d.Write(ctx, func(tx *db.Tx) error {
			cancel()
			if tx.Context().Err() != nil {
				t.Error("the transaction's context ended with the caller's")
			}
			return add(tx, "a", 1)
		})
		if err != nil {
			t.Error(err)
		}
		if err := d.Write(ctx, func(tx *db.Tx) error { return add(tx, "a", 1) }); err != nil {
			t.Error("a caller that has gone already:", err)
		}
		if got := count(t, d, "a"); got != 2 {
			t.Errorf("counter is %d, want 2", got)
		}
		err = d.Read(ctx, func(tx *db.Tx) error { return nil })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("a Read for nobody returned %v", err)
		}
	})
}

// endless never ends by itself on either engine.
const endless = `WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c`

func TestStatementEndsAtTheDeadline(t *testing.T) {
	dbtest.EachWith(t, db.Config{Deadline: 200 * time.Millisecond}, tables, func(t *testing.T, d *db.DB) {
		slow := func(tx *db.Tx) error {
			var n int64
			return tx.Row(endless).Scan(&n)
		}
		if err := d.Write(t.Context(), slow); !errors.Is(err, db.ErrBusy) {
			t.Errorf("Write returned %v, want ErrBusy", err)
		}
		if err := d.Read(t.Context(), slow); !errors.Is(err, db.ErrBusy) {
			t.Errorf("Read returned %v, want ErrBusy", err)
		}
		if busy := d.Counters().Busy; busy != 2 {
			t.Errorf("%d calls were counted as busy, want 2", busy)
		}
		// It serves as before.
		var n int
		err := soon(func() error {
			return d.Write(t.Context(), func(tx *db.Tx) error {
				return tx.Row(`INSERT INTO counter (name, n) VALUES ('a', 1) ON CONFLICT (name) DO UPDATE SET n = 1 RETURNING n`).Scan(&n)
			})
		})
		if err != nil || n != 1 {
			t.Errorf("afterwards Write returned %v and counted %d", err, n)
		}
		err = soon(func() error {
			return d.Read(t.Context(), func(tx *db.Tx) error { return tx.Row(`SELECT n FROM counter`).Scan(&n) })
		})
		if err != nil || n != 1 {
			t.Errorf("afterwards Read returned %v and found %d", err, n)
		}
	})
}

func TestReadSeesOneSnapshot(t *testing.T) {
	dbtest.Each(t, tables, func(t *testing.T, d *db.DB) {
		write(t, d, func(tx *db.Tx) error { return add(tx, "a", 1) })
		err := d.Read(t.Context(), func(tx *db.Tx) error {
			var first, second int
			if err := tx.Row(`SELECT n FROM counter`).Scan(&first); err != nil {
				return err
			}
			write(t, d, func(tx *db.Tx) error { return add(tx, "a", 1) })
			if err := tx.Row(`SELECT n FROM counter`).Scan(&second); err != nil {
				return err
			}
			if first != 1 || second != 1 {
				t.Errorf("one Read saw %d and then %d", first, second)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestReadCannotWrite(t *testing.T) {
	dbtest.Each(t, tables, func(t *testing.T, d *db.DB) {
		err := d.Read(t.Context(), func(tx *db.Tx) error { return add(tx, "a", 1) })
		if err == nil || errors.Is(err, db.ErrUnavailable) {
			t.Errorf("a write in Read returned %v, want an error that is the room's fault", err)
		}
		if got := count(t, d, "a"); got != 0 {
			t.Errorf("it left %d", got)
		}
	})
}

func TestMisuseIsFoundOnBothEngines(t *testing.T) {
	dbtest.Each(t, tables, func(t *testing.T, d *db.DB) {
		write(t, d, func(tx *db.Tx) error { return errors.Join(add(tx, "a", 1), add(tx, "b", 1)) })
		var kept *db.Tx
		write(t, d, func(tx *db.Tx) error {
			kept = tx
			rows, err := tx.Rows(`SELECT name FROM counter ORDER BY name`)
			if err != nil {
				return err
			}
			if !rows.Next() {
				t.Error("no row")
			}
			if err := add(tx, "c", 1); err == nil {
				t.Error("a statement was let through while rows are open")
			}
			if err := rows.Close(); err != nil {
				return err
			}
			if err := d.Write(tx.Context(), func(*db.Tx) error { return nil }); err == nil {
				t.Error("Write inside Write was let through")
			}
			_, err = tx.Rows(`SELECT name FROM counter`) // left open: closed with the transaction
			return err
		})
		if err := add(kept, "c", 1); err == nil {
			t.Error("a statement was let through after the transaction")
		}
		if got := count(t, d, "c"); got != 0 {
			t.Errorf("misuse left %d", got)
		}
	})
}

func TestClosedDatabaseIsUnavailable(t *testing.T) {
	dbtest.Each(t, tables, func(t *testing.T, d *db.DB) {
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		nothing := func(*db.Tx) error { return nil }
		if err := d.Write(t.Context(), nothing); !errors.Is(err, db.ErrUnavailable) {
			t.Errorf("Write returned %v", err)
		}
		if err := d.Read(t.Context(), nothing); !errors.Is(err, db.ErrUnavailable) {
			t.Errorf("Read returned %v", err)
		}
	})
}
