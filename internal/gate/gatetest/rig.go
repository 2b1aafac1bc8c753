// Package gatetest is the house below the ways, for tests: every verifier, the
// gate and the sessions on one database, three people, and a clock that the
// test moves. Nothing in it is a stand-in. Only tests import it.
package gatetest

import (
	"context"
	"crypto/rand"
	"io/fs"
	"maps"
	"sync/atomic"
	"testing"
	"time"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/app"
	"carekey.dev/carekey/internal/credential/fido"
	"carekey.dev/carekey/internal/credential/fido/fidotest"
	"carekey.dev/carekey/internal/credential/fido/metadata"
	"carekey.dev/carekey/internal/credential/link"
	"carekey.dev/carekey/internal/credential/mailcode"
	"carekey.dev/carekey/internal/credential/recovery"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/session"
	"carekey.dev/carekey/internal/throttle"
)

// Who is somebody in the rig.
type Who struct {
	UID   care.UID
	Email care.Email
	// Secret is what their phone holds, base 32; "" if they have no app.
	Secret string
}

// Amara and Helen sign in with an app. Owen has neither an authenticator nor a
// verified address.
var (
	Amara = Who{"555000100101", "amara.osei@northgate.example.nhs.uk", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"}
	Helen = Who{"555000100103", "helen.marsh@northmoor.example.nhs.uk", "KRSXG5CTMVRXEZLUKRSXG5CTMVRXEZLU"}
	Owen  = Who{UID: "555000100108", Email: "owen.bell@northgate.example.nhs.uk"}
)

// Password is everybody's.
const Password = "harbour lamp 42 otter"

// Base is the address in links.
const Base = "https://id.example.nhs.uk"

// Rig is the house on one database.
type Rig struct {
	DB       *db.DB
	Ring     *keys.Ring
	Clock    *Clock
	Outbox   *outbox.Outbox
	Throttle *throttle.Throttle
	Sessions *session.Sessions
	Opener   session.Opener
	Gate     *gate.Gate
	App      *app.App
	MailCode *mailcode.MailCode
	Link     *link.Links
	Recovery *recovery.Recovery
	FIDO     *fido.FIDO

	t      testing.TB
	mails  chan outbox.Mail
	kept   []outbox.Mail // delivered, and not asked for yet
	models fidotest.Models
}

// Clock is the time of every node.
type Clock struct{ micros atomic.Int64 }

// NewClock begins in the middle of a step of the app.
func NewClock() *Clock {
	c := &Clock{}
	c.Set(time.Date(2026, 11, 20, 9, 0, 10, 0, time.UTC))
	return c
}

// Now is the time.
func (c *Clock) Now() time.Time { return time.UnixMicro(c.micros.Load()).UTC() }

// Set sets it, Later moves it on.
func (c *Clock) Set(t time.Time)       { c.micros.Store(t.UnixMicro()) }
func (c *Clock) Later(d time.Duration) { c.micros.Add(d.Microseconds()) }

// Schemas are the tables of the rig, and more.
func Schemas(more ...fs.FS) []fs.FS {
	return append([]fs.FS{
		audit.Schema, outbox.Schema, throttle.Schema, person.Schema, credential.Schema,
		app.Schema, mailcode.Schema, link.Schema, recovery.Schema, fido.Schema, metadata.Schema, session.Schema,
	}, more...)
}

// Each runs a test on both engines.
func Each(t *testing.T, test func(t *testing.T, r *Rig)) {
	t.Helper()
	clock := NewClock()
	begin := clock.Now()
	dbtest.EachAt(t, clock.Now, Schemas(), func(t *testing.T, d *db.DB) {
		clock.Set(begin)
		r := New(t, d, clock)
		r.Fill()
		test(t, r)
	})
}

// Open is Each on SQLite alone, with the tables of more rooms.
func Open(t testing.TB, more ...fs.FS) *Rig {
	t.Helper()
	r := Empty(t, more...)
	r.Fill()
	return r
}

// Empty is Open without the people.
func Empty(t testing.TB, more ...fs.FS) *Rig {
	t.Helper()
	clock := NewClock()
	return New(t, dbtest.OpenAt(t, clock.Now, Schemas(more...)...), clock)
}

// Nodes are several nodes on one PostgreSQL database.
func Nodes(t *testing.T, n int) []*Rig {
	t.Helper()
	clock, url := NewClock(), dbtest.Postgres(t, Schemas()...)
	var nodes []*Rig
	for range n {
		nodes = append(nodes, New(t, dbtest.OpenWith(t, db.Config{Now: clock.Now}, url), clock))
	}
	nodes[0].Fill()
	return nodes
}

// New returns one node on a database.
func New(t testing.TB, d *db.DB, clock *Clock) *Rig {
	t.Helper()
	r := &Rig{t: t, DB: d, Clock: clock, Ring: keys.NewRing(keys.Root{9}), mails: make(chan outbox.Mail, 100), models: fidotest.Known()}
	r.Throttle = throttle.New(r.Ring, throttle.Limits{})
	var err error
	r.Outbox, err = outbox.New(d, r.Ring, outbox.Options{
		Service: "Care Identity", From: "no-reply@id.example.nhs.uk",
		Send: func(_ context.Context, m outbox.Mail) error { r.mails <- m; return nil },
	})
	r.must(err)
	r.Sessions, r.Opener, err = session.New(d, session.Options{Random: rand.Reader})
	r.must(err)
	r.Gate = r.GateOf(1)
	cost := app.Cost{MemoryKiB: 64, Time: 1, Threads: 1}
	r.App = app.New(app.Options{
		DB: d, Ring: r.Ring, Throttle: r.Throttle, Outbox: r.Outbox, Random: rand.Reader, Cost: cost, Dev: true, NotMe: r.Gate.NotMe,
	})
	r.MailCode = mailcode.New(mailcode.Options{DB: d, Ring: r.Ring, Outbox: r.Outbox, Throttle: r.Throttle, Random: rand.Reader})
	r.Link = link.New(d, rand.Reader)
	r.Recovery = recovery.New(recovery.Options{
		DB: d, Ring: r.Ring, Throttle: r.Throttle, Outbox: r.Outbox, NotMe: r.Gate.NotMe, Random: rand.Reader, Cost: cost, Pool: r.App.Pool(),
	})
	r.FIDO = fido.New(fido.Options{
		DB: d, Ring: r.Ring, Random: rand.Reader, RPID: "id.example.nhs.uk", RPName: "Care Identity", Origins: []string{Base},
		Models: r.models, Suspend: r.Gate.Doubt,
	})
	return r
}

// GateOf returns a gate of the rig's that lets a person hold several
// authenticators of one type.
func (r *Rig) GateOf(perMethod int) *gate.Gate {
	return gate.New(gate.Options{
		DB: r.DB, Ring: r.Ring, Opener: r.Opener, Binder: credential.NewBinder(), Outbox: r.Outbox, Demo: true, Random: rand.Reader,
		Link: func(path string) string { return Base + path }, PerMethod: perMethod,
		Barred: func(tx *db.Tx, uid care.UID) ([]string, error) { return r.FIDO.Barred(tx, uid) },
	})
}

// Revoke reports the model of every attested key.
func (r *Rig) Revoke() { maps.Copy(r.models, fidotest.Revoked()) }

// Fill makes the three people and their authenticators.
func (r *Rig) Fill() {
	r.t.Helper()
	r.People(
		person.Person{UID: Amara.UID, Title: "Dr", GivenName: "Amara", FamilyName: "OSEI", IDAssuranceLevel: 3, Email: Amara.Email},
		person.Person{UID: Helen.UID, Title: "Mrs", GivenName: "Helen", FamilyName: "MARSH", IDAssuranceLevel: 3, Email: Helen.Email},
		person.Person{UID: Owen.UID, Title: "Mr", GivenName: "Owen", FamilyName: "BELL", IDAssuranceLevel: 3, Pending: Owen.Email},
	)
	for _, who := range []Who{Amara, Helen} {
		r.Phone(who.UID, who.Secret)
	}
}

// People makes people.
func (r *Rig) People(people ...person.Person) {
	r.t.Helper()
	r.Write(func(tx *db.Tx) error {
		for _, p := range people {
			if err := person.Create(tx, p); err != nil {
				return err
			}
		}
		return nil
	})
}

// Phone gives somebody an authenticator app with a secret, and Password.
func (r *Rig) Phone(uid care.UID, secret string) {
	r.t.Helper()
	enrolment, err := r.App.FromWorld(r.t.Context(), uid, Password, secret)
	r.must(err)
	r.Write(func(tx *db.Tx) error { _, err := r.Gate.BindDemo(tx, enrolment); return err })
}

// Holds gives a person a bare record, for tests of what happens to one whatever
// its method. Nobody can sign in with it.
func (r *Rig) Holds(uid care.UID, method care.Method, id, name string) {
	r.t.Helper()
	r.Write(func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO authenticator (id, uid, method, name, journey, registered_at) VALUES ($1, $2, $3, $4, $5, $6)`,
			id, uid, method, name, "journey of "+id, db.Micros(tx.Now()))
		return err
	})
}

// For is the rig for another (sub)test.
func (r *Rig) For(t testing.TB) *Rig {
	other := *r
	other.t = t
	return &other
}

func (r *Rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// Write runs fn in a transaction that has to succeed.
func (r *Rig) Write(fn func(tx *db.Tx) error) {
	r.t.Helper()
	r.must(r.DB.Write(r.t.Context(), fn))
}

// Read runs fn in a transaction that has to succeed.
func (r *Rig) Read(fn func(tx *db.Tx) error) {
	r.t.Helper()
	r.must(r.DB.Read(r.t.Context(), fn))
}
