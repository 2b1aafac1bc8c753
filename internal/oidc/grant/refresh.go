package grant

import (
	"errors"
	"fmt"
	"io"
	"time"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/keys"
)

// Refresh is a refresh token: the sign-in that it goes on with, and until when.
// Like a code it is sealed and not stored.
type Refresh struct {
	// ID names the token, 128 random bits: a rotated one is used up under this
	// name.
	ID string `json:"i"`
	// Code is the one that began the family, without what only its redemption
	// needed.
	Code Code `json:"c"`
	// Binding is what the token is bound to besides its client. The family keeps
	// it.
	Binding
	// Expires is when the sign-in ends at the latest.
	// It is the same in the whole family (ASVS 10.4.8).
	Expires time.Time `json:"e"`
}

// family names the row of the code that began it all.
func (r Refresh) family() []byte { return keys.Hash(r.Code.ID) }

// Refreshes makes and opens refresh tokens.
type Refreshes struct {
	sealer *keys.Sealer
	random io.Reader
}

// NewRefreshes returns the maker of refresh tokens.
func NewRefreshes(ring *keys.Ring, random io.Reader) *Refreshes {
	return &Refreshes{sealer: ring.Sealer("oidc/refresh"), random: random}
}

// First returns the refresh token that a code buys.
func (m *Refreshes) First(c Code, b Binding, expires time.Time) (string, error) {
	c.RedirectURI, c.Nonce, c.StateHash, c.Challenge, c.JKT, c.Expires, c.Until = "", "", "", "", "", time.Time{}, time.Time{}
	return m.seal(Refresh{Code: c, Binding: b, Expires: expires})
}

// Next returns the refresh token that takes the place of r.
func (m *Refreshes) Next(r Refresh) (string, error) { return m.seal(r) }

func (m *Refreshes) seal(r Refresh) (string, error) {
	r.ID = keys.Token(m.random, idSize)
	return keys.SealJSON(m.sealer, nil, r)
}

// Open returns the refresh token of a text, or ErrRefresh. Whether it is still
// good is decided by Check and Renew.
func (m *Refreshes) Open(text string) (Refresh, error) {
	r, err := keys.OpenJSON[Refresh](m.sealer, nil, text)
	if err != nil {
		return Refresh{}, ErrRefresh
	}
	return r, nil
}

// Why a refresh token is refused. The words go into error_description.
var (
	ErrRefresh            = errors.New("the refresh token is not one that was issued here")
	ErrRefreshOtherClient = errors.New("the refresh token was issued to another client")
	ErrRefreshOtherKey    = errors.New("the refresh token is bound to another key or certificate than the one shown")
	ErrRefreshExpired     = errors.New("the refresh token has expired: the person must sign in again")
	ErrRefreshUsed        = errors.New("the refresh token was used before, so all that came from its sign-in has been revoked")
	ErrRefreshRevoked     = errors.New("the refresh token was revoked")
	ErrRoleGone           = errors.New("the person does not hold the chosen role any more: they must sign in again")
)

// Check reports why the client that has proven to hold these keys may not use
// r, or nil. A refusal uses nothing up.
func (r Refresh) Check(clientID string, b Binding) error {
	switch {
	case r.Code.ClientID != clientID:
		return ErrRefreshOtherClient
	case r.JKT != "" && r.JKT != b.JKT, r.Certificate != "" && r.Certificate != b.Certificate:
		return ErrRefreshOtherKey
	}
	return nil
}

// Renew stores the access token that r buys and returns when it expires: never
// after r. With rotate, r is used up by it; name is what the row is stored
// under if not. A refusal is ErrRefreshExpired, ErrRefreshRevoked,
// ErrSessionOver or ErrRefreshUsed; with that, the whole family is revoked, so
// the transaction must be committed all the same (RFC 9700 section 4.14.2).
func Renew(tx *db.Tx, r Refresh, t Token, rotate bool, name string) (expires time.Time, refused, err error) {
	refused, err = alive(tx, r)
	if refused != nil || err != nil {
		return time.Time{}, refused, err
	}
	if rotate {
		name = r.ID
	}
	if expires = tx.Now().Add(t.Life); expires.After(r.Expires) {
		expires = r.Expires
	}
	stored, err := store(tx, keys.Hash(name), r.family(), r.Code, t, expires)
	if err != nil {
		return time.Time{}, nil, fmt.Errorf("using a refresh token: %w", err)
	}
	if stored {
		return expires, nil, nil
	}
	if _, err := revokeFamily(tx, r.family()); err != nil {
		return time.Time{}, nil, err
	}
	return time.Time{}, ErrRefreshUsed, nil
}

// alive looks at the sign-in that r goes on with.
func alive(tx *db.Tx, r Refresh) (refused, err error) {
	var ended, until, revoked int64
	err = tx.Row(`SELECT s.ended_at, s.until, g.revoked_at
		FROM oidc_grant g JOIN session_state s ON s.sid = g.sid WHERE g.code = $1`, r.family()).
		Scan(&ended, &until, &revoked)
	if err != nil && !errors.Is(err, db.ErrNoRows) {
		return nil, fmt.Errorf("reading what a refresh token goes on with: %w", err)
	}
	switch {
	case !tx.Now().Before(r.Expires):
		return ErrRefreshExpired, nil
	case err != nil: // pruned, or restored from before it
		return ErrRefreshRevoked, nil
	case revoked != 0:
		return ErrRefreshRevoked, nil
	case over(tx, ended, until):
		return ErrSessionOver, nil
	}
	return nil, nil
}

// Good reports why r is good no more, or nil, without using it: what Renew
// would say.
func Good(tx *db.Tx, r Refresh) (refused, err error) {
	refused, err = alive(tx, r)
	if refused != nil || err != nil {
		return refused, err
	}
	var used int64
	err = tx.Row(`SELECT count(*) FROM oidc_grant WHERE code = $1`, keys.Hash(r.ID)).Scan(&used)
	if err != nil {
		return nil, fmt.Errorf("asking whether a refresh token was used: %w", err)
	}
	if used > 0 {
		return ErrRefreshUsed, nil
	}
	return nil, nil
}

// Revoke revokes r with all that came from its sign-in: the access tokens too
// (RFC 7009 section 2.1). It reports whether there was anything to revoke.
func Revoke(tx *db.Tx, r Refresh) (bool, error) { return revokeFamily(tx, r.family()) }
