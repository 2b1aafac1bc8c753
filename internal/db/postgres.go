package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// maxRuns bounds how often a write is run after serialization failures, deadlocks and connections that were lost before COMMIT. A restarted
// server breaks every connection of the pool, so it is more than a pool holds; the deadline bounds them all.
const maxRuns = 100

// postgresEngine is PostgreSQL, shared by several nodes.
type postgresEngine struct {
	db     *DB
	config *pgx.ConnConfig
	pool   *sql.DB
	closed atomic.Bool
	stop   context.CancelFunc
	clocks chan struct{} // closed when the clock's goroutine has ended
}

func openPostgres(ctx context.Context, d *DB) (*postgresEngine, error) {
	config, err := pgx.ParseConfig(d.config.URL) // its error does not show the password
	if err != nil {
		return nil, err
	}
	config.OnNotice = noticed
	// A node that vanishes in the middle of a transaction must not hold its locks for long.
	setDefault(config.RuntimeParams, "idle_in_transaction_session_timeout", strconv.FormatInt(3*d.config.Deadline.Milliseconds(), 10))
	setDefault(config.RuntimeParams, "application_name", "carekey")
	connections := d.config.Connections
	if connections <= 0 {
		connections = max(16, 4*runtime.GOMAXPROCS(0))
	}
	e := &postgresEngine{db: d, config: config, pool: stdlib.OpenDB(*config), clocks: make(chan struct{})}
	e.pool.SetMaxOpenConns(connections)
	e.pool.SetMaxIdleConns(connections)
	e.pool.SetConnMaxIdleTime(5 * time.Minute)
	if err := e.check(ctx); err != nil {
		return nil, errors.Join(err, e.pool.Close())
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	e.stop = stop
	go e.watchClock(running)
	return e, nil
}

func setDefault(params map[string]string, name, value string) {
	if _, set := params[name]; !set {
		params[name] = value
	}
}

func (e *postgresEngine) close() error {
	if !e.closed.CompareAndSwap(false, true) {
		return nil
	}
	e.stop()
	<-e.clocks
	return e.pool.Close()
}

// acquire takes a connection out of the pool.
func (e *postgresEngine) acquire(ctx context.Context) (*session, error) {
	if e.closed.Load() {
		return nil, errClosed
	}
	conn, err := e.pool.Conn(ctx)
	switch {
	case err == nil:
		return &session{conn: conn, postgres: true}, nil
	case errors.Is(ctx.Err(), context.Canceled):
		return nil, ctx.Err()
	case ctx.Err() != nil && e.pool.Stats().InUse == e.pool.Stats().MaxOpenConnections:
		return nil, fmt.Errorf("%w: all %d connections are in use", ErrBusy, e.pool.Stats().MaxOpenConnections)
	}
	if err = kindPostgres(err); errors.Is(err, ErrBusy) && ctx.Err() == nil { // the server has no connection left
		return nil, err
	}
	return nil, typed(ErrUnavailable, err)
}

func (e *postgresEngine) read(ctx context.Context, fn func(*Tx) error) error {
	s, err := e.beginRead(ctx)
	if err != nil {
		return err
	}
	good := false
	defer func() { s.release(good) }() // also when fn panics
	tx := e.db.begin(ctx, s, true)
	defer tx.finish(nil)
	err = tx.finish(fn(tx))
	good = e.rollback(s)
	return err
}

// beginRead opens one snapshot for all statements, as SQLite gives. A connection that broke while it was idle is replaced.
func (e *postgresEngine) beginRead(ctx context.Context) (*session, error) {
	for run := 1; ; run++ {
		s, err := e.acquire(ctx)
		if err != nil {
			return nil, err
		}
		_, err = s.simple(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
		if err == nil {
			return s, nil
		}
		again := s.lost(err) && run < maxRuns
		s.release(false)
		if !again {
			return nil, kindPostgres(err)
		}
	}
}

func (e *postgresEngine) write(ctx context.Context, fn func(*Tx) error) error {
	defer e.db.counts.pending.Add(-1)
	if e.db.counts.pending.Add(1) > int64(e.db.config.Queue) {
		return fmt.Errorf("%w: %d writes are waiting", ErrBusy, e.db.config.Queue)
	}
	ctx, cancel := context.WithTimeout(ctx, e.db.config.Deadline)
	defer cancel()
	for run := 1; ; run++ {
		err, again := e.attempt(ctx, fn)
		if err == nil || !again || run == maxRuns || ctx.Err() != nil {
			return err
		}
		e.db.counts.reruns.Add(1)
	}
}

// attempt runs fn once. again: nothing was written, and another run may succeed.
func (e *postgresEngine) attempt(ctx context.Context, fn func(*Tx) error) (_ error, again bool) {
	s, err := e.acquire(ctx)
	if err != nil {
		return err, false
	}
	good := false
	defer func() { s.release(good) }() // also when fn panics; a connection that is thrown away rolls back
	id, err := s.beginWrite(ctx)
	if err != nil {
		return kindPostgres(err), s.lost(err)
	}
	result := aborted
	defer func() {
		if result == aborted {
			e.db.counts.rollbacks.Add(1)
		}
	}()
	tx := e.db.begin(ctx, s, false)
	defer tx.finish(nil)
	if err := tx.finish(fn(tx)); err != nil {
		again := tx.failed != nil && (retryable(tx.failed) || s.lost(tx.failed))
		good = e.rollback(s)
		return err, again
	}
	result, err = e.commit(s, id)
	switch {
	case result == committed:
		e.db.counts.commits.Add(1)
		good = err == nil
		return nil, false
	case result == aborted:
		return err, retryable(err) || errors.Is(err, errNotCommitted)
	}
	return err, false
}

// rollback reports whether the connection can be used again.
func (e *postgresEngine) rollback(s *session) bool {
	ctx, cancel := context.WithTimeout(context.Background(), e.db.config.Deadline)
	defer cancel()
	_, err := s.simple(ctx, "ROLLBACK")
	return err == nil
}
