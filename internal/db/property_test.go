package db_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
)

// deed is one write of the property test: how often it adds to its own counter and to one that all share, and how it ends.
type deed struct {
	Adds int
	Ends ending
}

type ending string

const (
	well             ending = "well"
	withError        ending = "with an error"
	inPanic          ending = "in a panic"
	onUnique         ending = "on a unique key"
	swallowing       ending = "swallowing a failed statement"
	onCommit         ending = "on a foreign key at COMMIT"
	abortsEverything ending = "with the transaction aborted by the engine"
)

var endings = []ending{well, well, well, well, withError, inPanic, onUnique, swallowing, onCommit, abortsEverything}

// do runs the deed on its own counter.
func (d deed) do(tx *db.Tx, own string) error {
	for range d.Adds {
		if err := errors.Join(add(tx, own, 1), add(tx, "shared", 1)); err != nil {
			return err
		}
	}
	switch d.Ends {
	case withError:
		return errRoom
	case inPanic:
		panic("boom")
	case onUnique:
		_, err := tx.Exec(`INSERT INTO account (id) VALUES ('taken')`)
		return err
	case swallowing:
		_, _ = tx.Exec(`INSERT INTO account (id) VALUES ('taken')`)
	case onCommit:
		_, err := tx.Exec(`INSERT INTO line (id, account) VALUES ($1, 'nobody')`, own)
		return err
	case abortsEverything:
		// SQLite ends the whole transaction on this; PostgreSQL knows no such conflict clause, and fails the statement.
		_, err := tx.Exec(`INSERT OR ROLLBACK INTO account (id) VALUES ('taken')`)
		return err
	}
	return nil
}

// What is told is what happened: each write that returned nil is there exactly once and as a whole, each other one is not there at all.
func TestGroupsTellTheTruth(t *testing.T) {
	dbtest.Each(t, tables, func(t *testing.T, d *db.DB) {
		write(t, d, func(tx *db.Tx) error { _, err := tx.Exec(`INSERT INTO account (id) VALUES ('taken')`); return err })
		round, shared := 0, 0
		rapid.Check(t, func(r *rapid.T) {
			round++
			deeds := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) deed {
				return deed{Adds: rapid.IntRange(1, 3).Draw(r, "adds"), Ends: rapid.SampledFrom(endings).Draw(r, "ends")}
			}), 1, 12).Draw(r, "deeds")
			var fns []func(tx *db.Tx) error
			for i, deed := range deeds {
				own := fmt.Sprintf("%d-%d", round, i)
				fns = append(fns, func(tx *db.Tx) error { return deed.do(tx, own) })
			}
			for i, err := range together(t, d, fns...) {
				deed, want := deeds[i], 0
				if deed.Ends == well {
					want = deed.Adds
				}
				if (err == nil) != (deed.Ends == well) || (deed.Ends == inPanic) != (err != nil && strings.HasPrefix(err.Error(), "panic: boom")) {
					r.Errorf("write %d, which ends %s, returned %v", i, deed.Ends, err)
				}
				if got := count(t, d, fmt.Sprintf("%d-%d", round, i)); got != want {
					r.Errorf("write %d, which ends %s, left %d, want %d", i, deed.Ends, got, want)
				}
				shared += want
			}
			if got := count(t, d, "shared"); got != shared {
				r.Errorf("the shared counter is %d, want %d", got, shared)
			}
		})
	})
}
