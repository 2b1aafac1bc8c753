package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrNoRows is what Row.Scan returns when the query found nothing.
	ErrNoRows = sql.ErrNoRows
	// ErrBusy: the database had no time within the deadline, and nothing was written. Trying again later is right.
	ErrBusy = errors.New("the database is busy")
	// ErrFull: the disk is full, and nothing was written.
	ErrFull = errors.New("the database's disk is full")
	// ErrUnavailable: the database cannot be reached. When it is a Write that says so, the message tells whether nothing was written or
	// whether the outcome is unknown (the connection was lost during COMMIT and could not be resolved).
	ErrUnavailable = errors.New("the database is unavailable")
	// ErrUncertain comes with ErrUnavailable where a write may have been kept or not: the connection was lost during its COMMIT, and
	// the database could not be asked since.
	ErrUncertain = errors.New("it is not known whether the last write was kept")
)

var errClosed = fmt.Errorf("%w: it has been closed", ErrUnavailable)

// typed gives err its kind, once.
func typed(kind, err error) error {
	if errors.Is(err, kind) {
		return err
	}
	return fmt.Errorf("%w: %w", kind, err)
}

// IsUnique reports whether err says that a unique or primary key already holds the value.
func IsUnique(err error) bool { return isUniqueSQLite(err) || isUniquePostgres(err) }

// deadline tells a statement that ran out of time (ErrBusy) from one whose caller went away (the context's own error).
func deadline(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return typed(ErrBusy, err)
	}
	return err
}

// oneLine is an error on one line, for a start that fails; the engines' own messages may have several.
type oneLine struct{ error }

func (e oneLine) Error() string { return strings.Join(strings.Fields(e.error.Error()), " ") }
func (e oneLine) Unwrap() error { return e.error }
