package clientkeys_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"carekey.dev/carekey/internal/fetch"
	"carekey.dev/carekey/internal/oidc/clientkeys"
	"carekey.dev/carekey/internal/relyingparty"
)

var (
	rsaKey   = must(rsa.GenerateKey(rand.Reader, 2048))
	otherKey = must(rsa.GenerateKey(rand.Reader, 2048))
	ecKey    = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	p384Key  = must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))

	all = relyingparty.AssertionAlgorithms()
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// public is an entry of a key set.
func public(key crypto.Signer, kid, alg, use string) jose.JSONWebKey {
	return jose.JSONWebKey{Key: key.Public(), KeyID: kid, Algorithm: alg, Use: use}
}

func setOf(keys ...jose.JSONWebKey) string {
	return string(must(json.Marshal(jose.JSONWebKeySet{Keys: keys})))
}

func sign(t *testing.T, key crypto.Signer, alg, kid string) string {
	t.Helper()
	options := &jose.SignerOptions{}
	if kid != "" {
		options.WithHeader("kid", kid)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: key}, options)
	if err != nil {
		t.Fatal(err)
	}
	return must(must(signer.Sign([]byte(`{"iss":"a"}`))).CompactSerialize())
}

// client is a relying party's web server with its keys.
type client struct {
	*httptest.Server
	sets  *clientkeys.Sets
	body  atomic.Pointer[string]
	kind  string
	down  atomic.Bool
	calls atomic.Int64
	past  atomic.Int64
}

func serve(t *testing.T, body string) *client {
	t.Helper()
	c := &client{kind: "application/json"}
	c.body.Store(&body)
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.calls.Add(1)
		if c.down.Load() {
			http.Error(w, "gone for the night", http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", c.kind)
		_, _ = w.Write([]byte(*c.body.Load()))
	}))
	t.Cleanup(c.Close)
	start := time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	c.sets = clientkeys.New(clientkeys.Options{
		Client: fetch.New(fetch.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}),
		Now:    func() time.Time { return start.Add(time.Duration(c.past.Load())) },
	})
	return c
}

func (c *client) pass(some time.Duration) { c.past.Add(int64(some)) }
func (c *client) publish(body string)     { c.body.Store(&body) }
func (c *client) rp() relyingparty.RelyingParty {
	return relyingparty.RelyingParty{ClientID: "a", JWKSURI: c.URL}
}

func (c *client) verify(token string) error {
	_, err := c.sets.Verify(context.Background(), c.rp(), token, all)
	return err
}

// Wire rule 5: RS256 and RS512, with kid or without; ours too: PS256, ES256.
func TestASignatureByAnyAcceptedAlgorithmIsVerifiedWithAndWithoutKid(t *testing.T) {
	keys := setOf(public(rsaKey, "r", "", ""), public(ecKey, "e", "ES256", "sig"))
	fromURL := serve(t, keys)
	inline := relyingparty.RelyingParty{ClientID: "a", JWKS: json.RawMessage(keys)}
	for _, alg := range all {
		key, kid := crypto.Signer(rsaKey), "r"
		if alg == "ES256" {
			key, kid = ecKey, "e"
		}
		for _, kid := range []string{kid, ""} {
			token := sign(t, key, alg, kid)
			for name, rp := range map[string]relyingparty.RelyingParty{"by URL": fromURL.rp(), "inline": inline} {
				payload, err := fromURL.sets.Verify(t.Context(), rp, token, all)
				if err != nil || string(payload) != `{"iss":"a"}` {
					t.Errorf("%s %s kid %q: %s, %v", name, alg, kid, payload, err)
				}
			}
		}
	}
}

func TestWhyASignatureIsRefusedIsSaidPrecisely(t *testing.T) {
	c := serve(t, setOf(public(rsaKey, "r", "RS256", "sig"), public(otherKey, "for-encryption", "", "enc")))
	good := sign(t, rsaKey, "RS256", "r")
	parts := strings.Split(good, ".")
	none := "eyJhbGciOiJub25lIn0." + parts[1] + "."
	hmac := must(must(must(jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte(strings.Repeat("k", 32))}, nil)).Sign([]byte("{}"))).CompactSerialize())
	for name, test := range map[string]struct {
		token string
		want  error
		says  string
	}{
		"no JWT":                {"abc", clientkeys.ErrMalformed, "1 parts"},
		"an unreadable header":  {"!.e30.x", clientkeys.ErrMalformed, "header"},
		"an unreadable payload": {parts[0] + ".!." + parts[2], clientkeys.ErrMalformed, "payload"},
		"unsigned":              {none, clientkeys.ErrAlgorithm, `"none"`}, // RFC 8725 section 3.2
		"with a shared secret":  {hmac, clientkeys.ErrAlgorithm, `"HS256"`},
		"RS384":                 {sign(t, rsaKey, "RS384", "r"), clientkeys.ErrAlgorithm, "RS384"},
		"an unknown kid":        {sign(t, rsaKey, "RS256", "new"), clientkeys.ErrNoKey, `"new"`},
		"no key of the kind":    {sign(t, ecKey, "ES256", ""), clientkeys.ErrNoKey, "ES256"},
		"another's key":         {sign(t, otherKey, "RS256", "r"), clientkeys.ErrSignature, `"r"`},
		"a key for encryption":  {sign(t, otherKey, "RS256", "for-encryption"), clientkeys.ErrNoKey, "its use is"},
		"a changed payload":     {parts[0] + ".e30." + parts[2], clientkeys.ErrSignature, `"r"`},
		"a cut signature":       {good[:len(good)-8], clientkeys.ErrSignature, ""},
	} {
		if err := c.verify(test.token); !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %v with %q", name, err, test.want, test.says)
		}
	}
}

// RFC 7517 section 5: what is not understood is ignored. RFC 7518 section 3.3:
// 2048 bits at least.
func TestAKeyThatIsOfNoUseDoesNotSpoilTheOthersAndSignsNothing(t *testing.T) {
	small := must(rsa.GenerateKey(rand.Reader, 1024))
	private := string(must(json.Marshal(jose.JSONWebKey{Key: otherKey, KeyID: "private"})))
	set := `{"keys":[{"kty":"oct","k":"c2VjcmV0"},{"kty":"quantum"},{"kty":"RSA","n":"!"},5,` + private + `,` +
		string(must(json.Marshal(public(small, "small", "", "")))) + `,` + string(must(json.Marshal(public(p384Key, "p384", "", "")))) + `,` +
		string(must(json.Marshal(public(rsaKey, "r", "", "")))) + `]}`
	c := serve(t, set)
	if err := c.verify(sign(t, rsaKey, "RS256", "r")); err != nil {
		t.Error(err)
	}
	if err := c.verify(sign(t, otherKey, "RS256", "private")); !errors.Is(err, clientkeys.ErrNoKey) || !strings.Contains(err.Error(), "not a public key") {
		t.Errorf("a published private key: %v", err)
	}
	if err := c.verify(sign(t, small, "RS256", "small")); !errors.Is(err, clientkeys.ErrNoKey) || !strings.Contains(err.Error(), "1024 bits") {
		t.Errorf("a small key: %v", err)
	}
}

// A supplier's key set must not keep our processors busy: a key of 384 kbit,
// whose signature a request can carry, would take half a minute (ASVS 15.2.2).
// go-jose sees to it; this is where we would notice if it did no more.
func TestAnOversizedKeyIsNotTried(t *testing.T) {
	modulus := new(big.Int).SetBit(big.NewInt(1), 8192, 1)
	huge := jose.JSONWebKey{Key: &rsa.PublicKey{N: modulus, E: 1<<31 - 1}, KeyID: "huge"}
	c := serve(t, setOf(huge, public(rsaKey, "r", "", "")))
	head, _, _ := strings.Cut(sign(t, rsaKey, "RS256", "huge"), ".")
	forged := head + ".e30." + base64.RawURLEncoding.EncodeToString(make([]byte, 1025))
	if err := c.verify(forged); !errors.Is(err, clientkeys.ErrNoKey) || !strings.Contains(err.Error(), "modulus too large") {
		t.Errorf("by the huge key: %v", err)
	}
	if err := c.verify(sign(t, rsaKey, "RS256", "r")); err != nil {
		t.Errorf("by the one beside it: %v", err)
	}
}

func TestAnyContentTypeWillDo(t *testing.T) {
	for _, kind := range []string{"application/jwk-set+json", "text/plain; charset=utf-8", "application/octet-stream", "text/html"} {
		c := serve(t, "\xef\xbb\xbf"+setOf(public(rsaKey, "r", "", "")))
		c.kind = kind
		if err := c.verify(sign(t, rsaKey, "RS256", "r")); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestKeysAreKeptForFiveMinutes(t *testing.T) {
	c := serve(t, setOf(public(rsaKey, "r", "", "")))
	token := sign(t, rsaKey, "RS256", "r")
	for _, step := range []struct {
		pass  time.Duration
		calls int64
	}{{0, 1}, {0, 1}, {clientkeys.Fresh - time.Second, 1}, {time.Second, 2}} {
		c.pass(step.pass)
		if err := c.verify(token); err != nil {
			t.Error(err)
		}
		if got := c.calls.Load(); got != step.calls {
			t.Errorf("fetched %d times, want %d", got, step.calls)
		}
	}
	c.publish(setOf(public(otherKey, "o", "", "")))
	c.pass(clientkeys.Fresh)
	if err := c.verify(token); !errors.Is(err, clientkeys.ErrNoKey) {
		t.Errorf("a key that was withdrawn five minutes ago: %v", err)
	}
}

func TestAnUnknownKidFetchesAgainAtMostOnceAMinute(t *testing.T) {
	c := serve(t, setOf(public(rsaKey, "r", "", "")))
	if err := c.verify(sign(t, rsaKey, "RS256", "r")); err != nil {
		t.Fatal(err)
	}
	c.publish(setOf(public(rsaKey, "r", "", ""), public(otherKey, "new", "", "")))
	c.pass(clientkeys.Pause)
	if err := c.verify(sign(t, otherKey, "RS256", "new")); err != nil || c.calls.Load() != 2 {
		t.Errorf("a new key: %v after %d fetches", err, c.calls.Load())
	}
	made := sign(t, otherKey, "RS256", "made-up")
	for range 5 {
		if err := c.verify(made); !errors.Is(err, clientkeys.ErrNoKey) {
			t.Errorf("a made-up kid: %v", err)
		}
	}
	c.pass(clientkeys.Again - time.Second)
	_ = c.verify(made)
	if c.calls.Load() != 2 {
		t.Errorf("a stranger made us fetch %d times within a minute", c.calls.Load())
	}
	c.pass(time.Second)
	_ = c.verify(made)
	if c.calls.Load() != 3 {
		t.Errorf("after a minute: %d fetches", c.calls.Load())
	}
}

func TestAKeyThatWasChangedUnderItsOldKidIsFound(t *testing.T) {
	for _, kid := range []string{"1", ""} {
		c := serve(t, setOf(public(rsaKey, kid, "", "")))
		if err := c.verify(sign(t, rsaKey, "RS256", kid)); err != nil {
			t.Fatal(err)
		}
		c.publish(setOf(public(otherKey, kid, "", "")))
		c.pass(clientkeys.Pause)
		if err := c.verify(sign(t, otherKey, "RS256", kid)); err != nil {
			t.Errorf("kid %q: %v", kid, err)
		}
	}
}

func TestOldKeysAreUsedForADayWhileTheAddressIsDown(t *testing.T) {
	c := serve(t, setOf(public(rsaKey, "r", "", "")))
	token := sign(t, rsaKey, "RS256", "r")
	if err := c.verify(token); err != nil {
		t.Fatal(err)
	}
	c.down.Store(true)
	for range 23 {
		c.pass(time.Hour)
		if err := c.verify(token); err != nil {
			t.Fatal(err)
		}
	}
	c.pass(time.Hour)
	err := c.verify(token)
	if errors.Is(err, clientkeys.ErrFetch) && !strings.Contains(err.Error(), "502") {
		t.Fatalf("the reason is %v", err)
	}
	if !errors.Is(err, clientkeys.ErrFetch) {
		t.Errorf("after a day: %v", err)
	}
	c.down.Store(false)
	c.pass(clientkeys.Pause)
	if err := c.verify(token); err != nil {
		t.Errorf("the address is up again: %v", err)
	}
}

func TestAnAddressThatIsDownIsLeftAloneForAWhile(t *testing.T) {
	c := serve(t, "")
	c.down.Store(true)
	for range 5 {
		if err := c.verify(sign(t, rsaKey, "RS256", "r")); !errors.Is(err, clientkeys.ErrFetch) {
			t.Error(err)
		}
	}
	if c.calls.Load() != 1 {
		t.Errorf("asked %d times", c.calls.Load())
	}
}

func TestBadSetsAreRefusedWithTheirReason(t *testing.T) {
	for body, want := range map[string]string{
		"<html>":      "it is not a JWK set",
		`{"kid":"r"}`: `no member "keys"`,
		`{"keys":[` + strings.Repeat(`{},`, 50) + `{}]}`: "51 keys",
		strings.Repeat(" ", 257<<10):                     "longer than 256 KiB",
	} {
		if err := serve(t, body).verify(sign(t, rsaKey, "RS256", "r")); !errors.Is(err, clientkeys.ErrFetch) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", body, err, want)
		}
	}
	rp := relyingparty.RelyingParty{ClientID: "a"}
	if _, err := serve(t, "").sets.Verify(t.Context(), rp, sign(t, rsaKey, "RS256", "r"), all); !errors.Is(err, clientkeys.ErrFetch) {
		t.Errorf("no keys at all: %v", err)
	}
}

// Decision 13.
func TestAnInnerAddressIsNotFetched(t *testing.T) {
	c := serve(t, setOf(public(rsaKey, "r", "", "")))
	strict := clientkeys.New(clientkeys.Options{Client: fetch.New(fetch.Options{}), Now: time.Now})
	_, err := strict.Verify(t.Context(), c.rp(), sign(t, rsaKey, "RS256", "r"), all)
	if !errors.Is(err, clientkeys.ErrFetch) || c.calls.Load() != 0 {
		t.Errorf("%v after %d calls", err, c.calls.Load())
	}
}

func TestManyRequestsAtOnceFetchOnce(t *testing.T) {
	c := serve(t, setOf(public(rsaKey, "r", "", "")))
	token := sign(t, rsaKey, "RS256", "r")
	var group sync.WaitGroup
	for range 50 {
		group.Go(func() {
			if err := c.verify(token); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if c.calls.Load() != 1 {
		t.Errorf("fetched %d times", c.calls.Load())
	}
}

func FuzzKeySet(f *testing.F) {
	f.Add(setOf(public(rsaKey, "r", "RS256", "sig"), public(ecKey, "e", "", "")))
	f.Add(`{"keys":[{"kty":"oct","k":"c2VjcmV0"},{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`)
	f.Add(`{"keys":[{"kty":"EC","crv":"P-256","x":"","y":""}]}`)
	forged := func() string {
		signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: rsaKey}, nil))
		return must(must(signer.Sign([]byte(`{}`))).CompactSerialize())
	}()
	sets := clientkeys.New(clientkeys.Options{Now: time.Now})
	f.Fuzz(func(t *testing.T, text string) {
		rp := relyingparty.RelyingParty{ClientID: "a", JWKS: json.RawMessage(text)}
		if _, err := sets.Verify(t.Context(), rp, forged, all); err == nil && !strings.Contains(text, `"n"`) {
			t.Errorf("a set without an RSA key verified a signature: %q", text)
		}
	})
}

func FuzzSignedToken(f *testing.F) {
	sets := clientkeys.New(clientkeys.Options{Now: time.Now})
	rp := relyingparty.RelyingParty{ClientID: "a", JWKS: json.RawMessage(setOf(public(rsaKey, "r", "", "")))}
	f.Add("eyJhbGciOiJSUzI1NiJ9.e30.AAAA")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		if _, err := sets.Verify(t.Context(), rp, token, all); err == nil {
			t.Errorf("a signature that nobody made: %q", token)
		}
	})
}
