// Package grant is what a relying party holds after a sign-in: first an
// authorization code, then the access token that the code buys, and perhaps a
// refresh token that buys more of them.
//
// The authorization endpoint comes in with what was decided, and a sealed code
// leaves: nothing is stored for it, nor for a refresh token. The token endpoint
// redeems each once; the row that this leaves behind is the single use, the
// access token and the way to revoke it. Secrets are stored as SHA-256 only.
// Nothing here outlives the session of the sign-in.
package grant

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/keys"
)

// CodeLife is how long an authorization code can be redeemed (decision 12; ASVS
// 10.4.3 allows level 3 one minute).
const CodeLife = 60 * time.Second

// idSize is the size of a code's name in bytes.
const idSize = 16

// Code is an authorization code: what the relying party asked for, and what the
// sign-in that answers it was.
type Code struct {
	// ID names the code, 128 random bits: it is used up under this name.
	ID          string `json:"i"`
	ClientID    string `json:"c"`
	RedirectURI string `json:"r"`
	// Scopes are those granted.
	Scopes []string `json:"s"`
	Nonce  string   `json:"n,omitempty"`
	// StateHash is the claim s_hash: the state itself may be long.
	StateHash string `json:"h,omitempty"`
	// Challenge is the PKCE challenge (S256), or "" if none was sent.
	Challenge string `json:"p,omitempty"`
	// JKT is the thumbprint of the DPoP key that alone may redeem the code
	// (RFC 9449 section 10), or "" if none was named.
	JKT string   `json:"k,omitempty"`
	ACR care.ACR `json:"a"`

	SID      string      `json:"d"`
	UID      care.UID    `json:"u"`
	AAL      care.AAL    `json:"l"`
	Method   care.Method `json:"m"`
	AuthTime time.Time   `json:"t"`
	// Until is the absolute limit of this sign-in. The session may go on under
	// its name with another sign-in, whose limit is not for this code.
	Until time.Time `json:"x,omitzero"`
	// Role is the person_roleid chosen, or "".
	Role string `json:"o,omitempty"`

	Expires time.Time `json:"e"`
}

// Codes makes and opens authorization codes.
type Codes struct {
	sealer *keys.Sealer
	random io.Reader
}

// NewCodes returns the maker of codes.
func NewCodes(ring *keys.Ring, random io.Reader) *Codes {
	return &Codes{sealer: ring.Sealer("oidc/code"), random: random}
}

// ErrCode is the error of a text that is no code of ours.
var ErrCode = errors.New("the authorization code is not one that was issued here")

// Issue gives c its name and its end, and returns it sealed.
func (c *Codes) Issue(code Code, now time.Time) (string, error) {
	code.ID = keys.Token(c.random, idSize)
	code.Expires = now.Add(CodeLife)
	return keys.SealJSON(c.sealer, nil, code)
}

// Open returns the code of a text, or ErrCode. Whether it is still good is
// decided by Check and Redeem.
func (c *Codes) Open(text string) (Code, error) {
	code, err := keys.OpenJSON[Code](c.sealer, nil, text)
	if err != nil {
		return Code{}, ErrCode
	}
	return code, nil
}

// Why a code is refused to an authenticated client. The words go into
// error_description.
var (
	ErrOtherClient    = errors.New("the authorization code was issued to another client")
	ErrOtherRedirect  = errors.New("redirect_uri is not the one of the authorization request")
	ErrNoVerifier     = errors.New("code_verifier is missing although the authorization request had a code_challenge")
	ErrVerifier       = errors.New("code_verifier does not fit the code_challenge of the authorization request")
	ErrVerifierUnused = errors.New("code_verifier was sent although the authorization request had no code_challenge")
	ErrCodeExpired    = errors.New("the authorization code has expired: it is good for 60 seconds")
	ErrCodeUsed       = errors.New("the authorization code was used before, so what it bought has been revoked")
	ErrSessionOver    = errors.New("the session of the sign-in has ended")
	ErrPersonClosed   = errors.New("the person does not sign in here any more")
	ErrCodeOtherKey   = errors.New("the authorization code is bound to another DPoP key than the one that the proof shows")
)

// Check reports why the client with these parameters, and with the DPoP key
// that it has proven to hold, may not redeem c, or nil. A refusal does not use
// the code up.
func (c Code) Check(clientID, redirectURI, verifier, jkt string) error {
	switch {
	case c.ClientID != clientID:
		return ErrOtherClient
	case c.RedirectURI != redirectURI:
		return ErrOtherRedirect
	case c.JKT != "" && c.JKT != jkt:
		return ErrCodeOtherKey
	}
	return c.checkVerifier(verifier)
}

// checkVerifier holds the client to PKCE once it was used, and refuses the
// downgrade (RFC 7636 section 4.6; RFC 9700 section 2.1.1).
func (c Code) checkVerifier(verifier string) error {
	switch {
	case c.Challenge == "" && verifier == "":
		return nil
	case c.Challenge == "":
		return ErrVerifierUnused
	case verifier == "":
		return ErrNoVerifier
	}
	sum := sha256.Sum256([]byte(verifier))
	challenge := base64.RawURLEncoding.EncodeToString(sum[:])
	if !keys.Equal([]byte(challenge), []byte(c.Challenge)) {
		return ErrVerifier
	}
	return nil
}
