// Package argon hashes secrets that a person chooses or keeps on paper:
// passwords and recovery codes. A secret is first put under a keyed pepper
// that lives outside the database, then through argon2id (N15).
//
// The verifiers below credential come in with a secret and a stored hash;
// a yes, a no or a new hash leaves. Hashing happens in a bounded pool, never
// inside a database transaction, and nothing here stores or logs.
package argon

import (
	"context"
	"fmt"
	"io"

	"golang.org/x/crypto/argon2"

	"carekey.dev/carekey/internal/keys"
)

// Hasher hashes for one purpose.
type Hasher struct {
	pepper *keys.MAC
	cost   Cost
	random io.Reader
}

// New returns the hasher of a purpose ("password"). A zero cost takes
// DefaultCost.
func New(ring *keys.Ring, purpose string, cost Cost, random io.Reader) *Hasher {
	if cost == (Cost{}) {
		cost = DefaultCost
	}
	return &Hasher{pepper: ring.MAC("pepper/" + purpose), cost: cost, random: random}
}

// Blank returns a hash with a new salt, the present cost and the newest
// pepper, and no sum yet.
func (h *Hasher) Blank() (Hash, error) {
	salt := make([]byte, saltSize)
	if _, err := io.ReadFull(h.random, salt); err != nil {
		return Hash{}, fmt.Errorf("making a salt: %w", err)
	}
	return Hash{Cost: h.cost, KeyID: h.pepper.ID(), Salt: salt}, nil
}

// Fill computes the sum of secret as blank says.
func (h *Hasher) Fill(ctx context.Context, place *Place, blank Hash, secret string) (Hash, error) {
	peppered, known := h.pepper.SumBy(blank.KeyID, []byte(secret))
	if !known {
		return Hash{}, fmt.Errorf("the root key %s, under which a secret was hashed, is gone from the key ring", blank.KeyID)
	}
	full := blank
	err := place.run(ctx, func() {
		full.Sum = argon2.IDKey(peppered, blank.Salt, blank.Cost.Time, blank.Cost.MemoryKiB, blank.Cost.Threads, sumSize)
	})
	return full, err
}

// Hash returns the hash of a new secret.
func (h *Hasher) Hash(ctx context.Context, place *Place, secret string) (Hash, error) {
	blank, err := h.Blank()
	if err != nil {
		return Hash{}, err
	}
	return h.Fill(ctx, place, blank, secret)
}

// Verify reports in constant time whether secret is the one of stored.
func (h *Hasher) Verify(ctx context.Context, place *Place, stored Hash, secret string) (bool, error) {
	full, err := h.Fill(ctx, place, stored, secret)
	if err != nil {
		return false, err
	}
	return keys.Equal(full.Sum, stored.Sum), nil
}

// Stale reports whether stored was made with another cost or an older pepper
// than Hash would use now.
func (h *Hasher) Stale(stored Hash) bool {
	return stored.Cost != h.cost || stored.KeyID != h.pepper.ID()
}
