package session_test

import (
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/session"
)

// levels are the limits of each level (N2, N3). A session at AAL1 does not
// exist yet; if it did, it would have the limits of AAL2.
var levels = []struct {
	level       care.AAL
	idle, total time.Duration
}{
	{care.AAL1, time.Hour, 24 * time.Hour},
	{care.AAL2, time.Hour, 24 * time.Hour},
	{care.AAL3, 15 * time.Minute, 12 * time.Hour},
}

// TestSessionEndsAfterItsIdleTime is N4: one second before alive, one second
// after dead, whatever the cookie says.
func TestSessionEndsAfterItsIdleTime(t *testing.T) {
	each(t, session.Options{}, func(t *testing.T, h *house) {
		for _, l := range levels {
			before, after := h.open(amara, l.level, "phone"), h.open(helen, l.level, "phone")
			h.clock.later(l.idle - time.Second)
			if h.current(before) == nil {
				t.Errorf("%s: over one second before %v without activity", l.level, l.idle)
			}
			h.clock.later(2 * time.Second)
			if h.current(after) != nil {
				t.Errorf("%s: alive one second after %v without activity", l.level, l.idle)
			}
			if h.current(before) == nil {
				t.Errorf("%s: activity did not begin the idle time again", l.level)
			}
		}
	})
}

// TestSessionEndsAfterItsTotalTime: activity makes no session live longer than
// its total time (N2, N3, N4).
func TestSessionEndsAfterItsTotalTime(t *testing.T) {
	each(t, session.Options{}, func(t *testing.T, h *house) {
		for _, l := range levels {
			token, opened := h.open(amara, l.level, "phone"), h.clock.read()
			for h.clock.read().Before(opened.Add(l.total - 10*time.Minute)) {
				h.clock.later(10 * time.Minute)
				if h.current(token) == nil {
					t.Fatalf("%s: over after %v of steady activity", l.level, h.clock.read().Sub(opened))
				}
			}
			h.clock.at(opened.Add(l.total - time.Second))
			if h.current(token) == nil {
				t.Errorf("%s: over one second before its total time of %v", l.level, l.total)
			}
			h.clock.later(2 * time.Second)
			if h.current(token) != nil {
				t.Errorf("%s: alive one second after its total time of %v", l.level, l.total)
			}
		}
	})
}

func TestSettingsShortenSessions(t *testing.T) {
	short := session.Options{AAL2: session.Limits{Idle: 5 * time.Minute}, AAL3: session.Limits{Total: time.Hour}}
	each(t, short, func(t *testing.T, h *house) {
		two, three := h.open(amara, care.AAL2, "phone"), h.open(amara, care.AAL3, "key")
		h.clock.later(5*time.Minute + time.Second)
		if h.current(two) != nil {
			t.Error("AAL2 outlives its own idle time")
		}
		if s := h.current(three); s == nil || !s.Until.Equal(s.AuthTime.Add(time.Hour)) {
			t.Errorf("AAL3 = %+v, want the highest idle time and an hour altogether", s)
		}
	})
}

// TestSettingsAboveTheHighestAreRefused: a configuration cannot leave N2 and N3.
func TestSettingsAboveTheHighestAreRefused(t *testing.T) {
	for name, o := range map[string]session.Options{
		"AAL2 idle":           {AAL2: session.Limits{Idle: time.Hour + time.Second}},
		"AAL2 total":          {AAL2: session.Limits{Total: 24*time.Hour + time.Second}},
		"AAL3 idle":           {AAL3: session.Limits{Idle: 15*time.Minute + time.Second}},
		"AAL3 total":          {AAL3: session.Limits{Total: 12*time.Hour + time.Second}},
		"AAL3 idle of AAL2":   {AAL3: session.MostAAL2},
		"AAL2 negative idle":  {AAL2: session.Limits{Idle: -time.Second}},
		"AAL3 negative total": {AAL3: session.Limits{Total: -time.Second}},
	} {
		if _, _, err := session.New(nil, o); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if _, _, err := session.New(nil, session.Options{AAL2: session.MostAAL2, AAL3: session.MostAAL3}); err != nil {
		t.Errorf("the highest themselves: %v", err)
	}
}

// TestActivityIsRecordedOnceAMinute: decision 7. A nurse who clicks fast costs
// the database one write a minute.
func TestActivityIsRecordedOnceAMinute(t *testing.T) {
	each(t, session.Options{}, func(t *testing.T, h *house) {
		token, opened := h.open(amara, care.AAL2, "phone"), h.clock.read()
		writes := h.db.Counters().Writes
		for range 59 {
			h.clock.later(time.Second)
			if s := h.current(token); !s.LastSeen.Equal(opened) {
				t.Fatalf("activity after %d seconds was recorded", h.clock.since(opened))
			}
		}
		h.clock.later(time.Second)
		s := h.current(token)
		if !s.LastSeen.Equal(h.clock.read()) || !s.IdleUntil.Equal(h.clock.read().Add(time.Hour)) {
			t.Errorf("after a minute: last seen %v, idle until %v", s.LastSeen, s.IdleUntil)
		}
		if n := h.db.Counters().Writes - writes; n != 1 {
			t.Errorf("%d writes in a minute", n)
		}
		if again := h.current(token); !again.LastSeen.Equal(s.LastSeen) || !again.IdleUntil.Equal(s.IdleUntil) {
			t.Errorf("the recorded activity was not stored: %+v, then %+v", s, again)
		}
	})
}

// TestPagesAreReadWhileActivityCannotBeRecorded: a database that is locked or
// full does not keep anybody from reading, and one page of many waits.
func TestPagesAreReadWhileActivityCannotBeRecorded(t *testing.T) {
	each(t, session.Options{}, func(t *testing.T, h *house) {
		token := h.open(amara, care.AAL2, "phone")
		opened := h.clock.read()
		h.clock.later(time.Minute)
		locked, free, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		go func() {
			ended <- h.db.Write(t.Context(), func(tx *db.Tx) error {
				_, err := tx.Exec(`UPDATE session SET terms = terms`)
				close(locked)
				<-free
				return err
			})
		}()
		<-locked
		session.Wait(h.Sessions, 50*time.Millisecond)
		before := h.db.Counters().Writes
		for range 20 {
			if s := h.current(token); s == nil || !s.LastSeen.Equal(opened) || !s.IdleUntil.Equal(opened.Add(time.Hour)) {
				t.Fatalf("while the database is locked the session is %+v", s)
			}
		}
		if n := h.db.Counters().Writes - before; n != 1 {
			t.Errorf("20 pages wait with %d writes", n)
		}
		close(free)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for h.db.Counters().Pending > 0 {
			<-tick.C
		}
		session.Wait(h.Sessions, time.Minute)
		if s := h.current(token); !s.LastSeen.Equal(h.clock.read()) {
			t.Errorf("the activity was not recorded afterwards: %+v", s)
		}
	})
}
