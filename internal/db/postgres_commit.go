package db

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
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

var (
	errNotCommitted  = errors.New("the connection was lost before COMMIT")
	errOtherTimeline = errors.New("another server has taken over")
	errUnreplicated  = errors.New("the server gave up waiting for its standby")
)

// timeline is SQL for the line of history that the server writes.
const timeline = "substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8)"

// beginWrite opens the transaction and learns its operation id, in one round trip.
func (s *session) beginWrite(ctx context.Context) (operation, error) {
	row, err := s.simple(ctx, "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_current_xact_id(), "+timeline)
	if err != nil {
		return operation{}, err
	}
	id := operation{xid: row.columns[0], timeline: row.columns[1]}
	err = s.raw(func(conn *pgconn.PgConn) { id.backend = conn.PID() })
	return id, err
}

// commit ends the transaction. committed is returned only when the server has said so, or another connection has found it so: then err
// says why this connection is of no more use. With the others err is what to tell the caller.
func (e *postgresEngine) commit(s *session, id operation) (outcome, error) {
	ctx, cancel := context.WithTimeout(context.Background(), e.db.config.Deadline)
	defer cancel()
	s.forgetWarning()
	done, err := s.simple(ctx, "COMMIT")
	var refusal *pgconn.PgError
	switch {
	case err == nil && done.tag != "COMMIT":
		return aborted, fmt.Errorf("COMMIT was answered with %s", done.tag)
	case err == nil && !s.warned():
		return committed, nil
	case err == nil:
		err = errUnreplicated
	case errors.As(err, &refusal) && refusal.SeverityUnlocalized == "ERROR":
		return aborted, kindPostgres(err)
	}
	return e.resolve(id, err)
}

// resolve asks the server, on other connections, what became of a transaction whose COMMIT was not answered. Nothing is guessed (decision 17).
func (e *postgresEngine) resolve(id operation, cause error) (outcome, error) {
	ctx, cancel := context.WithTimeout(context.Background(), e.db.config.Deadline)
	defer cancel()
	e.db.config.Log.Warn("the answer to a COMMIT was lost: asking what became of it", "transaction", id.xid, "cause", cause)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		found, err := e.ask(ctx, id)
		switch {
		case found == committed:
			return committed, cause
		case found == aborted:
			return aborted, fmt.Errorf("%w: %w: %w", ErrUnavailable, errNotCommitted, cause)
		case errors.Is(err, errOtherTimeline):
			return unknown, uncertain(errors.Join(cause, err))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return unknown, uncertain(errors.Join(cause, err))
		}
	}
}

func uncertain(cause error) error {
	return fmt.Errorf("%w: %w: %w", ErrUnavailable, ErrUncertain, cause)
}

// ask returns unknown while the transaction is still in progress, or when err says why it could not ask.
func (e *postgresEngine) ask(ctx context.Context, id operation) (outcome, error) {
	s, err := e.acquire(ctx)
	if err != nil {
		return unknown, err
	}
	defer s.release(false) // in an emergency a connection is not worth a doubt
	var status, line string
	err = s.conn.QueryRowContext(ctx, "SELECT coalesce(pg_xact_status($1::text::xid8), ''), "+timeline, id.xid).Scan(&status, &line)
	switch {
	case err != nil:
		return unknown, kindPostgres(err)
	case line != id.timeline:
		return unknown, errOtherTimeline
	case status == "aborted":
		return aborted, nil
	case status == "committed":
		return s.fence(ctx)
	case status == "in progress":
		return unknown, s.abandon(ctx, id)
	}
	return unknown, fmt.Errorf("the server has forgotten transaction %s", id.xid)
}

// fence makes sure that a transaction which was found committed is durable on the synchronous standby too: its COMMIT may have been
// waiting for just that when it was cut. Write-ahead log is replicated in order, so a later commit that was acknowledged proves it.
func (s *session) fence(ctx context.Context) (outcome, error) {
	s.forgetWarning()
	_, err := s.simple(ctx, "BEGIN; SELECT pg_logical_emit_message(true, 'carekey', ''); COMMIT")
	if err != nil {
		return unknown, kindPostgres(err)
	}
	if s.warned() {
		return unknown, errUnreplicated
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
