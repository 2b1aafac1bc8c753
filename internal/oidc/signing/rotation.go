package signing

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/keys"
)

// Bits is the size of an RSA key: what RFC 7518 section 3.3 and FAPI 2.0
// section 5.4 ask for at least.
const Bits = 2048

// Rotation makes keys follow one another, on a schedule and when an operator
// asks. It needs no running server: whatever it writes, every node sees.
type Rotation struct {
	Options
	sealer *keys.Sealer
}

// NewRotation returns the rotation of an installation's keys.
func NewRotation(o Options) *Rotation {
	return &Rotation{Options: o.complete(), sealer: o.Ring.Sealer("oidc/signing-key")}
}

// Demand is an operator's wish to rotate.
type Demand struct {
	Algorithm jose.SignatureAlgorithm
	// After is how long the new key is published before it signs: 0 for the
	// schedule's time, and never less than LeastPublish.
	After time.Duration
	// Leaked gives up every other key of the algorithm: it may be in wrong
	// hands. The new key signs as soon as every node publishes it, and whoever
	// has cached the set refuses good tokens until they fetch it again.
	Leaked bool
	// Actor is who wants it, for the audit log.
	Actor string
}

// ErrUnderWay is the error of a demand while the next key is published already.
var ErrUnderWay = errors.New("the next key is published already")

// clocksApart is more than two nodes' views of the database's clock can differ:
// each is off by half a second at most.
const clocksApart = 5 * time.Second

// first makes a key for each algorithm that has none. It signs at once, since
// nobody can have fetched a set that lacks it and expect it to be there; and on
// every node, so its time begins a little before it is made: a node whose clock
// runs behind would otherwise find a key that does not sign yet, and no other.
func (r *Rotation) first(ctx context.Context) error {
	all, err := r.read(ctx)
	if err != nil {
		return err
	}
	for _, algorithm := range Algorithms() {
		if newest(all, algorithm) != nil {
			continue
		}
		if _, err := r.next(ctx, stored{algorithm: algorithm, generation: 1}, -clocksApart, false, "system"); err != nil {
			return fmt.Errorf("making the first signing key for %s: %w", algorithm, err)
		}
	}
	return nil
}

// RunSchedule makes the keys that the schedule wants by now, and destroys what
// no longer signs or verifies. One node calls it now and then; if several do,
// the outcome is the same.
func (r *Rotation) RunSchedule(ctx context.Context) error {
	all, err := r.read(ctx)
	if err != nil {
		return err
	}
	now := r.DB.Now()
	var failed []error
	for _, algorithm := range Algorithms() {
		last := newest(all, algorithm)
		if last == nil || !r.due(*last, now) {
			continue
		}
		key := stored{algorithm: algorithm, generation: last.generation + 1}
		if _, err := r.next(ctx, key, r.Schedule.Publish, false, "system"); err != nil {
			failed = append(failed, fmt.Errorf("making the next signing key for %s: %w", algorithm, err))
		}
	}
	for _, k := range all {
		if k.outlived(now) {
			failed = append(failed, r.destroy(ctx, k))
		}
	}
	return errors.Join(failed...)
}

// due reports whether the newest key needs a successor: when its time comes
// within the publishing time, or when it is not kept where new keys are.
func (r *Rotation) due(last stored, now time.Time) bool {
	if now.Before(last.from) {
		return r.beyondReach(last) // else it is itself the successor
	}
	elsewhere := (r.HSM != nil) != (last.label != "")
	return elsewhere || past(last.withdrawn, now) || !now.Before(last.from.Add(r.Schedule.Every-r.Schedule.Publish))
}

// beyondReach reports whether a key is in an HSM that is no longer used.
func (r *Rotation) beyondReach(k stored) bool { return r.HSM == nil && k.label != "" }

// Rotate makes the next key for an algorithm. It fails with ErrUnderWay if
// there is one that does not sign yet.
func (r *Rotation) Rotate(ctx context.Context, d Demand) (Key, error) {
	for {
		all, err := r.read(ctx)
		if err != nil {
			return Key{}, err
		}
		if err := r.rootFits(all); err != nil {
			return Key{}, err
		}
		generation := int64(1)
		if last := newest(all, d.Algorithm); last != nil {
			generation = last.generation + 1
			if r.DB.Now().Before(last.from) && !d.Leaked && !r.beyondReach(*last) {
				return describe(*last, r.DB.Now()), ErrUnderWay
			}
		}
		after := max(d.After, LeastPublish)
		if d.After == 0 {
			after = r.Schedule.Publish
		}
		if d.Leaked {
			after = 2 * refreshEach
		}
		made, err := r.next(ctx, stored{algorithm: d.Algorithm, generation: generation}, after, d.Leaked, d.Actor)
		if err != nil {
			return Key{}, fmt.Errorf("making the next signing key for %s: %w", d.Algorithm, err)
		}
		if made != nil {
			return describe(*made, r.DB.Now()), nil
		}
		// Another node made that generation: look at it.
	}
}

// FitsRoot fails if the root key opens none of the keys that are here. What was
// sealed under it, of whatever room, no node could open.
func (r *Rotation) FitsRoot(ctx context.Context) error {
	all, err := r.read(ctx)
	if err != nil {
		return err
	}
	return r.rootFits(all)
}

// rootFits is FitsRoot for keys that were read. One that opens is enough, so
// that a key of another root key can be given up.
func (r *Rotation) rootFits(all []stored) error {
	var err error
	for _, k := range all {
		if len(k.sealed) == 0 { // in an HSM, or destroyed
			continue
		}
		if _, err = r.unseal(k); err == nil {
			return nil
		}
	}
	return err
}

// next makes the private half, outside the transaction, and stores the key. It
// returns nil if another node was faster.
func (r *Rotation) next(ctx context.Context, k stored, after time.Duration, leaked bool, actor string) (*stored, error) {
	if err := r.generate(ctx, &k); err != nil {
		return nil, err
	}
	stored := false
	err := r.DB.Write(ctx, func(tx *db.Tx) error {
		k.created, k.from = tx.Now(), tx.Now().Add(after)
		var err error
		if stored, err = insert(tx, k); err != nil || !stored {
			return err
		}
		if leaked {
			if err := withdrawOthers(tx, k, k.from); err != nil {
				return err
			}
		}
		return r.record(tx, "signing_key.made", k, actor, audit.Field{Name: "signs_from", Value: k.from.Format(time.RFC3339)},
			audit.Field{Name: "others_withdrawn", Value: fmt.Sprint(leaked)})
	})
	if err == nil && stored {
		return &k, nil
	}
	if k.label != "" && !errors.Is(err, db.ErrUncertain) {
		err = errors.Join(err, r.HSM.Destroy(ctx, k.label, k.algorithm))
	}
	return nil, err
}

// generate makes the two halves and names the key.
func (r *Rotation) generate(ctx context.Context, k *stored) error {
	var public crypto.PublicKey
	var private crypto.Signer
	var err error
	if r.HSM != nil {
		k.label = fmt.Sprintf("carekey-oidc-%s-%d-%s", k.algorithm, k.generation, rand.Text()[:8])
		public, err = r.HSM.Generate(ctx, k.label, k.algorithm)
	} else if private, err = generate(k.algorithm); err == nil {
		public = private.Public()
	}
	if err != nil {
		return err
	}
	if k.kid, err = thumbprint(public); err != nil {
		return err
	}
	if k.public, err = x509.MarshalPKIXPublicKey(public); err != nil {
		return fmt.Errorf("encoding a public key: %w", err)
	}
	k.sealed = []byte{}
	if private == nil {
		return nil
	}
	plain, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return fmt.Errorf("encoding a private key: %w", err)
	}
	k.sealed, err = r.sealer.Seal(plain, []byte(k.kid))
	return err
}

// generate makes a key for one algorithm. Each has its own even where the kind
// of key is the same (NIST SP 800-57 part 1, 5.2: a key has one use).
func generate(algorithm jose.SignatureAlgorithm) (crypto.Signer, error) {
	if algorithm == jose.ES256 {
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	return rsa.GenerateKey(rand.Reader, Bits)
}

func (r *Rotation) unseal(k stored) (crypto.Signer, error) {
	plain, err := r.sealer.Open(k.sealed, []byte(k.kid))
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", errRoot, err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		return nil, fmt.Errorf("parsing signing key %s: %w", k.kid, err)
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("signing key %s is a %T, which cannot sign", k.kid, parsed)
	}
	return private, nil
}

// destroy ends the private half of a key that has left the public set: what is
// gone cannot be stolen from a backup later.
func (r *Rotation) destroy(ctx context.Context, k stored) error {
	if r.beyondReach(k) {
		return nil // it ended with its HSM
	}
	if k.label != "" {
		if err := r.HSM.Destroy(ctx, k.label, k.algorithm); err != nil {
			return fmt.Errorf("destroying signing key %s: %w", k.kid, err)
		}
	}
	if k.public == nil { // made by a release that stored no public half
		private, err := r.unseal(k)
		if err != nil {
			return err
		}
		if k.public, err = x509.MarshalPKIXPublicKey(private.Public()); err != nil {
			return fmt.Errorf("encoding the public half of signing key %s: %w", k.kid, err)
		}
	}
	return r.DB.Write(ctx, func(tx *db.Tx) error {
		erased, err := erase(tx, k)
		if err != nil || !erased {
			return err
		}
		return r.record(tx, "signing_key.erased", k, "system")
	})
}

func (r *Rotation) record(tx *db.Tx, action string, k stored, actor string, more ...audit.Field) error {
	place := "database"
	if k.label != "" {
		place = "hsm"
	}
	return audit.Record(tx, audit.Entry{Action: action, Actor: actor, Fields: append(more,
		audit.Field{Name: "kid", Value: k.kid}, audit.Field{Name: "algorithm", Value: string(k.algorithm)}, audit.Field{Name: "place", Value: place})})
}

func (r *Rotation) read(ctx context.Context) ([]stored, error) {
	var all []stored
	err := r.DB.Read(ctx, func(tx *db.Tx) (err error) {
		all, err = load(tx)
		return err
	})
	return all, err
}

// newest is the last generation of an algorithm, nil if there is none.
func newest(all []stored, algorithm jose.SignatureAlgorithm) *stored {
	var last *stored
	for i := range all {
		if all[i].algorithm == algorithm {
			last = &all[i]
		}
	}
	return last
}
