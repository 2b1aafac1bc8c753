// Package dpoptest makes DPoP proofs, as a client does, and bad ones.
//
// Tests come in with what a proof is to say. Programs never link this package.
package dpoptest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Key is a client's key.
type Key struct {
	Algorithm jose.SignatureAlgorithm
	Private   crypto.Signer
}

// New returns a new P-256 key.
func New(t testing.TB) Key {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return Key{jose.ES256, private}
}

// JKT is the key's thumbprint (RFC 7638).
func (k Key) JKT(t testing.TB) string {
	t.Helper()
	sum, err := (&jose.JSONWebKey{Key: k.Private.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

// Claims of a good proof (RFC 9449 section 4.2). token is what the request
// carries, or "".
func Claims(method, address string, at time.Time, token string) map[string]any {
	c := map[string]any{"jti": rand.Text(), "htm": method, "htu": address, "iat": at.Unix()}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		c["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return c
}

// Sign returns a proof with these claims.
func (k Key) Sign(t testing.TB, claims map[string]any) string {
	t.Helper()
	return k.SignAs(t, "dpop+jwt", claims)
}

// SignAs returns a JWT of another type.
func (k Key) SignAs(t testing.TB, kind jose.ContentType, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: k.Algorithm, Key: k.Private},
		(&jose.SignerOptions{EmbedJWK: true}).WithType(kind))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Proof returns a good proof.
func (k Key) Proof(t testing.TB, method, address string, at time.Time, token string) string {
	t.Helper()
	return k.Sign(t, Claims(method, address, at, token))
}
