package dbtest

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"carekey.dev/carekey/internal/db"
)

// migrated holds, for each set of schemas, the bytes of a SQLite file with its tables: copying them is quicker than migrating again.
var migrated sync.Map // fingerprint → func() ([]byte, error)

// SQLite returns the URL of a fresh, migrated SQLite database.
func SQLite(t testing.TB, schemas ...fs.FS) string {
	t.Helper()
	name, err := fingerprint(schemas)
	if err != nil {
		t.Fatal(err)
	}
	once, _ := migrated.LoadOrStore(name, sync.OnceValues(func() ([]byte, error) { return migrateSQLite(schemas) }))
	content, err := once.(func() ([]byte, error))()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "carekey.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return "sqlite:" + path
}

func migrateSQLite(schemas []fs.FS) ([]byte, error) {
	dir, err := os.MkdirTemp("", "carekey-sqlite-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "carekey.db")
	d, err := db.Open(context.Background(), db.Config{URL: "sqlite:" + path})
	if err != nil {
		return nil, err
	}
	err = d.Migrate(context.Background(), schemas...)
	if closing := d.Close(); err == nil { // closing folds the journal into the file
		err = closing
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}
