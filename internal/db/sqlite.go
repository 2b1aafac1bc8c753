package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"modernc.org/sqlite"
)

// sqliteEngine is SQLite in this process: one writer (writer.go) and a pool of connections that can only read.
type sqliteEngine struct {
	db      *DB
	path    string
	writer  *writer
	readers chan *session // a nil session is a place for a connection that has not been opened
	pool    *sql.DB       // opens the reading connections

	closing sync.Once
	closed  error
}

func openSQLite(ctx context.Context, d *DB, path string) (*sqliteEngine, error) {
	if path == "" {
		return nil, errors.New("sqlite: needs a path, such as sqlite:/var/lib/carekey/carekey.db")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	// The database holds sealed secrets and personal data: it is its owner's alone (ASVS 5 V14.2). Its journal inherits the mode.
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	e := &sqliteEngine{db: d, path: path}
	e.writer, err = newWriter(ctx, d, path)
	if err != nil {
		return nil, err
	}
	e.pool, err = openSQLitePool(path, d.config.Deadline, "query_only(1)")
	if err != nil {
		return nil, errors.Join(err, e.writer.close())
	}
	readers := d.config.Connections
	if readers <= 0 {
		readers = max(4, 2*runtime.GOMAXPROCS(0))
	}
	e.readers = make(chan *session, readers)
	for range readers {
		e.readers <- nil
	}
	return e, nil
}

// openSQLitePool opens path with what every connection needs. synchronous=FULL makes a COMMIT durable before it returns (decision 17).
func openSQLitePool(path string, busy time.Duration, extra ...string) (*sql.DB, error) {
	query := url.Values{"_pragma": append([]string{
		fmt.Sprintf("busy_timeout(%d)", busy.Milliseconds()),
		"journal_mode(WAL)",
		"synchronous(FULL)",
		"foreign_keys(1)",
		"trusted_schema(0)",
		"journal_size_limit(67108864)",
	}, extra...)}
	dsn := url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}
	connector, err := sqlite.NewConnector(dsn.String())
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

func openSQLiteSession(ctx context.Context, pool *sql.DB) (*session, error) {
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, kindSQLite(err)
	}
	return &session{conn: conn, prepared: map[string]*sql.Stmt{}}, nil
}

func (e *sqliteEngine) read(ctx context.Context, fn func(*Tx) error) error {
	s, err := e.reader(ctx)
	if err != nil {
		return err
	}
	good := false
	defer func() { // also when fn panics
		if !good {
			s.release(false)
			s = nil
		}
		e.readers <- s
	}()
	if _, err := s.exec(ctx, "BEGIN", nil); err != nil {
		return kindSQLite(err)
	}
	tx := e.db.begin(ctx, s, true)
	defer tx.finish(nil)
	err = tx.finish(fn(tx))
	_, ended := s.exec(context.WithoutCancel(ctx), "ROLLBACK", nil)
	good = ended == nil
	return err
}

// reader takes a reading connection; whoever has it puts it back, or nil in its place.
func (e *sqliteEngine) reader(ctx context.Context) (*session, error) {
	var s *session
	select {
	case free, open := <-e.readers:
		if !open {
			return nil, errClosed
		}
		s = free
	case <-ctx.Done():
		return nil, deadline(ctx.Err())
	}
	if s != nil {
		return s, nil
	}
	s, err := openSQLiteSession(ctx, e.pool)
	if err != nil {
		e.readers <- nil
	}
	return s, err
}

func (e *sqliteEngine) write(ctx context.Context, fn func(*Tx) error) error {
	return e.writer.write(ctx, fn)
}

func (e *sqliteEngine) close() error {
	e.closing.Do(func() {
		err := e.writer.close()
		for range cap(e.readers) {
			if s := <-e.readers; s != nil {
				err = errors.Join(err, s.close())
			}
		}
		close(e.readers)
		e.closed = errors.Join(err, e.pool.Close())
	})
	return e.closed
}
