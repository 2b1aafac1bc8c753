package signing

import (
	"context"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// State is where a key is in its life.
type State string

// The states, in their order.
const (
	// Coming: published, and not signing yet.
	Coming State = "coming"
	// Replaced: published, and another key comes before it, so that it never signs.
	Replaced State = "replaced"
	// Signing now.
	Signing State = "signing"
	// Kept: published for what it signed.
	Kept State = "kept"
	// Retired: not published; it verifies hints only.
	Retired State = "retired"
	// Withdrawn: it may be in wrong hands and verifies nothing.
	Withdrawn State = "withdrawn"
)

// Key is what an operator may know of a key.
type Key struct {
	ID         string
	Algorithm  jose.SignatureAlgorithm
	Generation int64
	State      State
	// InHSM says that the private half is in the HSM, under Label; Erased that
	// it is nowhere any more.
	InHSM, Erased bool
	Label         string
	// Made is when it was published, From when it signs, Until when it stops
	// (zero while nothing follows it) and Gone when it leaves the public set.
	Made, From, Until, Gone time.Time
}

// List returns every key, each algorithm by generation.
func (r *Rotation) List(ctx context.Context) ([]Key, error) {
	all, err := r.read(ctx)
	if err != nil {
		return nil, err
	}
	var list []Key
	for _, k := range all {
		list = append(list, describe(k, r.DB.Now()))
	}
	return list, nil
}

func describe(k stored, now time.Time) Key {
	key := Key{
		ID: k.kid, Algorithm: k.algorithm, Generation: k.generation, InHSM: k.label != "", Label: k.label, Erased: !k.erased.IsZero(),
		Made: k.created, From: k.from, Until: k.stops,
	}
	if !k.stops.IsZero() {
		key.Gone = earlier(k.withdrawn, k.stops.Add(Keep))
	}
	switch {
	case past(k.withdrawn, now), !k.withdrawn.IsZero() && !k.from.Before(k.withdrawn): // the latter will never sign
		key.State = Withdrawn
	case !k.stops.IsZero() && !k.from.Before(k.stops) && k.published(now):
		key.State = Replaced
	case now.Before(k.from) && !past(k.stops, now):
		key.State = Coming
	case k.signs(now):
		key.State = Signing
	case k.published(now):
		key.State = Kept
	default:
		key.State = Retired
	}
	return key
}
