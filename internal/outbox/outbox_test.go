package outbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/porttest"
)

var schemas = []fs.FS{Schema}

type testClock struct{ micros atomic.Int64 }

func newClock() *testClock {
	c := &testClock{}
	c.micros.Store(time.Date(2026, 7, 6, 8, 30, 0, 0, time.UTC).UnixMicro())
	return c
}
func (c *testClock) now() time.Time          { return time.UnixMicro(c.micros.Load()) }
func (c *testClock) advance(d time.Duration) { c.micros.Add(d.Microseconds()) }

var ring = keys.NewRing(keys.Root{1})

func open(t testing.TB, d *db.DB, o Options) *Outbox {
	t.Helper()
	if o.From == "" {
		o.Service, o.Operator, o.From = "Care Identity", "Northgate Hospitals NHS Trust", "no-reply@care.example"
	}
	box, err := New(d, ring, o)
	if err != nil {
		t.Fatal(err)
	}
	return box
}

// through returns an outbox that sends to m.
func through(t *testing.T, d *db.DB, m *mailServer) *Outbox {
	t.Helper()
	send, err := SMTP(SMTPConfig{Host: m.host, Port: m.port, Security: "none"})
	if err != nil {
		t.Fatal(err)
	}
	return open(t, d, Options{Send: send})
}

var registered = Notice{Name: "Dr Amara OSEI", Authenticator: "Microsoft Authenticator", NotMe: "https://care.example/not-me?t=abc"}

func post(t *testing.T, d *db.DB, box *Outbox, to care.Email) Message {
	t.Helper()
	m, err := box.Mail(to, AuthenticatorRegistered, registered)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Write(t.Context(), func(tx *db.Tx) error { return Put(tx, m) }); err != nil {
		t.Fatal(err)
	}
	return m
}

// work delivers everything that is due, as Run does, and returns how many
// deliveries were tried.
func work(t *testing.T, box *Outbox) (tried int) {
	t.Helper()
	for _, l := range lanes {
		for {
			found, _, err := box.next(t.Context(), l)
			if err != nil {
				t.Fatal(err)
			}
			if found == nil {
				break
			}
			box.handle(t.Context(), found)
			tried++
		}
	}
	return tried
}

type stored struct {
	state, lastError string
	payload          []byte
	attempts         int64
	next             time.Time
}

func look(t *testing.T, d *db.DB, id string) (s stored) {
	t.Helper()
	var next int64
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		return tx.Row(`SELECT state, last_error, payload, attempts, next_at FROM outbox WHERE id = $1`, id).
			Scan(&s.state, &s.lastError, &s.payload, &s.attempts, &next)
	})
	if err != nil {
		t.Fatal(err)
	}
	s.next = db.Time(next)
	return s
}

func TestMailIsDeliveredAndErased(t *testing.T) {
	c := newClock()
	dbtest.EachAt(t, c.now, schemas, func(t *testing.T, d *db.DB) {
		server := startMail(t, "127.0.0.1:0", false)
		box := through(t, d, server)
		m := post(t, d, box, "amara@example.nhs.uk")
		if s := look(t, d, m.ID); bytes.Contains(s.payload, []byte("amara")) || bytes.Contains(s.payload, []byte("not-me")) {
			t.Error("the message lies in the clear")
		}
		if n := work(t, box); n != 1 {
			t.Fatalf("%d deliveries", n)
		}
		got := server.all()
		if len(got) != 1 || got[0].to != "amara@example.nhs.uk" {
			t.Fatalf("the server got %v", got)
		}
		header, subject, text := parsed(t, got[0].raw)
		if subject != "An authenticator was registered" || header.Get("Message-ID") != "<"+m.ID+"@care.example>" {
			t.Errorf("subject %q, Message-ID %q", subject, header.Get("Message-ID"))
		}
		for _, want := range []string{
			"Dear Dr Amara OSEI,", "Microsoft Authenticator was registered", "at 09:30 on Monday 6 July 2026",
			"https://care.example/not-me?t=abc", "Care Identity, run by Northgate Hospitals NHS Trust",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is missing in\n%s", want, text)
			}
		}
		if s := look(t, d, m.ID); s.state != "sent" || s.payload != nil {
			t.Errorf("stored as %+v", s)
		}
		if n := work(t, box); n != 0 {
			t.Errorf("%d deliveries of nothing", n)
		}
	})
}

func TestMessageOfAFailedTransactionIsNotSent(t *testing.T) {
	d := dbtest.Open(t, Schema)
	box := open(t, d, Options{Send: func(context.Context, Mail) error { t.Error("sent"); return nil }})
	m, err := box.Mail("amara@example.nhs.uk", AuthenticatorRegistered, registered)
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	err = d.Write(t.Context(), func(tx *db.Tx) error {
		if err := PutAll(tx, []Message{m}); err != nil {
			return err
		}
		return broken
	})
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
	work(t, box)
}

func TestServerThatWasDownGetsTheMailWhenItIsUp(t *testing.T) {
	c := newClock()
	dbtest.EachAt(t, c.now, schemas, func(t *testing.T, d *db.DB) {
		port := porttest.Port(t)
		send, err := SMTP(SMTPConfig{Host: "127.0.0.1", Port: port, Security: "none"})
		if err != nil {
			t.Fatal(err)
		}
		box := open(t, d, Options{Send: send})
		m := post(t, d, box, "amara@example.nhs.uk")
		for attempt := int64(1); attempt <= 3; attempt++ {
			if n := work(t, box); n != 1 {
				t.Fatalf("attempt %d: %d deliveries", attempt, n)
			}
			s := look(t, d, m.ID)
			if s.state != "queued" || s.attempts != attempt || !strings.Contains(s.lastError, "refused the connection") {
				t.Fatalf("attempt %d: %+v", attempt, s)
			}
			c.advance(s.next.Sub(c.now()) - time.Second)
			if n := work(t, box); n != 0 {
				t.Fatal("tried again before its time")
			}
			c.advance(2 * time.Second)
		}
		server := startMail(t, porttest.Address(port), false)
		// The node has restarted meanwhile.
		work(t, open(t, d, Options{Send: send}))
		if len(server.all()) != 1 || look(t, d, m.ID).state != "sent" {
			t.Errorf("%d mails, %+v", len(server.all()), look(t, d, m.ID))
		}
	})
}

// At least once: a process that dies between the delivery and its mark has the
// mail delivered again, with the same Message-ID.
func TestMailOfAKilledProcessIsSentAgainWithTheSameMessageID(t *testing.T) {
	c := newClock()
	dbtest.EachAt(t, c.now, schemas, func(t *testing.T, d *db.DB) {
		server := startMail(t, "127.0.0.1:0", false)
		killed := through(t, d, server)
		m := post(t, d, killed, "amara@example.nhs.uk")
		found, _, err := killed.next(t.Context(), lanes[0])
		if err != nil || found == nil {
			t.Fatal(found, err)
		}
		if failure := killed.deliver(t.Context(), found); failure != nil {
			t.Fatal(failure)
		} // and here it is killed

		again := through(t, d, server)
		c.advance(claim - time.Second)
		if n := work(t, again); n != 0 {
			t.Fatal("taken while it belonged to another node")
		}
		c.advance(2 * time.Second)
		if n := work(t, again); n != 1 {
			t.Fatal("not taken after the node died")
		}
		got := server.all()
		if len(got) != 2 {
			t.Fatalf("%d mails", len(got))
		}
		first, _, _ := parsed(t, got[0].raw)
		second, _, _ := parsed(t, got[1].raw)
		if id := first.Get("Message-ID"); id != second.Get("Message-ID") || id != "<"+m.ID+"@care.example>" {
			t.Errorf("Message-IDs %q and %q", id, second.Get("Message-ID"))
		}
	})
}

func TestTwoNodesDoNotBothSend(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		const mails = 60
		var mu sync.Mutex
		sent := map[string]int{}
		nodes := make([]*Outbox, 4)
		for i := range nodes {
			nodes[i] = open(t, d, Options{Send: func(_ context.Context, m Mail) error {
				mu.Lock()
				defer mu.Unlock()
				sent[m.ID]++
				return nil
			}})
		}
		for n := range mails {
			post(t, d, nodes[0], care.Email(fmt.Sprintf("worker%d@example.nhs.uk", n)))
		}
		var all sync.WaitGroup
		for _, node := range nodes {
			all.Go(func() {
				for range mails {
					found, _, err := node.next(t.Context(), lanes[0])
					if err != nil {
						t.Error(err)
						return
					}
					if found != nil {
						node.handle(t.Context(), found)
					}
				}
			})
		}
		all.Wait()
		if len(sent) != mails {
			t.Errorf("%d of %d mails were sent", len(sent), mails)
		}
		for id, n := range sent {
			if n != 1 {
				t.Errorf("%s was sent %d times", id, n)
			}
		}
	})
}

func TestRefusedMailIsDeadAndNamesNobody(t *testing.T) {
	c := newClock()
	dbtest.EachAt(t, c.now, schemas, func(t *testing.T, d *db.DB) {
		server := startMail(t, "127.0.0.1:0", false)
		server.answer("RCPT", &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "amara@example.nhs.uk: unknown"})
		box := through(t, d, server)
		m := post(t, d, box, "amara@example.nhs.uk")
		work(t, box)
		if s := look(t, d, m.ID); s.state != "dead" || s.attempts != 1 || s.lastError != "the mail server answered 550 5.1.1" {
			t.Fatalf("stored as %+v", s)
		}
	})
}

func TestMailIsGivenUpAfterThreeDays(t *testing.T) {
	c := newClock()
	d := dbtest.OpenAt(t, c.now, Schema)
	attempts := 0
	box := open(t, d, Options{Send: func(context.Context, Mail) error {
		attempts++
		return Temporary("the mail server answered 451", nil)
	}})
	m := post(t, d, box, "amara@example.nhs.uk")
	start := c.now()
	for look(t, d, m.ID).state == "queued" {
		c.advance(look(t, d, m.ID).next.Sub(c.now()))
		work(t, box)
	}
	if tried := c.now().Sub(start); tried < Life-2*longestPause || tried > Life {
		t.Errorf("given up after %s", tried)
	}
	if attempts < 70 || attempts > 100 {
		t.Errorf("%d attempts in three days", attempts)
	}
	if s := look(t, d, m.ID); s.state != "dead" || s.lastError != "the mail server answered 451" {
		t.Errorf("stored as %+v", s)
	}
}

// A code is of no use after its life, and its mail would only confuse.
func TestCodeIsNotSentAfterItHasExpired(t *testing.T) {
	for late, want := range map[time.Duration]string{-time.Second: "sent", time.Second: "dead"} {
		c := newClock()
		d := dbtest.OpenAt(t, c.now, Schema)
		box := open(t, d, Options{Send: func(context.Context, Mail) error { return nil }})
		m, err := box.Mail("amara@example.nhs.uk", OneTimePassword, Code{Code: "12345678", Life: 10 * time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Write(t.Context(), func(tx *db.Tx) error { return Put(tx, m) }); err != nil {
			t.Fatal(err)
		}
		c.advance(10*time.Minute + late)
		work(t, box)
		if s := look(t, d, m.ID); s.state != want {
			t.Errorf("%s late: %+v", late, s)
		}
	}
}

func TestPausesGrowAndDiffer(t *testing.T) {
	seen := map[time.Duration]bool{}
	for attempt := int64(1); attempt < 100; attempt++ {
		middle := min(longestPause, firstPause<<min(attempt-1, 20))
		p := pause(attempt)
		if p < middle*4/5 || p > middle*6/5 {
			t.Errorf("attempt %d: pause of %s", attempt, p)
		}
		seen[p] = true
	}
	if len(seen) < 90 {
		t.Errorf("only %d different pauses", len(seen))
	}
}
