package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
)

// maxStatements bounds the prepared statements that a connection keeps; the project's SQL is a few hundred texts.
const maxStatements = 512

// session is one connection as a transaction uses it.
type session struct {
	conn     *sql.Conn
	postgres bool
	prepared map[string]*sql.Stmt // SQLite; pgx keeps its own
}

func (s *session) exec(ctx context.Context, query string, args []any) (sql.Result, error) {
	if s.postgres {
		return s.conn.ExecContext(ctx, query, args...)
	}
	stmt, err := s.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.ExecContext(ctx, args...)
}

func (s *session) query(ctx context.Context, query string, args []any) (*sql.Rows, error) {
	if s.postgres {
		return s.conn.QueryContext(ctx, query, args...)
	}
	stmt, err := s.prepare(ctx, query)
	if err != nil {
		return nil, err
	}
	return stmt.QueryContext(ctx, args...)
}

func (s *session) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if stmt := s.prepared[query]; stmt != nil {
		return stmt, nil
	}
	stmt, err := s.conn.PrepareContext(ctx, placeholders(query))
	if err != nil {
		return nil, err
	}
	if len(s.prepared) >= maxStatements {
		s.forget()
	}
	s.prepared[query] = stmt
	return stmt, nil
}

// kind gives an engine's error its kind.
func (s *session) kind(err error) error {
	if s.postgres {
		return kindPostgres(err)
	}
	return kindSQLite(err)
}

// release gives the connection back, or closes it for good when it is not known to be in a good state.
func (s *session) release(good bool) {
	s.forget()
	if !good {
		_ = s.conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	_ = s.conn.Close()
}

// close ends the connection together with its pool.
func (s *session) close() error {
	s.forget()
	return s.conn.Close()
}

// forget ends the prepared statements. SQLite keeps a connection whose statements are alive, and with it the write-ahead log beside the file,
// even after it was closed.
func (s *session) forget() {
	for _, stmt := range s.prepared {
		_ = stmt.Close()
	}
	clear(s.prepared)
}
