// Package credential is the shared record of what a person can prove with: one
// row for each authenticator, whatever its method. The rooms below it (app,
// fido, mailcode, link, recovery, and those of later methods) verify; none of them
// knows another.
//
// Verifiers come out of it with a Proof, an Enrolment or a Change, which only
// rooms below this one can make. Records are created and removed by the gate
// alone, through the Binder that wiring gives to it.
package credential

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/internal/proof"
	"carekey.dev/carekey/internal/db"
)

//go:embed schema/*.sql
var schema embed.FS

// Schema holds this room's migrations.
var Schema fs.FS = schema

// What verifiers return. Their fields cannot be set outside the rooms below
// credential.
type (
	Proof     = proof.Proof
	Enrolment = proof.Enrolment
	Change    = proof.Change
)

// What a Change changes.
const (
	Password      = "password"
	RecoveryCodes = "recovery codes"
)

// Record is one authenticator of a person.
type Record struct {
	ID           string
	UID          care.UID
	Method       care.Method
	Name         string
	Journey      string
	RegisteredAt time.Time
	// LastUsed, SuspendedAt and DisabledAt are zero if that never happened.
	// Suspended: somebody said it is lost. Disabled: too many wrong tries (N10).
	LastUsed, SuspendedAt, DisabledAt time.Time
	// Introduced: an RA saw the holder when it was registered.
	Introduced bool
	Version    int64
}

// Usable reports whether the record can still sign in.
func (r Record) Usable() bool { return r.SuspendedAt.IsZero() && r.DisabledAt.IsZero() }

const columns = `id, uid, method, name, journey, registered_at, last_used_at, suspended_at, disabled_at, introduced, version`

type scanner interface{ Scan(dest ...any) error }

func scan(row scanner) (Record, error) {
	var r Record
	var registered, used, suspended, disabled, introduced int64
	err := row.Scan(&r.ID, &r.UID, &r.Method, &r.Name, &r.Journey, &registered, &used, &suspended, &disabled, &introduced, &r.Version)
	r.RegisteredAt, r.LastUsed = db.Time(registered), db.Time(used)
	r.SuspendedAt, r.DisabledAt, r.Introduced = db.Time(suspended), db.Time(disabled), introduced != 0
	return r, err
}

// ByID returns one record, or db.ErrNoRows.
func ByID(tx *db.Tx, id string) (Record, error) {
	r, err := scan(tx.Row(`SELECT `+columns+` FROM authenticator WHERE id = $1`, id))
	if err != nil {
		return Record{}, fmt.Errorf("reading an authenticator: %w", err)
	}
	return r, nil
}

// Of returns the records of a person in the order of their registration.
func Of(tx *db.Tx, uid care.UID) ([]Record, error) {
	rows, err := tx.Rows(`SELECT `+columns+` FROM authenticator WHERE uid = $1 ORDER BY registered_at, id`, uid)
	if err != nil {
		return nil, fmt.Errorf("reading authenticators: %w", err)
	}
	defer rows.Close()
	var all []Record
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("reading authenticators: %w", err)
		}
		all = append(all, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading authenticators: %w", err)
	}
	return all, nil
}

// Touch notes that a usable record at this version was used now. It reports
// false if the record is gone, suspended, disabled, or changed since it was
// verified: the proof is then worth nothing.
func Touch(tx *db.Tx, id string, version int64) (bool, error) {
	n, err := tx.Exec(`UPDATE authenticator SET last_used_at = $1
		WHERE id = $2 AND version = $3 AND suspended_at = 0 AND disabled_at = 0`,
		db.Micros(tx.Now()), id, version)
	if err != nil {
		return false, fmt.Errorf("noting the use of an authenticator: %w", err)
	}
	return n == 1, nil
}

// TouchOf is Touch for a record of a person whose identity is open, which it
// keeps so until the transaction ends (person.Lock), in the same statement. The
// person is locked before the record, as everywhere. If somebody holds that
// lock, the record is looked at again as they left it.
func TouchOf(tx *db.Tx, uid care.UID, id string, version int64) (bool, error) {
	n, err := tx.Exec(`UPDATE authenticator SET last_used_at = $1
		WHERE id = $2 AND version = $3 AND suspended_at = 0 AND disabled_at = 0
			AND uid = (SELECT uid FROM person_state WHERE uid = $4 AND closed_at = 0`+tx.ForUpdate()+`)`,
		db.Micros(tx.Now()), id, version, uid)
	if err != nil {
		return false, fmt.Errorf("noting the use of an authenticator: %w", err)
	}
	return n == 1, nil
}

// Changed counts up the record's version: proofs made before are void.
func Changed(tx *db.Tx, id string) error {
	n, err := tx.Exec(`UPDATE authenticator SET version = version + 1 WHERE id = $1`, id)
	return one(n, err, "changing an authenticator")
}

// Introduce notes that an RA stood behind a record's registration.
func Introduce(tx *db.Tx, id string) error {
	n, err := tx.Exec(`UPDATE authenticator SET introduced = 1 WHERE id = $1`, id)
	return one(n, err, "noting an introduction")
}

// Suspend marks a record as lost or doubted; why is a word for the audit log.
// Suspending twice keeps the first time.
func Suspend(tx *db.Tx, id, why string) error {
	_, err := tx.Exec(`UPDATE authenticator SET suspended_at = $1, suspended_why = $2, version = version + 1
		WHERE id = $3 AND suspended_at = 0`, db.Micros(tx.Now()), why, id)
	if err != nil {
		return fmt.Errorf("suspending an authenticator: %w", err)
	}
	return nil
}

// Disable ends a record after too many wrong tries (N10). Only binding again
// helps. It reports whether this call did it.
func Disable(tx *db.Tx, id string) (bool, error) {
	n, err := tx.Exec(`UPDATE authenticator SET disabled_at = $1, version = version + 1
		WHERE id = $2 AND disabled_at = 0`, db.Micros(tx.Now()), id)
	if err != nil {
		return false, fmt.Errorf("disabling an authenticator: %w", err)
	}
	return n == 1, nil
}

func one(n int64, err error, doing string) error {
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", doing, err)
	case n != 1:
		return fmt.Errorf("%s: %w", doing, db.ErrNoRows)
	}
	return nil
}

// ErrJourneyFinished is the error of a journey that has bound its
// authenticator already.
var ErrJourneyFinished = errors.New("this journey has registered its authenticator already")

// Binder creates and removes records. Wiring makes one and gives it to the
// gate; no other room holds one.
type Binder struct{ made bool }

// NewBinder returns the binder. Only wiring calls it.
func NewBinder() Binder { return Binder{made: true} }

// Bind creates the record of an enrolment, which never counts for more than
// limit.
func (b Binder) Bind(tx *db.Tx, id, journey string, e Enrolment, limit care.AAL) (Record, error) {
	if !b.made {
		return Record{}, errors.New("binding without the gate")
	}
	now := tx.Now()
	_, err := tx.Exec(`INSERT INTO authenticator (id, uid, method, name, journey, registered_at)
		VALUES ($1, $2, $3, $4, $5, $6)`, id, e.UID(), e.Method(), e.Name(), journey, db.Micros(now))
	if db.IsUnique(err) {
		return Record{}, ErrJourneyFinished
	}
	if err != nil {
		return Record{}, fmt.Errorf("creating an authenticator: %w", err)
	}
	if err := e.Store(tx, id, limit); err != nil {
		return Record{}, fmt.Errorf("storing an authenticator: %w", err)
	}
	return Record{ID: id, UID: e.UID(), Method: e.Method(), Name: e.Name(), Journey: journey, RegisteredAt: now, Version: 1}, nil
}

// Remove deletes a record and, by their foreign keys, the rows of its method.
func (b Binder) Remove(tx *db.Tx, id string) error {
	if !b.made {
		return errors.New("removing without the gate")
	}
	n, err := tx.Exec(`DELETE FROM authenticator WHERE id = $1`, id)
	return one(n, err, "removing an authenticator")
}
