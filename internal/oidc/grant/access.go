package grant

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/keys"
)

// Access is what an access token allows, and how its person signed in.
type Access struct {
	ClientID string
	UID      care.UID
	SID      string
	Scopes   []string
	Role     string
	ACR      care.ACR
	AAL      care.AAL

	AuthTime, Issued, Expires time.Time
	Binding
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
	var authTime, issued, expires, revoked, family, ended, until int64
	err = tx.Row(`
		SELECT g.client_id, g.uid, g.sid, g.scope, g.role, g.acr, g.aal, g.jkt, g.x5t,
			g.auth_time, g.issued_at, g.expires_at, g.revoked_at + g.token_revoked_at,
			CASE WHEN g.family IS NULL THEN 0 ELSE COALESCE(f.revoked_at, 1) END, s.ended_at, s.until
		FROM oidc_grant g JOIN session_state s ON s.sid = g.sid LEFT JOIN oidc_grant f ON f.code = g.family
		WHERE g.access_token = $1`, keys.Hash(token)).
		Scan(&a.ClientID, &a.UID, &a.SID, &scope, &a.Role, &a.ACR, &a.AAL, &a.JKT, &a.Certificate,
			&authTime, &issued, &expires, &revoked, &family, &ended, &until)
	if errors.Is(err, db.ErrNoRows) {
		return Access{}, ErrTokenUnknown, nil
	}
	if err != nil {
		return Access{}, nil, fmt.Errorf("reading an access token: %w", err)
	}
	a.Scopes = strings.Fields(scope)
	a.AuthTime, a.Issued, a.Expires = db.Time(authTime), db.Time(issued), db.Time(expires)
	switch {
	case revoked != 0, family != 0:
		return a, ErrTokenRevoked, nil
	case !tx.Now().Before(a.Expires):
		return a, ErrTokenExpired, nil
	case over(tx, ended, until):
		return a, ErrSessionOver, nil
	}
	return a, nil, nil
}

// RevokeToken revokes one access token, and reports whether it was there and
// not revoked yet. The refresh token that came with it stays good (RFC 7009
// section 2.1 leaves that open).
func RevokeToken(tx *db.Tx, token string) (bool, error) {
	revoked, err := tx.Exec(`UPDATE oidc_grant SET token_revoked_at = $1 WHERE access_token = $2 AND token_revoked_at = 0`,
		db.Micros(tx.Now()), keys.Hash(token))
	if err != nil {
		return false, fmt.Errorf("revoking an access token: %w", err)
	}
	return revoked > 0, nil
}
