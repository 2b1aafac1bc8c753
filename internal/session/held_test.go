package session_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/session"
)

// openAs signs somebody in, in a browser, for a service.
func (h *house) openAs(o session.Opening) string {
	h.t.Helper()
	o.Token, o.SID = h.opener.NewToken()
	o.Method, o.AuthenticatorID = care.AuthenticatorApp, "phone"
	h.write(func(tx *db.Tx) error {
		_, err := h.opener.Open(tx, o)
		return err
	})
	return o.Token
}

// of are a person's sessions.
func (h *house) of(uid care.UID) (all []*session.Session) {
	h.t.Helper()
	err := h.db.Read(h.t.Context(), func(tx *db.Tx) (err error) {
		all, err = session.Of(tx, uid)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

// TestAPersonSeesTheirSessions is ASVS 7.5.2: all that are not over, their own
// and nobody else's.
func TestAPersonSeesTheirSessions(t *testing.T) {
	each(t, session.Options{}, func(t *testing.T, h *house) {
		ended := h.current(h.openAs(session.Opening{UID: amara, AAL: care.AAL2}))
		h.write(func(tx *db.Tx) error { return session.End(tx, ended.ID, "signed out") })
		h.openAs(session.Opening{UID: helen, AAL: care.AAL2, Browser: "Firefox on Linux"})
		h.openAs(session.Opening{UID: amara, AAL: care.AAL3, Browser: "Edge on Windows", Client: "ers", Shared: true})
		h.clock.later(time.Minute)
		second := h.openAs(session.Opening{UID: amara, AAL: care.AAL2, Browser: "Safari on iPad"})
		h.clock.later(16 * time.Minute) // the first is idle now
		h.current(second)
		var got []string
		for _, s := range h.of(amara) {
			idle := map[bool]string{true: "idle", false: "in use"}[s.Idle(h.clock.read())]
			shared := map[bool]string{true: "shared", false: "own"}[s.Shared]
			got = append(got, s.Browser+" "+s.Client+" "+shared+" "+idle)
		}
		if diff := cmp.Diff([]string{"Safari on iPad  own in use", "Edge on Windows ers shared idle"}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		h.clock.later(24 * time.Hour)
		if left := h.of(amara); left != nil {
			t.Errorf("%d sessions outlive their limit", len(left))
		}
	})
}

// TestASharedComputersSessionServesOneRelyingParty is decision 8.
func TestASharedComputersSessionServesOneRelyingParty(t *testing.T) {
	for _, c := range []struct {
		shared     bool
		client, at string
		want       bool
	}{
		{false, "ers", "ers", true}, {false, "ers", "ncrs", true}, {false, "ers", "", true}, {false, "", "ers", true},
		{true, "ers", "ers", true}, {true, "ers", "ncrs", false}, {true, "ers", "", false},
		{true, "", "", true}, {true, "", "ers", false},
	} {
		s := &session.Session{AAL: care.AAL2, Method: care.AuthenticatorApp, Client: c.client, Shared: c.shared}
		req := care.Requirement{ClientID: c.at, ACR: care.AAL2OrAAL3Any, Methods: care.Methods()}
		if s.Serves(c.at) != c.want || s.Satisfies(req) != c.want {
			t.Errorf("shared %t, opened for %q: serves %q: %t, satisfies it: %t", c.shared, c.client, c.at, s.Serves(c.at), s.Satisfies(req))
		}
	}
	each(t, session.Options{}, func(t *testing.T, h *house) {
		token := h.openAs(session.Opening{UID: amara, AAL: care.AAL2, Client: "ers", Shared: true})
		if own, err := h.Own(t.Context(), browser(token)); err != nil || own != nil {
			t.Errorf("Carekey's own pages take it: %v, %v", own, err)
		}
		s := h.current(token)
		if s == nil || !s.Serves("ers") {
			t.Fatal("it is not there at all")
		}
		spend := func() (first bool) {
			h.write(func(tx *db.Tx) (err error) {
				first, err = session.Spend(tx, s.ID)
				return err
			})
			return first
		}
		if first, again := spend(), spend(); !first || again {
			t.Errorf("used up the first time: %t, the second: %t", first, again)
		}
		if s := h.current(token); s == nil || s.Serves("ers") || s.Serves("") {
			t.Errorf("used up, it is %+v", s)
		}
	})
}

// TestAGlanceIsNoActivity is N4: only activity puts the end off.
func TestAGlanceIsNoActivity(t *testing.T) {
	each(t, session.Options{}, func(t *testing.T, h *house) {
		token := h.open(amara, care.AAL3, "phone")
		for range 14 {
			h.clock.later(time.Minute)
			if s, err := h.Glance(t.Context(), browser(token)); err != nil || s == nil {
				t.Fatalf("over after %v: %v", h.clock.read(), err)
			}
		}
		h.clock.later(time.Minute)
		if s, err := h.Glance(t.Context(), browser(token)); err != nil || s != nil {
			t.Errorf("glances kept the session alive: %v, %v", s, err)
		}
		if s, err := h.Extend(t.Context(), browser(token)); err != nil || s != nil {
			t.Errorf("an idle session was put off: %v, %v", s, err)
		}
	})
}

// TestAKeyPutsTheEndOffAtOnce: WCAG 2.2, 2.2.1, as often as wanted, up to the
// limit of the whole session (N3).
func TestAKeyPutsTheEndOffAtOnce(t *testing.T) {
	each(t, session.Options{}, func(t *testing.T, h *house) {
		token := h.open(amara, care.AAL3, "phone")
		until := h.clock.read().Add(12 * time.Hour)
		h.clock.later(5 * time.Second) // too soon for Current to write anything down
		s, err := h.Extend(t.Context(), browser(token))
		if err != nil || s == nil || h.clock.since(s.IdleUntil) != -15*60 {
			t.Fatalf("%+v, %v", s, err)
		}
		for h.clock.read().Before(until) {
			h.clock.later(10 * time.Minute)
			if s, err = h.Extend(t.Context(), browser(token)); err != nil {
				t.Fatal(err)
			}
		}
		if s != nil {
			t.Errorf("activity made a session outlive its limit of %v: %+v", until, s)
		}
	})
}

// TestASignOutFindsAnIdleSession: its holder may be at work in a relying party
// (decision 7), which has to hear of the sign-out.
func TestASignOutFindsAnIdleSession(t *testing.T) {
	each(t, session.Options{}, func(t *testing.T, h *house) {
		token := h.open(amara, care.AAL3, "phone")
		h.clock.later(time.Hour)
		if h.current(token) != nil {
			t.Fatal("the session is not idle: the test proves nothing")
		}
		s, err := h.Kept(t.Context(), browser(token))
		if err != nil || s == nil {
			t.Fatalf("%v, %v", s, err)
		}
		h.write(func(tx *db.Tx) error { return session.End(tx, s.ID, "signed out") })
		if len(h.untold()) != 1 {
			t.Error("relying parties would not be told")
		}
		if s, err := h.Kept(t.Context(), browser(token)); err != nil || s != nil {
			t.Errorf("it is still there: %v, %v", s, err)
		}
		late := h.open(helen, care.AAL2, "phone")
		h.clock.later(24 * time.Hour)
		if s, err := h.Kept(t.Context(), browser(late)); err != nil || s != nil {
			t.Errorf("a session outlives its limit: %v, %v", s, err)
		}
	})
}
