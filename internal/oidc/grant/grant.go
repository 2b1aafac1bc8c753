package grant

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/keys"
)

//go:embed schema/*.sql
var schema embed.FS

// Schema holds the migrations of this room's tables. Its queries read the view
// session_state too.
var Schema fs.FS = schema

// How long an access token is good: in the profile cis2 (wire rule 15:
// expires_in 3599), and in strict (decision 12).
const (
	TokenLife       = 3599 * time.Second
	StrictTokenLife = 300 * time.Second
)

// keepExpired is how long a row stays after its token expired, for questions.
// No session lasts longer (N2), so the row of a refresh token's use, and the
// row that can revoke it, outlive the refresh token.
const keepExpired = 24 * time.Hour

// Token is an access token that is about to be given out.
type Token struct {
	Text   string
	Life   time.Duration
	Scopes []string
	Binding
}

// Binding is what a token is bound to: whoever uses it has to show that they
// hold the key. The zero Binding is a bearer token's.
type Binding struct {
	// JKT is the thumbprint of a DPoP key (RFC 9449 section 6), Certificate
	// that of a client certificate (RFC 8705 section 3.1): SHA-256 in base64url.
	JKT         string `json:"j,omitempty"`
	Certificate string `json:"x,omitempty"`
}

// Redeem uses the code up and stores the access token that it buys. It returns
// the absolute end of the sign-in. A refusal is ErrCodeExpired, ErrCodeUsed or
// ErrSessionOver; with ErrCodeUsed, what the code bought is revoked, so the
// transaction must be committed all the same (RFC 6749 section 4.1.2; ASVS
// 10.4.2).
func Redeem(tx *db.Tx, c Code, t Token) (until time.Time, refused, err error) {
	if !tx.Now().Before(c.Expires) {
		refused, err := expired(tx, c)
		return time.Time{}, refused, err
	}
	ended, end, err := lockSession(tx, c.SID)
	if err != nil && !errors.Is(err, db.ErrNoRows) {
		return time.Time{}, nil, fmt.Errorf("reading the session of an authorization code: %w", err)
	}
	if own := db.Micros(c.Until); !c.Until.IsZero() && own < end {
		end = own
	}
	if err != nil || over(tx, ended, end) {
		return time.Time{}, ErrSessionOver, nil
	}
	stored, err := store(tx, keys.Hash(c.ID), nil, c, t, tx.Now().Add(t.Life))
	if err != nil {
		return time.Time{}, nil, fmt.Errorf("redeeming an authorization code: %w", err)
	}
	if stored {
		return db.Time(end), nil, nil
	}
	if _, err := revokeFamily(tx, keys.Hash(c.ID)); err != nil {
		return time.Time{}, nil, err
	}
	return time.Time{}, ErrCodeUsed, nil
}

// lockSession reads a session and keeps it as it is until the transaction ends:
// if it is ended meanwhile, whoever tells its relying parties finds the one that
// has just come too. A sign-in that is committed while we wait puts another row
// under the same name, so there is a second look.
func lockSession(tx *db.Tx, sid string) (ended, until int64, err error) {
	for range 2 {
		err = tx.Row(`SELECT ended_at, until FROM session_state WHERE sid = $1`+tx.ForUpdate(), sid).Scan(&ended, &until)
		if !errors.Is(err, db.ErrNoRows) {
			break
		}
	}
	return ended, until, err
}

// store inserts what was bought under the name of what bought it, and reports
// false if that was used before.
func store(tx *db.Tx, name, family []byte, c Code, t Token, expires time.Time) (bool, error) {
	inserted, err := tx.Exec(`INSERT INTO oidc_grant
		(code, family, access_token, client_id, sid, uid, scope, role, issued_at, expires_at, revoked_at, jkt, x5t, acr, aal, auth_time)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $11, $12, $13, $14, $15) ON CONFLICT (code) DO NOTHING`,
		name, family, keys.Hash(t.Text), c.ClientID, c.SID, c.UID, strings.Join(t.Scopes, " "), c.Role,
		db.Micros(tx.Now()), db.Micros(expires), t.JKT, t.Certificate, string(c.ACR), int64(c.AAL), db.Micros(c.AuthTime))
	return inserted == 1, err
}

// expired tells a code that was never used from one whose second use comes
// late: that one is a sign of theft too.
func expired(tx *db.Tx, c Code) (refused, err error) {
	revoked, err := revokeFamily(tx, keys.Hash(c.ID))
	if err != nil {
		return nil, err
	}
	if revoked {
		return ErrCodeUsed, nil
	}
	return ErrCodeExpired, nil
}

// over reports whether a session was ended or reached its absolute limit. Idle
// expiry ends single sign-on only: what a relying party holds outlives it
// (decision 7).
func over(tx *db.Tx, ended, until int64) bool {
	return ended != 0 || until <= db.Micros(tx.Now())
}

// revokeFamily revokes all that a code bought, then and by refreshing, and
// reports whether there was anything. Whoever asks about a token looks at the
// code's row, so that no token that is being bought meanwhile escapes.
func revokeFamily(tx *db.Tx, code []byte) (bool, error) {
	revoked, err := tx.Exec(`UPDATE oidc_grant SET revoked_at = $1 WHERE code = $2 AND revoked_at = 0`,
		db.Micros(tx.Now()), code)
	if err != nil {
		return false, fmt.Errorf("revoking what an authorization code bought: %w", err)
	}
	return revoked > 0, nil
}

// Prune deletes what expired long ago. A code or refresh token that comes after
// that has itself expired long ago. What came from a session stays as long as
// that goes on: its relying parties are told of its end (Clients), and a session
// whose holder signs in again in time outlives any token.
func Prune(tx *db.Tx) error {
	long := db.Micros(tx.Now().Add(-keepExpired))
	_, err := tx.Exec(`DELETE FROM oidc_grant WHERE expires_at < $1 AND NOT EXISTS
		(SELECT 1 FROM session_state s WHERE s.sid = oidc_grant.sid AND (s.ended_at = 0 OR s.ended_at > $1))`, long)
	if err != nil {
		return fmt.Errorf("deleting old grants: %w", err)
	}
	return nil
}
