// Package dbtest gives tests a fresh, migrated database of the real kinds: SQLite in a temporary folder, and PostgreSQL on a server of its own.
//
// Who comes in: tests, with the schemas of the rooms they try. What leaves: an open *db.DB that is closed and deleted after the test. It
// never leaves a server or a database behind, and never stands in for either with something else.
package dbtest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"testing"
	"time"

	"carekey.dev/carekey/internal/db"
)

// Each runs test on a fresh SQLite database and on a fresh PostgreSQL database.
func Each(t *testing.T, schemas []fs.FS, test func(t *testing.T, d *db.DB)) {
	t.Helper()
	EachWith(t, db.Config{}, schemas, test)
}

// EachAt is Each with the clock of the database given.
func EachAt(t *testing.T, clock func() time.Time, schemas []fs.FS, test func(t *testing.T, d *db.DB)) {
	t.Helper()
	EachWith(t, db.Config{Now: clock}, schemas, test)
}

// EachWith is Each with a configuration, whose URL is filled in.
func EachWith(t *testing.T, config db.Config, schemas []fs.FS, test func(t *testing.T, d *db.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		test(t, OpenWith(t, config, SQLite(t, schemas...)))
	})
	t.Run("postgres", func(t *testing.T) {
		test(t, OpenWith(t, config, Postgres(t, schemas...)))
	})
}

// Open is a fresh SQLite database, for tests that do not depend on the engine.
func Open(t testing.TB, schemas ...fs.FS) *db.DB {
	t.Helper()
	return OpenAt(t, nil, schemas...)
}

// OpenAt is Open with the clock of the database given.
func OpenAt(t testing.TB, clock func() time.Time, schemas ...fs.FS) *db.DB {
	t.Helper()
	return OpenWith(t, db.Config{Now: clock}, SQLite(t, schemas...))
}

// patience is how long a server may take to start, or to make a database, and the deadline of a database whose test gives none. It only bounds a hang: a
// machine that runs other tests beside may keep a statement waiting for longer than a server should.
const patience = 2 * time.Minute

// OpenWith opens the database at url, which SQLite or Postgres has given, and closes it after the test.
func OpenWith(t testing.TB, config db.Config, url string) *db.DB {
	t.Helper()
	config.URL = url
	if config.Deadline == 0 {
		config.Deadline = patience
	}
	d, err := db.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("closing the database: %v", err)
		}
	})
	return d
}

// fingerprint names a set of schemas by its content.
func fingerprint(schemas []fs.FS) (string, error) {
	sum := sha256.New()
	for _, schema := range schemas {
		err := fs.WalkDir(schema, ".", func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			text, err := fs.ReadFile(schema, path)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(sum, "%q %q\n", path, text)
			return err
		})
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:12]), nil
}
