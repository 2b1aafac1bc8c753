package grant_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/oidc/grant"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/session"
)

var schemas = []fs.FS{person.Schema, session.Schema, grant.Schema}

const amara = care.UID("555000100101")

// house is a database with one live session, and a clock that tests move.
type house struct {
	*db.DB
	sid string
	id  []byte

	opener session.Opener
	token  string
}

type clock struct{ past atomic.Int64 }

func (c *clock) now() time.Time          { return start.Add(time.Duration(c.past.Load())) }
func (c *clock) pass(some time.Duration) { c.past.Add(int64(some)) }

func each(t *testing.T, test func(t *testing.T, h house, c *clock)) {
	c := &clock{}
	dbtest.EachAt(t, c.now, schemas, func(t *testing.T, d *db.DB) {
		c.past.Store(0)
		test(t, newHouse(t, d), c)
	})
}

func newHouse(t *testing.T, d *db.DB) house {
	t.Helper()
	_, opener, err := session.New(d, session.Options{Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	token, sid := opener.NewToken()
	err = d.Write(t.Context(), func(tx *db.Tx) error {
		if _, err := person.ByUID(tx, amara); errors.Is(err, db.ErrNoRows) {
			if err := person.Create(tx, person.Person{UID: amara, FamilyName: "OSEI", IDAssuranceLevel: 3}); err != nil {
				return err
			}
		}
		_, err := opener.Open(tx, session.Opening{
			Token: token, SID: sid, UID: amara, AAL: care.AAL2, Method: care.AuthenticatorApp,
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return house{d, sid, keys.Hash(token), opener, token}
}

// signInAgain is the house after its holder proved again who they are.
func (h house) signInAgain(t *testing.T) house {
	t.Helper()
	token, sid := h.opener.NewToken()
	err := h.Write(t.Context(), func(tx *db.Tx) error {
		_, err := h.opener.Open(tx, session.Opening{
			Token: token, SID: sid, Previous: h.token, UID: amara, AAL: care.AAL2, Method: care.AuthenticatorApp,
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	h.id, h.token = keys.Hash(token), token
	return h
}

func (h house) code(t *testing.T) grant.Code {
	t.Helper()
	c := decided()
	c.SID = h.sid
	sealed, err := codes().Issue(c, h.Now())
	if err != nil {
		t.Fatal(err)
	}
	c, err = codes().Open(sealed)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (h house) redeem(c grant.Code, token string) (refused, err error) {
	err = h.Write(context.Background(), func(tx *db.Tx) (err error) {
		_, refused, err = grant.Redeem(tx, c, grant.Token{Text: token, Life: grant.TokenLife, Scopes: c.Scopes})
		return err
	})
	return refused, err
}

func (h house) mustRedeem(t *testing.T, c grant.Code, token string, want error) {
	t.Helper()
	refused, err := h.redeem(c, token)
	if err != nil {
		t.Fatal(err)
	}
	if refused != want {
		t.Errorf("redeeming: %v, want %v", refused, want)
	}
}

func (h house) mustFind(t *testing.T, token string, want error) grant.Access {
	t.Helper()
	var a grant.Access
	var refused error
	err := h.Read(t.Context(), func(tx *db.Tx) (err error) {
		a, refused, err = grant.ByToken(tx, token)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if refused != want {
		t.Errorf("the access token: %v, want %v", refused, want)
	}
	return a
}

func TestACodeBuysAnAccessToken(t *testing.T) {
	each(t, func(t *testing.T, h house, c *clock) {
		h.mustRedeem(t, h.code(t), "token", nil)
		a := h.mustFind(t, "token", nil)
		if a.ClientID != client || a.UID != amara || a.SID != h.sid || a.Role != "555000200101" ||
			len(a.Scopes) != 2 || !a.Expires.Equal(start.Add(3599*time.Second)) {
			t.Errorf("the access token allows %+v", a)
		}
		h.mustFind(t, "another", grant.ErrTokenUnknown)
	})
}

// RFC 6749 section 4.1.2; ASVS 10.4.2.
func TestASecondUseOfACodeRevokesWhatItBought(t *testing.T) {
	each(t, func(t *testing.T, h house, c *clock) {
		code := h.code(t)
		h.mustRedeem(t, code, "first", nil)
		h.mustRedeem(t, code, "second", grant.ErrCodeUsed)
		h.mustFind(t, "first", grant.ErrTokenRevoked)
		h.mustFind(t, "second", grant.ErrTokenUnknown)
	})
}

func TestASecondUseAfterTheCodeExpiredRevokesToo(t *testing.T) {
	each(t, func(t *testing.T, h house, c *clock) {
		code := h.code(t)
		h.mustRedeem(t, code, "first", nil)
		c.pass(10 * time.Minute)
		h.mustRedeem(t, code, "second", grant.ErrCodeUsed)
		h.mustFind(t, "first", grant.ErrTokenRevoked)
	})
}

// Decision 12; ASVS 10.4.3.
func TestACodeLivesForSixtySeconds(t *testing.T) {
	each(t, func(t *testing.T, h house, c *clock) {
		early, late := h.code(t), h.code(t)
		c.pass(59 * time.Second)
		h.mustRedeem(t, early, "early", nil)
		c.pass(2 * time.Second)
		h.mustRedeem(t, late, "late", grant.ErrCodeExpired)
	})
}

// Wire rule 15.
func TestAnAccessTokenLivesFor3599Seconds(t *testing.T) {
	each(t, func(t *testing.T, h house, c *clock) {
		h.mustRedeem(t, h.code(t), "token", nil)
		c.pass(3598 * time.Second)
		h.mustFind(t, "token", nil)
		c.pass(2 * time.Second)
		h.mustFind(t, "token", grant.ErrTokenExpired)
	})
}

func TestAnEndedSessionBuysAndAllowsNothing(t *testing.T) {
	each(t, func(t *testing.T, h house, c *clock) {
		first, second := h.code(t), h.code(t)
		h.mustRedeem(t, first, "token", nil)
		err := h.Write(t.Context(), func(tx *db.Tx) error { return session.End(tx, h.id, "signed out") })
		if err != nil {
			t.Fatal(err)
		}
		h.mustFind(t, "token", grant.ErrSessionOver)
		h.mustRedeem(t, second, "other", grant.ErrSessionOver)
	})
}

// Decision 7: Carekey cannot see a nurse working in e-RS.
func TestIdleExpiryLeavesTheAccessTokenAlone(t *testing.T) {
	each(t, func(t *testing.T, h house, c *clock) {
		c.pass(59*time.Minute + 50*time.Second)
		h.mustRedeem(t, h.code(t), "token", nil)
		c.pass(10 * time.Minute)
		err := h.Read(t.Context(), func(tx *db.Tx) error {
			live, err := session.Live(tx, h.id)
			if live != nil {
				t.Error("the session is not idle yet: the test proves nothing")
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		h.mustFind(t, "token", nil)
	})
}

func TestOldGrantsArePruned(t *testing.T) {
	each(t, func(t *testing.T, h house, c *clock) {
		h.mustRedeem(t, h.code(t), "token", nil)
		h.end(t)
		for _, step := range []struct {
			pass time.Duration
			want error
		}{{24 * time.Hour, grant.ErrTokenExpired}, {2 * time.Hour, grant.ErrTokenUnknown}} {
			c.pass(step.pass)
			if err := h.Write(t.Context(), grant.Prune); err != nil {
				t.Fatal(err)
			}
			h.mustFind(t, "token", step.want)
		}
	})
}

// OpenID Connect Back-Channel Logout section 2.5: relying parties are told of
// the end of a session however long ago they got something from it. A session
// goes on for longer than any token if its holder signs in again each day.
func TestRelyingPartiesAreKnownAsLongAsTheSessionGoesOn(t *testing.T) {
	each(t, func(t *testing.T, h house, c *clock) {
		h.mustRedeem(t, h.code(t), "token", nil)
		for range 3 {
			c.pass(23 * time.Hour)
			h = h.signInAgain(t)
			if err := h.Write(t.Context(), grant.Prune); err != nil {
				t.Fatal(err)
			}
		}
		if got := h.clients(t); len(got) != 1 || got[0] != client {
			t.Errorf("%v got something from the session, want %s", got, client)
		}
		h.end(t)
		c.pass(23 * time.Hour)
		if err := h.Write(t.Context(), grant.Prune); err != nil {
			t.Fatal(err)
		}
		if got := h.clients(t); len(got) != 1 {
			t.Errorf("%v got something from the session that has just ended", got)
		}
	})
}

// A code that is redeemed while its session ends either buys nothing, or its
// relying party is among those to tell: never a sign-in that no sign-out
// reaches.
func TestACodeThatRacesTheEndOfItsSessionIsRefusedOrTold(t *testing.T) {
	nodes := dbtest.Nodes(t, 2, schemas...)
	for range 40 {
		h := newHouse(t, nodes[0])
		code := h.code(t)
		var told []string
		var why error
		var group sync.WaitGroup
		group.Go(func() {
			var err error
			if why, err = h.redeem(code, keys.Token(rand.Reader, 32)); err != nil {
				t.Error(err)
			}
		})
		group.Go(func() {
			elsewhere := house{DB: nodes[1], sid: h.sid, id: h.id}
			elsewhere.end(t)
			told = elsewhere.clients(t)
		})
		group.Wait()
		if why == nil && len(told) != 1 {
			t.Fatal("the code bought tokens, and nobody would be told that the session is over")
		}
	}
}

// TestACodeThatWaitedForItsSessionSeesWhatItWaitedFor: the statement that waits
// has seen the session as it was before. One that has ended buys nothing; one
// that goes on with another sign-in, under the same name, buys as before.
func TestACodeThatWaitedForItsSessionSeesWhatItWaitedFor(t *testing.T) {
	nodes := dbtest.Nodes(t, 3, schemas...)
	for name, c := range map[string]struct {
		change func(tx *db.Tx, h house) error
		want   error
	}{
		"ended": {func(tx *db.Tx, h house) error { return session.End(tx, h.id, "signed out") }, grant.ErrSessionOver},
		"another sign-in": {func(tx *db.Tx, h house) error {
			token, sid := h.opener.NewToken()
			_, err := h.opener.Open(tx, session.Opening{Token: token, SID: sid, Previous: h.token, UID: amara, AAL: care.AAL2, Method: care.AuthenticatorApp})
			return err
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, nodes[0])
			code := h.code(t)
			changed, over, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
			changing := sync.OnceFunc(func() { close(changed) })
			go func() {
				ended <- nodes[1].Write(t.Context(), func(tx *db.Tx) error {
					defer changing()
					if err := c.change(tx, h); err != nil {
						return err
					}
					changing()
					<-over
					return nil
				})
			}()
			<-changed
			type outcome struct{ refused, err error }
			redeemed := make(chan outcome, 1)
			go func() {
				refused, err := h.redeem(code, keys.Token(rand.Reader, 32))
				redeemed <- outcome{refused, err}
			}()
			for waiting := 0; waiting == 0 && len(redeemed) == 0; {
				waiting = waits(t, nodes[2])
			}
			close(over)
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			if got := <-redeemed; got.err != nil || got.refused != c.want {
				t.Errorf("%v, %v, want %v", got.refused, got.err, c.want)
			}
		})
	}
}

// waits is how many transactions wait for a lock.
func waits(t *testing.T, d *db.DB) (n int) {
	t.Helper()
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		return tx.Row(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (h house) end(t *testing.T) {
	t.Helper()
	if err := h.Write(context.Background(), func(tx *db.Tx) error { return session.End(tx, h.id, "signed out") }); err != nil {
		t.Error(err)
	}
}

func (h house) clients(t *testing.T) (all []string) {
	t.Helper()
	err := h.Read(context.Background(), func(tx *db.Tx) (err error) {
		all, err = grant.Clients(tx, h.sid)
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return all
}

// Two nodes on one PostgreSQL: of a thousand racing redemptions exactly one wins
// (ASVS 10.4.2).
func TestOfRacingRedemptionsExactlyOneWins(t *testing.T) {
	var nodes []house
	for _, d := range dbtest.Nodes(t, 2, schemas...) {
		nodes = append(nodes, house{DB: d})
	}
	signedIn := newHouse(t, nodes[0].DB)
	race(t, signedIn.code(t), nodes)
}

func TestOfRacingRedemptionsExactlyOneWinsOnSQLite(t *testing.T) {
	h := newHouse(t, dbtest.Open(t, schemas...))
	race(t, h.code(t), []house{h})
}

func race(t *testing.T, code grant.Code, nodes []house) {
	t.Helper()
	const racers = 1000
	var won, refused atomic.Int64
	var group sync.WaitGroup
	for i := range racers {
		group.Go(func() {
			why, err := nodes[i%len(nodes)].redeem(code, keys.Token(rand.Reader, 32))
			switch {
			case err != nil:
				t.Error(err)
			case why == nil:
				won.Add(1)
			case why == grant.ErrCodeUsed:
				refused.Add(1)
			default:
				t.Error(why)
			}
		})
	}
	group.Wait()
	if won.Load() != 1 || refused.Load() != racers-1 {
		t.Errorf("%d won and %d were refused, want 1 and %d", won.Load(), refused.Load(), racers-1)
	}
}
