package person

import (
	"encoding/json"
	"errors"
	"fmt"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
)

// Errors of Verify and Create. The transaction must be rolled back.
var (
	ErrNotPending   = errors.New("the address is not waiting to be verified")
	ErrAddressTaken = errors.New("another person has verified the address")
)

// Create stores a new person with the addresses that p names. ErrAddressTaken
// if p.Email belongs to somebody else.
func Create(tx *db.Tx, p Person) error {
	closed, reason := closure(p.Closed)
	_, err := tx.Exec(`
		INSERT INTO person (uid, title, given_name, middle_names, family_name, id_assurance_level,
		                    memberships, closed_at, closed_reason, version)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1)`,
		p.UID, p.Title, p.GivenName, p.MiddleNames, p.FamilyName, p.IDAssuranceLevel,
		memberships(p), closed, reason)
	if err != nil {
		return fmt.Errorf("creating person %s: %w", p.UID, err)
	}
	if p.Pending != "" {
		if err := insertEmail(tx, p.UID, p.Pending, false); err != nil {
			return err
		}
	}
	if p.Email != "" {
		return insertEmail(tx, p.UID, p.Email, true)
	}
	return nil
}

// Update stores the names, the level and the memberships of p. Addresses and
// closing have functions of their own.
func Update(tx *db.Tx, p Person) error {
	_, err := tx.Exec(`
		UPDATE person SET title = $2, given_name = $3, middle_names = $4, family_name = $5,
		       id_assurance_level = $6, memberships = $7, version = version + 1
		WHERE uid = $1`,
		p.UID, p.Title, p.GivenName, p.MiddleNames, p.FamilyName, p.IDAssuranceLevel, memberships(p))
	if err != nil {
		return fmt.Errorf("updating person %s: %w", p.UID, err)
	}
	return nil
}

// Close ends the identity: the person signs in nowhere from now on. Whoever
// calls it ends their sessions in the same transaction.
func Close(tx *db.Tx, uid care.UID, c Closure) error {
	at, reason := closure(&c)
	return setClosure(tx, uid, at, reason)
}

// Reopen takes a closing back.
func Reopen(tx *db.Tx, uid care.UID) error { return setClosure(tx, uid, 0, "") }

func setClosure(tx *db.Tx, uid care.UID, at int64, reason string) error {
	_, err := tx.Exec(`UPDATE person SET closed_at = $2, closed_reason = $3, version = version + 1 WHERE uid = $1`,
		uid, at, reason)
	if err != nil {
		return fmt.Errorf("closing or reopening person %s: %w", uid, err)
	}
	return nil
}

// SetPending makes email the address that waits for its code, in place of an
// earlier one. The verified address stays what it is.
func SetPending(tx *db.Tx, uid care.UID, email care.Email) error {
	if err := dropPending(tx, uid); err != nil {
		return err
	}
	if err := insertEmail(tx, uid, email, false); err != nil {
		return err
	}
	return grow(tx, uid)
}

// dropPending forgets an address that nobody verified. It is no error if
// there is none.
func dropPending(tx *db.Tx, uid care.UID) error {
	dropped, err := tx.Exec(`DELETE FROM person_email WHERE uid = $1 AND verified = 0`, uid)
	if err != nil {
		return fmt.Errorf("dropping the pending address of %s: %w", uid, err)
	}
	if dropped == 0 {
		return nil
	}
	return grow(tx, uid)
}

// Verify makes the pending address email the one that the person signs in
// with, and returns the one it replaces, or "". Doing it again changes
// nothing. ErrNotPending if another address is waiting now, ErrAddressTaken if
// somebody else has verified it.
func Verify(tx *db.Tx, uid care.UID, email care.Email) (old care.Email, err error) {
	err = tx.Row(`SELECT address FROM person_email WHERE uid = $1 AND verified = 1`+tx.ForUpdate(), uid).Scan(&old)
	if err != nil && !errors.Is(err, db.ErrNoRows) {
		return "", fmt.Errorf("reading the address of %s: %w", uid, err)
	}
	if old == email {
		return "", dropPending(tx, uid)
	}
	if _, err := tx.Exec(`DELETE FROM person_email WHERE uid = $1 AND verified = 1`, uid); err != nil {
		return "", fmt.Errorf("replacing the address of %s: %w", uid, err)
	}
	moved, err := tx.Exec(`UPDATE person_email SET verified = 1, verified_at = $3 WHERE uid = $1 AND verified = 0 AND address = $2`,
		uid, email, db.Micros(tx.Now()))
	if db.IsUnique(err) {
		return "", fmt.Errorf("verifying the address of %s: %w", uid, ErrAddressTaken)
	}
	if err != nil {
		return "", fmt.Errorf("verifying the address of %s: %w", uid, err)
	}
	if moved == 0 {
		return "", fmt.Errorf("verifying the address of %s: %w", uid, ErrNotPending)
	}
	return old, grow(tx, uid)
}

// SetAllowList replaces the domains that an address may have.
func SetAllowList(tx *db.Tx, list care.AllowList) error {
	if _, err := tx.Exec(`DELETE FROM person_email_domain`); err != nil {
		return fmt.Errorf("replacing the email domains: %w", err)
	}
	for i, entry := range list {
		if _, err := tx.Exec(`INSERT INTO person_email_domain (entry, position) VALUES ($1, $2)`, entry, i); err != nil {
			return fmt.Errorf("storing the email domain %s: %w", entry, err)
		}
	}
	return nil
}

func insertEmail(tx *db.Tx, uid care.UID, email care.Email, verified bool) error {
	now := db.Micros(tx.Now())
	flag, since := int64(0), int64(0)
	if verified {
		flag, since = 1, now
	}
	_, err := tx.Exec(`INSERT INTO person_email (uid, address, verified, added_at, verified_at) VALUES ($1, $2, $3, $4, $5)`,
		uid, email, flag, now, since)
	if db.IsUnique(err) {
		return fmt.Errorf("storing the address of %s: %w", uid, ErrAddressTaken)
	}
	if err != nil {
		return fmt.Errorf("storing the address of %s: %w", uid, err)
	}
	return nil
}

func grow(tx *db.Tx, uid care.UID) error {
	if _, err := tx.Exec(`UPDATE person SET version = version + 1 WHERE uid = $1`, uid); err != nil {
		return fmt.Errorf("growing the version of %s: %w", uid, err)
	}
	return nil
}

func closure(c *Closure) (at int64, reason string) {
	if c == nil {
		return 0, ""
	}
	return db.Micros(c.At), c.Reason
}

func memberships(p Person) string {
	if len(p.Memberships) == 0 {
		return "{}"
	}
	text, err := json.Marshal(p.Memberships)
	if err != nil {
		panic(err) // a map of strings always encodes
	}
	return string(text)
}
