package app

import (
	"crypto/rand"
	"errors"
	"net/netip"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/internal/credtest"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/throttle"
)

const (
	amara      = credtest.Amara
	amaraEmail = credtest.AmaraEmail
	password   = "harbour lamp 42 otter"
)

var stranger = throttle.Subject{Network: netip.MustParseAddr("192.0.2.1")}

// newApp returns the room with hashes that cost little.
func newApp(h *credtest.House, set ...func(*Options)) *App {
	o := Options{
		DB: h.DB, Ring: h.Ring, Throttle: h.Throttle, Outbox: h.Outbox, NotMe: credtest.NotMe, Random: rand.Reader,
		Cost: Cost{MemoryKiB: 64, Time: 1, Threads: 1}, Dev: true,
	}
	for _, f := range set {
		f(&o)
	}
	return New(o)
}

// phone is the app on somebody's phone.
type phone struct {
	h      *credtest.House
	secret []byte
}

func (p phone) code(t testing.TB, ahead time.Duration) string {
	t.Helper()
	code, err := codeAt(p.secret, stepAt(p.h.DB.Now().Add(ahead)))
	if err != nil {
		t.Fatal(err)
	}
	return code
}

// enrol walks through a registration and returns the phone, at a time when a
// new code is shown.
func enrol(t testing.TB, h *credtest.House, a *App, id string) (phone, credential.Record) {
	t.Helper()
	pending, err := a.Begin(amara, amaraEmail)
	if err != nil {
		t.Fatal(err)
	}
	pending, err = a.SetPassword(t.Context(), pending, password)
	if err != nil {
		t.Fatal(err)
	}
	inside, err := a.openSetup(pending)
	if err != nil {
		t.Fatal(err)
	}
	p := phone{h, inside.Secret}
	e, err := a.Finish(pending, p.code(t, 0))
	if err != nil {
		t.Fatal(err)
	}
	record := h.Bind(t, id, e)
	h.Advance(time.Minute)
	return p, record
}

func signIn(t testing.TB, a *App, p phone) error {
	t.Helper()
	ticket, err := a.PasswordStep(t.Context(), amaraEmail, password, stranger)
	if err != nil {
		return err
	}
	proof, err := a.CodeStep(t.Context(), ticket, p.code(t, 0), stranger)
	if err != nil {
		return err
	}
	return p.h.Use(t, proof)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wants(t testing.TB, err error, kind *fault.Kind) *fault.Error {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != kind {
		t.Fatalf("got %v, want %s", err, kind.Name)
	}
	return f
}

func ticketFor(t testing.TB, a *App) string {
	t.Helper()
	ticket, err := a.PasswordStep(t.Context(), amaraEmail, password, stranger)
	if err != nil {
		t.Fatal(err)
	}
	return ticket
}

// wrongCode is a code of no step near now.
func (p phone) wrongCode(t testing.TB) string {
	t.Helper()
	for _, code := range []string{"000000", "111111", "222222", "333333"} {
		step, err := match(p.secret, code, p.h.DB.Now())
		if err != nil {
			t.Fatal(err)
		}
		if step == 0 {
			return code
		}
	}
	t.Fatal("every code is right")
	return ""
}

func evidence() care.Evidence {
	return care.Evidence{Method: care.AuthenticatorApp, Password: true, TypedCode: true}
}
