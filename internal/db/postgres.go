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
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// clockEvery is how often the offset between this node's clock and the database's is measured.
const clockEvery = 10 * time.Second

// attempts bounds how often a write is run again after a serialization failure, a deadlock or a connection that was lost before COMMIT.
const attempts = 10

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
	e := &postgresEngine{db: d, config: config, pool: stdlib.OpenDB(*config), clocks: make(chan struct{})}
	connections := d.config.Readers
	if connections <= 0 {
		connections = max(16, 4*runtime.GOMAXPROCS(0))
	}
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

// acquire takes a connection out of the pool.
func (e *postgresEngine) acquire(ctx context.Context) (*session, error) {
	if e.closed.Load() {
		return nil, errClosed
	}
	conn, err := e.pool.Conn(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, deadline(ctx.Err())
		}
		return nil, kindPostgres(typed(ErrUnavailable, err))
	}
	return &session{conn: conn, postgres: true}, nil
}

func (e *postgresEngine) read(ctx context.Context, fn func(*Tx) error) error {
	s, err := e.acquire(ctx)
	if err != nil {
		return e.db.busy(err)
	}
	good := false
	defer func() { // also when fn panics
		if good {
			_ = s.conn.Close()
		} else {
			s.discard()
		}
	}()
	// REPEATABLE READ: one snapshot for all statements, as SQLite gives.
	if _, err := s.simple(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); err != nil {
		return e.db.busy(s.kind(err))
	}
	tx := e.db.begin(ctx, s)
	defer tx.finish(nil)
	err = tx.finish(fn(tx))
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.db.config.Deadline)
	defer cancel()
	_, ended := s.simple(ending, "ROLLBACK")
	good = ended == nil
	return e.db.busy(err)
}

func (e *postgresEngine) write(ctx context.Context, fn func(*Tx) error) error {
	for attempt := 1; ; attempt++ {
		err, again := e.attempt(ctx, fn)
		if err == nil || !again || attempt == attempts {
			return e.db.busy(err)
		}
		e.db.counts.reruns.Add(1)
	}
}

// attempt runs fn once. again: nothing was written, and another run may succeed.
func (e *postgresEngine) attempt(ctx context.Context, fn func(*Tx) error) (_ error, again bool) {
	ctx, cancel := context.WithTimeout(ctx, e.db.config.Deadline)
	defer cancel()
	s, err := e.acquire(ctx)
	if err != nil {
		return err, false
	}
	good := false
	defer func() { // also when fn panics; a discarded connection rolls back
		if good {
			_ = s.conn.Close()
			return
		}
		e.db.counts.rollbacks.Add(1)
		s.discard()
	}()
	id, err := s.beginWrite(ctx)
	if err != nil {
		return s.kind(err), s.lost(err)
	}
	tx := e.db.begin(ctx, s)
	defer tx.finish(nil)
	if err := tx.finish(fn(tx)); err != nil {
		again := tx.failed != nil && (retryable(tx.failed) || s.lost(tx.failed))
		_, ended := s.simple(ctx, "ROLLBACK")
		if ended == nil {
			good = true
			e.db.counts.rollbacks.Add(1)
		}
		return err, again
	}
	switch outcome, err := e.commit(s, id); outcome {
	case committed:
		good = err == nil
		e.db.counts.commits.Add(1)
		return nil, false
	case aborted:
		return err, true
	default:
		return err, false
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

// simple runs transaction statements in one round trip, without preparing them, and returns the first row of the last result.
func (s *session) simple(ctx context.Context, statements string) (row []string, err error) {
	raw := s.conn.Raw(func(driverConn any) error {
		conn := driverConn.(*stdlib.Conn).Conn().PgConn()
		var results []*pgconn.Result
		results, err = conn.Exec(ctx, statements).ReadAll()
		if err == nil && len(results) > 0 {
			last := results[len(results)-1]
			row = []string{last.CommandTag.String()}
			if len(last.Rows) > 0 {
				for _, column := range last.Rows[0] {
					row = append(row, string(column))
				}
			}
		}
		return nil
	})
	if err == nil {
		err = raw
	}
	return row, err
}

// closed reports whether the connection is gone.
func (s *session) closed() bool {
	gone := true
	_ = s.conn.Raw(func(driverConn any) error {
		gone = driverConn.(*stdlib.Conn).Conn().IsClosed()
		return nil
	})
	return gone
}

// lost reports whether err is that of a connection that broke, rather than of the server, a deadline or a caller that went away.
func (s *session) lost(err error) bool {
	return s.closed() && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled)
}

// check refuses a server that would not keep what it acknowledges.
func (e *postgresEngine) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, e.db.config.Deadline)
	defer cancel()
	s, err := e.acquire(ctx)
	if err != nil {
		return err
	}
	defer s.conn.Close()
	const settings = `SELECT current_setting('server_version_num')::bigint, current_setting('server_encoding'), pg_is_in_recovery(),
		current_setting('synchronous_commit'), current_setting('fsync'), current_setting('synchronous_standby_names'),
		(SELECT count(*) FROM pg_replication_slots WHERE slot_type = 'physical' AND NOT temporary)`
	var (
		version, slots                        int64
		encoding, synchronous, fsync, standby string
		recovery                              bool
	)
	err = s.conn.QueryRowContext(ctx, settings).Scan(&version, &encoding, &recovery, &synchronous, &fsync, &standby, &slots)
	if err != nil {
		return fmt.Errorf("asking PostgreSQL for its settings: %w", s.kind(err))
	}
	switch {
	case version < 130000:
		return fmt.Errorf("PostgreSQL %d is too old: use 13 or later", version/10000)
	case encoding != "UTF8":
		return fmt.Errorf("the database's encoding is %s: create it with ENCODING 'UTF8'", encoding)
	case recovery:
		return errors.New("this PostgreSQL is a standby: name the primary, or all of them with target_session_attrs=read-write")
	case synchronous != "on" && synchronous != "remote_apply":
		return fmt.Errorf("synchronous_commit is %s: set it to on, or a crash loses what was acknowledged", synchronous)
	case slots > 0 && standby == "" && !e.db.config.AllowAsyncStandbys:
		return errors.New("this PostgreSQL has standbys but synchronous_standby_names is empty: switch synchronous_mode_strict on (Patroni), or a failover loses what was acknowledged")
	}
	if fsync != "on" {
		e.db.config.Log.Warn("PostgreSQL runs with fsync off: a crash of its machine loses or breaks data")
	}
	return e.measureClock(ctx, s)
}
