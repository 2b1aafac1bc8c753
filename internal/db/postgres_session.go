package db

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// warning is where a connection keeps the server's last warning.
const warning = "carekey.warning"

// noticed is called by pgx, on the goroutine that uses the connection.
func noticed(conn *pgconn.PgConn, notice *pgconn.Notice) {
	if notice.SeverityUnlocalized == "WARNING" {
		conn.CustomData()[warning] = notice.Message
	}
}

func (s *session) forgetWarning() {
	_ = s.raw(func(conn *pgconn.PgConn) { delete(conn.CustomData(), warning) })
}

// warned reports whether the last COMMIT was answered with success although the wait for a synchronous standby had been given up: PostgreSQL
// says so in a warning only (SyncRepWaitForLSN). Any warning counts, because its text may be in the server's language.
func (s *session) warned() bool {
	found := true
	_ = s.raw(func(conn *pgconn.PgConn) { found = conn.CustomData()[warning] != nil })
	return found
}

// reply is the last result of a simple query: its command tag and its first row.
type reply struct {
	tag     string
	columns []string
}

// simple runs transaction statements in one round trip, without preparing them.
func (s *session) simple(ctx context.Context, statements string) (r reply, err error) {
	gone := s.raw(func(conn *pgconn.PgConn) {
		var results []*pgconn.Result
		if results, err = conn.Exec(ctx, statements).ReadAll(); err != nil || len(results) == 0 {
			return
		}
		last := results[len(results)-1]
		r.tag = last.CommandTag.String()
		for _, row := range last.Rows[:min(1, len(last.Rows))] {
			for _, column := range row {
				r.columns = append(r.columns, string(column))
			}
		}
	})
	return r, errors.Join(err, gone)
}

// raw runs fn with the connection beneath database/sql; an error says that there is none any more.
func (s *session) raw(fn func(*pgconn.PgConn)) error {
	return s.conn.Raw(func(driverConn any) error {
		fn(driverConn.(*stdlib.Conn).Conn().PgConn())
		return nil
	})
}

// lost reports whether err is that of a connection that broke, rather than of the server, a deadline or a caller that went away.
func (s *session) lost(err error) bool {
	closed := true
	_ = s.raw(func(conn *pgconn.PgConn) { closed = conn.IsClosed() })
	return closed && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled)
}
