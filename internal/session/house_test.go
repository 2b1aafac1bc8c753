package session_test

import (
	"crypto/rand"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/session"
)

const amara, helen = care.UID("555000100101"), care.UID("555000100103")

// clock is a time that a test moves.
type clock struct{ now atomic.Pointer[time.Time] }

func newClock() *clock {
	c := &clock{}
	c.at(time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC))
	return c
}

func (c *clock) at(t time.Time)          { c.now.Store(&t) }
func (c *clock) later(d time.Duration)   { c.at(c.now.Load().Add(d)) }
func (c *clock) read() time.Time         { return *c.now.Load() }
func (c *clock) since(t time.Time) int64 { return int64(c.read().Sub(t) / time.Second) }

// house is the room on one database.
type house struct {
	*session.Sessions
	t      *testing.T
	db     *db.DB
	opener session.Opener
	clock  *clock
}

// each runs a test on both engines.
func each(t *testing.T, o session.Options, test func(t *testing.T, h *house)) {
	t.Helper()
	clock := newClock()
	if o.Random == nil {
		o.Random = rand.Reader
	}
	begin := clock.read()
	dbtest.EachAt(t, clock.read, []fs.FS{session.Schema}, func(t *testing.T, d *db.DB) {
		clock.at(begin)
		sessions, opener, err := session.New(d, o)
		if err != nil {
			t.Fatal(err)
		}
		session.Wait(sessions, time.Minute) // a machine that runs other tests beside may need more than people would wait
		test(t, &house{Sessions: sessions, t: t, db: d, opener: opener, clock: clock})
	})
}

func (h *house) write(fn func(tx *db.Tx) error) {
	h.t.Helper()
	if err := h.db.Write(h.t.Context(), fn); err != nil {
		h.t.Fatal(err)
	}
}

// open signs somebody in and returns the token of the cookie.
func (h *house) open(uid care.UID, level care.AAL, authenticator string) string {
	h.t.Helper()
	token, sid := h.opener.NewToken()
	h.write(func(tx *db.Tx) error {
		_, err := h.opener.Open(tx, session.Opening{
			Token: token, SID: sid, UID: uid, AAL: level, Method: care.AuthenticatorApp, AuthenticatorID: authenticator, Terms: "2026-10",
		})
		return err
	})
	return token
}

// current is what a browser with this token is.
func (h *house) current(token string) *session.Session {
	h.t.Helper()
	s, err := h.Current(h.t.Context(), browser(token))
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// id is the ID of the session behind a token, which must be alive.
func (h *house) id(token string) []byte {
	h.t.Helper()
	s := h.current(token)
	if s == nil {
		h.t.Fatal("the session is over")
	}
	return s.ID
}

// browser is a request with a session cookie.
func browser(token string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if token != "" {
		r.AddCookie(&http.Cookie{Name: session.Cookie, Value: token})
	}
	return r
}
