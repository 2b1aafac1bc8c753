package db

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// Migrate brings the tables up to date. Each schema holds its room's migrations as NNNNN_room.sql, in any folder; numbers are unique across
// rooms, and an older number that comes with a later release is applied too. Nodes that start at once take turns.
func (d *DB) Migrate(ctx context.Context, schemas ...fs.FS) error {
	all, err := merge(schemas)
	if err != nil {
		return fmt.Errorf("migrating the database: %w", err)
	}
	if len(all.files) == 0 {
		return nil
	}
	if err := d.engine.migrate(ctx, all); err != nil {
		return fmt.Errorf("migrating the database: %w", err)
	}
	return nil
}

func (e *sqliteEngine) migrate(ctx context.Context, from *migrations) error {
	pool, err := openSQLitePool(e.path, e.db.config.Deadline)
	if err != nil {
		return err
	}
	defer pool.Close()
	return kindSQLite(up(ctx, goose.DialectSQLite3, pool, from, &fileLocker{path: e.path + "-migrate"}))
}

func (e *postgresEngine) migrate(ctx context.Context, from *migrations) error {
	pool := stdlib.OpenDB(*e.config)
	defer pool.Close()
	return kindPostgres(up(ctx, goose.DialectPostgres, pool, from, advisoryLocker{}))
}

func up(ctx context.Context, dialect goose.Dialect, pool *sql.DB, from *migrations, turns sessionLocker) error {
	provider, err := goose.NewProvider(dialect, pool, from,
		goose.WithAllowOutofOrder(true), goose.WithSessionLocker(turns), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

type sessionLocker interface {
	SessionLock(ctx context.Context, conn *sql.Conn) error
	SessionUnlock(ctx context.Context, conn *sql.Conn) error
}

// advisoryLocker makes nodes take turns on PostgreSQL. The server frees it when a node dies.
type advisoryLocker struct{}

const advisoryKey = 0x63617265 // "care"

func (advisoryLocker) SessionLock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(advisoryKey))
	return err
}

func (advisoryLocker) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "SELECT pg_advisory_unlock($1)", int64(advisoryKey))
	return err
}

// migrations is the files of all rooms as one folder.
type migrations struct {
	files map[string][]byte
}

func merge(schemas []fs.FS) (*migrations, error) {
	all := &migrations{files: map[string][]byte{}}
	versions := map[int64]string{}
	for _, schema := range schemas {
		err := fs.WalkDir(schema, ".", func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || path.Ext(name) != ".sql" {
				return err
			}
			text, err := fs.ReadFile(schema, name)
			if err != nil {
				return err
			}
			return all.add(versions, path.Base(name), text)
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (m *migrations) add(versions map[int64]string, name string, text []byte) error {
	digits, _, _ := strings.Cut(name, "_")
	version, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || version < 1 {
		return fmt.Errorf("%s: a migration's name begins with its number", name)
	}
	if other, taken := versions[version]; taken && (other != name || !bytes.Equal(m.files[name], text)) {
		return fmt.Errorf("%s and %s have the same number", other, name)
	}
	versions[version] = name
	m.files[name] = text
	return nil
}

// Open makes migrations an fs.FS, as goose wants one: a flat folder.
func (m *migrations) Open(name string) (fs.File, error) {
	if name == "." {
		return &folder{entries: m.list()}, nil
	}
	text, found := m.files[name]
	if !found {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &file{name: name, size: len(text), Reader: bytes.NewReader(text)}, nil
}

func (m *migrations) list() []fs.DirEntry {
	var entries []fs.DirEntry
	for name, text := range m.files {
		entries = append(entries, fs.FileInfoToDirEntry(&file{name: name, size: len(text)}))
	}
	return entries
}

// file is a migration in memory, its own fs.FileInfo.
type file struct {
	name string
	size int
	*bytes.Reader
}

func (f *file) Stat() (fs.FileInfo, error) { return f, nil }
func (f *file) Close() error               { return nil }
func (f *file) Name() string               { return f.name }
func (f *file) Size() int64                { return int64(f.size) }
func (f *file) Mode() fs.FileMode          { return 0o444 }
func (f *file) ModTime() time.Time         { return time.Time{} }
func (f *file) IsDir() bool                { return false }
func (f *file) Sys() any                   { return nil }

// folder is the only directory.
type folder struct{ entries []fs.DirEntry }

func (f *folder) Stat() (fs.FileInfo, error) { return nil, errors.ErrUnsupported }
func (f *folder) Close() error               { return nil }
func (f *folder) Read([]byte) (int, error)   { return 0, errors.ErrUnsupported }
func (f *folder) ReadDir(int) ([]fs.DirEntry, error) {
	return f.entries, nil
}
