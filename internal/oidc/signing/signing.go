// Package signing holds the keys with which the provider signs: ID tokens now,
// and whatever else it vouches for.
//
// The provider comes in with a payload; a compact JWS and the public key set
// leave. A private key is stored only sealed, is parsed once, and never leaves
// this room.
package signing

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/go-jose/go-jose/v4"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/keys"
)

//go:embed schema/*.sql
var schema embed.FS

// Schema holds the migrations of this room's tables.
var Schema fs.FS = schema

// algorithm is what relying parties of CIS2 accept (wire rule 8; domain, 1.4).
const algorithm = jose.RS256

// bits is the size of a key: what RFC 7518 section 3.3 asks for at least.
const bits = 2048

// errRoot is the one thing that an operator can mend.
var errRoot = errors.New("the signing key was sealed under another root key: put that root key back into the root key file")

// Keys signs with the newest key and publishes it. It is safe for concurrent
// use.
type Keys struct {
	signer jose.Signer
	public []byte
}

// Open returns the keys of an installation. On its first start it makes one;
// of several nodes that start at once, all use the key of the one that was
// first.
func Open(ctx context.Context, d *db.DB, ring *keys.Ring) (*Keys, error) {
	sealer := ring.Sealer("oidc/signing-key")
	stored, err := newest(ctx, d)
	if errors.Is(err, db.ErrNoRows) {
		if err := create(ctx, d, sealer); err != nil {
			return nil, fmt.Errorf("making the first signing key: %w", err)
		}
		stored, err = newest(ctx, d)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the signing key: %w", err)
	}
	private, err := unseal(sealer, stored)
	if err != nil {
		return nil, err
	}
	return use(private, stored.kid)
}

type row struct {
	kid    string
	sealed []byte
}

func newest(ctx context.Context, d *db.DB) (row, error) {
	var found row
	err := d.Read(ctx, func(tx *db.Tx) error {
		return tx.Row(`SELECT kid, sealed FROM signing_key WHERE algorithm = $1 ORDER BY generation DESC LIMIT 1`,
			string(algorithm)).Scan(&found.kid, &found.sealed)
	})
	return found, err
}

// create stores a new first key, unless another node was faster.
func create(ctx context.Context, d *db.DB, sealer *keys.Sealer) error {
	private, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return err
	}
	kid, err := thumbprint(private)
	if err != nil {
		return err
	}
	plain, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	sealed, err := sealer.Seal(plain, []byte(kid))
	if err != nil {
		return err
	}
	return d.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO signing_key (algorithm, generation, kid, sealed, created_at)
			VALUES ($1, 1, $2, $3, $4) ON CONFLICT DO NOTHING`,
			string(algorithm), kid, sealed, db.Micros(tx.Now()))
		return err
	})
}

func unseal(sealer *keys.Sealer, stored row) (*rsa.PrivateKey, error) {
	plain, err := sealer.Open(stored.sealed, []byte(stored.kid))
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", errRoot, err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		return nil, fmt.Errorf("parsing signing key %s: %w", stored.kid, err)
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("signing key %s is a %T and not an RSA key", stored.kid, parsed)
	}
	return private, nil
}

func use(private *rsa.PrivateKey, kid string) (*Keys, error) {
	options := (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", kid)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: private}, options)
	if err != nil {
		return nil, fmt.Errorf("preparing signing key %s: %w", kid, err)
	}
	public, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{
		Key: private.Public(), KeyID: kid, Algorithm: string(algorithm), Use: "sig",
	}}})
	if err != nil {
		return nil, fmt.Errorf("encoding the public key set: %w", err)
	}
	return &Keys{signer: signer, public: public}, nil
}

// thumbprint is the key's name: the same key has the same name everywhere
// (RFC 7638).
func thumbprint(private *rsa.PrivateKey) (string, error) {
	sum, err := (&jose.JSONWebKey{Key: private.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("naming a key: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// Public returns the JWK set as it is served.
func (k *Keys) Public() []byte { return k.public }

// Sign returns claims as a signed JWT.
func (k *Keys) Sign(claims any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encoding claims: %w", err)
	}
	signed, err := k.signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("signing claims: %w", err)
	}
	return signed.CompactSerialize()
}

// HalfHash is the value of at_hash, c_hash and s_hash: the left half of the
// hash that belongs to the signature's algorithm (OpenID Connect Core section
// 3.3.2.11).
func HalfHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}
