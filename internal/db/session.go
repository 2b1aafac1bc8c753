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
		for text, old := range s.prepared {
			old.Close()
			delete(s.prepared, text)
		}
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
	if !good {
		_ = s.conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	_ = s.conn.Close()
}
