package signing_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/oidc/signing"
)

var (
	ring    = keys.NewRing(keys.Root{7})
	schemas = []fs.FS{signing.Schema, audit.Schema}
)

// clock is the database's clock on every node of a test.
type clock struct{ micros atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.micros.Store(time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC).UnixMicro())
	return c
}

func (c *clock) now() time.Time       { return time.UnixMicro(c.micros.Load()).UTC() }
func (c *clock) pass(d time.Duration) { c.micros.Add(d.Microseconds()) }

// each runs a test on both engines, at a time of its own.
func each(t *testing.T, test func(t *testing.T, c *clock, d *db.DB)) {
	t.Helper()
	c := newClock()
	dbtest.EachAt(t, c.now, schemas, func(t *testing.T, d *db.DB) { test(t, c, d) })
}

func open(t *testing.T, d *db.DB) *signing.Keys {
	t.Helper()
	k, err := signing.Open(t.Context(), signing.Options{DB: d, Ring: ring})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func set(t *testing.T, text []byte) jose.JSONWebKeySet {
	t.Helper()
	var all jose.JSONWebKeySet
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func sign(t *testing.T, k *signing.Keys, algorithm jose.SignatureAlgorithm) string {
	t.Helper()
	token, err := k.Sign(algorithm, "JWT", map[string]any{"sub": "555000100101"})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// kid is the name in a token's header.
func kid(t *testing.T, token string) string {
	t.Helper()
	parsed, err := jose.ParseSignedCompact(token, signing.Algorithms())
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Signatures[0].Header.KeyID
}

// Wire rule 8; RFC 7515 section 4.1.4; OpenID Connect Core section 10.1.
func TestWhatIsSignedVerifiesWithThePublishedKey(t *testing.T) {
	k := open(t, dbtest.Open(t, schemas...))
	for _, test := range []struct{ asked, want jose.SignatureAlgorithm }{
		{"", jose.RS256}, {jose.RS256, jose.RS256}, {jose.ES256, jose.ES256}, {jose.PS256, jose.PS256},
	} {
		token, err := k.Sign(test.asked, "logout+jwt", map[string]any{"sub": "555000100101"})
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{test.want})
		if err != nil {
			t.Fatalf("%q: %v", test.asked, err)
		}
		header := parsed.Signatures[0].Header
		if header.ExtraHeaders["typ"] != "logout+jwt" {
			t.Errorf("typ is %v, want what was asked for", header.ExtraHeaders["typ"])
		}
		all := set(t, k.Public())
		named := all.Key(header.KeyID)
		if len(named) != 1 {
			t.Fatalf("%s: the header's kid %q names %d keys of the set", test.want, header.KeyID, len(named))
		}
		if named[0].Use != "sig" || named[0].Algorithm != string(test.want) {
			t.Errorf("%s: the key has use %q and alg %q", test.want, named[0].Use, named[0].Algorithm)
		}
		if payload, err := parsed.Verify(named[0]); err != nil || string(payload) != `{"sub":"555000100101"}` {
			t.Errorf("%s: %s, %v", test.want, payload, err)
		}
	}
	if _, err := k.Sign(jose.HS256, "JWT", nil); err == nil {
		t.Error("signs with an algorithm that it has no key for")
	}
	if first := set(t, k.Public()).Keys[0]; first.Algorithm != "RS256" {
		t.Errorf("the set begins with a key for %s: programs that take the first need RS256", first.Algorithm)
	}
}

// RFC 7518 section 3.5: the salt is as long as the hash.
func TestPS256HasTheSaltThatEveryLibraryExpects(t *testing.T) {
	k := open(t, dbtest.Open(t, schemas...))
	token := sign(t, k, jose.PS256)
	dot := strings.LastIndex(token, ".")
	signature, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	if err != nil {
		t.Fatal(err)
	}
	all, sum := set(t, k.Public()), sha256.Sum256([]byte(token[:dot]))
	public := all.Key(kid(t, token))[0].Key.(*rsa.PublicKey)
	err = rsa.VerifyPSS(public, crypto.SHA256, sum[:], signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	if err != nil {
		t.Error(err)
	}
}

// RFC 7517 section 9.2; OpenID Connect Discovery section 3, jwks_uri.
func TestOnlyPublicPartsArePublished(t *testing.T) {
	k := open(t, dbtest.Open(t, schemas...))
	for _, private := range []string{`"d":`, `"p":`, `"q":`, `"dp":`, `"dq":`, `"qi":`, `"k":`} {
		if strings.Contains(strings.ReplaceAll(string(k.Public()), " ", ""), private) {
			t.Errorf("the public set holds %s", private)
		}
	}
}

func TestTheKeysSurviveARestart(t *testing.T) {
	each(t, func(t *testing.T, _ *clock, d *db.DB) {
		first, second := open(t, d), open(t, d)
		if string(first.Public()) != string(second.Public()) {
			t.Error("the second start made other keys")
		}
	})
}

func TestNodesThatStartTogetherAgreeOnTheirKeys(t *testing.T) {
	url := dbtest.Postgres(t, schemas...)
	const nodes = 3
	sets := make([]string, nodes)
	var group sync.WaitGroup
	for i := range nodes {
		d := dbtest.OpenWith(t, db.Config{}, url)
		group.Go(func() {
			k, err := signing.Open(t.Context(), signing.Options{DB: d, Ring: ring})
			if err != nil {
				t.Error(err)
				return
			}
			sets[i] = string(k.Public())
		})
	}
	group.Wait()
	for i, set := range sets {
		if set != sets[0] {
			t.Errorf("node %d publishes other keys than node 0", i)
		}
	}
}

func TestANodeWhoseClockRunsBehindUsesTheFirstKeysAtOnce(t *testing.T) {
	url := dbtest.Postgres(t, schemas...)
	ahead, behind := newClock(), newClock()
	behind.pass(-time.Second)
	first := open(t, dbtest.OpenWith(t, db.Config{Now: ahead.now}, url))
	second := open(t, dbtest.OpenWith(t, db.Config{Now: behind.now}, url))
	if string(first.Public()) != string(second.Public()) {
		t.Error("the node whose clock runs behind publishes other keys")
	}
	for _, algorithm := range signing.Algorithms() {
		if _, by, err := first.Verify(sign(t, second, algorithm)); err != nil || by != algorithm {
			t.Errorf("%s signed by the node whose clock runs behind: %s, %v", algorithm, by, err)
		}
	}
}

// Decision 20.
func TestPrivateKeysAreStoredOnlySealed(t *testing.T) {
	d := dbtest.Open(t, schemas...)
	open(t, d)
	_, err := signing.Open(t.Context(), signing.Options{DB: d, Ring: keys.NewRing(keys.Root{8})})
	if err == nil || !strings.Contains(err.Error(), "put that root key back") {
		t.Errorf("with another root key: %v, want an error that says what to mend", err)
	}
}

// RFC 8725 sections 3.1 and 3.2: the algorithm is the key's, and never what a
// token says.
func TestOnlyWhatWasSignedHereIsOurs(t *testing.T) {
	d := dbtest.Open(t, schemas...)
	k := open(t, d)
	other := open(t, dbtest.Open(t, schemas...))
	for _, algorithm := range signing.Algorithms() {
		payload, by, err := k.Verify(sign(t, k, algorithm))
		if err != nil || by != algorithm || string(payload) != `{"sub":"555000100101"}` {
			t.Errorf("%s: %s by %s, %v", algorithm, payload, by, err)
		}
	}
	good := sign(t, k, jose.RS256)
	parts := strings.Split(good, ".")
	public := set(t, k.Public()).Keys[0]
	text, err := public.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	hmac, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: text}, (&jose.SignerOptions{}).WithHeader("kid", public.KeyID))
	if err != nil {
		t.Fatal(err)
	}
	object, err := hmac.Sign([]byte(`{"sub":"555000100101"}`))
	if err != nil {
		t.Fatal(err)
	}
	byPublicKey, err := object.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]string{
		"empty": "", "no token": "a.b.c", "another installation's": sign(t, other, jose.RS256),
		"changed":               parts[0] + "." + parts[1] + "x." + parts[2],
		"without a signature":   parts[0] + "." + parts[1] + ".",
		"alg none":              "eyJhbGciOiJub25lIn0." + parts[1] + ".",
		"HMAC by a public key":  byPublicKey,
		"another key's header":  strings.Split(sign(t, k, jose.PS256), ".")[0] + "." + parts[1] + "." + parts[2],
		"far too large a token": good + strings.Repeat("A", 17<<10),
	} {
		if payload, _, err := k.Verify(token); !errors.Is(err, signing.ErrNotOurs) || payload != nil {
			t.Errorf("%s: %s, %v", name, payload, err)
		}
	}
}

// at_hash (OpenID Connect Core section 3.1.3.6): the example of appendix A.3.
func TestHalfHashIsTheOneOfOpenIDConnect(t *testing.T) {
	if got := signing.HalfHash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"); got != "77QmUPtjPfzWtF2AnpK9RQ" {
		t.Errorf("HalfHash is %s", got)
	}
}

func FuzzVerify(f *testing.F) {
	d := dbtest.Open(f, schemas...)
	k, err := signing.Open(f.Context(), signing.Options{DB: d, Ring: ring})
	if err != nil {
		f.Fatal(err)
	}
	token, err := k.Sign("", "JWT", map[string]any{"sub": "555000100101"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token)
	f.Add("eyJhbGciOiJub25lIn0..")
	f.Add(`{"payload":"","signatures":[]}`)
	f.Fuzz(func(t *testing.T, text string) {
		payload, _, err := k.Verify(text)
		if (err == nil) != (payload != nil) || err != nil && !errors.Is(err, signing.ErrNotOurs) {
			t.Errorf("%q: %q, %v", text, payload, err)
		}
	})
}
