package session_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/session"
)

// again signs somebody in where the browser held previous.
func (h *house) again(uid care.UID, level care.AAL, authenticator, previous string) string {
	h.t.Helper()
	token, sid := h.opener.NewToken()
	h.write(func(tx *db.Tx) error {
		_, err := h.opener.Open(tx, session.Opening{
			Token: token, SID: sid, Previous: previous, UID: uid, AAL: level, Method: care.AuthenticatorApp, AuthenticatorID: authenticator,
		})
		return err
	})
	return token
}

// untold takes what is to be told, and marks it.
func (h *house) untold() []string {
	h.t.Helper()
	var all []string
	h.write(func(tx *db.Tx) error {
		all = nil
		over, err := session.Untold(tx, 100)
		if err != nil {
			return err
		}
		var sids []string
		for _, o := range over {
			sids = append(sids, o.SID)
			all = append(all, fmt.Sprintf("%s %s: %s", o.SID, o.UID, o.Why))
		}
		return session.Told(tx, sids)
	})
	return all
}

// anyUntold is what a node with nothing to write asks first.
func (h *house) anyUntold() (any bool) {
	h.t.Helper()
	err := h.db.Read(h.t.Context(), func(tx *db.Tx) (err error) {
		any, err = session.AnyUntold(tx)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return any
}

// Decision 7: whoever relied on a session is told of its end once, and idle
// expiry is quiet.
func TestTheEndOfASessionIsToldOnce(t *testing.T) {
	each(t, session.Options{}, func(t *testing.T, h *house) {
		signedOut := h.current(h.open(amara, care.AAL2, "phone"))
		h.clock.later(time.Second)
		total := h.current(h.open(helen, care.AAL3, "card"))
		if h.anyUntold() || h.untold() != nil {
			t.Fatal("something is told of sessions that live")
		}
		h.write(func(tx *db.Tx) error { return session.End(tx, signedOut.ID, "signed out") })
		if !h.anyUntold() {
			t.Error("the sign-out would not be told")
		}
		want := []string{signedOut.SID + " " + string(amara) + ": signed out"}
		if diff := cmp.Diff(want, h.untold()); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		h.clock.later(11 * time.Hour) // idle for long
		if h.anyUntold() || h.untold() != nil {
			t.Error("idle expiry is not quiet")
		}
		h.clock.later(time.Hour)
		want = []string{total.SID + " " + string(helen) + ": absolute limit"}
		if !h.anyUntold() {
			t.Error("the absolute limit would not be told")
		}
		if diff := cmp.Diff(want, h.untold()); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
		if h.anyUntold() || h.untold() != nil {
			t.Error("told twice")
		}
	})
}

// Each of two nodes that look at the same moment gets its own.
func TestTwoNodesNeverTellTheSameEnd(t *testing.T) {
	nodes := dbtest.Nodes(t, 2, session.Schema)
	d := nodes[0]
	_, opener, err := session.New(d, session.Options{Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	const sessions = 60
	err = d.Write(t.Context(), func(tx *db.Tx) error {
		for range sessions {
			token, sid := opener.NewToken()
			if _, err := opener.Open(tx, session.Opening{Token: token, SID: sid, UID: amara, AAL: care.AAL2}); err != nil {
				return err
			}
		}
		return session.EndAll(tx, amara, "signed out")
	})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	seen := map[string]int{}
	var group sync.WaitGroup
	for _, node := range nodes {
		group.Go(func() {
			for range sessions / 5 {
				var sids []string
				err := node.Write(context.Background(), func(tx *db.Tx) error {
					sids = nil
					over, err := session.Untold(tx, 10)
					if err != nil {
						return err
					}
					for _, o := range over {
						sids = append(sids, o.SID)
					}
					return session.Told(tx, sids)
				})
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				for _, sid := range sids {
					seen[sid]++
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	for sid, n := range seen {
		if n != 1 {
			t.Errorf("%s was told %d times", sid, n)
		}
	}
	if len(seen) != sessions {
		t.Errorf("%d of %d were told", len(seen), sessions)
	}
}

// Relying parties know a session by its public name: it stays when the same
// person has to sign in again, so that a sign-out reaches all of them.
func TestSigningInAgainKeepsThePublicNameAndNothingElse(t *testing.T) {
	each(t, session.Options{}, func(t *testing.T, h *house) {
		first := h.open(amara, care.AAL3, "card")
		before := h.current(first)
		h.write(func(tx *db.Tx) error { return session.ChooseRole(tx, before.ID, "555021935107") })
		h.clock.later(40 * time.Minute) // past the idle limit of AAL3
		if h.current(first) != nil {
			t.Fatal("the session is not idle yet: the test proves nothing")
		}
		second := h.again(amara, care.AAL2, "phone", first)
		now := h.current(second)
		if now == nil || now.SID != before.SID || now.AAL != care.AAL2 || now.Role != "" || !now.AuthTime.Equal(h.clock.read()) {
			t.Errorf("the session was %+v and is %+v", before, now)
		}
		if h.current(first) != nil {
			t.Error("the old secret still works")
		}
		if h.untold() != nil {
			t.Error("relying parties are told of an end, but the person is still there")
		}
	})
}

func TestWhatAnEarlierAuthenticatorOpenedEndsWithIt(t *testing.T) {
	each(t, session.Options{}, func(t *testing.T, h *house) {
		token := h.open(amara, care.AAL2, "phone")
		token = h.again(amara, care.AAL2, "key", token)
		token = h.again(amara, care.AAL3, "card", token)
		h.write(func(tx *db.Tx) error { return session.EndOf(tx, amara, "hone", "lost") })
		if h.current(token) == nil {
			t.Fatal("the session ended for another authenticator")
		}
		h.write(func(tx *db.Tx) error { return session.EndOf(tx, amara, "phone", "lost") })
		if h.current(token) != nil {
			t.Error("the session goes on although an authenticator that opened it was lost")
		}
	})
}

func TestAnotherPersonsSignInEndsTheSessionBefore(t *testing.T) {
	each(t, session.Options{}, func(t *testing.T, h *house) {
		first := h.open(amara, care.AAL2, "phone")
		before := h.current(first)
		second := h.again(helen, care.AAL2, "other", first)
		if h.current(first) != nil || h.current(second).SID == before.SID {
			t.Error("one person goes on with the session of another")
		}
		if diff := cmp.Diff([]string{before.SID + " " + string(amara) + ": another person signed in"}, h.untold()); diff != "" {
			t.Errorf("told (-want +got):\n%s", diff)
		}
	})
}

// What was ended stays ended: nobody goes on with it, and its end is told.
func TestAnEndedSessionIsNotContinued(t *testing.T) {
	each(t, session.Options{}, func(t *testing.T, h *house) {
		first := h.open(amara, care.AAL2, "phone")
		before := h.current(first)
		h.write(func(tx *db.Tx) error { return session.End(tx, before.ID, "signed out") })
		if now := h.current(h.again(amara, care.AAL2, "phone", first)); now.SID == before.SID {
			t.Error("the session goes on")
		}
		if len(h.untold()) != 1 {
			t.Error("its end is not told")
		}
	})
}

// Decision 7: what is only idle can still be signed out of.
func TestAnIdleSessionStillStands(t *testing.T) {
	each(t, session.Options{}, func(t *testing.T, h *house) {
		token := h.open(amara, care.AAL3, "card")
		s := h.current(token)
		stands := func() bool {
			var byID, byName *session.Session
			h.write(func(tx *db.Tx) (err error) {
				if byID, err = session.Standing(tx, s.ID); err != nil {
					return err
				}
				byName, err = session.StandingAs(tx, s.SID)
				return err
			})
			if (byID == nil) != (byName == nil) {
				t.Error("it depends on how one asks")
			}
			return byID != nil
		}
		h.clock.later(20 * time.Minute)
		if h.current(token) != nil || !stands() {
			t.Error("want a session that is idle and stands")
		}
		h.clock.later(12 * time.Hour)
		if stands() {
			t.Error("a session stands past its absolute limit")
		}
		token = h.open(amara, care.AAL3, "card")
		s = h.current(token)
		h.write(func(tx *db.Tx) error { return session.End(tx, s.ID, "signed out") })
		if stands() {
			t.Error("a session stands that was ended")
		}
	})
}
