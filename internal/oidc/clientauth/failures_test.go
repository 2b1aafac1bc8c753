package clientauth_test

import (
	"context"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/oidc/clientauth"
	"carekey.dev/carekey/internal/oidc/once"
)

var schemas = []fs.FS{clientauth.Schema, once.Schema}

func recent(t *testing.T, d *db.DB, client string) []clientauth.Failure {
	t.Helper()
	var all []clientauth.Failure
	err := d.Read(t.Context(), func(tx *db.Tx) (err error) {
		all, err = clientauth.Recent(tx, client)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func why(client string, cause clientauth.Cause, reason string) *clientauth.Refused {
	return &clientauth.Refused{ClientID: client, Cause: cause, Reason: reason}
}

func TestFailuresAreCountedByCauseWithTheLastReason(t *testing.T) {
	past := atomic.Int64{}
	clock := func() time.Time { return now.Add(time.Duration(past.Load())) }
	dbtest.EachAt(t, clock, schemas, func(t *testing.T, d *db.DB) {
		past.Store(0)
		f := clientauth.NewFailures(d, slog.New(slog.DiscardHandler))
		f.Take(why(ers, clientauth.WrongSecret, "the client secret is wrong"), "511-AAA-AAA", "/access_token", "192.0.2.1")
		past.Store(int64(time.Minute))
		f.Take(why(ers, clientauth.Audience, "aud is x"), "511-BBB-BBB", "/par", "")
		f.Take(why(ers, clientauth.Audience, "aud is \x00\x1b[2J\xff"+strings.Repeat("é", 1000)), "511-CCC-CCC", "/par", "192.0.2.2")
		f.Take(why("", clientauth.Unknown, "who"), "511-DDD-DDD", "/par", "")
		f.Take(why(ncrs, clientauth.Expired, "it expired"), "511-EEE-EEE", "/par", "")
		before := d.Counters().Commits
		if err := f.Write(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := d.Counters().Commits - before; got != 1 {
			t.Errorf("five failures cost %d commits", got)
		}
		past.Store(int64(2 * time.Minute))
		f.Take(why(ers, clientauth.WrongSecret, "the client secret is wrong"), "511-FFF-FFF", "/access_token", "192.0.2.3")
		if err := f.Write(t.Context()); err != nil {
			t.Fatal(err)
		}
		all := recent(t, d, ers)
		if len(all) != 2 {
			t.Fatalf("there are %d causes: %+v", len(all), all)
		}
		if f := all[0]; f.Cause != clientauth.WrongSecret || f.Times != 2 || f.Ref != "511-FFF-FFF" || f.Network != "192.0.2.3" ||
			!f.First.Equal(now) || !f.Last.Equal(now.Add(2*time.Minute)) {
			t.Errorf("the last one is %+v", f)
		}
		if f := all[1]; f.Cause != clientauth.Audience || f.Times != 2 || f.Ref != "511-CCC-CCC" || !strings.HasPrefix(f.Reason, "aud is ??[2J?éé") || len(f.Reason) > 620 {
			t.Errorf("the one before is %+v", f)
		}
		if got := recent(t, d, ncrs); len(got) != 1 {
			t.Errorf("the other one has %+v", got)
		}
	})
}

func TestFailuresAreForgottenAfterNinetyDays(t *testing.T) {
	past := atomic.Int64{}
	d := dbtest.OpenAt(t, func() time.Time { return now.Add(time.Duration(past.Load())) }, schemas...)
	f := clientauth.NewFailures(d, slog.New(slog.DiscardHandler))
	f.Take(why(ers, clientauth.WrongSecret, "wrong"), "", "", "")
	if err := f.Write(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ days, want int64 }{{89, 1}, {91, 0}} {
		past.Store(step.days * 24 * int64(time.Hour))
		if err := d.Write(t.Context(), clientauth.Prune); err != nil {
			t.Fatal(err)
		}
		if got := recent(t, d, ers); len(got) != int(step.want) {
			t.Errorf("after %d days there are %+v", step.days, got)
		}
	}
}

func TestWhatCannotBeWrittenWaits(t *testing.T) {
	url := dbtest.SQLite(t, schemas...)
	d := dbtest.OpenWith(t, db.Config{}, url)
	f := clientauth.NewFailures(d, slog.New(slog.DiscardHandler))
	f.Take(why(ers, clientauth.WrongSecret, "wrong"), "", "", "")
	drop := func(statement string) {
		t.Helper()
		if err := d.Write(t.Context(), func(tx *db.Tx) error { _, err := tx.Exec(statement); return err }); err != nil {
			t.Fatal(err)
		}
	}
	drop(`ALTER TABLE client_auth_failure RENAME TO away`)
	if err := f.Write(t.Context()); err == nil {
		t.Fatal("it was written to nowhere")
	}
	f.Take(why(ers, clientauth.WrongSecret, "wrong again"), "", "", "")
	drop(`ALTER TABLE away RENAME TO client_auth_failure`)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	f.Run(ctx) // what waits is written at the end too
	if all := recent(t, d, ers); len(all) != 1 || all[0].Times != 2 || all[0].Reason != "wrong again" {
		t.Errorf("kept: %+v", all)
	}
}

// Two nodes on one PostgreSQL: of 1,000 racing uses of one assertion exactly
// one wins (OpenID Connect Core section 9: jti).
func TestOfAThousandRacingUsesOfAnAssertionExactlyOneWins(t *testing.T) {
	url := dbtest.Postgres(t, schemas...)
	clock := db.Config{Now: func() time.Time { return now }}
	nodes := []*db.DB{dbtest.OpenWith(t, clock, url), dbtest.OpenWith(t, clock, url)}
	all := registered()
	assertion := signature{}.of(claims(ncrs))
	var won, refused atomic.Int64
	var group sync.WaitGroup
	for i := range 1000 {
		group.Go(func() {
			caller, why, err := authenticator(all).Authenticate(request(endpoint), form(assertion))
			if err != nil || why != nil || !caller.Asserted() {
				t.Errorf("%v, %v", why, err)
				return
			}
			var replayed error
			err = nodes[i%2].Write(context.Background(), func(tx *db.Tx) (err error) {
				replayed, err = caller.Use(tx)
				return err
			})
			switch {
			case err != nil:
				t.Error(err)
			case replayed == nil:
				won.Add(1)
			default:
				refused.Add(1)
			}
		})
	}
	group.Wait()
	if won.Load() != 1 || refused.Load() != 999 {
		t.Errorf("%d won and %d were refused", won.Load(), refused.Load())
	}
}

func TestAReplayIsRefusedUntilTheAssertionIsOverAnyway(t *testing.T) {
	past := atomic.Int64{}
	dbtest.EachAt(t, func() time.Time { return now.Add(time.Duration(past.Load())) }, schemas, func(t *testing.T, d *db.DB) {
		past.Store(0)
		assertion := signature{}.of(claims(ncrs))
		caller := mustPass(t, authenticator(registered()), request(endpoint), form(assertion), ncrs)
		use := func() (refused error) {
			t.Helper()
			err := d.Write(t.Context(), func(tx *db.Tx) (err error) {
				refused, err = caller.Use(tx)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			return refused
		}
		if refused := use(); refused != nil {
			t.Fatal(refused)
		}
		past.Store(int64(5*time.Minute + 29*time.Second)) // the last second in which it is accepted
		refused, ok := use().(*clientauth.Refused)
		if !ok || refused.Cause != clientauth.Replayed || refused.ClientID != ncrs || !refused.Assertion {
			t.Errorf("a replay: %+v", refused)
		}
	})
}
