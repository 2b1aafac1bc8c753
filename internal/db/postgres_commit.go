package db

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// operation names a transaction so that another connection can ask what became of it. A transaction id alone does not: after a failover to
// a standby that never saw the transaction, the new primary hands the same id out again. It does so on a new timeline.
type operation struct {
	xid      string
	timeline string
	backend  uint32
}

type outcome int

const (
	unknown outcome = iota
	committed
	aborted
)

// beginWrite opens the transaction and learns its operation id, in one round trip.
func (s *session) beginWrite(ctx context.Context) (operation, error) {
	row, err := s.simple(ctx, "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_current_xact_id(), "+timeline)
	if err != nil {
		return operation{}, err
	}
	if len(row) != 3 {
		return operation{}, fmt.Errorf("beginning a transaction: %d columns", len(row))
	}
	id := operation{xid: row[1], timeline: row[2]}
	err = s.conn.Raw(func(driverConn any) error {
		id.backend = driverConn.(*stdlib.Conn).Conn().PgConn().PID()
		return nil
	})
	return id, err
}

const timeline = "substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)"

// commit ends the transaction. committed is returned only when the server has said so, or another connection has found it so.
// With aborted, err says why; with committed, err says that the connection is of no more use.
func (e *postgresEngine) commit(s *session, id operation) (outcome, error) {
	ctx, cancel := context.WithTimeout(context.Background(), e.db.config.Deadline)
	defer cancel()
	s.warned(nil)
	row, err := s.simple(ctx, "COMMIT")
	var refusal *pgconn.PgError
	switch {
	case err == nil && row[0] != "COMMIT":
		return aborted, fmt.Errorf("COMMIT was answered with %s", row[0])
	case err == nil && !s.unreplicated():
		return committed, nil
	case errors.As(err, &refusal) && refusal.Severity == "ERROR":
		return aborted, s.kind(err)
	case err == nil:
		err = errors.New("the server gave up waiting for its standby")
	}
	return e.resolve(id, err)
}

// resolve asks the server, on other connections, what became of a transaction whose COMMIT was not answered.
func (e *postgresEngine) resolve(id operation, cause error) (outcome, error) {
	ctx, cancel := context.WithTimeout(context.Background(), e.db.config.Deadline)
	defer cancel()
	e.db.config.Log.Warn("the answer to a COMMIT was lost; asking what became of it", "xid", id.xid, "cause", cause)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		found, err := e.ask(ctx, id)
		switch {
		case found == committed:
			return committed, cause
		case found == aborted:
			return aborted, typed(ErrUnavailable, fmt.Errorf("the connection was lost before COMMIT: %w", cause))
		case errors.Is(err, errOtherTimeline):
			return unknown, uncertain(err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return unknown, uncertain(errors.Join(cause, err))
		}
	}
}

var errOtherTimeline = errors.New("the server was replaced by another")

func uncertain(cause error) error {
	return fmt.Errorf("%w: it is not known whether the last write was kept: %w", ErrUnavailable, cause)
}

// ask returns unknown while the transaction is still in progress, or when err says why it could not ask.
func (e *postgresEngine) ask(ctx context.Context, id operation) (outcome, error) {
	s, err := e.acquire(ctx)
	if err != nil {
		return unknown, err
	}
	defer s.discard()
	var status, line string
	err = s.conn.QueryRowContext(ctx, "SELECT coalesce(pg_xact_status($1::text::xid8), ''), "+timeline, id.xid).Scan(&status, &line)
	switch {
	case err != nil:
		return unknown, s.kind(err)
	case line != id.timeline:
		return unknown, errOtherTimeline
	case status == "aborted":
		return aborted, nil
	case status == "committed":
		return e.fence(ctx, s)
	case status == "in progress":
		return unknown, s.abandon(ctx, id)
	}
	return unknown, fmt.Errorf("the server has forgotten transaction %s", id.xid)
}

// fence makes sure that a transaction which was found committed is durable on the synchronous standby too: its COMMIT may have been
// waiting for just that when it was cut. Write-ahead log is replicated in order, so a later commit that was acknowledged proves it.
func (e *postgresEngine) fence(ctx context.Context, s *session) (outcome, error) {
	s.warned(nil)
	_, err := s.simple(ctx, "BEGIN; SELECT pg_logical_emit_message(true, 'carekey', ''); COMMIT")
	if err != nil {
		return unknown, s.kind(err)
	}
	if s.unreplicated() {
		return unknown, errors.New("the server gave up waiting for its standby")
	}
	return committed, nil
}

// abandon ends the backend of a transaction whose COMMIT never arrived: it would hold its locks until it notices that its client is gone.
// A backend that is at work on the COMMIT is left alone.
func (s *session) abandon(ctx context.Context, id operation) error {
	const end = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE pid = $1 AND state LIKE 'idle in transaction%' AND backend_xid = $2::text::xid8::xid`
	_, err := s.conn.ExecContext(ctx, end, int64(id.backend), id.xid)
	return err
}

// noticed keeps a warning where the COMMIT that it belongs to finds it.
func noticed(conn *pgconn.PgConn, notice *pgconn.Notice) {
	if notice.SeverityUnlocalized == "WARNING" {
		conn.CustomData()[warning] = notice.Message
	}
}

const warning = "carekey.warning"

func (s *session) warned(value any) {
	_ = s.conn.Raw(func(driverConn any) error {
		driverConn.(*stdlib.Conn).Conn().PgConn().CustomData()[warning] = value
		return nil
	})
}

// unreplicated reports whether the last COMMIT was answered with success although the wait for a synchronous standby had been given up:
// PostgreSQL says so in a warning only (SyncRepWaitForLSN). Any warning counts, its text may be in the server's language.
func (s *session) unreplicated() bool {
	found := true
	_ = s.conn.Raw(func(driverConn any) error {
		found = driverConn.(*stdlib.Conn).Conn().PgConn().CustomData()[warning] != nil
		return nil
	})
	return found
}

// watchClock measures the database's clock until ctx ends.
func (e *postgresEngine) watchClock(ctx context.Context) {
	defer close(e.clocks)
	tick := time.NewTicker(clockEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := e.sampleClock(ctx); err != nil && ctx.Err() == nil {
			e.db.config.Log.Warn("measuring the database's clock failed", "error", err)
		}
	}
}

func (e *postgresEngine) sampleClock(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, clockEvery)
	defer cancel()
	s, err := e.acquire(ctx)
	if err != nil {
		return err
	}
	defer s.conn.Close()
	return e.measureClock(ctx, s)
}

func (e *postgresEngine) measureClock(ctx context.Context, s *session) error {
	sent := time.Now()
	row, err := s.simple(ctx, "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
	received := time.Now()
	if err != nil {
		return s.kind(err)
	}
	micros, err := strconv.ParseInt(strings.Join(row[1:], ""), 10, 64)
	if err != nil {
		return fmt.Errorf("reading the database's clock: %w", err)
	}
	e.db.clock.measure(time.UnixMicro(micros), sent, received)
	return nil
}
