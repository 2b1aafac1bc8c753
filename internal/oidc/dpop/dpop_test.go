package dpop_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"maps"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/oidc/dpop"
	"carekey.dev/carekey/internal/oidc/dpop/dpoptest"
	"carekey.dev/carekey/internal/oidc/once"
)

const (
	endpoint = "https://auth.example.nhs.uk:443/openam/oauth2/access_token"
	alias    = "https://mtls.example.nhs.uk:8443/openam/oauth2/access_token"
)

var now = time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)

func expected() dpop.Expect {
	return dpop.Expect{Method: "POST", Addresses: []string{endpoint, alias}, Now: now}
}

func header(proofs ...string) http.Header { return http.Header{"Dpop": proofs} }

// FAPI 2.0 section 5.4.1: the algorithms.
func TestAProofShowsItsKey(t *testing.T) {
	long, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []dpoptest.Key{dpoptest.New(t), {Algorithm: jose.PS256, Private: long}, {Algorithm: jose.EdDSA, Private: edwards}} {
		proof, sent, err := dpop.Read(header(key.Proof(t, "POST", endpoint, now, "")), expected())
		if err != nil || !sent || proof.JKT != key.JKT(t) {
			t.Errorf("%s: %+v, %t, %v", key.Algorithm, proof, sent, err)
		}
	}
	if _, sent, err := dpop.Read(header(), expected()); sent || err != nil {
		t.Errorf("no proof: %t, %v", sent, err)
	}
}

// RFC 9449 section 4.3, checks 1 to 9 and 11, in their order.
func TestAProofThatDoesNotHoldIsRefused(t *testing.T) {
	key := dpoptest.New(t)
	good := key.Proof(t, "POST", endpoint, now, "")
	with := func(change func(c map[string]any)) string {
		c := dpoptest.Claims("POST", endpoint, now, "")
		change(c)
		return key.Sign(t, c)
	}
	put := func(name string, value any) string { return with(func(c map[string]any) { c[name] = value }) }
	without := func(name string) string { return with(func(c map[string]any) { delete(c, name) }) }
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	long, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	signedBy := func(algorithm jose.SignatureAlgorithm, private crypto.Signer) string {
		return dpoptest.Key{Algorithm: algorithm, Private: private}.Proof(t, "POST", endpoint, now, "")
	}
	for name, test := range map[string]struct {
		proofs []string
		want   error
	}{
		"1: two proofs":              {[]string{good, good}, dpop.ErrSeveral},
		"2: no JWT":                  {[]string{"abc"}, dpop.ErrForm},
		"2: empty":                   {[]string{""}, dpop.ErrForm},
		"2: five parts":              {[]string{good + ".a.b"}, dpop.ErrForm},
		"2: too long":                {[]string{good + strings.Repeat("a", 9000)}, dpop.ErrForm},
		"3: no jti":                  {[]string{without("jti")}, dpop.ErrClaims},
		"3: no htm":                  {[]string{without("htm")}, dpop.ErrClaims},
		"3: no htu":                  {[]string{without("htu")}, dpop.ErrClaims},
		"3: no iat":                  {[]string{without("iat")}, dpop.ErrClaims},
		"3: an empty jti":            {[]string{put("jti", "")}, dpop.ErrClaims},
		"3: a long jti":              {[]string{put("jti", strings.Repeat("j", 513))}, dpop.ErrClaims},
		"3: iat is a text":           {[]string{put("iat", "now")}, dpop.ErrClaims},
		"4: another typ":             {[]string{key.SignAs(t, "JWT", dpoptest.Claims("POST", endpoint, now, ""))}, dpop.ErrType},
		"5: none":                    {[]string{forged(t, "none", nil, nil)}, dpop.ErrAlgorithm},
		"5: a shared secret":         {[]string{forged(t, "HS256", []byte("secret"), nil)}, dpop.ErrAlgorithm},
		"5: RS256":                   {[]string{signedBy(jose.RS256, long)}, dpop.ErrAlgorithm},
		"5: a short RSA key":         {[]string{signedBy(jose.PS256, short)}, dpop.ErrKey},
		"5: ES384":                   {[]string{signedBy(jose.ES384, curve)}, dpop.ErrAlgorithm},
		"6: another's key":           {[]string{swapped(t, good, dpoptest.New(t))}, dpop.ErrSignature},
		"6: a changed payload":       {[]string{changed(good)}, dpop.ErrSignature},
		"7: a private key":           {[]string{forged(t, "ES256", nil, key.Private)}, dpop.ErrKey},
		"7: no key":                  {[]string{forged(t, "ES256", nil, nil)}, dpop.ErrKey},
		"7: a shared key":            {[]string{forged(t, "ES256", nil, []byte("secret"))}, dpop.ErrKey},
		"7: a huge RSA key":          {[]string{forged(t, "PS256", nil, &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 8192, 1), E: 1<<31 - 1})}, dpop.ErrKey},
		"8: another method":          {[]string{put("htm", "GET")}, dpop.ErrMethod},
		"8: in small letters":        {[]string{put("htm", "post")}, dpop.ErrMethod},
		"9: another path":            {[]string{put("htu", endpoint+"/")}, dpop.ErrAddress},
		"9: another host":            {[]string{put("htu", strings.Replace(endpoint, "auth", "evil", 1))}, dpop.ErrAddress},
		"9: plain http":              {[]string{put("htu", strings.Replace(endpoint, "https", "http", 1))}, dpop.ErrAddress},
		"9: a path alone":            {[]string{put("htu", "/openam/oauth2/access_token")}, dpop.ErrAddress},
		"11: 61 seconds old":         {[]string{put("iat", now.Unix()-61)}, dpop.ErrTime},
		"11: 61 seconds early":       {[]string{put("iat", now.Unix()+61)}, dpop.ErrTime},
		"11: at no time":             {[]string{put("iat", 1e300)}, dpop.ErrTime},
		"11: expired (RFC 7519)":     {[]string{put("exp", now.Unix())}, dpop.ErrTime},
		"11: not yet (RFC 7519)":     {[]string{put("nbf", now.Unix()+61)}, dpop.ErrTime},
		"a good one, to be sure":     {[]string{good}, nil},
		"with a query (ignored)":     {[]string{put("htu", endpoint+"?a=b#c")}, nil},
		"without the implied port":   {[]string{put("htu", strings.Replace(endpoint, ":443", "", 1))}, nil},
		"in capitals":                {[]string{put("htu", strings.Replace(endpoint, "https://auth", "HTTPS://AUTH", 1))}, nil},
		"escaped, with dots":         {[]string{put("htu", strings.Replace(endpoint, "/openam", "/x/../open%61m", 1))}, nil},
		"at the other host":          {[]string{put("htu", alias)}, nil},
		"a minute old":               {[]string{put("iat", now.Unix()-60)}, nil},
		"ten seconds early (FAPI 2)": {[]string{put("iat", now.Unix()+10)}, nil},
		"ath without need of it":     {[]string{put("ath", "x")}, nil},
	} {
		if _, sent, err := dpop.Read(header(test.proofs...), expected()); err != test.want || !sent {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

// forged writes a JWT by hand, with a key in its header that is none to show.
func forged(t *testing.T, algorithm string, secret []byte, key any) string {
	t.Helper()
	head := map[string]any{"typ": "dpop+jwt", "alg": algorithm}
	if key != nil {
		head["jwk"] = jose.JSONWebKey{Key: key}
	}
	part := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	text := part(head) + "." + part(dpoptest.Claims("POST", endpoint, now, ""))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// swapped puts the header of another key before a proof.
func swapped(t *testing.T, proof string, other dpoptest.Key) string {
	t.Helper()
	head, _, _ := strings.Cut(other.Proof(t, "POST", endpoint, now, ""), ".")
	_, rest, _ := strings.Cut(proof, ".")
	return head + "." + rest
}

func changed(proof string) string {
	parts := strings.Split(proof, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		panic(err)
	}
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(string(payload), "POST", "GET", 1)))
	return strings.Join(parts, ".")
}

// RFC 9449 section 4.3, check 12: the access token that the request carries.
func TestAProofIsForItsAccessToken(t *testing.T) {
	key := dpoptest.New(t)
	want := dpop.Expect{Method: "GET", Addresses: []string{endpoint}, Token: "token", Now: now}
	for name, test := range map[string]struct {
		token string
		want  error
	}{"this token": {"token", nil}, "another": {"other", dpop.ErrToken}, "none": {"", dpop.ErrToken}} {
		if _, _, err := dpop.Read(header(key.Proof(t, "GET", endpoint, now, test.token)), want); err != test.want {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

// RFC 9449 section 11.1: of a thousand uses of one proof on two nodes exactly
// one is the first.
func TestOfRacingUsesOfAProofExactlyOneWins(t *testing.T) {
	nodes := dbtest.Nodes(t, 2, once.Schema)
	want := expected()
	want.Now = nodes[0].Now()
	proof, _, err := dpop.Read(header(dpoptest.New(t).Proof(t, "POST", endpoint, want.Now, "")), want)
	if err != nil {
		t.Fatal(err)
	}
	const racers = 1000
	var won, refused atomic.Int64
	var group sync.WaitGroup
	for i := range racers {
		group.Go(func() {
			switch why, err := use(t, nodes[i%2], proof); {
			case err != nil:
				t.Error(err)
			case why == nil:
				won.Add(1)
			case why == dpop.ErrUsed:
				refused.Add(1)
			}
		})
	}
	group.Wait()
	if won.Load() != 1 || refused.Load() != racers-1 {
		t.Errorf("%d won and %d were refused", won.Load(), refused.Load())
	}
}

func use(t *testing.T, d *db.DB, proof dpop.Proof) (refused, err error) {
	err = d.Write(t.Context(), func(tx *db.Tx) (err error) {
		refused, err = proof.Use(tx)
		return err
	})
	return refused, err
}

// A proof is remembered as long as it would be taken, and another client may
// use the same jti.
func TestAProofIsUsedOnceByItsKey(t *testing.T) {
	past := now
	dbtest.EachAt(t, func() time.Time { return past }, []fs.FS{once.Schema}, func(t *testing.T, d *db.DB) {
		past = now
		claims := dpoptest.Claims("POST", endpoint, now.Add(dpop.Window), "")
		for _, key := range []dpoptest.Key{dpoptest.New(t), dpoptest.New(t)} {
			past = now
			proof, _, err := dpop.Read(header(key.Sign(t, maps.Clone(claims))), expected())
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range []error{nil, dpop.ErrUsed, dpop.ErrUsed} {
				if refused, err := use(t, d, proof); refused != want || err != nil {
					t.Errorf("use %d: %v, %v; want %v", i, refused, err, want)
				}
				past = past.Add(dpop.Window)
			}
		}
	})
}

// FuzzRead: whatever the header holds, what is accepted keeps the promises on
// which the rest relies.
func FuzzRead(f *testing.F) {
	key := dpoptest.New(f)
	f.Add(key.Proof(f, "POST", endpoint, now, ""))
	f.Add("eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6Im5vbmUifQ.e30.")
	f.Add("eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjpudWxsfQ.e30.AA")
	f.Add("..")
	f.Fuzz(func(t *testing.T, text string) {
		proof, sent, err := dpop.Read(header(text), expected())
		if !sent || err != nil {
			return
		}
		if sum, err := base64.RawURLEncoding.DecodeString(proof.JKT); err != nil || len(sum) != sha256.Size {
			t.Errorf("accepted with the key %q", proof.JKT)
		}
	})
}
