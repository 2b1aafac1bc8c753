// Package credtest is the part of the house that tests of the verifiers stand
// in: both databases with the tables that they touch, a clock, a key ring, the
// throttle, and an outbox whose mails can be read. Only tests import it.
package credtest

import (
	"context"
	"crypto/rand"
	"io/fs"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/throttle"
)

// Amara has a verified address, Owen one that nobody has verified.
const (
	Amara      = care.UID("555000100101")
	AmaraEmail = care.Email("amara.osei@northgate.example.nhs.uk")
	Owen       = care.UID("555000100108")
	OwenEmail  = care.Email("owen.bell@northgate.example.nhs.uk")
)

// House is what a verifier needs.
type House struct {
	DB       *db.DB
	Ring     *keys.Ring
	Throttle *throttle.Throttle
	Outbox   *outbox.Outbox

	clock *clock
	mails chan outbox.Mail
	run   sync.Once
}

type clock struct{ micros atomic.Int64 }

func (c *clock) now() time.Time { return time.UnixMicro(c.micros.Load()) }

// Schemas are the tables of every room below the verifiers, and own.
func Schemas(own ...fs.FS) []fs.FS {
	return append([]fs.FS{audit.Schema, outbox.Schema, throttle.Schema, person.Schema, credential.Schema}, own...)
}

// Each runs test on both databases, with the two people in them.
func Each(t *testing.T, own fs.FS, test func(t *testing.T, h *House)) {
	t.Helper()
	c := newClock()
	dbtest.EachAt(t, c.now, Schemas(own), func(t *testing.T, d *db.DB) { test(t, open(t, d, c)) })
}

// Open is Each on SQLite alone.
func Open(t testing.TB, own fs.FS) *House {
	t.Helper()
	c := newClock()
	return open(t, dbtest.OpenAt(t, c.now, Schemas(own)...), c)
}

// Node is another node's view of the same PostgreSQL database, with its own
// connections and the same clock and root key.
func (h *House) Node(t *testing.T, url string) *House {
	t.Helper()
	d := dbtest.OpenWith(t, db.Config{Now: h.clock.now}, url)
	return build(t, d, h.clock)
}

// OnPostgres returns a house on a fresh PostgreSQL database, and its URL.
func OnPostgres(t *testing.T, own fs.FS) (*House, string) {
	t.Helper()
	c := newClock()
	url := dbtest.Postgres(t, Schemas(own)...)
	return open(t, dbtest.OpenWith(t, db.Config{Now: c.now}, url), c), url
}

func newClock() *clock {
	c := &clock{}
	c.micros.Store(time.Date(2026, 3, 2, 8, 0, 10, 0, time.UTC).UnixMicro())
	return c
}

func open(t testing.TB, d *db.DB, c *clock) *House {
	t.Helper()
	h := build(t, d, c)
	h.Write(t, func(tx *db.Tx) error {
		err := person.Create(tx, person.Person{
			UID: Amara, Title: "Dr", GivenName: "Amara", FamilyName: "OSEI", IDAssuranceLevel: 3, Email: AmaraEmail,
		})
		if err != nil {
			return err
		}
		return person.Create(tx, person.Person{
			UID: Owen, GivenName: "Owen", FamilyName: "BELL", IDAssuranceLevel: 3, Pending: OwenEmail,
		})
	})
	return h
}

func build(t testing.TB, d *db.DB, c *clock) *House {
	t.Helper()
	h := &House{DB: d, Ring: keys.NewRing(keys.Root{7}), clock: c, mails: make(chan outbox.Mail, 64)}
	h.Throttle = throttle.New(h.Ring, throttle.Limits{})
	var err error
	h.Outbox, err = outbox.New(d, h.Ring, outbox.Options{
		Service: "Care Identity", From: "no-reply@care.example", Random: rand.Reader,
		Send: func(_ context.Context, m outbox.Mail) error { h.mails <- m; return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// Advance moves the clock.
func (h *House) Advance(d time.Duration) { h.clock.micros.Add(d.Microseconds()) }

// Write runs fn in a transaction that has to succeed.
func (h *House) Write(t testing.TB, fn func(tx *db.Tx) error) {
	t.Helper()
	if err := h.DB.Write(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// Read runs fn in a transaction that has to succeed.
func (h *House) Read(t testing.TB, fn func(tx *db.Tx) error) {
	t.Helper()
	if err := h.DB.Read(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// Use uses a proof up as the gate does.
func (h *House) Use(t testing.TB, p credential.Proof) error {
	t.Helper()
	return h.DB.Write(t.Context(), p.Consume)
}

// Bind creates the record of an enrolment as the gate does.
func (h *House) Bind(t testing.TB, id string, e credential.Enrolment) credential.Record {
	t.Helper()
	var record credential.Record
	h.Write(t, func(tx *db.Tx) error {
		var err error
		record, err = credential.NewBinder().Bind(tx, id, "journey of "+id, e, care.Level(e.Evidence()))
		return err
	})
	return record
}

// Mail returns the next mail that is sent.
func (h *House) Mail(t testing.TB) outbox.Mail {
	t.Helper()
	h.run.Do(func() {
		ctx, stop := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); h.Outbox.Run(ctx) }()
		t.Cleanup(func() { stop(); <-done })
	})
	select {
	case m := <-h.mails:
		return m
	case <-time.After(20 * time.Second):
		t.Fatal("no mail was sent")
		return outbox.Mail{}
	}
}

// NotMe is the link that notices carry.
func NotMe(uid care.UID, authenticatorID string) (string, error) {
	return "https://care.example/not-me?t=" + string(uid) + "." + authenticatorID, nil
}
