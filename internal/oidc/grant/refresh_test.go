package grant_test

import (
	"context"
	"crypto/rand"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/oidc/grant"
	"carekey.dev/carekey/internal/session"
)

func refreshes() *grant.Refreshes { return grant.NewRefreshes(keys.NewRing(keys.Root{1}), rand.Reader) }

// refresh buys the access token "first" for a code, and returns the refresh
// token that comes with it.
func (h house) refresh(t *testing.T) grant.Refresh {
	t.Helper()
	code := h.code(t)
	var bought grant.Bought
	err := h.Write(t.Context(), func(tx *db.Tx) (err error) {
		bought, _, err = grant.Redeem(tx, code, grant.Token{Text: "first", Life: grant.TokenLife, Scopes: code.Scopes})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := refreshes().First(code, grant.Binding{}, bought.Until)
	if err != nil {
		t.Fatal(err)
	}
	return opened(t, text)
}

func opened(t *testing.T, text string) grant.Refresh {
	t.Helper()
	r, err := refreshes().Open(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// next is the refresh token that takes the place of r.
func next(t *testing.T, r grant.Refresh) grant.Refresh {
	t.Helper()
	text, err := refreshes().Next(r)
	if err != nil {
		t.Fatal(err)
	}
	return opened(t, text)
}

func (h house) renew(r grant.Refresh, token string, rotate bool) (expires time.Time, refused, err error) {
	err = h.Write(context.Background(), func(tx *db.Tx) (err error) {
		expires, refused, err = grant.Renew(tx, r, grant.Token{Text: token, Life: grant.TokenLife, Scopes: []string{"openid"}}, rotate, "name of "+token)
		return err
	})
	return expires, refused, err
}

func (h house) mustRenew(t *testing.T, r grant.Refresh, token string, rotate bool, want error) time.Time {
	t.Helper()
	expires, refused, err := h.renew(r, token, rotate)
	if err != nil {
		t.Fatal(err)
	}
	if refused != want {
		t.Errorf("refreshing: %v, want %v", refused, want)
	}
	return expires
}

func TestARefreshTokenKeepsTheSignInAndNothingElseOfTheCode(t *testing.T) {
	c := decided()
	c.ID, c.Challenge, c.JKT = "id", challenge(), "jkt"
	text, err := refreshes().First(c, grant.Binding{JKT: "key"}, start.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	r := opened(t, text)
	if r.Code.RedirectURI+r.Code.Nonce+r.Code.StateHash+r.Code.Challenge+r.Code.JKT != "" || !r.Code.Expires.IsZero() {
		t.Errorf("the refresh token keeps %+v", r.Code)
	}
	if r.Code.UID != c.UID || r.Code.SID != c.SID || r.Code.Role != c.Role || r.JKT != "key" || len(r.ID) < 22 {
		t.Errorf("the refresh token is %+v", r)
	}
	if strings.Contains(text, client) || next(t, r).ID == r.ID {
		t.Error("the refresh token can be read, or its successor has its name")
	}
	foreign, err := grant.NewRefreshes(keys.NewRing(keys.Root{2}), rand.Reader).First(c, grant.Binding{}, start)
	if err != nil {
		t.Fatal(err)
	}
	code, err := codes().Issue(c, start)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "x", text[1:], foreign, code} {
		if _, err := refreshes().Open(bad); err != grant.ErrRefresh {
			t.Errorf("Open(%.12q) = %v", bad, err)
		}
	}
}

// RFC 6749 sections 5.2 and 10.4: a refresh token is bound to its client; here
// also to the keys of the tokens that came with it (RFC 9449 section 5).
func TestARefreshTokenIsBoundToClientAndKeys(t *testing.T) {
	dpop, tls := grant.Binding{JKT: "a"}, grant.Binding{Certificate: "a"}
	for name, test := range map[string]struct {
		of     grant.Binding
		client string
		shown  grant.Binding
		want   error
	}{
		"unbound":                  {grant.Binding{}, client, grant.Binding{}, nil},
		"unbound, now with a key":  {grant.Binding{}, client, dpop, nil},
		"another client":           {grant.Binding{}, "555000000003.apps.national", grant.Binding{}, grant.ErrRefreshOtherClient},
		"the same key":             {dpop, client, dpop, nil},
		"no key":                   {dpop, client, grant.Binding{}, grant.ErrRefreshOtherKey},
		"another key":              {dpop, client, grant.Binding{JKT: "b"}, grant.ErrRefreshOtherKey},
		"the same certificate":     {tls, client, tls, nil},
		"another certificate":      {tls, client, grant.Binding{Certificate: "b"}, grant.ErrRefreshOtherKey},
		"a key for a certificate":  {tls, client, dpop, grant.ErrRefreshOtherKey},
		"the certificate and more": {tls, client, grant.Binding{Certificate: "a", JKT: "b"}, nil},
	} {
		r := grant.Refresh{Code: decided(), Binding: test.of}
		if got := r.Check(test.client, test.shown); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestARefreshTokenBuysOnceAndTheTokensBeforeStayGood(t *testing.T) {
	each(t, func(t *testing.T, h house, c *clock) {
		r := h.refresh(t)
		c.pass(time.Minute)
		h.mustRenew(t, r, "second", true, nil)
		second := next(t, r)
		h.mustRenew(t, second, "third", true, nil)
		for _, token := range []string{"first", "second", "third"} {
			h.mustFind(t, token, nil)
		}
		if a := h.mustFind(t, "third", nil); len(a.Scopes) != 1 || !a.AuthTime.Equal(start) || a.AAL != 2 || !a.Issued.Equal(start.Add(time.Minute)) {
			t.Errorf("the third access token allows %+v", a)
		}
	})
}

// RFC 9700 section 4.14.2; ASVS 10.4.5: a refresh token that is used twice was
// stolen from somebody, and nobody can tell from whom.
func TestReuseOfARefreshTokenRevokesTheFamily(t *testing.T) {
	each(t, func(t *testing.T, h house, c *clock) {
		r := h.refresh(t)
		h.mustRenew(t, r, "second", true, nil)
		second := next(t, r)
		h.mustRenew(t, second, "third", true, nil)
		h.mustRenew(t, r, "stolen", true, grant.ErrRefreshUsed)
		for _, token := range []string{"first", "second", "third"} {
			h.mustFind(t, token, grant.ErrTokenRevoked)
		}
		h.mustFind(t, "stolen", grant.ErrTokenUnknown)
		h.mustRenew(t, next(t, second), "fourth", true, grant.ErrRefreshRevoked)
	})
}

// A code that is used twice revokes what it bought, by refreshing too (RFC 6749
// section 4.1.2).
func TestASecondUseOfTheCodeRevokesWhatWasRefreshed(t *testing.T) {
	each(t, func(t *testing.T, h house, c *clock) {
		r := h.refresh(t)
		h.mustRenew(t, r, "second", true, nil)
		code := r.Code
		code.Expires = h.Now().Add(time.Minute)
		h.mustRedeem(t, code, "again", grant.ErrCodeUsed)
		h.mustFind(t, "second", grant.ErrTokenRevoked)
		h.mustRenew(t, next(t, r), "third", true, grant.ErrRefreshRevoked)
	})
}

// FAPI 2.0 section 5.3.2.1 item 9.
func TestATokenThatIsNotRotatedBuysAgain(t *testing.T) {
	each(t, func(t *testing.T, h house, c *clock) {
		r := h.refresh(t)
		h.mustRenew(t, r, "second", false, nil)
		h.mustRenew(t, r, "third", false, nil)
		h.mustFind(t, "second", nil)
		h.mustFind(t, "third", nil)
	})
}

// ASVS 10.4.8; N2: the family ends with the session's absolute limit as of the
// sign-in, and so does what it buys last.
func TestNothingRefreshedOutlivesTheSession(t *testing.T) {
	each(t, func(t *testing.T, h house, c *clock) {
		r := h.refresh(t)
		c.pass(24*time.Hour - 2*time.Second)
		if expires := h.mustRenew(t, r, "second", true, nil); !expires.Equal(start.Add(24 * time.Hour)) {
			t.Errorf("the last access token is good until %v", expires)
		}
		h.mustFind(t, "second", nil)
		c.pass(time.Second)
		h.mustRenew(t, next(t, r), "third", true, nil)
		c.pass(2 * time.Second)
		h.mustFind(t, "third", grant.ErrTokenExpired)
		h.mustRenew(t, next(t, r), "fourth", true, grant.ErrRefreshExpired)
	})
}

func TestAnEndedSessionRefreshesNothing(t *testing.T) {
	each(t, func(t *testing.T, h house, c *clock) {
		r := h.refresh(t)
		err := h.Write(t.Context(), func(tx *db.Tx) error { return session.End(tx, h.id, "signed out") })
		if err != nil {
			t.Fatal(err)
		}
		h.mustRenew(t, r, "second", true, grant.ErrSessionOver)
	})
}

// Pruning forgets neither that a refresh token was used nor the row that can
// revoke its family, as long as the token would be good.
func TestPruningKeepsWhatReuseIsFoundBy(t *testing.T) {
	each(t, func(t *testing.T, h house, c *clock) {
		r := h.refresh(t)
		h.mustRenew(t, r, "second", true, nil)
		c.pass(24*time.Hour - time.Second)
		if err := h.Write(t.Context(), grant.Prune); err != nil {
			t.Fatal(err)
		}
		h.mustRenew(t, next(t, r), "third", true, nil)
		h.mustRenew(t, r, "again", true, grant.ErrRefreshUsed)
		h.mustFind(t, "third", grant.ErrTokenRevoked)
	})
}

func TestRevokingAnAccessTokenLeavesTheOthersAlone(t *testing.T) {
	each(t, func(t *testing.T, h house, c *clock) {
		r := h.refresh(t)
		h.mustRenew(t, r, "second", true, nil)
		for _, want := range []bool{true, false} {
			h.revoked(t, want, func(tx *db.Tx) (bool, error) { return grant.RevokeToken(tx, "first") })
		}
		h.mustFind(t, "first", grant.ErrTokenRevoked)
		h.mustFind(t, "second", nil)
		h.revoked(t, false, func(tx *db.Tx) (bool, error) { return grant.RevokeToken(tx, "unknown") })
	})
}

// RFC 7009 section 2.1.
func TestRevokingARefreshTokenRevokesTheFamily(t *testing.T) {
	each(t, func(t *testing.T, h house, c *clock) {
		r := h.refresh(t)
		h.mustRenew(t, r, "second", true, nil)
		h.mustBeGood(t, r, grant.ErrRefreshUsed)
		newest := next(t, r)
		h.mustBeGood(t, newest, nil)
		for _, want := range []bool{true, false} {
			h.revoked(t, want, func(tx *db.Tx) (bool, error) { return grant.Revoke(tx, newest) })
		}
		h.mustFind(t, "first", grant.ErrTokenRevoked)
		h.mustFind(t, "second", grant.ErrTokenRevoked)
		h.mustBeGood(t, newest, grant.ErrRefreshRevoked)
		h.mustRenew(t, newest, "third", true, grant.ErrRefreshRevoked)
	})
}

func (h house) mustBeGood(t *testing.T, r grant.Refresh, want error) {
	t.Helper()
	err := h.Read(t.Context(), func(tx *db.Tx) error {
		refused, err := grant.Good(tx, r)
		if refused != want {
			t.Errorf("the refresh token: %v, want %v", refused, want)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (h house) revoked(t *testing.T, want bool, fn func(tx *db.Tx) (bool, error)) {
	t.Helper()
	var got bool
	err := h.Write(t.Context(), func(tx *db.Tx) (err error) {
		got, err = fn(tx)
		return err
	})
	if err != nil || got != want {
		t.Errorf("revoking: %t, %v; want %t", got, err, want)
	}
}

// Two nodes on one PostgreSQL, a thousand racing uses of one refresh token:
// exactly one wins, and the others have revoked what it bought (RFC 9700 section
// 4.14.2).
func TestOfRacingRefreshesExactlyOneWins(t *testing.T) {
	var nodes []house
	for _, d := range dbtest.Nodes(t, 2, schemas...) {
		nodes = append(nodes, house{DB: d})
	}
	raceToRefresh(t, newHouse(t, nodes[0].DB), nodes)
}

func TestOfRacingRefreshesExactlyOneWinsOnSQLite(t *testing.T) {
	h := newHouse(t, dbtest.Open(t, schemas...))
	raceToRefresh(t, h, []house{h})
}

func raceToRefresh(t *testing.T, h house, nodes []house) {
	t.Helper()
	const racers = 1000
	r := h.refresh(t)
	var won, refused atomic.Int64
	var winner atomic.Value
	var group sync.WaitGroup
	for i := range racers {
		group.Go(func() {
			token := keys.Token(rand.Reader, 32)
			_, why, err := nodes[i%len(nodes)].renew(r, token, true)
			switch why {
			case nil:
				won.Add(1)
				winner.Store(token)
			case grant.ErrRefreshUsed, grant.ErrRefreshRevoked:
				refused.Add(1)
			default:
				t.Error(why)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if won.Load() != 1 || refused.Load() != racers-1 {
		t.Errorf("%d won and %d were refused, want 1 and %d", won.Load(), refused.Load(), racers-1)
	}
	h.mustFind(t, winner.Load().(string), grant.ErrTokenRevoked)
	h.mustFind(t, "first", grant.ErrTokenRevoked)
}

func FuzzOpenRefresh(f *testing.F) {
	sealed, err := refreshes().First(decided(), grant.Binding{}, start)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add("")
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := refreshes().Open(text); err == nil && r.Code.ClientID != client {
			t.Errorf("%q opened as %+v", text, r)
		}
	})
}
