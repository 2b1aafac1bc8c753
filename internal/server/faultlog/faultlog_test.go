package faultlog_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/server/faultlog"
)

var schemas = []fs.FS{faultlog.Schema}

// drain runs the log until it has written what waits.
func drain(l *faultlog.Log) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	l.Run(ctx)
}

func find(t *testing.T, d *db.DB, ref string) (faultlog.Occurrence, error) {
	t.Helper()
	var o faultlog.Occurrence
	err := d.Read(t.Context(), func(tx *db.Tx) (err error) {
		o, err = faultlog.Find(tx, ref)
		return err
	})
	return o, err
}

func TestAFaultIsFoundByItsReference(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		l := faultlog.New(d, slog.New(slog.DiscardHandler))
		o := faultlog.Of(fault.New(fault.Busy, errors.New("locked")).With("Wait."))
		o.Method, o.Path, o.Request, o.Client, o.UID = "POST", "/signin/code", "r1", "ers", "555000100101"
		l.Record(o)
		drain(l)
		got, err := find(t, d, o.Ref)
		if err != nil {
			t.Fatal(err)
		}
		o.At = got.At
		if diff := cmp.Diff(o, got); diff != "" || got.At.IsZero() {
			t.Errorf("found (-want +got):\n%s", diff)
		}
		if _, err := find(t, d, "100-000-000"); !errors.Is(err, db.ErrNoRows) {
			t.Errorf("an unknown reference: %v", err)
		}
	})
}

func TestAFloodOfFaultsIsDroppedAndCountedAndNeverWaits(t *testing.T) {
	d := dbtest.Open(t, schemas...)
	l := faultlog.New(d, slog.New(slog.DiscardHandler))
	const flood = 5000
	var refs []string
	for range flood {
		o := faultlog.Of(fault.New(fault.Internal, nil))
		refs = append(refs, o.Ref)
		l.Record(o)
	}
	drain(l)
	kept := 0
	for _, ref := range refs {
		if _, err := find(t, d, ref); err == nil {
			kept++
		}
	}
	if kept == 0 || uint64(kept)+l.Dropped() != flood {
		t.Errorf("%d kept, %d dropped of %d", kept, l.Dropped(), flood)
	}
}

func TestWhatTheDatabaseCannotHoldIsMadeHarmless(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		l := faultlog.New(d, slog.New(slog.DiscardHandler))
		o := faultlog.Of(fault.New(fault.NotFound, fmt.Errorf("a\x00b\xff%s", strings.Repeat("é", 2000))))
		o.Method, o.Path = strings.Repeat("X", 20_000), "/\x00"
		l.Record(o)
		drain(l)
		got, err := find(t, d, o.Ref)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Method) > 16 || got.Path != "/?" || len(got.Cause) > 1000 || !strings.Contains(got.Cause, "a?b?é") {
			t.Errorf("method %.30q, path %q, cause %q", got.Method, got.Path, got.Cause)
		}
	})
}

// Whoever made the fault chose the path, and reads the reference out.
func TestWhatIsExplainedIsOneLineOfText(t *testing.T) {
	d := dbtest.Open(t, schemas...)
	l := faultlog.New(d, slog.New(slog.DiscardHandler))
	o := faultlog.Of(fault.New(fault.NotFound, errors.Join(errors.New("no\tpage"), errors.New("\u202eegap on"))))
	o.Method, o.Path = "GET", "/\x1b[2J\x1b]0;title\a\u0085\u2028\n  person:        555000100103"
	l.Record(o)
	drain(l)
	got, err := find(t, d, o.Ref)
	if err != nil {
		t.Fatal(err)
	}
	if got.Path != "/?[2J?]0;title???   person:        555000100103" || got.Cause != "page not found: no?page ?egap on" {
		t.Errorf("path %q, cause %q", got.Path, got.Cause)
	}
}

func TestFaultsAreForgottenAfterThirtyDays(t *testing.T) {
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	d := dbtest.OpenAt(t, func() time.Time { return now }, schemas...)
	l := faultlog.New(d, slog.New(slog.DiscardHandler))
	old, young := faultlog.Of(fault.New(fault.Internal, nil)), faultlog.Of(fault.New(fault.Internal, nil))
	l.Record(old)
	drain(l)
	now = now.Add(2 * time.Second)
	l.Record(young)
	drain(l)
	now = now.Add(faultlog.Keep - time.Second)
	if err := l.Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := find(t, d, old.Ref); !errors.Is(err, db.ErrNoRows) {
		t.Errorf("one second after: %v", err)
	}
	if _, err := find(t, d, young.Ref); err != nil {
		t.Errorf("one second before: %v", err)
	}
}

// TestAFloodOfFaultsDoesNotFillTheDisk (ASVS 15.2.2): anybody can cause faults
// by the thousand, so the table is cut back while they come and not only by
// the clock.
func TestAFloodOfFaultsDoesNotFillTheDisk(t *testing.T) {
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	d := dbtest.OpenAt(t, func() time.Time { return now }, schemas...)
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
			INSERT INTO fault_log SELECT 'before-' || i, 100, $2 + i, '', '', '', '', '', '', '' FROM n`,
			faultlog.Most, db.Micros(now.Add(-time.Hour)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	l := faultlog.New(d, slog.New(slog.DiscardHandler))
	for range faultlog.Most / 10 / 1000 {
		for range 1000 {
			l.Record(faultlog.Of(fault.New(fault.NotFound, nil)))
		}
		drain(l)
		now = now.Add(time.Second)
	}
	var kept int
	err = d.Read(t.Context(), func(tx *db.Tx) error { return tx.Row(`SELECT COUNT(*) FROM fault_log`).Scan(&kept) })
	if err != nil || kept > faultlog.Most {
		t.Errorf("%d kept, want %d at most: %v", kept, faultlog.Most, err)
	}
}

// TestFaultsOfALockedDatabaseAreKeptOnceItIsFree: those are the ones that a
// service desk asks about.
func TestFaultsOfALockedDatabaseAreKeptOnceItIsFree(t *testing.T) {
	for name, url := range map[string]string{"sqlite": dbtest.SQLite(t, schemas...), "postgres": dbtest.Postgres(t, schemas...)} {
		t.Run(name, func(t *testing.T) { keptOnceFree(t, url) })
	}
}

func keptOnceFree(t *testing.T, url string) {
	// The log gives up soon, and whoever holds the database and looks into it does not.
	d := dbtest.OpenWith(t, db.Config{}, url)
	var said strings.Builder
	l := faultlog.New(dbtest.OpenWith(t, db.Config{Deadline: 100 * time.Millisecond}, url), slog.New(slog.NewTextHandler(&said, nil)))
	o := faultlog.Of(fault.New(fault.Busy, errors.New("locked")))
	locked, free := make(chan struct{}), make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		_ = d.Write(t.Context(), func(tx *db.Tx) error { // of the same row, and undone
			_, err := tx.Exec(`INSERT INTO fault_log (ref, kind, at, method, path, request, client, uid, detail, cause)
				VALUES ($1, 1, 1, '', '', '', '', '', '', '')`, o.Ref)
			close(locked)
			<-free
			return errors.Join(err, errors.New("undone"))
		})
	})
	<-locked
	l.Record(o)
	drain(l) // in vain
	if _, err := find(t, d, o.Ref); !errors.Is(err, db.ErrNoRows) || !strings.Contains(said.String(), "cannot be kept") {
		t.Errorf("while locked: %v, %s", err, &said)
	}
	close(free)
	running.Wait()
	drain(l)
	for patience := time.Now().Add(time.Minute); time.Now().Before(patience); drain(l) { // on a busy machine that takes more than one go
		if _, err := find(t, d, o.Ref); err == nil {
			break
		}
	}
	if got, err := find(t, d, o.Ref); err != nil || got.Kind != fault.Busy.Number {
		t.Errorf("afterwards: %+v, %v", got, err)
	}
}
