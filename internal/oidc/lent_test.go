package oidc_test

import (
	"sync"
	"testing"

	"carekey.dev/carekey/internal/db"
)

// lent are the signing keys of the first house, as they are stored. The houses
// that follow begin with them: making RSA keys takes longer than all else that
// these tests do, and rooms of their own prove how it is done.
var lent struct {
	sync.Mutex
	keys []storedKey
}

type storedKey struct {
	algorithm, kid    string
	generation        int64
	sealed, public    []byte
	created, signFrom int64
}

// borrow gives a house whose root key is the ring of these tests the keys that
// were made before.
func borrow(tx *db.Tx) error {
	lent.Lock()
	defer lent.Unlock()
	for _, k := range lent.keys {
		_, err := tx.Exec(`INSERT INTO signing_key (algorithm, kid, generation, sealed, public, created_at, signs_from)
			VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING`, k.algorithm, k.kid, k.generation, k.sealed, k.public, k.created, k.signFrom)
		if err != nil {
			return err
		}
	}
	return nil
}

// lend keeps the keys of the first house.
func lend(t testing.TB, d *db.DB) {
	t.Helper()
	lent.Lock()
	defer lent.Unlock()
	if len(lent.keys) > 0 {
		return
	}
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		rows, err := tx.Rows(`SELECT algorithm, kid, generation, sealed, public, created_at, signs_from FROM signing_key`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var k storedKey
			if err := rows.Scan(&k.algorithm, &k.kid, &k.generation, &k.sealed, &k.public, &k.created, &k.signFrom); err != nil {
				return err
			}
			lent.keys = append(lent.keys, k)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
}
