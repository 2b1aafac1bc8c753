package db_test

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
)

type named string

func TestValuesComeBackAsTheyWere(t *testing.T) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	dbtest.Each(t, tables, func(t *testing.T, d *db.DB) {
		for name, want := range map[string]struct {
			t string
			n int64
			b []byte
		}{
			"plain":    {"abc", 1, []byte("abc")},
			"empty":    {"", 0, []byte{}},
			"unicode":  {"Ünïcødé – 𝒳 – 漢字 – e\u0301 – \u202e", math.MaxInt64, every},
			"quotes":   {`' " \ $1 ?1 -- /* % _`, math.MinInt64, []byte{0}},
			"newlines": {"a\r\nb\tc", -1, bytes.Repeat([]byte{0xff, 0}, 100_000)},
		} {
			write(t, d, func(tx *db.Tx) error {
				_, err := tx.Exec(`INSERT INTO cell (id, t, n, b) VALUES ($1, $2, $3, $4)`, name, want.t, want.n, want.b)
				return err
			})
			got := want
			var null bool
			err := d.Read(t.Context(), func(tx *db.Tx) error {
				return tx.Row(`SELECT t, n, b, CASE WHEN b IS NULL THEN 1 ELSE 0 END FROM cell WHERE id = $1`, name).Scan(&got.t, &got.n, &got.b, &null)
			})
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got.t != want.t || got.n != want.n || !bytes.Equal(got.b, want.b) || null {
				t.Errorf("%s: wrote %q %d %d bytes, read %q %d %d bytes (NULL: %v)", name, want.t, want.n, len(want.b), got.t, got.n, len(got.b), null)
			}
		}
	})
}

func TestNullsAndKindsAreTheSameOnBothEngines(t *testing.T) {
	dbtest.Each(t, tables, func(t *testing.T, d *db.DB) {
		write(t, d, func(tx *db.Tx) error {
			_, err := tx.Exec(`INSERT INTO cell (id, t, n, b) VALUES ($1, $2, $3, $4)`, named("null"), nil, (*int64)(nil), []byte(nil))
			if err != nil {
				return err
			}
			_, err = tx.Exec(`INSERT INTO cell (id, t, n, b) VALUES ($1, $2, $3, $4)`, "kinds", named("x"), true, []byte{1})
			return err
		})
		err := d.Read(t.Context(), func(tx *db.Tx) error {
			var text sql.NullString
			var number *int64
			var bytes []byte
			if err := tx.Row(`SELECT t, n, b FROM cell WHERE id = 'null'`).Scan(&text, &number, &bytes); err != nil {
				return err
			}
			if text.Valid || number != nil || bytes != nil {
				t.Errorf("NULLs came back as %v %v %v", text, number, bytes)
			}
			var kind named
			var yes bool
			if err := tx.Row(`SELECT t, n FROM cell WHERE id = 'kinds'`).Scan(&kind, &yes); err != nil {
				return err
			}
			if kind != "x" || !yes {
				t.Errorf("kinds came back as %v %v", kind, yes)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestWhatOneEngineCannotHoldIsRefusedOnBoth(t *testing.T) {
	dbtest.Each(t, tables, func(t *testing.T, d *db.DB) {
		for name, value := range map[string]any{"NUL": "a\x00b", "not UTF-8": "a\xffb"} {
			err := d.Write(t.Context(), func(tx *db.Tx) error { return add(tx, value.(string), 1) })
			if !errors.Is(err, db.ErrText) {
				t.Errorf("%s: %v, want ErrText", name, err)
			}
		}
		for name, value := range map[string]any{"time": time.Unix(1, 0), "float": 1.5, "struct": struct{}{}, "large": uint64(math.MaxUint64)} {
			err := d.Write(t.Context(), func(tx *db.Tx) error {
				_, err := tx.Exec(`INSERT INTO cell (id, t) VALUES ('x', $1)`, value)
				return err
			})
			if err == nil {
				t.Errorf("a %s was stored", name)
			}
		}
	})
}

func TestTimesKeepTheirMicroseconds(t *testing.T) {
	clock := time.Date(2026, 7, 1, 3, 4, 5, 123456789, time.FixedZone("BST", 3600))
	now := func() time.Time { return clock }
	dbtest.EachAt(t, now, tables, func(t *testing.T, d *db.DB) {
		want := time.Date(2026, 7, 1, 2, 4, 5, 123456000, time.UTC)
		if got := d.Now(); !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("Now is %v, want %v", got, want)
		}
		if skew := d.ClockSkew(); skew != 0 {
			t.Errorf("a given clock is off by %v", skew)
		}
		var micros int64
		write(t, d, func(tx *db.Tx) error {
			if !tx.Now().Equal(want) {
				t.Errorf("the transaction's clock is %v, want %v", tx.Now(), want)
			}
			return tx.Row(`INSERT INTO cell (id, n) VALUES ('x', $1) RETURNING n`, db.Micros(tx.Now())).Scan(&micros)
		})
		if got := db.Time(micros); !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("read %v, want %v", got, want)
		}
	})
	if db.Micros(time.Time{}) != 0 || !db.Time(0).IsZero() {
		t.Error("the zero time is not 0")
	}
	before := time.Date(1969, 12, 31, 23, 59, 59, 999999000, time.UTC)
	if got := db.Time(db.Micros(before)); !got.Equal(before) {
		t.Errorf("a time before 1970 came back as %v", got)
	}
}

func TestManyRowsAreReadInOrder(t *testing.T) {
	dbtest.Each(t, tables, func(t *testing.T, d *db.DB) {
		write(t, d, func(tx *db.Tx) error {
			_, err := tx.Exec(`INSERT INTO cell (id, n) WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 5000) SELECT 'row ' || x, x FROM c`)
			return err
		})
		var next int64
		err := d.Read(t.Context(), func(tx *db.Tx) error {
			rows, err := tx.Rows(`SELECT n FROM cell WHERE n > $1 AND n <= $2 ORDER BY n`, 0, 5000)
			if err != nil {
				return err
			}
			defer rows.Close()
			for next = 1; rows.Next(); next++ {
				var n int64
				if err := rows.Scan(&n); err != nil {
					return err
				}
				if n != next {
					t.Fatalf("row %d holds %d", next, n)
				}
			}
			return rows.Err()
		})
		if err != nil || next != 5001 {
			t.Errorf("read up to %d: %v", next, err)
		}
	})
}

// SQL that differs each time costs no memory for ever, and does not break what is prepared.
func TestManyDifferentStatements(t *testing.T) {
	dbtest.Each(t, tables, func(t *testing.T, d *db.DB) {
		write(t, d, func(tx *db.Tx) error {
			for i := range 2000 {
				var n int
				if err := tx.Row(fmt.Sprintf(`SELECT %d + $1`, i), 1).Scan(&n); err != nil || n != i+1 {
					return fmt.Errorf("statement %d returned %d: %w", i, n, err)
				}
			}
			return add(tx, "a", 1)
		})
		if got := count(t, d, "a"); got != 1 {
			t.Errorf("counter is %d, want 1", got)
		}
	})
}
