package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// SQLSTATE codes (PostgreSQL documentation, appendix A) that are told apart.
const (
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	uniqueViolation      = "23505"
	diskFull             = "53100"
	queryCanceled        = "57014"
	lockNotAvailable     = "55P03"
	readOnlyTransaction  = "25006" // the primary has become a standby
	featureNotSupported  = "0A000"
)

func kindPostgres(err error) error {
	if code := codePostgres(err); code != "" {
		switch {
		case code == diskFull:
			return typed(ErrFull, err)
		case code == queryCanceled, code == lockNotAvailable, code == serializationFailure, code == deadlockDetected, strings.HasPrefix(code, "53"):
			return typed(ErrBusy, err)
		case code == readOnlyTransaction, strings.HasPrefix(code, "57P"), strings.HasPrefix(code, "08"), strings.HasPrefix(code, "58"):
			return typed(ErrUnavailable, err)
		}
		return err
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return deadline(err)
	}
	var network net.Error
	if errors.As(err, &network) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return typed(ErrUnavailable, err)
	}
	return err
}

// retryable reports whether the transaction may succeed when it is run again.
func retryable(err error) bool {
	var refusal *pgconn.PgError
	if !errors.As(err, &refusal) {
		return false
	}
	switch refusal.Code {
	case serializationFailure, deadlockDetected:
		return true
	case featureNotSupported: // another node has migrated the schema under a prepared statement
		return strings.Contains(refusal.Message, "cached plan must not change result type")
	}
	return false
}

func isUniquePostgres(err error) bool { return codePostgres(err) == uniqueViolation }

// codePostgres is the SQLSTATE, "" when err is not PostgreSQL's.
func codePostgres(err error) string {
	var refusal *pgconn.PgError
	if errors.As(err, &refusal) {
		return refusal.Code
	}
	return ""
}
