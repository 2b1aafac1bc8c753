package outbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
)

func TestOtherKindsHaveTheirOwnHandlers(t *testing.T) {
	d := dbtest.OpenAt(t, newClock().now, Schema)
	box := open(t, d, Options{})
	var got []byte
	box.Handle("logout", func(_ context.Context, payload []byte) error { got = payload; return nil })
	box.Handle("final", func(context.Context, []byte) error { return Permanent("the relying party answered 400", nil) })
	box.Handle("unforeseen", func(context.Context, []byte) error { return errors.New("amara@example.nhs.uk is not at home") })
	box.Handle("panics", func(context.Context, []byte) error { panic("amara@example.nhs.uk") })
	var ids []string
	for _, kind := range []string{"logout", "final", "unforeseen", "panics", "unknown"} {
		m, err := box.Seal(kind, []byte("payload"), 0)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, m.ID)
		if err := d.Write(t.Context(), func(tx *db.Tx) error { return Put(tx, m) }); err != nil {
			t.Fatal(err)
		}
	}
	work(t, box)
	for i, want := range []stored{
		{state: "sent"}, {state: "dead", lastError: "the relying party answered 400"}, {state: "queued", lastError: "failed (*errors.errorString)"},
		{state: "queued", lastError: "the handler panicked"}, {state: "queued", lastError: "this node has no handler for unknown"},
	} {
		if s := look(t, d, ids[i]); s.state != want.state || s.lastError != want.lastError {
			t.Errorf("message %d: %+v, want %+v", i, s, want)
		}
	}
	if string(got) != "payload" {
		t.Errorf("the handler got %q", got)
	}
}

// TestANodeThatStopsGivesBackWhatItWasDelivering, to be tried at once by
// another, whatever number of attempts that was.
func TestANodeThatStopsGivesBackWhatItWasDelivering(t *testing.T) {
	c := newClock()
	dbtest.EachAt(t, c.now, schemas, func(t *testing.T, d *db.DB) {
		for name, fail := range map[string]func(error) error{
			"as it is":  func(err error) error { return err },
			"temporary": func(err error) error { return Temporary("the relying party did not answer", err) },
		} {
			started := make(chan struct{})
			starting := sync.OnceFunc(func() { close(started) })
			box := open(t, d, Options{Leave: time.Nanosecond})
			box.Handle("logout", func(ctx context.Context, _ []byte) error {
				starting()
				<-ctx.Done()
				return fail(ctx.Err())
			})
			m, err := box.Seal("logout", []byte("payload"), 0)
			if err != nil {
				t.Fatal(err)
			}
			err = d.Write(t.Context(), func(tx *db.Tx) error {
				if err := Put(tx, m); err != nil {
					return err
				}
				_, err := tx.Exec(`UPDATE outbox SET attempts = 9 WHERE id = $1`, m.ID)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() { box.Run(ctx); close(ended) }()
			<-started
			stop()
			<-ended
			if s := look(t, d, m.ID); s.state != "queued" || s.next.After(c.now()) || s.lastError != "the node stopped in the middle" {
				t.Errorf("%s: %+v", name, s)
			}
			if n := work(t, open(t, d, Options{})); n != 1 { // it knows no such kind, and so tells that it tried
				t.Errorf("%s: another node tried %d messages", name, n)
			}
		}
	})
}

func TestSealedPayloadCannotBeMovedToAnotherMessage(t *testing.T) {
	d := dbtest.OpenAt(t, newClock().now, Schema)
	box := open(t, d, Options{Send: func(context.Context, Mail) error { t.Error("sent"); return nil }})
	m := post(t, d, box, "amara@example.nhs.uk")
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE outbox SET id = 'another'`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	m.ID = "another"
	work(t, box)
	if s := look(t, d, m.ID); !strings.Contains(s.lastError, "does not open") {
		t.Errorf("stored as %+v", s)
	}
}

func TestPruneLeavesWhatIsQueuedOrRecent(t *testing.T) {
	c := newClock()
	d := dbtest.OpenAt(t, c.now, Schema)
	refuse := false
	box := open(t, d, Options{Send: func(context.Context, Mail) error {
		if refuse {
			return Permanent("refused", nil)
		}
		return nil
	}})
	post(t, d, box, "sent@example.nhs.uk")
	work(t, box)
	refuse = true
	post(t, d, box, "dead@example.nhs.uk")
	work(t, box)
	for _, step := range []struct {
		wait time.Duration
		want int
	}{{sentMemory - time.Second, 2}, {2 * time.Second, 1}, {deadMemory - sentMemory - 2*time.Second, 1}, {2 * time.Second, 0}} {
		c.advance(step.wait)
		var n int
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			if err := Prune(tx); err != nil {
				return err
			}
			return tx.Row(`SELECT COUNT(*) FROM outbox`).Scan(&n)
		})
		if err != nil {
			t.Fatal(err)
		}
		if n != step.want {
			t.Errorf("after %s more: %d messages, want %d", step.wait, n, step.want)
		}
	}
}

func TestRunIsWokenByTheCommit(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		server := startMail(t, "127.0.0.1:0", false)
		box := through(t, d, server)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { box.Run(ctx) })
		start := time.Now()
		for n := range 10 {
			post(t, d, box, care.Email(fmt.Sprintf("worker%d@example.nhs.uk", n)))
			<-server.arrived
		}
		if took := time.Since(start); took > 5*poll { // nine waits for the next look, if nobody wakes the worker
			t.Errorf("ten mails took %s: nobody woke the worker", took)
		}
		stop()
		running.Wait() // the outcome of the last delivery is stored by then
		var unsent int
		err := d.Read(t.Context(), func(tx *db.Tx) error {
			return tx.Row(`SELECT COUNT(*) FROM outbox WHERE state <> 'sent'`).Scan(&unsent)
		})
		if err != nil || unsent != 0 {
			t.Errorf("%d mails are not marked as sent, %v", unsent, err)
		}
	})
}

// A relying party that hangs must not keep a code by mail waiting.
func TestHangingReceiversKeepNoLetterWaiting(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		server := startMail(t, "127.0.0.1:0", false)
		box := through(t, d, server)
		hanging, release := make(chan bool, 100), make(chan bool)
		box.Handle("logout", func(context.Context, []byte) error {
			hanging <- true
			<-release
			return nil
		})
		for range 50 {
			m, err := box.Seal("logout", nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Write(t.Context(), func(tx *db.Tx) error { return Put(tx, m) }); err != nil {
				t.Fatal(err)
			}
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { box.Run(ctx) })
		for range lanes[1].workers {
			<-hanging
		}
		post(t, d, box, "amara@example.nhs.uk")
		<-server.arrived
		stop()
		close(release)
		running.Wait()
	})
}

func TestRetryTriesAgainWhatWasGivenUpAndNothingThatWasSent(t *testing.T) {
	c := newClock()
	dbtest.EachAt(t, c.now, schemas, func(t *testing.T, d *db.DB) {
		refuse := true
		box := open(t, d, Options{Send: func(context.Context, Mail) error {
			if refuse {
				return Permanent("refused", nil)
			}
			return nil
		}})
		m := post(t, d, box, "amara@example.nhs.uk")
		work(t, box)
		refuse = false
		c.advance(2 * Life)
		for _, want := range []bool{true, false} {
			err := d.Write(t.Context(), func(tx *db.Tx) error {
				again, err := Retry(tx, m.ID, time.Hour)
				if again != want {
					t.Errorf("tried again: %v, want %v", again, want)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			work(t, box)
			if s := look(t, d, m.ID); s.state != "sent" {
				t.Errorf("stored as %+v", s)
			}
		}
	})
}

// Ground rule 7: no address, code or link in a log.
func TestLogNamesNobody(t *testing.T) {
	d := dbtest.OpenAt(t, newClock().now, Schema)
	var log bytes.Buffer
	box := open(t, d, Options{
		Log:  slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Send: func(_ context.Context, m Mail) error { return fmt.Errorf("cannot reach %s: %s", m.To, m.Text) },
	})
	post(t, d, box, "amara@example.nhs.uk")
	work(t, box)
	if log.Len() == 0 || regexp.MustCompile(`amara|not-me|OSEI`).Match(log.Bytes()) {
		t.Errorf("the log says: %s", log.String())
	}
}
