// Package once makes names single-use on all nodes: the jti of a client
// assertion (RFC 7523 section 3), of a DPoP proof, of a request object.
//
// An endpoint comes in with the name, in the transaction of what the name is
// to achieve; whether it is the first leaves. It keeps a hash and never the
// name, and forgets it when nobody would accept it any more.
package once

import (
	"embed"
	"fmt"
	"io/fs"
	"time"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/keys"
)

//go:embed schema/*.sql
var schema embed.FS

// Schema holds the migrations of this room's table.
var Schema fs.FS = schema

// Use uses the name of a client up, and reports whether it was good still. kind
// and client keep names apart that others chose. until is when whatever carries
// the name stops to be accepted, so at least its expiry and the tolerance. If
// that came between the check and this transaction, the name is not good: an
// earlier use of it may be forgotten by now.
//
// Of any number of racing transactions on any number of nodes one gets true,
// as soon as it commits: the others wait for it at the row.
func Use(tx *db.Tx, kind, client, name string, until time.Time) (fresh bool, err error) {
	if !tx.Now().Before(until) {
		return false, nil
	}
	// A name whose time is over may be left from a clean-up that is due: what
	// counts is the time alone.
	changed, err := tx.Exec(`
		INSERT INTO oidc_once (kind, client_id, name, until) VALUES ($1, $2, $3, $4)
		ON CONFLICT (kind, client_id, name) DO UPDATE SET until = excluded.until WHERE oidc_once.until <= $5`,
		kind, client, keys.Hash(name), db.Micros(until), db.Micros(tx.Now()))
	if err != nil {
		return false, fmt.Errorf("using up the name of a %s: %w", kind, err)
	}
	return changed == 1, nil
}

// keepOver is how long a name stays after its time: on another node, whose clock
// runs behind, it may still be accepted.
const keepOver = time.Minute

// Prune forgets the names whose time is over on every node.
func Prune(tx *db.Tx) error {
	if _, err := tx.Exec(`DELETE FROM oidc_once WHERE until <= $1`, db.Micros(tx.Now().Add(-keepOver))); err != nil {
		return fmt.Errorf("forgetting used names: %w", err)
	}
	return nil
}
