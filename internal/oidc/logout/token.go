package logout

import (
	"time"

	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/relyingparty"
)

// tokenLife is how long a logout token is good: it is sent as soon as it is
// made (OpenID Connect Back-Channel Logout section 2.4 advises two minutes at
// most).
const tokenLife = 2 * time.Minute

// Event is the member of "events" that makes a JWT a logout token.
const Event = "http://schemas.openid.net/event/backchannel-logout"

// nothing is the value of the event: an empty object.
type nothing struct{}

// Token is the payload of a logout token (OpenID Connect Back-Channel Logout
// section 2.4; wire rule 16). It has both sub and sid, aud as a string, and
// never a nonce, so that it cannot pass for an ID token.
type Token struct {
	Issuer   string             `json:"iss"`
	Subject  string             `json:"sub"`
	Audience string             `json:"aud"`
	IssuedAt int64              `json:"iat"`
	Expires  int64              `json:"exp"`
	ID       string             `json:"jti"`
	Session  string             `json:"sid"`
	Events   map[string]nothing `json:"events"`
}

// token is what d tells, as of now. Each try has a jti of its own: a relying
// party that took the one before and could not say so must not refuse this one
// as a repetition.
func (l *Logout) token(d delivery, now time.Time) Token {
	return Token{
		Issuer: l.Issuer, Subject: d.uid, Audience: d.clientID,
		IssuedAt: now.Unix(), Expires: now.Add(tokenLife).Unix(),
		ID: keys.Token(l.Random, 16), Session: d.sid, Events: map[string]nothing{Event: {}},
	}
}

// typeFor is the typ of a relying party's logout tokens (decision 12).
func typeFor(rp relyingparty.RelyingParty) string {
	switch {
	case rp.Quirks.LogoutTokenType != "":
		return rp.Quirks.LogoutTokenType
	case rp.Profile == relyingparty.Strict:
		return relyingparty.TypeLogoutJWT
	}
	return relyingparty.TypeJWT
}
