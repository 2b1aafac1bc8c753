// Package recovery proves that somebody holds a list of saved recovery codes
// (decision 6; N20): ten codes of 65 bits, each works once.
//
// A way comes in to make a list for the gate, or with a code that was typed;
// a change or a proof leaves. The proof is evidence of no level: beside a
// password and a mailbox it lets a lost phone be replaced, and it never signs
// anybody in. The codes are shown once; what is stored is salted, peppered and
// hashed with argon2id (N24). All codes of a list share its salt, so that one
// hash finds the code among them.
package recovery

import (
	"context"
	"embed"
	"fmt"
	"io"
	"io/fs"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/internal/argon"
	"carekey.dev/carekey/internal/credential/internal/entry"
	"carekey.dev/carekey/internal/credential/internal/proof"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/throttle"
)

//go:embed schema/*.sql
var schema embed.FS

// Schema holds this room's migrations.
var Schema fs.FS = schema

const (
	// Codes are in a list.
	Codes = 10
	// length in characters of base 32: 65 bits, at least the 64 of N20.
	length = 13

	countRecovery = "recovery code"
)

// Options of the room.
type Options struct {
	DB       *db.DB
	Ring     *keys.Ring
	Throttle *throttle.Throttle
	Outbox   *outbox.Outbox
	// NotMe makes the "this wasn't me" link for a notice.
	NotMe  func(uid care.UID, authenticatorID string) (string, error)
	Random io.Reader
	Cost   argon.Cost
	// Pool is the node's one pool for such hashes; the app has it.
	Pool *argon.Pool
}

// Recovery makes and checks recovery codes.
type Recovery struct {
	o       Options
	hasher  *argon.Hasher
	tickets *keys.Sealer
}

// New returns the room.
func New(o Options) *Recovery {
	return &Recovery{
		o: o, hasher: argon.New(o.Ring, "recovery", o.Cost, o.Random),
		tickets: o.Ring.Sealer("recovery/ticket"),
	}
}

// Make returns a new list of codes to show once, and the change that makes
// them valid and every earlier list void. authenticatorID is the record by
// whose right the gate makes the change. A list takes ten hashes, so one person
// gets a bounded number of them, whether or not the gate makes them valid.
// Faults: Busy, TooManyAttempts.
func (r *Recovery) Make(ctx context.Context, uid care.UID, authenticatorID string) ([]string, credential.Change, error) {
	place, err := r.o.Pool.Enter()
	if err != nil {
		return nil, credential.Change{}, err
	}
	defer place.Leave()
	if err := r.o.Throttle.Bounded(ctx, r.o.DB, "new recovery codes", string(uid)); err != nil {
		return nil, credential.Change{}, fmt.Errorf("making recovery codes: %w", err)
	}
	scheme, err := r.hasher.Blank()
	if err != nil {
		return nil, credential.Change{}, fmt.Errorf("making recovery codes: %w", err)
	}
	codes, sums := make([]string, Codes), make([][]byte, Codes)
	for i := range Codes {
		code, err := r.newCode()
		if err != nil {
			return nil, credential.Change{}, err
		}
		full, err := r.hasher.Fill(ctx, place, scheme, code)
		if err != nil {
			return nil, credential.Change{}, fmt.Errorf("making recovery codes: %w", err)
		}
		codes[i], sums[i] = readable(code), full.Sum
	}
	return codes, proof.NewChange(proof.ChangeFields{
		UID: uid, AuthenticatorID: authenticatorID, What: credential.RecoveryCodes,
		Store: func(tx *db.Tx) error { return r.store(tx, uid, scheme, sums) },
	}), nil
}

func (r *Recovery) newCode() (string, error) {
	b := make([]byte, length)
	if _, err := io.ReadFull(r.o.Random, b); err != nil {
		return "", fmt.Errorf("making a recovery code: %w", err)
	}
	for i := range b {
		b[i] = entry.Crockford[b[i]&31]
	}
	return string(b), nil
}

// readable puts dashes into a code: XXXX-XXXX-XXXXX.
func readable(code string) string { return code[:4] + "-" + code[4:8] + "-" + code[8:] }

func (r *Recovery) store(tx *db.Tx, uid care.UID, scheme argon.Hash, sums [][]byte) error {
	if err := drop(tx, uid); err != nil {
		return err
	}
	_, err := tx.Exec(`INSERT INTO recovery_set (uid, scheme, made_at) VALUES ($1, $2, $3)`,
		uid, scheme.String(), db.Micros(tx.Now()))
	if err != nil {
		return fmt.Errorf("storing recovery codes: %w", err)
	}
	for i, sum := range sums {
		_, err := tx.Exec(`INSERT INTO recovery_code (uid, position, sum, used_at) VALUES ($1, $2, $3, 0)`, uid, i, sum)
		if err != nil {
			return fmt.Errorf("storing recovery codes: %w", err)
		}
	}
	return r.o.Throttle.Forget(tx, countRecovery, string(uid))
}

// drop deletes a person's list.
func drop(tx *db.Tx, uid care.UID) error {
	if _, err := tx.Exec(`DELETE FROM recovery_code WHERE uid = $1`, uid); err != nil {
		return fmt.Errorf("dropping recovery codes: %w", err)
	}
	if _, err := tx.Exec(`DELETE FROM recovery_set WHERE uid = $1`, uid); err != nil {
		return fmt.Errorf("dropping recovery codes: %w", err)
	}
	return nil
}

// Left returns how many codes a person has that were not used.
func Left(tx *db.Tx, uid care.UID) (int, error) {
	var left int
	err := tx.Row(`SELECT COUNT(*) FROM recovery_code WHERE uid = $1 AND used_at = 0`, uid).Scan(&left)
	if err != nil {
		return 0, fmt.Errorf("counting recovery codes: %w", err)
	}
	return left, nil
}
