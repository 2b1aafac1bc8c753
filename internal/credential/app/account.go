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

// byAddress is an SQL expression for the app of whoever signs in with an
// address: a text for knownBy, or ” for an address that nobody has. It stands
// in the statement that counts the attempt, the same for every address (ASVS
// 6.3.8). Closed people and disabled authenticators (N10) are nobody's too.
// Whoever has an app that is usable and one that is not has the first.
func byAddress(email care.Email) throttle.Beside {
	return func(first int) (string, []any) {
		return fmt.Sprintf(`COALESCE((
			SELECT s.uid || ' ' || a.id || ' ' || a.version || ' ' || a.suspended_at || ' ' || c.password_hash
			FROM person_sign_in s
			JOIN authenticator_state a ON a.uid = s.uid AND a.method = $%d AND a.disabled_at = 0
			JOIN app_credential c ON c.authenticator_id = a.id
			WHERE s.address = $%d AND s.closed_at = 0
			ORDER BY a.suspended_at LIMIT 1), '')`, first, first+1), []any{care.AuthenticatorApp, email}
	}
}

// knownBy returns what is known of an account before its password: none of
// the five parts that byAddress joins has a space in it.
func knownBy(text string) (account, error) {
	if text == "" {
		return account{}, nil
	}
	var found account
	var suspended int64
	_, err := fmt.Sscanf(text, "%s %s %d %d %s", &found.uid, &found.authenticator, &found.version, &suspended, &found.hash)
	if err != nil {
		return account{}, fmt.Errorf("reading an authenticator app: %w", err)
	}
	found.suspended = suspended != 0
	return found, nil
}

// byUID reads the app of a person who is known already, and says whether s has
// to wait. Nobody's is the zero account.
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
