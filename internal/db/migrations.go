package db

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"
)

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
