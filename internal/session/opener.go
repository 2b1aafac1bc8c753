package session

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/keys"
)

// Opener opens sessions. Wiring gives it to the gate; no other room holds one.
type Opener struct{ s *Sessions }

// Opening is what the gate has decided.
type Opening struct {
	// Token is the new session's secret, from NewToken. A sign-in always gets
	// a new one (ASVS 7.2.4).
	Token, SID string
	// Previous is the secret that the browser held, or "".
	Previous        string
	UID             care.UID
	AAL             care.AAL
	Method          care.Method
	AuthenticatorID string
	Terms           string
	// Browser, Client and Shared as in Session.
	Browser, Client string
	Shared          bool
}

// NewToken returns a new session secret and a new public name. It is called
// outside the transaction, which may run more than once.
func (o Opener) NewToken() (token, sid string) {
	return keys.Token(o.s.random, tokenSize), keys.Token(o.s.random, 16)
}

// Open creates a session. What the browser held before is over with it: the
// session of another person ends, that of the same person goes on under its
// public name, with a new secret, new limits and the level of this sign-in
// alone (N6). Relying parties know a session by that name, so a sign-out still
// reaches all of them after somebody had to prove again who they are.
func (o Opener) Open(tx *db.Tx, n Opening) (*Session, error) {
	if o.s == nil {
		return nil, errors.New("opening a session without the gate")
	}
	earlier, err := replace(tx, &n)
	if err != nil {
		return nil, err
	}
	now, limits := tx.Now(), o.s.limits(n.AAL)
	s := &Session{
		ID: keys.Hash(n.Token), SID: n.SID, UID: n.UID, AAL: n.AAL, Method: n.Method,
		AuthenticatorID: n.AuthenticatorID, AuthTime: now, LastSeen: now,
		IdleUntil: now.Add(limits.Idle), Until: now.Add(limits.Total), Terms: n.Terms,
		Browser: n.Browser, Client: n.Client, Shared: n.Shared,
	}
	_, err = tx.Exec(`INSERT INTO session (id, sid, uid, aal, method, authenticator_id, auth_time, last_seen, idle_until, until, terms, earlier, browser, client, shared)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
		s.ID, s.SID, s.UID, int64(s.AAL), s.Method, s.AuthenticatorID,
		db.Micros(now), db.Micros(now), db.Micros(s.IdleUntil), db.Micros(s.Until), s.Terms, earlier, s.Browser, s.Client, s.Shared)
	if err != nil {
		return nil, fmt.Errorf("opening a session: %w", err)
	}
	return s, nil
}

// replace takes away the session that the browser held. If it was the same
// person's and not over, n goes on under its name, and the authenticators that
// took part in it are returned. That it may be idle does not matter: somebody
// at work in a relying party for longer than the idle limit still is (decision
// 7).
func replace(tx *db.Tx, n *Opening) (earlier string, err error) {
	if n.Previous == "" {
		return "", nil
	}
	var sid, authenticator string
	err = tx.Row(`DELETE FROM session WHERE id = $1 AND uid = $2 AND ended_at = 0 AND until > $3
		RETURNING sid, authenticator_id, earlier`, keys.Hash(n.Previous), n.UID, db.Micros(tx.Now())).
		Scan(&sid, &authenticator, &earlier)
	if errors.Is(err, db.ErrNoRows) {
		return "", End(tx, keys.Hash(n.Previous), "another person signed in")
	}
	if err != nil {
		return "", fmt.Errorf("replacing a session: %w", err)
	}
	n.SID = sid
	if authenticator == "" || authenticator == n.AuthenticatorID || strings.Contains(earlier, " "+authenticator+" ") {
		return earlier, nil
	}
	if earlier == "" {
		earlier = " "
	}
	return earlier + authenticator + " ", nil
}

// Rebind moves a session to the authenticator that replaced the one it was
// opened with, so that replacing a phone does not throw its holder out.
func (o Opener) Rebind(tx *db.Tx, id []byte, authenticatorID string) error {
	if o.s == nil {
		return errors.New("moving a session without the gate")
	}
	_, err := tx.Exec(`UPDATE session SET authenticator_id = $1 WHERE id = $2`, authenticatorID, id)
	if err != nil {
		return fmt.Errorf("moving a session to its new authenticator: %w", err)
	}
	return nil
}

// SetCookie gives the browser its session. It lives until the browser closes;
// the limits are kept by the server.
func SetCookie(w http.ResponseWriter, token string) {
	http.SetCookie(w, &http.Cookie{
		Name: Cookie, Value: token, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// ClearCookie takes it away.
func ClearCookie(w http.ResponseWriter) {
	http.SetCookie(w, &http.Cookie{
		Name: Cookie, Path: "/", MaxAge: -1, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}
