package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Tx is one transaction, used by one goroutine and only until the function it was given to returns.
type Tx struct {
	ctx     context.Context
	session *session
	counts  *counters
	now     time.Time
	reading bool // in Read, where a statement that writes is a mistake of the room

	failed error    // the statement error that ended this transaction
	open   *Rows    // rows that have not been closed yet
	over   bool     // the function has returned
	woken  []string // topics to tell after COMMIT
}

var (
	errRowsOpen = errors.New("db: a statement while Rows are open: close them first")
	errTxOver   = errors.New("db: a statement after the transaction's function has returned")
)

// Context ends with the transaction's deadline.
func (tx *Tx) Context() context.Context { return tx.ctx }

// Now is the database's clock when the function was started, the same throughout.
func (tx *Tx) Now() time.Time { return tx.now }

// ForUpdate is what to append to a SELECT whose rows are changed later in this transaction. SQLite has one writer and needs nothing.
func (tx *Tx) ForUpdate() string {
	if tx.session.postgres {
		return " FOR UPDATE"
	}
	return ""
}

// JSONArrays names the functions that make a JSON array of the columns of a row, and of the values of all rows: the engines call them by other names.
func (tx *Tx) JSONArrays() (columns, rows string) {
	if tx.session.postgres {
		return "json_build_array", "json_agg"
	}
	return "json_array", "json_group_array"
}

// Exec runs a statement and returns how many rows it changed.
func (tx *Tx) Exec(query string, args ...any) (int64, error) {
	values, err := tx.begin(args)
	if err != nil {
		return 0, err
	}
	result, err := tx.session.exec(tx.ctx, query, values)
	if err != nil {
		return 0, tx.fail(err)
	}
	rows, err := result.RowsAffected()
	if err != nil {
		return 0, tx.fail(err)
	}
	return rows, nil
}

// Row runs a query that is expected to find one row; the error comes from Scan.
func (tx *Tx) Row(query string, args ...any) Row {
	rows, err := tx.Rows(query, args...)
	return Row{rows: rows, err: err}
}

// Rows runs a query. The caller closes the rows before the next statement.
func (tx *Tx) Rows(query string, args ...any) (*Rows, error) {
	values, err := tx.begin(args)
	if err != nil {
		return nil, err
	}
	rows, err := tx.session.query(tx.ctx, query, values)
	if err != nil {
		return nil, tx.fail(err)
	}
	tx.open = &Rows{tx: tx, rows: rows}
	return tx.open, nil
}

// begin is what comes before each statement.
func (tx *Tx) begin(args []any) ([]any, error) {
	switch {
	case tx.over:
		return nil, errTxOver
	case tx.failed != nil:
		return nil, tx.failed
	case tx.open != nil:
		return nil, errRowsOpen
	}
	values, err := values(args)
	if err != nil {
		return nil, err
	}
	tx.counts.statements.Add(1)
	return values, nil
}

// fail ends the transaction: PostgreSQL refuses what follows a failed statement, and SQLite may have rolled back by itself, after which a
// further statement would commit on its own.
func (tx *Tx) fail(err error) error {
	switch {
	case tx.failed != nil:
	case tx.reading && isReadOnly(err):
		tx.failed = fmt.Errorf("db: Read cannot write: %w", err)
	default:
		tx.failed = tx.session.kind(err)
	}
	return tx.failed
}

// finish is called when the function has returned err.
func (tx *Tx) finish(err error) error {
	if tx.open != nil {
		tx.open.Close()
	}
	tx.over = true
	if err == nil {
		return tx.failed
	}
	return err
}

// Row is the result of Tx.Row.
type Row struct {
	rows *Rows
	err  error
}

// Scan copies the row's columns, or returns ErrNoRows.
func (r Row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	if !r.rows.Next() {
		if err := r.rows.Close(); err != nil {
			return err
		}
		return ErrNoRows
	}
	if err := r.rows.Scan(dest...); err != nil {
		r.rows.Close()
		return err
	}
	return r.rows.Close()
}

// Rows is the result of Tx.Rows.
type Rows struct {
	tx   *Tx
	rows *sql.Rows
	err  error
}

// Next moves to the next row; false at the end or on an error.
func (r *Rows) Next() bool { return r.rows.Next() }

// Scan copies the present row's columns.
func (r *Rows) Scan(dest ...any) error { return r.rows.Scan(dest...) }

// Err is the error that ended Next.
func (r *Rows) Err() error {
	if err := r.rows.Err(); err != nil && r.err == nil {
		r.err = r.tx.fail(err)
	}
	return r.err
}

// Close ends the query; calling it again does nothing. It returns what Err returns.
func (r *Rows) Close() error {
	if r.tx.open == r {
		r.tx.open = nil
	}
	if err := r.rows.Close(); err != nil && r.err == nil {
		r.err = r.tx.fail(err)
	}
	return r.Err()
}
