package db

import (
	"errors"

	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"
)

func kindSQLite(err error) error {
	if err == nil {
		return nil
	}
	switch codeSQLite(err) & 0xff {
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return typed(ErrBusy, err)
	case lib.SQLITE_FULL:
		return typed(ErrFull, err)
	case lib.SQLITE_IOERR, lib.SQLITE_CANTOPEN, lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB, lib.SQLITE_NOMEM, lib.SQLITE_READONLY:
		return typed(ErrUnavailable, err)
	case lib.SQLITE_INTERRUPT:
		return typed(ErrBusy, err)
	}
	return deadline(err)
}

func isUniqueSQLite(err error) bool {
	switch codeSQLite(err) {
	case lib.SQLITE_CONSTRAINT_UNIQUE, lib.SQLITE_CONSTRAINT_PRIMARYKEY, lib.SQLITE_CONSTRAINT_ROWID:
		return true
	}
	return false
}

// codeSQLite is the extended result code, 0 when err is not SQLite's.
func codeSQLite(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}

func isReadOnly(err error) bool {
	return codeSQLite(err)&0xff == lib.SQLITE_READONLY || codePostgres(err) == readOnlyTransaction
}
