package signing

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"

	"carekey.dev/carekey/internal/db"
)

// Keys signs, verifies and publishes on one node. It is safe for concurrent
// use.
//
// It looks at the database when it is used and its view is older than
// refreshEach, and not by a timer: a machine that slept for an hour does not
// answer with what it knew before.
type Keys struct {
	Options
	rotation *Rotation

	view atomic.Pointer[view]

	mu     sync.Mutex               // held while a view is made
	opened map[string]crypto.Signer // by kid, so that a key is unsealed once
	failed time.Time                // when the last attempt failed
}

// view is what a node knows at one moment. It is never changed.
type view struct {
	at     time.Time
	keys   []known
	public []byte
}

// known is a key ready for use. signer is nil for one that never signs again.
type known struct {
	stored
	jwk    jose.JSONWebKey
	signer crypto.Signer
}

// How old a view may be.
const (
	// waitBeyond is the age from which a caller waits for a fresh view instead
	// of leaving that to another one.
	waitBeyond = 4 * refreshEach
	// refreshWithin bounds the look at the database, and failureFor how long
	// nobody tries again after one that failed: requests must not queue up
	// behind a database that is out of reach.
	refreshWithin = 2 * time.Second
	failureFor    = 5 * time.Second
	// signBeyond is the age from which nothing is signed: by then another node
	// may have begun with a key that this one does not know, and this one's own
	// may soon leave the public set.
	signBeyond = Keep / 2
)

// Open returns the keys of an installation. On its first start it makes one
// for each algorithm; of several nodes that start at once, all use those of the
// one that was first. A key is there for each algorithm before anybody chooses
// it, so that it has been published long before.
func Open(ctx context.Context, o Options) (*Keys, error) {
	o = o.complete()
	k := &Keys{Options: o, rotation: NewRotation(o), opened: map[string]crypto.Signer{}}
	if err := k.rotation.first(ctx); err != nil {
		return nil, err
	}
	v, err := k.look(ctx)
	if err != nil {
		return nil, err
	}
	k.view.Store(v)
	for _, algorithm := range Algorithms() {
		key, err := v.signer(algorithm, v.at)
		if err != nil {
			return nil, err
		}
		if err := try(key); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// try signs something with a key in an HSM: a node that cannot should say so
// at its start, and not to the first person who signs in.
func try(key known) error {
	if key.label == "" {
		return nil
	}
	digest := sha256.Sum256([]byte("carekey starts"))
	if _, err := key.signer.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
		return fmt.Errorf("trying signing key %s: %w", key.kid, err)
	}
	return nil
}

// Rotation is what makes these keys follow one another.
func (k *Keys) Rotation() *Rotation { return k.rotation }

// Public returns the JWK set as it is served.
func (k *Keys) Public() []byte { return k.current().public }

// Since returns when the key that signs now began to, for each algorithm.
func (k *Keys) Since() map[jose.SignatureAlgorithm]time.Time {
	v, now := k.current(), k.DB.Now()
	since := map[jose.SignatureAlgorithm]time.Time{}
	for _, key := range v.keys {
		if key.signs(now) {
			since[key.algorithm] = key.from
		}
	}
	return since
}

// Sign returns claims as a signed JWT of a type ("JWT", "logout+jwt"). The
// algorithm "" is the default. Call it outside transactions.
func (k *Keys) Sign(algorithm jose.SignatureAlgorithm, typ string, claims any) (string, error) {
	if algorithm == "" {
		algorithm = Algorithms()[0]
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encoding claims: %w", err)
	}
	v, now := k.current(), k.DB.Now()
	if now.Sub(v.at) > signBeyond {
		return "", fmt.Errorf("signing claims: the keys were last seen %s ago", now.Sub(v.at).Round(time.Minute))
	}
	key, err := v.signer(algorithm, now)
	if err != nil {
		return "", err
	}
	options := (&jose.SignerOptions{}).WithType(jose.ContentType(typ)).WithHeader("kid", key.kid)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: cryptosigner.Opaque(salted{key.signer})}, options)
	if err != nil {
		return "", fmt.Errorf("preparing signing key %s: %w", key.kid, err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", fmt.Errorf("signing claims with key %s: %w", key.kid, err)
	}
	return signed.CompactSerialize()
}

// salted signs PS256 with a salt as long as the hash: RFC 7518 section 3.5 asks
// for that, programs refuse anything else, and the library would take the
// longest salt that fits.
type salted struct{ crypto.Signer }

// Sign signs a digest.
func (s salted) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if _, ok := opts.(*rsa.PSSOptions); ok {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: opts.HashFunc()}
	}
	return s.Signer.Sign(random, digest, opts)
}

// mostToken bounds what Verify reads. Our own tokens have some 1.5 KB.
const mostToken = 16 << 10

// Verify returns the payload of a token that was signed here, with a key that
// may have been retired since, and the algorithm. Whether the token is still
// good, for whom it was and what kind it is, is for the caller to judge. It
// fails with ErrNotOurs. A withdrawn key verifies nothing.
func (k *Keys) Verify(token string) (payload []byte, algorithm jose.SignatureAlgorithm, err error) {
	if len(token) > mostToken {
		return nil, "", fmt.Errorf("%w: it is larger than %d KiB", ErrNotOurs, mostToken>>10)
	}
	// The algorithms are ours and never what the token says (RFC 8725 section
	// 3.1): no "none", no HMAC with a public key.
	parsed, err := jose.ParseSignedCompact(token, Algorithms())
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrNotOurs, err)
	}
	header := parsed.Signatures[0].Header
	v, now := k.current(), k.DB.Now()
	i := slices.IndexFunc(v.keys, func(one known) bool { return one.kid == header.KeyID })
	if i < 0 || string(v.keys[i].algorithm) != header.Algorithm || past(v.keys[i].withdrawn, now) {
		return nil, "", fmt.Errorf("%w: no key of that name and algorithm", ErrNotOurs)
	}
	payload, err = parsed.Verify(v.keys[i].jwk)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", ErrNotOurs, err)
	}
	return payload, v.keys[i].algorithm, nil
}

// signer is the key that signs now.
func (v *view) signer(algorithm jose.SignatureAlgorithm, now time.Time) (known, error) {
	for _, key := range slices.Backward(v.keys) {
		if key.algorithm != algorithm || !key.signs(now) {
			continue
		}
		if key.signer == nil {
			return known{}, errNoHSM
		}
		return key, nil
	}
	return known{}, fmt.Errorf("there is no signing key for %.16q", algorithm)
}

// current returns a view that is fresh, or the last one while the database
// cannot be asked: what was published stays published.
func (k *Keys) current() *view {
	v, now := k.view.Load(), k.DB.Now()
	age := now.Sub(v.at)
	if age < refreshEach {
		return v
	}
	if age < waitBeyond {
		if !k.mu.TryLock() {
			return v // another caller is at it
		}
	} else {
		k.mu.Lock()
	}
	defer k.mu.Unlock()
	if v = k.view.Load(); now.Sub(v.at) < refreshEach || now.Sub(k.failed).Abs() < failureFor {
		return v
	}
	ctx, cancel := context.WithTimeout(context.Background(), refreshWithin)
	defer cancel()
	fresh, err := k.look(ctx)
	if err != nil {
		k.failed = now
		k.Log.Warn("the signing keys could not be read; the last ones go on", "err", err, "age", age)
		return v
	}
	k.view.Store(fresh)
	return fresh
}

// look makes a view of what the database says.
func (k *Keys) look(ctx context.Context) (*view, error) {
	v := &view{}
	var all []stored
	err := k.DB.Read(ctx, func(tx *db.Tx) (err error) {
		v.at = tx.Now()
		all, err = load(tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, one := range all {
		key, err := k.know(one, v.at)
		if err != nil {
			return nil, err
		}
		v.keys = append(v.keys, key)
	}
	v.public, err = publicSet(v.keys, v.at)
	return v, err
}

// know makes a stored key ready for use. A key that has stopped is never
// unsealed: its root key may be gone by then.
func (k *Keys) know(one stored, now time.Time) (known, error) {
	key := known{stored: one}
	if !past(one.stops, now) {
		signer, err := k.signerOf(one)
		if err != nil {
			return known{}, err
		}
		key.signer = signer
	} else {
		delete(k.opened, one.kid)
	}
	var public crypto.PublicKey
	var err error
	switch {
	case key.signer != nil:
		public = key.signer.Public()
	case one.public == nil: // made by a release that stored no public half
		private, failed := k.rotation.unseal(one)
		if failed != nil {
			return known{}, failed
		}
		public = private.Public()
	default:
		public, err = publicOf(one)
	}
	if err != nil {
		return known{}, err
	}
	key.jwk = jose.JSONWebKey{Key: public, KeyID: one.kid, Algorithm: string(one.algorithm), Use: "sig"} // wire rule 8
	return key, nil
}

// signerOf returns what signs with a key, nil for one in an HSM that nobody
// has named.
func (k *Keys) signerOf(one stored) (crypto.Signer, error) {
	if signer := k.opened[one.kid]; signer != nil {
		return signer, nil
	}
	var signer crypto.Signer
	switch {
	case one.label == "":
		private, err := k.rotation.unseal(one)
		if err != nil {
			return nil, err
		}
		signer = private
	case k.HSM == nil:
		return nil, nil
	default:
		public, err := publicOf(one)
		if err != nil {
			return nil, err
		}
		signer = k.HSM.Signer(one.label, one.algorithm, public)
	}
	k.opened[one.kid] = signer
	return signer, nil
}

// publicSet is what relying parties fetch: first the keys that sign, those of
// the default algorithm before all others, for programs that take the first.
func publicSet(all []known, now time.Time) ([]byte, error) {
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, signing := range []bool{true, false} {
		for _, algorithm := range Algorithms() {
			for _, key := range slices.Backward(all) {
				if key.algorithm == algorithm && key.published(now) && key.signs(now) == signing {
					set.Keys = append(set.Keys, key.jwk)
				}
			}
		}
	}
	if len(set.Keys) == 0 {
		return nil, errors.New("there is no signing key")
	}
	public, err := json.MarshalIndent(set, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding the public key set: %w", err)
	}
	return public, nil
}
