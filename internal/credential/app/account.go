package app

import (
	"errors"
	"fmt"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/throttle"
)

// account is an authenticator app as a verifier sees it. The zero account is
// nobody's.
type account struct {
	uid           care.UID
	authenticator string
	version       int64
	suspended     bool
	hash          string
	sealed        []byte
	lastStep      int64
	spent         string // names of tickets
	// waits: whoever asks has to wait before another code of theirs is looked
	// at.
	waits bool
}

// byAddress finds the app of whoever signs in with an address, in one
// statement that is the same for an address that nobody has (ASVS 6.3.8): the
// zero account. Closed people and disabled authenticators (N10) are nobody's
// too. Whoever has an app that is usable and one that is not has the first.
func byAddress(tx *db.Tx, email care.Email) (account, error) {
	return find(tx, `
		SELECT s.uid, a.id, a.version, a.suspended_at, c.password_hash, c.secret, c.last_step, c.spent, 0
		FROM person_sign_in s
		JOIN authenticator_state a ON a.uid = s.uid AND a.method = $2 AND a.disabled_at = 0
		JOIN app_credential c ON c.authenticator_id = a.id
		WHERE s.address = $1 AND s.closed_at = 0
		ORDER BY a.suspended_at LIMIT 1`, email, care.AuthenticatorApp)
}

// byUID is byAddress for a person who is known already, and says whether s has
// to wait.
func (a *App) byUID(tx *db.Tx, uid care.UID, s throttle.Subject) (account, error) {
	waits, args := a.o.Throttle.Waiting(s, tx.Now(), 3)
	return find(tx, `
		SELECT a.uid, a.id, a.version, a.suspended_at, c.password_hash, c.secret, c.last_step, c.spent, `+waits+`
		FROM authenticator_state a
		JOIN app_credential c ON c.authenticator_id = a.id
		WHERE a.uid = $1 AND a.method = $2 AND a.disabled_at = 0
		ORDER BY a.suspended_at LIMIT 1`, append([]any{uid, care.AuthenticatorApp}, args...)...)
}

// byID is byUID for an authenticator's id.
func (a *App) byID(tx *db.Tx, id string, s throttle.Subject) (account, error) {
	waits, args := a.o.Throttle.Waiting(s, tx.Now(), 3)
	return find(tx, `
		SELECT a.uid, a.id, a.version, a.suspended_at, c.password_hash, c.secret, c.last_step, c.spent, `+waits+`
		FROM authenticator_state a
		JOIN app_credential c ON c.authenticator_id = a.id
		WHERE a.id = $1 AND a.method = $2 AND a.disabled_at = 0`, append([]any{id, care.AuthenticatorApp}, args...)...)
}

func find(tx *db.Tx, query string, args ...any) (account, error) {
	var found account
	var suspended, waits int64
	err := tx.Row(query, args...).Scan(&found.uid, &found.authenticator, &found.version,
		&suspended, &found.hash, &found.sealed, &found.lastStep, &found.spent, &waits)
	if errors.Is(err, db.ErrNoRows) {
		return account{}, nil
	}
	if err != nil {
		return account{}, fmt.Errorf("reading an authenticator app: %w", err)
	}
	found.suspended, found.waits = suspended != 0, waits != 0
	return found, nil
}

// secret opens the account's TOTP secret.
func (a *App) secret(of account) ([]byte, error) {
	secret, err := a.secrets.Open(of.sealed, []byte(of.uid))
	if err != nil {
		return nil, fmt.Errorf("opening the app secret of authenticator %s: %w", of.authenticator, err)
	}
	return secret, nil
}
