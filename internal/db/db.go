package db

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// Config says which database to open. Every field but URL works at its zero value.
type Config struct {
	// URL is "sqlite:/path/carekey.db" or "postgres://user@host/database?…".
	URL string
	// Now replaces the database's clock (tests). Nil: the machine's clock, on PostgreSQL corrected by the measured offset.
	Now func() time.Time
	Log *slog.Logger

	// Deadline bounds the statements of one run, and the wait for a lock that another process holds (10 s). A write on SQLite waits twice as
	// long for its turn.
	Deadline time.Duration
	// Connections is how many transactions run at once: reads on SQLite (which has one writer besides), reads and writes on PostgreSQL.
	Connections int
	// Queue is how many writes may wait before ErrBusy (4096).
	Queue int
	// AllowAsyncStandbys lets a PostgreSQL with asynchronous standbys through the check at start. An operator who sets it accepts that a failover may lose
	// writes that were acknowledged (decision 17).
	AllowAsyncStandbys bool
}

// DB is an open database. It is safe for use by many goroutines.
type DB struct {
	config Config
	engine engine
	clock  *clock
	counts counters
	wakes  wakes
}

// engine is what SQLite and PostgreSQL do differently. Nobody outside this package sees it.
type engine interface {
	read(ctx context.Context, fn func(*Tx) error) error
	write(ctx context.Context, fn func(*Tx) error) error
	migrate(ctx context.Context, from *migrations) error
	close() error
}

// Open opens the database and checks that it keeps what it acknowledges. The error is one line that says what to mend.
func Open(ctx context.Context, c Config) (*DB, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Deadline <= 0 {
		c.Deadline = 10 * time.Second
	}
	if c.Queue <= 0 {
		c.Queue = 4096
	}
	d := &DB{config: c, clock: newClock(c.Now)}
	var err error
	switch {
	case strings.HasPrefix(c.URL, "sqlite:"):
		d.engine, err = openSQLite(ctx, d, strings.TrimPrefix(c.URL, "sqlite:"))
	case strings.HasPrefix(c.URL, "postgres://"), strings.HasPrefix(c.URL, "postgresql://"):
		d.engine, err = openPostgres(ctx, d)
	default:
		err = errors.New(`the database URL must start with "sqlite:" or "postgres://"`)
	}
	if err != nil {
		return nil, oneLine{fmt.Errorf("opening the database: %w", err)}
	}
	return d, nil
}

// Close waits for the writes that have been accepted and closes every connection. Later calls return ErrUnavailable.
func (d *DB) Close() error {
	return d.engine.close()
}

// Read runs fn on one consistent snapshot in which nothing can be written. It ends with ctx, or after the deadline.
func (d *DB) Read(ctx context.Context, fn func(tx *Tx) error) error {
	d.counts.reads.Add(1)
	ctx, cancel := context.WithTimeout(ctx, d.config.Deadline)
	defer cancel()
	return d.count(d.engine.read(ctx, fn))
}

// Write runs fn in a transaction and returns nil only after its durable COMMIT. fn may run more than once (see the package comment).
// It is detached from ctx's cancellation: a browser that hangs up does not undo a counted attempt (decision 17).
func (d *DB) Write(ctx context.Context, fn func(tx *Tx) error) error {
	if ctx.Value(insideWrite{}) != nil {
		return errors.New("db: Write inside Write would wait for itself")
	}
	d.counts.writes.Add(1)
	var woken []string
	err := d.engine.write(context.WithValue(context.WithoutCancel(ctx), insideWrite{}, true), func(tx *Tx) error {
		err := fn(tx)
		woken = tx.woken
		return err
	})
	if err == nil {
		d.wakes.tell(woken)
	}
	return d.count(err)
}

type insideWrite struct{}

// Now is the database's clock: UTC, whole microseconds. Expiry and TOTP are judged by it on every node (decision 17).
func (d *DB) Now() time.Time { return d.clock.now() }

// ClockSkew is how far the database's clock is ahead of this node's. A node more than 2 s off is not ready (decision 17).
func (d *DB) ClockSkew() time.Duration { return d.clock.skew() }

// begin makes the Tx for one run of a function.
func (d *DB) begin(ctx context.Context, s *session, reading bool) *Tx {
	return &Tx{ctx: ctx, session: s, counts: &d.counts, now: d.Now(), reading: reading}
}

// count counts err if it is ErrBusy.
func (d *DB) count(err error) error {
	if err != nil && errors.Is(err, ErrBusy) {
		d.counts.busy.Add(1)
	}
	return err
}
