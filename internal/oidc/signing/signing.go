// Package signing holds the keys with which the provider signs: ID tokens,
// userinfo, logout tokens, and whatever else it vouches for.
//
// The provider comes in with claims and the algorithm that a relying party
// chose; a compact JWS leaves, and the public key set. A token that comes back
// (id_token_hint) is verified here. The clock makes keys follow one another:
// each is published long before it signs and for as long after as anything
// that it signed may be shown (Rotation). A private half is stored sealed, or
// never leaves its HSM (decision 20); it is destroyed when its key has left the
// public set. This room never judges what a token says or whether it is still
// good, and never signs inside a transaction (decision 17).
package signing

import (
	"context"
	"crypto"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"io/fs"
	"log/slog"
	"time"

	"github.com/go-jose/go-jose/v4"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/keys"
)

//go:embed schema/*.sql
var schema embed.FS

// Schema holds the migrations of this room's tables.
var Schema fs.FS = schema

// Algorithms are those with which the provider signs. The first is what a
// relying party gets that chooses none, as at CIS2 (wire rule 8; domain, 1.4);
// the others are those of FAPI 2.0 (section 5.4).
func Algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.PS256}
}

// The times of a key.
const (
	// Keep is how long a key stays in the public set after it signed for the
	// last time. Nothing that is signed here lives longer than an hour; the rest
	// is for clocks, for queued logout tokens and for caches.
	Keep = 25 * time.Hour
	// hintsFor is how long a key that has left the public set still verifies
	// hints, so that a sign-out says whose it is. It is the bound of the table.
	hintsFor = 366 * 24 * time.Hour
	// LeastPublish is the least time between the publishing of a key and its
	// first signature: three times what relying parties may cache the set for.
	LeastPublish = 15 * time.Minute
	// DefaultPublish and DefaultEvery are the schedule of an operator who says
	// nothing. A day is more than relying parties cache that go by no header.
	DefaultPublish = 24 * time.Hour
	DefaultEvery   = 90 * 24 * time.Hour
	// refreshEach is how old a node's view of the keys may be: any node
	// publishes a new key well before the first of them signs with it.
	refreshEach = 15 * time.Second
)

// Schedule says when keys follow one another. Its zero value is the default.
type Schedule struct {
	// Every is how long a key signs before the next one does.
	Every time.Duration
	// Publish is how long a key is published before it signs.
	Publish time.Duration
}

// Options is what the room needs.
type Options struct {
	DB       *db.DB
	Ring     *keys.Ring
	Schedule Schedule
	// HSM makes and keeps new keys, nil for keys that are sealed in the
	// database.
	HSM HSM
	Log *slog.Logger
}

// HSM makes keys that never leave it, and signs with them.
type HSM interface {
	// Generate makes a key for one algorithm and returns its public half.
	Generate(ctx context.Context, label string, algorithm jose.SignatureAlgorithm) (crypto.PublicKey, error)
	// Signer signs with the key of that label.
	Signer(label string, algorithm jose.SignatureAlgorithm, public crypto.PublicKey) crypto.Signer
	// Destroy deletes a key; one that is not there is no error.
	Destroy(ctx context.Context, label string, algorithm jose.SignatureAlgorithm) error
}

func (o Options) complete() Options {
	if o.Schedule.Every <= 0 {
		o.Schedule.Every = DefaultEvery
	}
	if o.Schedule.Publish <= 0 {
		o.Schedule.Publish = DefaultPublish
	}
	o.Schedule.Publish = max(o.Schedule.Publish, LeastPublish)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Errors that an operator can mend, and the one that a caller asks about.
var (
	errRoot  = errors.New("the signing key was sealed under another root key: put that root key back into the root key file")
	errNoHSM = errors.New("the signing key is in an HSM: set signing.hsm_socket to the socket of its carekey-hsm, or give the HSM up with carekey keys rotate --leaked")
	// ErrNotOurs is the error of a token that no key of ours signed.
	ErrNotOurs = errors.New("the token was not signed here")
)

// HalfHash is the value of at_hash, c_hash and s_hash: the left half of the
// hash that belongs to the signature's algorithm (OpenID Connect Core section
// 3.3.2.11), which is SHA-256 for each of Algorithms.
func HalfHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:len(sum)/2])
}
