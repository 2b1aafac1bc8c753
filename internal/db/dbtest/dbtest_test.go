package dbtest_test

import (
	"io/fs"
	"net"
	"net/url"
	"testing"
	"testing/fstest"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
)

var tables = []fs.FS{fstest.MapFS{"00001_try.sql": {Data: []byte("-- +goose Up\nCREATE TABLE try (id TEXT PRIMARY KEY);\n")}}}

func TestEachTestHasADatabaseOfItsOwn(t *testing.T) {
	for range 2 {
		dbtest.Each(t, tables, func(t *testing.T, d *db.DB) {
			err := d.Write(t.Context(), func(tx *db.Tx) error { _, err := tx.Exec(`INSERT INTO try (id) VALUES ('a')`); return err })
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestStoppedServerIsGone(t *testing.T) {
	server, err := dbtest.StartServer()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err == nil {
		_ = conn.Close()
		t.Error("it still listens")
	}
}
