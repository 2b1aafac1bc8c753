package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

// Migrate brings the tables up to date. Each schema holds its room's migrations as NNNNN_room.sql, in any folder; numbers are unique across
// rooms, and an older number that comes with a later release is applied too. Nodes that start at once take turns.
func (d *DB) Migrate(ctx context.Context, schemas ...fs.FS) error {
	all, err := merge(schemas)
	if err != nil {
		return fmt.Errorf("migrating the database: %w", err)
	}
	if len(all.files) == 0 {
		return nil
	}
	if err := d.engine.migrate(ctx, all); err != nil {
		return oneLine{fmt.Errorf("migrating the database: %w", err)}
	}
	return nil
}

func (e *sqliteEngine) migrate(ctx context.Context, from *migrations) error {
	pool, err := openSQLitePool(e.path, e.db.config.Deadline)
	if err != nil {
		return err
	}
	defer pool.Close()
	return kindSQLite(up(ctx, goose.DialectSQLite3, pool, from, &fileLocker{path: e.path + "-migrate"}))
}

// A connection of its own: the pool's may all be busy, and a migration has no deadline but ctx.
func (e *postgresEngine) migrate(ctx context.Context, from *migrations) error {
	pool := stdlib.OpenDB(*e.config)
	defer pool.Close()
	return kindPostgres(up(ctx, goose.DialectPostgres, pool, from, advisoryLocker{}))
}

func up(ctx context.Context, dialect goose.Dialect, pool *sql.DB, from *migrations, turns lock.SessionLocker) error {
	provider, err := goose.NewProvider(dialect, pool, from,
		goose.WithAllowOutofOrder(true), goose.WithSessionLocker(turns), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	var failed *goose.PartialError
	if errors.As(err, &failed) && failed.Failed != nil {
		return fmt.Errorf("%s: %w", failed.Failed.Source.Path, failed.Err)
	}
	return err
}

// advisoryLocker makes nodes take turns on PostgreSQL. The server frees it when a node dies. (goose's own polls every 5 s; this one waits.)
type advisoryLocker struct{}

const advisoryKey = 0x63617265 // "care"

func (advisoryLocker) SessionLock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(advisoryKey))
	return err
}

func (advisoryLocker) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "SELECT pg_advisory_unlock($1)", int64(advisoryKey))
	return err
}

// fileLocker makes processes take turns to migrate a SQLite file. The operating system frees it when a process dies.
type fileLocker struct {
	path string
	held *os.File
}

func (l *fileLocker) SessionLock(ctx context.Context, _ *sql.Conn) error {
	file, err := os.OpenFile(l.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := flock(file, syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			l.held = file
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return errors.Join(err, file.Close())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(ctx.Err(), file.Close())
		}
	}
}

func (l *fileLocker) SessionUnlock(context.Context, *sql.Conn) error {
	return l.held.Close()
}
