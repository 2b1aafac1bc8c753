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

// Schema holds the migrations of this room's tables. Its queries read the views
// session_state and person_state too.
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

// Bought is what a code buys besides its access token.
type Bought struct {
	// Until is the absolute end of the sign-in.
	Until time.Time
	// IDAssuranceLevel is how well the person's identity was proven.
	IDAssuranceLevel int
}

// Redeem uses the code up and stores the access token that it buys. A refusal
// is ErrPersonClosed, ErrCodeExpired, ErrCodeUsed or ErrSessionOver; with
// ErrCodeUsed, what the code bought is revoked, so the transaction must be
// committed all the same (RFC 6749 section 4.1.2; ASVS 10.4.2).
func Redeem(tx *db.Tx, c Code, t Token) (bought Bought, refused, err error) {
	bought, ok, err := redeemAtOnce(tx, c, t)
	if err != nil {
		return Bought{}, nil, fmt.Errorf("redeeming an authorization code: %w", err)
	}
	if ok {
		return bought, nil, nil
	}
	return redeemInSteps(tx, c, t)
}

// redeemAtOnce redeems a good code in one statement. It reports false, and has
// changed nothing, wherever there is more to say: the code was used or has
// expired, the person does not sign in here any more, or the session is over or
// was replaced while we waited for it.
func redeemAtOnce(tx *db.Tx, c Code, t Token) (Bought, bool, error) {
	now := tx.Now()
	if !now.Before(c.Expires) || !c.Until.IsZero() && !now.Before(c.Until) {
		return Bought{}, false, nil
	}
	lock := tx.ForUpdate() // as lockSession
	if lock != "" {
		lock += " OF s"
	}
	var b Bought
	var end int64
	err := tx.Row(insert+`SELECT `+inserted+` FROM session_state s, person_state p
		WHERE s.sid = $5 AND s.ended_at = 0 AND s.until > $9 AND p.uid = $6 AND p.closed_at = 0`+lock+once+`
		RETURNING (SELECT until FROM session_state WHERE sid = $5), (SELECT id_assurance_level FROM person_state WHERE uid = $6)`,
		values(tx, keys.Hash(c.ID), nil, c, t, now.Add(t.Life))...).Scan(&end, &b.IDAssuranceLevel)
	if errors.Is(err, db.ErrNoRows) {
		return Bought{}, false, nil
	}
	if err != nil {
		return Bought{}, false, err
	}
	if b.Until = db.Time(end); !c.Until.IsZero() && c.Until.Before(b.Until) {
		b.Until = c.Until
	}
	return b, true, nil
}

// redeemInSteps is Redeem where a code may be refused.
func redeemInSteps(tx *db.Tx, c Code, t Token) (b Bought, refused, err error) {
	var closed int64
	err = tx.Row(`SELECT id_assurance_level, closed_at FROM person_state WHERE uid = $1`, c.UID).Scan(&b.IDAssuranceLevel, &closed)
	if err != nil && !errors.Is(err, db.ErrNoRows) {
		return Bought{}, nil, fmt.Errorf("reading the person of an authorization code: %w", err)
	}
	if err != nil || closed != 0 {
		return Bought{}, ErrPersonClosed, nil
	}
	if !tx.Now().Before(c.Expires) {
		refused, err := expired(tx, c)
		return Bought{}, refused, err
	}
	ended, end, err := lockSession(tx, c.SID)
	if err != nil && !errors.Is(err, db.ErrNoRows) {
		return Bought{}, nil, fmt.Errorf("reading the session of an authorization code: %w", err)
	}
	if own := db.Micros(c.Until); !c.Until.IsZero() && own < end {
		end = own
	}
	if err != nil || over(tx, ended, end) {
		return Bought{}, ErrSessionOver, nil
	}
	stored, err := store(tx, keys.Hash(c.ID), nil, c, t, tx.Now().Add(t.Life))
	if err != nil {
		return Bought{}, nil, fmt.Errorf("redeeming an authorization code: %w", err)
	}
	if stored {
		b.Until = db.Time(end)
		return b, nil, nil
	}
	if _, err := revokeFamily(tx, keys.Hash(c.ID)); err != nil {
		return Bought{}, nil, err
	}
	return Bought{}, ErrCodeUsed, nil
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

// The parts of a statement that stores what was bought: once for each name.
const (
	insert = `INSERT INTO oidc_grant
		(code, family, access_token, client_id, sid, uid, scope, role, issued_at, expires_at, revoked_at, jkt, x5t, acr, aal, auth_time) `
	inserted = `$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $11, $12, $13, $14, $15`
	once     = ` ON CONFLICT (code) DO NOTHING`
)

func values(tx *db.Tx, name, family []byte, c Code, t Token, expires time.Time) []any {
	return []any{
		name, family, keys.Hash(t.Text), c.ClientID, c.SID, c.UID, strings.Join(t.Scopes, " "), c.Role,
		db.Micros(tx.Now()), db.Micros(expires), t.JKT, t.Certificate, string(c.ACR), int64(c.AAL), db.Micros(c.AuthTime),
	}
}

// store inserts what was bought under the name of what bought it, and reports
// false if that was used before.
func store(tx *db.Tx, name, family []byte, c Code, t Token, expires time.Time) (bool, error) {
	n, err := tx.Exec(insert+`VALUES (`+inserted+`)`+once, values(tx, name, family, c, t, expires)...)
	return n == 1, err
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
