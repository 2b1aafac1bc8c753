package signing

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"

	"carekey.dev/carekey/internal/db"
)

// stored is one key as the database has it, and the time at which it stops,
// which follows from the others. No state of a key is written when time
// passes: all nodes compute it by the database's clock, and so agree.
type stored struct {
	algorithm  jose.SignatureAlgorithm
	generation int64
	kid        string
	sealed     []byte
	public     []byte
	label      string

	created, from, withdrawn, erased time.Time
	// stops is when it signs for the last time, zero while nothing follows it.
	stops time.Time
}

// load reads every key, each algorithm by generation.
func load(tx *db.Tx) ([]stored, error) {
	rows, err := tx.Rows(`SELECT algorithm, generation, kid, sealed, public, label, created_at, signs_from, withdrawn_at, erased_at
		FROM signing_key ORDER BY algorithm, generation`)
	if err != nil {
		return nil, fmt.Errorf("reading the signing keys: %w", err)
	}
	defer rows.Close()
	var all []stored
	for rows.Next() {
		var k stored
		var algorithm string
		var created, from, withdrawn, erased int64
		if err := rows.Scan(&algorithm, &k.generation, &k.kid, &k.sealed, &k.public, &k.label, &created, &from, &withdrawn, &erased); err != nil {
			return nil, fmt.Errorf("reading a signing key: %w", err)
		}
		k.algorithm = jose.SignatureAlgorithm(algorithm)
		k.created, k.from, k.withdrawn, k.erased = db.Time(created), db.Time(from), db.Time(withdrawn), db.Time(erased)
		if from == 0 { // a node of an earlier release made it, beside one of this
			k.from = k.created
		}
		all = append(all, k)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading the signing keys: %w", err)
	}
	setStops(all)
	return all, nil
}

// setStops finds when each key stops: when the next generation begins that
// does begin, or when it is withdrawn.
func setStops(all []stored) {
	var next time.Time
	for i := len(all) - 1; i >= 0; i-- {
		k := &all[i]
		if i+1 == len(all) || all[i+1].algorithm != k.algorithm {
			next = time.Time{}
		}
		k.stops = earlier(next, k.withdrawn)
		if k.withdrawn.IsZero() || k.from.Before(k.withdrawn) {
			next = earlier(next, k.from)
		}
	}
}

// earlier is the earlier of two times, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func past(t, now time.Time) bool { return !t.IsZero() && !now.Before(t) }

// signs reports whether this is the key to sign with.
func (k stored) signs(now time.Time) bool { return past(k.from, now) && !past(k.stops, now) }

// published reports whether the key stands in the public set.
func (k stored) published(now time.Time) bool {
	return !past(k.withdrawn, now) && (k.stops.IsZero() || now.Before(k.stops.Add(Keep)))
}

// outlived reports whether the private half is good for nothing any more.
func (k stored) outlived(now time.Time) bool {
	return k.erased.IsZero() && past(k.stops, now) && !k.published(now)
}

// insert stores a key as the next generation; false if another node was faster.
// The caller has made it, with from as what comes after tx.Now().
func insert(tx *db.Tx, k stored) (bool, error) {
	rows, err := tx.Exec(`INSERT INTO signing_key (algorithm, generation, kid, sealed, public, label, created_at, signs_from)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING`,
		string(k.algorithm), k.generation, k.kid, k.sealed, k.public, k.label, db.Micros(k.created), db.Micros(k.from))
	if err != nil {
		return false, fmt.Errorf("storing signing key %s: %w", k.kid, err)
	}
	return rows == 1, nil
}

// withdrawOthers makes every other key of the algorithm worthless from at on.
func withdrawOthers(tx *db.Tx, k stored, at time.Time) error {
	_, err := tx.Exec(`UPDATE signing_key SET withdrawn_at = $1 WHERE algorithm = $2 AND generation < $3 AND withdrawn_at = 0`,
		db.Micros(at), string(k.algorithm), k.generation)
	if err != nil {
		return fmt.Errorf("withdrawing %s keys: %w", k.algorithm, err)
	}
	return nil
}

// erase destroys the private half that is stored.
func erase(tx *db.Tx, k stored) (bool, error) {
	rows, err := tx.Exec(`UPDATE signing_key SET sealed = $1, public = $2, erased_at = $3 WHERE kid = $4 AND erased_at = 0`,
		[]byte{}, k.public, db.Micros(tx.Now()), k.kid)
	if err != nil {
		return false, fmt.Errorf("erasing signing key %s: %w", k.kid, err)
	}
	return rows == 1, nil
}

// Prune deletes keys that no hint can be verified with any more.
func Prune(tx *db.Tx) error {
	_, err := tx.Exec(`DELETE FROM signing_key WHERE erased_at > 0 AND erased_at < $1`, db.Micros(tx.Now().Add(-hintsFor)))
	if err != nil {
		return fmt.Errorf("pruning signing keys: %w", err)
	}
	return nil
}

// thumbprint is the key's name: the same key has the same name everywhere
// (RFC 7638).
func thumbprint(public crypto.PublicKey) (string, error) {
	sum, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("naming a key: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// publicOf reads the public half.
func publicOf(k stored) (crypto.PublicKey, error) {
	public, err := x509.ParsePKIXPublicKey(k.public)
	if err != nil {
		return nil, fmt.Errorf("parsing the public half of signing key %s: %w", k.kid, err)
	}
	return public, nil
}
