package signing_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/oidc/signing"
)

// cached is how long a relying party of the tests keeps the public set: what
// our Cache-Control allows. It is the strictest there is, and never looks again
// for a kid that it does not know.
const cached = 5 * time.Minute

// tokenLife is how long an ID token is good.
const tokenLife = time.Hour

// party is a relying party that verifies tokens.
type party struct {
	set     jose.JSONWebKeySet
	fetched time.Time
}

func (p *party) accepts(t *testing.T, now time.Time, from *signing.Keys, token string) bool {
	t.Helper()
	if p.fetched.IsZero() || now.Sub(p.fetched) >= cached {
		p.set, p.fetched = set(t, from.Public()), now
	}
	parsed, err := jose.ParseSignedCompact(token, signing.Algorithms())
	if err != nil {
		t.Fatal(err)
	}
	header := parsed.Signatures[0].Header
	for _, key := range p.set.Key(header.KeyID) {
		if _, err := parsed.Verify(key); err == nil && key.Algorithm == header.Algorithm {
			return true
		}
	}
	return false
}

// TestNoVerificationFailsWhileKeysRotate: three nodes on one PostgreSQL, by one
// of which an operator rotates on demand while the schedule rotates too; twelve
// relying parties that cache, each talking to any node; three days. Every token
// is verified when it is new and once more before it expires.
func TestNoVerificationFailsWhileKeysRotate(t *testing.T) {
	c := newClock()
	url := dbtest.Postgres(t, schemas...)
	plan := signing.Schedule{Every: 12 * time.Hour, Publish: 2 * time.Hour}
	var nodes []*signing.Keys
	for range 3 {
		k, err := signing.Open(t.Context(), signing.Options{DB: dbtest.OpenWith(t, db.Config{Now: c.now}, url), Ring: ring, Schedule: plan})
		if err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, k)
	}
	random := rand.New(rand.NewPCG(1, 2))
	anyNode := func() *signing.Keys { return nodes[random.IntN(len(nodes))] }
	parties := make([]party, 12)
	type issued struct {
		token string
		to    *party
		at    time.Time
	}
	var open []issued
	used := map[string]bool{}
	verified, end := 0, c.now().Add(3*24*time.Hour)
	for c.now().Before(end) {
		c.pass(time.Duration(1+random.IntN(240)) * time.Second)
		switch random.IntN(60) {
		case 0:
			if err := anyNode().Rotation().RunSchedule(t.Context()); err != nil {
				t.Fatal(err)
			}
		case 1:
			demand := signing.Demand{Algorithm: signing.Algorithms()[random.IntN(3)], After: signing.LeastPublish, Actor: "operator"}
			if _, err := anyNode().Rotation().Rotate(t.Context(), demand); err != nil && !errors.Is(err, signing.ErrUnderWay) {
				t.Fatal(err)
			}
		}
		to := &parties[random.IntN(len(parties))]
		token := sign(t, anyNode(), signing.Algorithms()[random.IntN(3)])
		used[kid(t, token)] = true
		if !to.accepts(t, c.now(), anyNode(), token) {
			t.Fatalf("%s: a new token was refused", c.now())
		}
		verified++
		open = append(open, issued{token, to, c.now()})
		// What is about to expire is shown once more.
		for len(open) > 0 && c.now().Sub(open[0].at) > tokenLife-5*time.Minute {
			if c.now().Sub(open[0].at) <= tokenLife && !open[0].to.accepts(t, c.now(), anyNode(), open[0].token) {
				t.Fatalf("%s: a token of %s was refused", c.now(), open[0].at)
			}
			open = open[1:]
		}
	}
	if len(used) < 15 || verified < 2000 {
		t.Errorf("%d verifications with %d keys: the test proves too little", verified, len(used))
	}
}

// The times, to the second.
func TestANewKeyIsPublishedBeforeItSignsAndTheOldOneIsKept(t *testing.T) {
	each(t, func(t *testing.T, c *clock, d *db.DB) {
		k := open(t, d)
		before := sign(t, k, jose.RS256)
		made, err := k.Rotation().Rotate(t.Context(), signing.Demand{Algorithm: jose.RS256, After: time.Minute, Actor: "operator"})
		if err != nil {
			t.Fatal(err)
		}
		if wait := made.From.Sub(c.now()); wait != signing.LeastPublish {
			t.Errorf("a key that should sign after a minute signs after %s: relying parties cache longer", wait)
		}
		if again, err := k.Rotation().Rotate(t.Context(), signing.Demand{Algorithm: jose.RS256}); !errors.Is(err, signing.ErrUnderWay) || again.ID != made.ID {
			t.Errorf("asked again: %+v, %v", again, err)
		}
		published := func(id string) bool { s := set(t, k.Public()); return len(s.Key(id)) == 1 }
		c.pass(signing.LeastPublish - time.Second)
		if !published(made.ID) || kid(t, sign(t, k, jose.RS256)) != kid(t, before) {
			t.Error("a second before its time the new key is not published, or signs already")
		}
		c.pass(time.Second)
		if kid(t, sign(t, k, jose.RS256)) != made.ID {
			t.Error("at its time the new key does not sign")
		}
		if kid(t, sign(t, k, jose.ES256)) == made.ID || len(set(t, k.Public()).Keys) != 4 {
			t.Error("the keys of other algorithms were rotated too")
		}
		c.pass(signing.Keep - time.Second)
		if !published(kid(t, before)) {
			t.Error("the old key left before everything that it signed had expired")
		}
		c.pass(time.Minute)
		if published(kid(t, before)) || !published(made.ID) {
			t.Error("the old key is never taken out of the set, or the new one was")
		}
	})
}

func TestTheScheduleRotatesByItself(t *testing.T) {
	each(t, func(t *testing.T, c *clock, d *db.DB) {
		k := open(t, d)
		first := kid(t, sign(t, k, jose.PS256))
		run := func() {
			t.Helper()
			if err := k.Rotation().RunSchedule(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		c.pass(signing.DefaultEvery - signing.DefaultPublish - time.Minute)
		run()
		if n := len(set(t, k.Public()).Keys); n != 3 {
			t.Fatalf("a minute before the time %d keys are published", n)
		}
		c.pass(time.Minute)
		run()
		run()
		c.pass(time.Minute) // past every node's view
		if n := len(set(t, k.Public()).Keys); n != 6 {
			t.Fatalf("%d keys are published, want the next one of each algorithm", n)
		}
		if kid(t, sign(t, k, jose.PS256)) != first {
			t.Error("the next key signs as soon as it is published")
		}
		c.pass(signing.DefaultPublish)
		if kid(t, sign(t, k, jose.PS256)) == first {
			t.Error("a key signs for longer than the schedule says")
		}
	})
}

// states is each key's algorithm and state, the oldest first.
func states(t *testing.T, k *signing.Keys) string {
	t.Helper()
	list, err := k.Rotation().List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, key := range list {
		if key.Algorithm == jose.ES256 {
			all = append(all, string(key.State))
		}
	}
	return strings.Join(all, " ")
}

// Somebody who finds an old backup finds no key in it that a relying party
// would still believe; a hint of a retired key is still known as ours.
func TestARetiredKeyIsDestroyedAndStillKnowsItsHints(t *testing.T) {
	each(t, func(t *testing.T, c *clock, d *db.DB) {
		k := open(t, d)
		hint := sign(t, k, jose.ES256)
		if _, err := k.Rotation().Rotate(t.Context(), signing.Demand{Algorithm: jose.ES256, Actor: "operator"}); err != nil {
			t.Fatal(err)
		}
		if got := states(t, k); got != "signing coming" {
			t.Errorf("the keys are %s", got)
		}
		c.pass(signing.DefaultPublish)
		if got := states(t, k); got != "kept signing" {
			t.Errorf("the keys are %s", got)
		}
		for _, wait := range []time.Duration{signing.Keep - time.Second, time.Second} {
			c.pass(wait)
			if err := k.Rotation().RunSchedule(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := states(t, k); got != "retired signing" {
			t.Errorf("the keys are %s", got)
		}
		var sealed []byte
		err := d.Read(t.Context(), func(tx *db.Tx) error {
			return tx.Row(`SELECT sealed FROM signing_key WHERE kid = $1 AND erased_at > 0`, kid(t, hint)).Scan(&sealed)
		})
		if err != nil || len(sealed) > 0 {
			t.Errorf("%d bytes are left of the private half: %v", len(sealed), err)
		}
		if payload, by, err := k.Verify(hint); err != nil || by != jose.ES256 || len(payload) == 0 {
			t.Errorf("a hint of a retired key: %v", err)
		}
		restarted, err := signing.Open(t.Context(), signing.Options{DB: d, Ring: ring})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := restarted.Verify(hint); err != nil {
			t.Errorf("after a restart: %v", err)
		}
		c.pass(367 * 24 * time.Hour)
		if err := d.Write(t.Context(), signing.Prune); err != nil {
			t.Fatal(err)
		}
		if got := states(t, k); strings.Contains(got, "retired") {
			t.Errorf("after a year the keys are %s", got)
		}
	})
}

// TestALeakedKeyIsGivenUpOnEveryNode: within a minute nothing that it signed is
// ours, and it is in no set that a node serves.
func TestALeakedKeyIsGivenUpOnEveryNode(t *testing.T) {
	c := newClock()
	url := dbtest.Postgres(t, schemas...)
	a := open(t, dbtest.OpenWith(t, db.Config{Now: c.now}, url))
	b := open(t, dbtest.OpenWith(t, db.Config{Now: c.now}, url))
	stolen := sign(t, a, jose.ES256)
	for range 2 { // also while another one is coming
		made, err := a.Rotation().Rotate(t.Context(), signing.Demand{Algorithm: jose.ES256, Leaked: true, Actor: "operator"})
		if err != nil {
			t.Fatal(err)
		}
		if made.From.Sub(c.now()) > time.Minute {
			t.Errorf("the new key signs after %s only", made.From.Sub(c.now()))
		}
	}
	c.pass(time.Minute)
	for name, node := range map[string]*signing.Keys{"a": a, "b": b} {
		s := set(t, node.Public())
		if len(s.Key(kid(t, stolen))) != 0 || len(s.Keys) != 3 {
			t.Errorf("node %s publishes %d keys, the leaked one: %v", name, len(s.Keys), len(s.Key(kid(t, stolen))) != 0)
		}
		if _, _, err := node.Verify(stolen); !errors.Is(err, signing.ErrNotOurs) {
			t.Errorf("node %s takes what the leaked key signed: %v", name, err)
		}
		if _, _, err := node.Verify(sign(t, node, jose.ES256)); err != nil {
			t.Errorf("node %s: %v", name, err)
		}
	}
	if err := b.Rotation().RunSchedule(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := states(t, b); got != "withdrawn withdrawn signing" {
		t.Errorf("the keys are %s", got)
	}
}

// Rotating at one moment on many nodes makes one key.
func TestOfRacingRotationsOneIsMade(t *testing.T) {
	c := newClock()
	url := dbtest.Postgres(t, schemas...)
	open(t, dbtest.OpenWith(t, db.Config{Now: c.now}, url))
	const racers = 8
	done := make(chan error, racers)
	for range racers {
		d := dbtest.OpenWith(t, db.Config{Now: c.now}, url)
		go func() {
			_, err := signing.NewRotation(signing.Options{DB: d, Ring: ring}).Rotate(t.Context(), signing.Demand{Algorithm: jose.ES256})
			done <- err
		}()
	}
	won := 0
	for range racers {
		switch err := <-done; {
		case err == nil:
			won++
		case !errors.Is(err, signing.ErrUnderWay):
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d rotations made a key", won, racers)
	}
}

// A row as the release before rotation wrote it.
func TestAKeyOfAnEarlierReleaseGoesOn(t *testing.T) {
	each(t, func(t *testing.T, c *clock, d *db.DB) {
		token := sign(t, open(t, d), jose.RS256)
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE signing_key SET public = NULL, signs_from = 0`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		k := open(t, d)
		if kid(t, sign(t, k, jose.RS256)) != kid(t, token) {
			t.Error("another key signs")
		}
		if err := k.Rotation().RunSchedule(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.pass(signing.DefaultPublish)
		for range 2 {
			c.pass(signing.Keep)
			if err := k.Rotation().RunSchedule(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := k.Verify(token); err != nil {
			t.Errorf("its hints: %v", err)
		}
	})
}

// A node goes on with what it knows while the database is away, for as long as
// that cannot do harm.
func TestANodeWithoutItsDatabaseGoesOnForAWhile(t *testing.T) {
	c := newClock()
	d, err := db.Open(t.Context(), db.Config{URL: dbtest.SQLite(t, schemas...), Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	k := open(t, d)
	public := string(k.Public())
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	c.pass(time.Hour)
	if string(k.Public()) != public {
		t.Error("the set is not served as it was")
	}
	if _, _, err := k.Verify(sign(t, k, jose.RS256)); err != nil {
		t.Error(err)
	}
	c.pass(signing.Keep)
	if _, err := k.Sign("", "JWT", nil); err == nil {
		t.Error("signs with a key that may have left the public set")
	}
}

// A root key that is gone does not keep a node from starting once nothing that
// signs hangs on it.
func TestARetiredRootKeyIsNotNeededForRetiredKeys(t *testing.T) {
	c := newClock()
	d := dbtest.OpenAt(t, c.now, schemas...)
	open(t, d)
	both := keys.NewRing(keys.Root{8}, keys.Root{7})
	for _, algorithm := range signing.Algorithms() {
		demand := signing.Demand{Algorithm: algorithm, Actor: "operator"}
		if _, err := signing.NewRotation(signing.Options{DB: d, Ring: both}).Rotate(t.Context(), demand); err != nil {
			t.Fatal(err)
		}
	}
	c.pass(signing.DefaultPublish)
	if _, err := signing.Open(t.Context(), signing.Options{DB: d, Ring: keys.NewRing(keys.Root{8})}); err != nil {
		t.Error(err)
	}
}

// TestAnotherRootKeyRotatesNothing: what it sealed would keep every node from
// starting.
func TestAnotherRootKeyRotatesNothing(t *testing.T) {
	each(t, func(t *testing.T, c *clock, d *db.DB) {
		before := states(t, open(t, d))
		strange := signing.NewRotation(signing.Options{DB: d, Ring: keys.NewRing(keys.Root{8})})
		for _, leaked := range []bool{false, true} {
			_, err := strange.Rotate(t.Context(), signing.Demand{Algorithm: jose.ES256, Leaked: leaked, Actor: "operator"})
			if err == nil || !strings.Contains(err.Error(), "sealed under another root key") {
				t.Errorf("leaked %v: %v", leaked, err)
			}
		}
		if after := states(t, open(t, d)); after != before {
			t.Errorf("before %s, after %s", before, after)
		}
	})
}

func TestEveryChangeOfAKeyIsAudited(t *testing.T) {
	c := newClock()
	d := dbtest.OpenAt(t, c.now, schemas...)
	k := open(t, d)
	if _, err := k.Rotation().Rotate(t.Context(), signing.Demand{Algorithm: jose.ES256, Leaked: true, Actor: "operator"}); err != nil {
		t.Fatal(err)
	}
	c.pass(time.Minute)
	if err := k.Rotation().RunSchedule(t.Context()); err != nil {
		t.Fatal(err)
	}
	var all []string
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		all = nil
		rows, err := tx.Rows(`SELECT action, actor FROM audit_entry ORDER BY at, action`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var action, actor string
			if err := rows.Scan(&action, &actor); err != nil {
				return err
			}
			all = append(all, action+" by "+actor)
		}
		return rows.Err()
	})
	want := "signing_key.made by system, signing_key.made by system, signing_key.made by system, signing_key.made by operator, signing_key.erased by system"
	if got := strings.Join(all, ", "); err != nil || got != want {
		t.Errorf("%v: %s", err, got)
	}
}
