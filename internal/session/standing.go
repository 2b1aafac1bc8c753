package session

import (
	"errors"
	"fmt"

	"carekey.dev/carekey/internal/db"
)

// Standing returns the session with this ID unless it was ended or is past its
// absolute limit, else nil. It may be idle: that ends single sign-on and
// nothing else, so there is still something to sign out of (decision 7).
func Standing(tx *db.Tx, id []byte) (*Session, error) { return standing(tx, `id = $1`, id) }

// StandingAs is Standing by the public name.
func StandingAs(tx *db.Tx, sid string) (*Session, error) { return standing(tx, `sid = $1`, sid) }

func standing(tx *db.Tx, which string, name any) (*Session, error) {
	s, err := scan(tx.Row(`SELECT `+columns+` FROM session WHERE `+which+` AND ended_at = 0 AND until > $2`,
		name, db.Micros(tx.Now())))
	if errors.Is(err, db.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading a session to end: %w", err)
	}
	return s, nil
}
