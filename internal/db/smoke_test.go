package db_test

import (
	"io/fs"
	"testing"
	"testing/fstest"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
)

func TestSmoke(t *testing.T) {
	schema := fstest.MapFS{"schema/00001_x.sql": {Data: []byte("-- +goose Up\nCREATE TABLE x (id TEXT PRIMARY KEY, n BIGINT NOT NULL, b BYTEA);\n")}}
	dbtest.Each(t, []fs.FS{schema}, func(t *testing.T, d *db.DB) {
		for range 3 {
			err := d.Write(t.Context(), func(tx *db.Tx) error {
				_, err := tx.Exec("INSERT INTO x (id, n) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET n = x.n + $2", "a", 1)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		var n int
		err := d.Read(t.Context(), func(tx *db.Tx) error { return tx.Row("SELECT n FROM x WHERE id = $1", "a").Scan(&n) })
		if err != nil || n != 3 {
			t.Fatal(n, err)
		}
		t.Log(d.Counters(), d.Now(), d.ClockSkew())
	})
}
