package db_test

import (
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
)

// schema is a room's migrations: pairs of file name and SQL.
func schema(files ...string) fs.FS {
	room := fstest.MapFS{}
	for i := 0; i < len(files); i += 2 {
		room[files[i]] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + files[i+1] + "\n")}
	}
	return room
}

func migrate(t *testing.T, d *db.DB, schemas ...fs.FS) {
	t.Helper()
	if err := d.Migrate(t.Context(), schemas...); err != nil {
		t.Fatal(err)
	}
}

func TestMigrateRunsEachMigrationOnceInOrderOfNumber(t *testing.T) {
	dbtest.Each(t, nil, func(t *testing.T, d *db.DB) {
		first := schema("schema/00200_late.sql", "CREATE TABLE late (id TEXT REFERENCES early (id));")
		second := schema("00100_early.sql", "CREATE TABLE early (id TEXT PRIMARY KEY);")
		migrate(t, d, first, second)
		migrate(t, d, first, second)
		// A later release adds an older number, and a node of the former release starts once more.
		third := schema("00150_between.sql", "ALTER TABLE early ADD COLUMN n BIGINT NOT NULL DEFAULT 7;")
		migrate(t, d, first, second, third)
		migrate(t, d, first, second)
		var n int
		write(t, d, func(tx *db.Tx) error {
			return tx.Row(`INSERT INTO early (id) VALUES ('x') RETURNING n`).Scan(&n)
		})
		if n != 7 {
			t.Errorf("n is %d, want 7", n)
		}
	})
}

func TestMigrateRefusesNumbersThatClash(t *testing.T) {
	d := dbtest.Open(t)
	err := d.Migrate(t.Context(), schema("00100_a.sql", "SELECT 1;"), schema("00100_b.sql", "SELECT 1;"))
	if err == nil || !strings.Contains(err.Error(), "00100_a.sql") || !strings.Contains(err.Error(), "00100_b.sql") {
		t.Errorf("a clash returned %v, want both names", err)
	}
	if err := d.Migrate(t.Context(), schema("a.sql", "SELECT 1;")); err == nil {
		t.Error("a migration without a number was accepted")
	}
	same := schema("00100_a.sql", "SELECT 1;")
	if err := d.Migrate(t.Context(), same, same); err != nil {
		t.Errorf("the same room twice: %v", err)
	}
}

func TestFailedMigrationLeavesNothingAndOneLine(t *testing.T) {
	dbtest.Each(t, nil, func(t *testing.T, d *db.DB) {
		broken := schema("00100_broken.sql", "CREATE TABLE half (id TEXT);\nCREATE TABLE\nnonsense;")
		err := d.Migrate(t.Context(), broken)
		if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "00100_broken.sql") {
			t.Errorf("a broken migration returned %v, want one line with its name", err)
		}
		migrate(t, d, schema("00100_broken.sql", "CREATE TABLE half (id TEXT);"))
	})
}

func TestNodesThatStartAtOnceTakeTurnsToMigrate(t *testing.T) {
	var rooms []fs.FS
	for i := range 10 {
		rooms = append(rooms, schema(fmt.Sprintf("%05d_room.sql", 100+i), fmt.Sprintf("CREATE TABLE room%d (id TEXT PRIMARY KEY);", i)))
	}
	for name, address := range map[string]string{"sqlite": dbtest.SQLite(t), "postgres": dbtest.Postgres(t)} {
		t.Run(name, func(t *testing.T) {
			var all sync.WaitGroup
			for range 5 {
				d := dbtest.OpenWith(t, db.Config{}, address)
				all.Go(func() {
					if err := d.Migrate(t.Context(), rooms...); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
		})
	}
}

// A running node goes on while another changes the tables under its prepared statements.
func TestStatementsSurviveAMigration(t *testing.T) {
	dbtest.Each(t, tables, func(t *testing.T, d *db.DB) {
		all := func() error {
			return d.Write(t.Context(), func(tx *db.Tx) error {
				rows, err := tx.Rows(`SELECT * FROM ticket`)
				if err != nil {
					return err
				}
				return rows.Close()
			})
		}
		if err := all(); err != nil {
			t.Fatal(err)
		}
		migrate(t, d, append(tables, schema("00002_more.sql", "ALTER TABLE ticket ADD COLUMN more BIGINT;"))...)
		if err := all(); err != nil {
			t.Error(err)
		}
	})
}
