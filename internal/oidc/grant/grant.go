package grant

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/keys"
)

//go:embed schema/*.sql
var schema embed.FS

// Schema holds the migrations of this room's tables. Its queries read the view
// session_state too.
var Schema fs.FS = schema

// TokenLife is how long an access token is good in the profile cis2 (wire rule
// 15: expires_in 3599).
const TokenLife = 3599 * time.Second

// keepExpired is how long a row stays after its token expired, for questions.
const keepExpired = 24 * time.Hour

// Redeem uses the code up and stores the access token that it buys. A refusal
// is ErrCodeExpired, ErrCodeUsed or ErrSessionOver; with ErrCodeUsed, what the
// code bought is revoked, so the transaction must be committed all the same
// (RFC 6749 section 4.1.2; ASVS 10.4.2).
func Redeem(tx *db.Tx, c Code, accessToken string, life time.Duration) (refused, err error) {
	if !tx.Now().Before(c.Expires) {
		return expired(tx, c)
	}
	var ended, until int64
	err = tx.Row(`SELECT ended_at, until FROM session_state WHERE sid = $1`, c.SID).Scan(&ended, &until)
	if err != nil && !errors.Is(err, db.ErrNoRows) {
		return nil, fmt.Errorf("reading the session of an authorization code: %w", err)
	}
	if err != nil || over(tx, ended, until) {
		return ErrSessionOver, nil
	}
	inserted, err := tx.Exec(`INSERT INTO oidc_grant
		(code, access_token, client_id, sid, uid, scope, role, issued_at, expires_at, revoked_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0) ON CONFLICT (code) DO NOTHING`,
		keys.Hash(c.ID), keys.Hash(accessToken), c.ClientID, c.SID, c.UID, strings.Join(c.Scopes, " "), c.Role,
		db.Micros(tx.Now()), db.Micros(tx.Now().Add(life)))
	if err != nil {
		return nil, fmt.Errorf("redeeming an authorization code: %w", err)
	}
	if inserted == 1 {
		return nil, nil
	}
	if _, err := revoke(tx, c); err != nil {
		return nil, err
	}
	return ErrCodeUsed, nil
}

// expired tells a code that was never used from one whose second use comes
// late: that one is a sign of theft too.
func expired(tx *db.Tx, c Code) (refused, err error) {
	revoked, err := revoke(tx, c)
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

func revoke(tx *db.Tx, c Code) (bool, error) {
	revoked, err := tx.Exec(`UPDATE oidc_grant SET revoked_at = $1 WHERE code = $2 AND revoked_at = 0`,
		db.Micros(tx.Now()), keys.Hash(c.ID))
	if err != nil {
		return false, fmt.Errorf("revoking what an authorization code bought: %w", err)
	}
	return revoked > 0, nil
}

// Access is what an access token allows.
type Access struct {
	ClientID string
	UID      care.UID
	SID      string
	Scopes   []string
	Role     string
	Expires  time.Time
}

// Why an access token is refused.
var (
	ErrTokenUnknown = errors.New("the access token is not one that was issued here")
	ErrTokenExpired = errors.New("the access token has expired")
	ErrTokenRevoked = errors.New("the access token was revoked")
)

// ByToken returns what the access token allows now. A refusal is one of
// ErrTokenUnknown, ErrTokenExpired, ErrTokenRevoked and ErrSessionOver.
func ByToken(tx *db.Tx, token string) (a Access, refused, err error) {
	var scope string
	var expires, revoked, ended, until int64
	err = tx.Row(`
		SELECT g.client_id, g.uid, g.sid, g.scope, g.role, g.expires_at, g.revoked_at, s.ended_at, s.until
		FROM oidc_grant g JOIN session_state s ON s.sid = g.sid
		WHERE g.access_token = $1`, keys.Hash(token)).
		Scan(&a.ClientID, &a.UID, &a.SID, &scope, &a.Role, &expires, &revoked, &ended, &until)
	if errors.Is(err, db.ErrNoRows) {
		return Access{}, ErrTokenUnknown, nil
	}
	if err != nil {
		return Access{}, nil, fmt.Errorf("reading an access token: %w", err)
	}
	a.Scopes, a.Expires = strings.Fields(scope), db.Time(expires)
	switch {
	case revoked != 0:
		return a, ErrTokenRevoked, nil
	case !tx.Now().Before(a.Expires):
		return a, ErrTokenExpired, nil
	case over(tx, ended, until):
		return a, ErrSessionOver, nil
	}
	return a, nil, nil
}

// Prune deletes what expired long ago. A code that comes after that has itself
// expired long ago.
func Prune(tx *db.Tx) error {
	_, err := tx.Exec(`DELETE FROM oidc_grant WHERE expires_at < $1`, db.Micros(tx.Now().Add(-keepExpired)))
	if err != nil {
		return fmt.Errorf("deleting old grants: %w", err)
	}
	return nil
}
