package logout

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"carekey.dev/carekey/internal/care"
)

// Hint is what an ID token of ours says that was sent as id_token_hint.
type Hint struct {
	ClientID string
	UID      care.UID
	SID      string
	Expires  time.Time
}

// Fresh reports whether the hint has not expired. One that has says whom the
// relying party means, and nothing more: alone it must not log anybody out.
func (h Hint) Fresh(now time.Time) bool { return now.Before(h.Expires) }

// ErrHint is the error of a text that is no ID token of ours.
var ErrHint = errors.New("it is not an ID token that was issued here")

// ReadHint reads the payload of a token whose signature is ours. We sign other
// things too: an ID token has an auth_time and a session, and a logout token,
// which has events, is none.
func ReadHint(payload []byte, issuer string) (Hint, error) {
	var claims struct {
		Issuer   string          `json:"iss"`
		Subject  string          `json:"sub"`
		Audience string          `json:"aud"`
		Session  string          `json:"sid"`
		Expires  int64           `json:"exp"`
		AuthTime int64           `json:"auth_time"`
		Events   json.RawMessage `json:"events"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return Hint{}, fmt.Errorf("%w: %w", ErrHint, err)
	}
	uid, err := care.ParseUID(claims.Subject)
	switch {
	case err != nil:
		return Hint{}, fmt.Errorf("%w: %w", ErrHint, err)
	case claims.Issuer != issuer:
		return Hint{}, fmt.Errorf("%w: the issuer is another", ErrHint)
	case claims.Audience == "" || claims.Session == "" || claims.Expires == 0 || claims.AuthTime == 0 || claims.Events != nil:
		return Hint{}, fmt.Errorf("%w: it is another kind of token", ErrHint)
	}
	return Hint{ClientID: claims.Audience, UID: uid, SID: claims.Session, Expires: time.Unix(claims.Expires, 0)}, nil
}
