package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strings"
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

// discard closes the connection for good, whatever state it is in.
func (s *session) discard() {
	_ = s.conn.Raw(func(any) error { return driver.ErrBadConn })
	_ = s.conn.Close()
}

// placeholders rewrites $1 to SQLite's ?1, outside quotes and comments. ($1 alone would be a named parameter there.)
func placeholders(query string) string {
	if !strings.Contains(query, "$") {
		return query
	}
	var out strings.Builder
	for i := 0; i < len(query); {
		n := literal(query[i:])
		if n == 0 {
			n = 1
			if query[i] == '$' && i+1 < len(query) && query[i+1] >= '1' && query[i+1] <= '9' {
				out.WriteByte('?')
				i++
				continue
			}
		}
		out.WriteString(query[i : i+n])
		i += n
	}
	return out.String()
}

// literal is the length of the quoted text or comment that sql begins with, 0 for none. A doubled quote reads as two literals in a row, which is as good.
func literal(sql string) int {
	end, from := "", 1
	switch {
	case sql[0] == '\'' || sql[0] == '"':
		end = sql[:1]
	case strings.HasPrefix(sql, "--"):
		end, from = "\n", 2
	case strings.HasPrefix(sql, "/*"):
		end, from = "*/", 2
	default:
		return 0
	}
	n := strings.Index(sql[from:], end)
	if n < 0 {
		return len(sql)
	}
	return from + n + len(end)
}
