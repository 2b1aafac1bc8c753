package db_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
)

// behindProxy opens a fresh PostgreSQL database through a proxy, and a connection to it that does not go through the proxy.
func behindProxy(t *testing.T, config db.Config) (*db.DB, *proxy, *pgx.Conn) {
	t.Helper()
	address := dbtest.Postgres(t, tables...)
	p := startProxy(t, address)
	return dbtest.OpenWith(t, config, p.URL), p, connect(t, address)
}

func connect(t *testing.T, address string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func stored(t *testing.T, conn *pgx.Conn, name string) (n int) {
	t.Helper()
	err := conn.QueryRow(t.Context(), `SELECT coalesce(sum(n), 0) FROM counter WHERE name = $1`, name).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestConnectionLostDuringCommitIsResolved(t *testing.T) {
	for name, at := range map[string]struct {
		cut  cut
		runs int // how often the function is run
	}{
		"before the server has seen it":                      {cutBefore, 2},
		"after the server has done it":                       {cutAfter, 1},
		"while the server believes that the client is there": {cutHalf, 2},
	} {
		t.Run(name, func(t *testing.T) {
			d, p, direct := behindProxy(t, db.Config{})
			p.set(at.cut, nil)
			runs := 0
			err := d.Write(t.Context(), func(tx *db.Tx) error {
				runs++
				return add(tx, "a", 1)
			})
			if err != nil || runs != at.runs {
				t.Errorf("after %d runs Write returned %v, want %d runs and no error", runs, err, at.runs)
			}
			if got := stored(t, direct, "a"); got != 1 {
				t.Errorf("the write was kept %d times", got)
			}
			write(t, d, increment("b"))
		})
	}
}

func TestUnknownOutcomeIsSaidToBeUnknown(t *testing.T) {
	d, p, direct := behindProxy(t, db.Config{Deadline: 300 * time.Millisecond})
	p.set(cutForGood, nil)
	err := soon(func() error { return d.Write(t.Context(), increment("a")) })
	if !errors.Is(err, db.ErrUnavailable) || !strings.Contains(err.Error(), "not known") {
		t.Errorf("Write returned %v, want ErrUnavailable that says that the outcome is not known", err)
	}
	for stored(t, direct, "a") == 0 { // it was kept, indeed
	}
	if n := stored(t, direct, "a"); n != 1 {
		t.Errorf("it was kept %d times", n)
	}
	if err := d.Write(t.Context(), increment("b")); !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("Write to a server that has gone returned %v, want ErrUnavailable", err)
	}
	if err := d.Read(t.Context(), func(*db.Tx) error { return nil }); !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("Read from a server that has gone returned %v, want ErrUnavailable", err)
	}
}

func TestBackendTerminatedJustBeforeCommit(t *testing.T) {
	d, p, direct := behindProxy(t, db.Config{})
	var backend int64
	terminated := make(chan struct{})
	p.set(terminateNow, func() {
		terminate(t, direct, backend)
		close(terminated)
	})
	runs := 0
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		runs++
		if err := tx.Row(`SELECT pg_backend_pid()`).Scan(&backend); err != nil {
			return err
		}
		return add(tx, "a", 1)
	})
	<-terminated
	if err != nil || runs != 2 {
		t.Errorf("after %d runs Write returned %v, want 2 runs and no error", runs, err)
	}
	if got := stored(t, direct, "a"); got != 1 {
		t.Errorf("the write was kept %d times", got)
	}
}

// terminate ends a backend and waits until it has gone.
func terminate(t *testing.T, conn *pgx.Conn, backend int64) {
	var gone bool
	if err := conn.QueryRow(context.Background(), `SELECT pg_terminate_backend($1, 10000)`, backend).Scan(&gone); err != nil || !gone {
		t.Errorf("terminating backend %d: %v %v", backend, gone, err)
	}
}

func TestBackendTerminatedInTheMiddleRunsAgain(t *testing.T) {
	address := dbtest.Postgres(t, tables...)
	d, direct := dbtest.OpenWith(t, db.Config{}, address), connect(t, address)
	runs := 0
	write(t, d, func(tx *db.Tx) error {
		runs++
		if err := add(tx, "a", 1); err != nil {
			return err
		}
		if runs == 1 {
			var backend int64
			if err := tx.Row(`SELECT pg_backend_pid()`).Scan(&backend); err != nil {
				return err
			}
			terminate(t, direct, backend)
		}
		return add(tx, "a", 1)
	})
	if got := count(t, d, "a"); got != 2 || runs != 2 {
		t.Errorf("after %d runs the counter is %d, want 2 and 2", runs, got)
	}
}

// A restarted server breaks all idle connections of the pool at once; neither reads nor writes see anything of it.
func TestBrokenIdleConnectionsAreReplaced(t *testing.T) {
	address := dbtest.Postgres(t, tables...)
	d, direct := dbtest.OpenWith(t, db.Config{Connections: 4}, address), connect(t, address)
	for _, use := range []func() error{
		func() error { return d.Write(t.Context(), increment("a")) },
		func() error { return d.Read(t.Context(), func(tx *db.Tx) error { return nil }) },
	} {
		var all, ready sync.WaitGroup
		ready.Add(4)
		for range 4 {
			all.Go(func() {
				_ = d.Write(t.Context(), func(*db.Tx) error { ready.Done(); ready.Wait(); return nil })
			})
		}
		all.Wait()
		_, err := direct.Exec(t.Context(), `SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		if err != nil {
			t.Fatal(err)
		}
		if err := use(); err != nil {
			t.Error(err)
		}
	}
}

func TestDeadlockIsRunAgain(t *testing.T) {
	d := dbtest.OpenWith(t, db.Config{}, dbtest.Postgres(t, tables...))
	write(t, d, func(tx *db.Tx) error { return errors.Join(add(tx, "a", 0), add(tx, "b", 0)) })
	var all, ready sync.WaitGroup
	ready.Add(2)
	for _, order := range [][]string{{"a", "b"}, {"b", "a"}} {
		all.Go(func() {
			first := true
			err := d.Write(t.Context(), func(tx *db.Tx) error {
				if err := add(tx, order[0], 1); err != nil {
					return err
				}
				if first { // both hold their first row
					first = false
					ready.Done()
					ready.Wait()
				}
				return add(tx, order[1], 1)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if a, b := count(t, d, "a"), count(t, d, "b"); a != 2 || b != 2 {
		t.Errorf("counters are %d and %d, want 2 and 2", a, b)
	}
	if d.Counters().Reruns == 0 {
		t.Error("there was no deadlock")
	}
}

func TestAllConnectionsInUseIsBusy(t *testing.T) {
	d := dbtest.OpenWith(t, db.Config{Connections: 1}, dbtest.Postgres(t, tables...))
	write(t, d, func(tx *db.Tx) error {
		short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := d.Read(short, func(*db.Tx) error { return nil }); !errors.Is(err, db.ErrBusy) {
			t.Errorf("Read returned %v, want ErrBusy", err)
		}
		return nil
	})
}

// PostgreSQL tells of a COMMIT whose wait for the synchronous standby was cut short with a warning only (decision 17: success only when it is durable).
func TestCommitThatNoStandbyHasIsNotSuccess(t *testing.T) {
	t.Parallel() // it waits for deadlines
	server, err := dbtest.StartServer("synchronous_standby_names=nobody", "max_connections=20")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	direct := connect(t, server.URL)
	if _, err := direct.Exec(t.Context(), `SET synchronous_commit = local; CREATE TABLE counter (name TEXT PRIMARY KEY, n BIGINT NOT NULL)`); err != nil {
		t.Fatal(err)
	}
	d := dbtest.OpenWith(t, db.Config{Deadline: 500 * time.Millisecond}, server.URL)
	err = soon(func() error { return d.Write(t.Context(), increment("a")) })
	if !errors.Is(err, db.ErrUnavailable) || !strings.Contains(err.Error(), "not known") {
		t.Errorf("Write returned %v, want ErrUnavailable that says that the outcome is not known", err)
	}
	if err := cutShort(t, d, direct); !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("Write returned %v, want ErrUnavailable", err)
	}
}

// cutShort returns what a write comes to whose wait for the standby somebody else ends. One that its deadline ends sooner is tried again.
func cutShort(t *testing.T, d *db.DB, direct *pgx.Conn) error {
	t.Helper()
	for {
		ended := make(chan error, 1)
		go func() { ended <- d.Write(t.Context(), increment("b")) }()
		for len(ended) == 0 {
			const waiting = `SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'carekey'`
			var n int
			if err := direct.QueryRow(t.Context(), waiting).Scan(&n); err != nil {
				t.Fatal(err)
			}
			if n > 0 {
				return <-ended
			}
		}
	}
}

func TestOpenRefusesAServerThatForgets(t *testing.T) {
	shared := dbtest.Server(t)
	for name, set := range map[string]string{
		"synchronous_commit is off":          "synchronous_commit = off",
		"synchronous_commit is local":        "synchronous_commit = local",
		"synchronous_commit is remote_write": "synchronous_commit = remote_write",
	} {
		address := dbtest.Postgres(t)
		database := strings.Split(address[strings.LastIndex(address, "/")+1:], "?")[0]
		if _, err := connect(t, shared).Exec(t.Context(), `ALTER DATABASE `+database+` SET `+set); err != nil {
			t.Fatal(err)
		}
		d, err := db.Open(t.Context(), db.Config{URL: address})
		if err == nil {
			_ = d.Close()
			t.Fatalf("Open accepted %s", set)
		}
		if !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "\n") {
			t.Errorf("Open returned %q, want one line with %q", err, name)
		}
	}
}

func TestOpenRefusesAsynchronousStandbysUnlessTheOperatorAcceptsThem(t *testing.T) {
	server, err := dbtest.StartServer()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	direct := connect(t, server.URL)
	if _, err := direct.Exec(t.Context(), `SELECT pg_create_physical_replication_slot('standby')`); err != nil {
		t.Fatal(err)
	}
	d, err := db.Open(t.Context(), db.Config{URL: server.URL})
	if err == nil {
		_ = d.Close()
		t.Fatal("Open accepted a server with an asynchronous standby")
	}
	if !strings.Contains(err.Error(), "synchronous_mode_strict") {
		t.Errorf("Open returned %q, want one that names the setting", err)
	}
	dbtest.OpenWith(t, db.Config{AllowAsyncStandbys: true}, server.URL)
	if _, err := direct.Exec(t.Context(), `CREATE DATABASE bytes TEMPLATE template0 ENCODING 'SQL_ASCII'`); err != nil {
		t.Fatal(err)
	}
	_, err = db.Open(t.Context(), db.Config{URL: strings.Replace(server.URL, "/postgres?", "/bytes?", 1), AllowAsyncStandbys: true})
	if err == nil || !strings.Contains(err.Error(), "UTF8") {
		t.Errorf("Open returned %v for a database that is not UTF-8", err)
	}
}

func TestOpenFailsWithOneLineThatHidesThePassword(t *testing.T) {
	for _, url := range []string{"", "mysql://x", "sqlite:", "sqlite:/nowhere/at/all.db", "postgres://u:hunter2@127.0.0.1:1/x", "postgres://u:hunter2@127.0.0.1:port/x"} {
		d, err := db.Open(t.Context(), db.Config{URL: url})
		if err == nil {
			_ = d.Close()
			t.Fatalf("Open accepted %q", url)
		}
		if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Open(%q) returned %q", url, err)
		}
	}
}

func TestClockFollowsTheDatabase(t *testing.T) {
	d := dbtest.OpenWith(t, db.Config{}, dbtest.Postgres(t, tables...))
	if skew := d.ClockSkew(); !db.Measured(d) || skew.Abs() > time.Second {
		t.Errorf("the clock of a server on the same machine is %v off (measured: %t)", skew, db.Measured(d))
	}
	now := d.Now()
	if now.Location() != time.UTC || now.Nanosecond()%1000 != 0 {
		t.Errorf("Now is %v", now)
	}
}

// After a failover the new primary may have given the transaction's number to another one.
func TestAnotherServersAnswerIsNotBelieved(t *testing.T) {
	d := dbtest.OpenWith(t, db.Config{}, dbtest.Postgres(t, tables...))
	var xid string
	write(t, d, func(tx *db.Tx) error { return tx.Row(`SELECT pg_current_xact_id()::text`).Scan(&xid) })
	if err := db.ResolveFromOldPrimary(d, xid); !errors.Is(err, db.ErrUnavailable) || !strings.Contains(err.Error(), "not known") {
		t.Errorf("resolving returned %v, want ErrUnavailable that says that the outcome is not known", err)
	}
}
