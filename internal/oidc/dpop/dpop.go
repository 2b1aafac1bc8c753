// Package dpop reads the proofs with which a client shows that it holds the key
// that its tokens are bound to (RFC 9449).
//
// A request comes in with the addresses that it may have been meant for; a
// Proof leaves, or a reason for the client's developer. A proof is used up in
// the transaction of what it achieves. This room knows no tokens: whether a
// key is the right one is for the endpoint to judge.
package dpop

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/oidc/once"
)

// Window is how far the time of a proof may be off, either way. FAPI 2.0 section
// 5.3.2.1 asks to take 10 seconds in the future and to refuse more than 60.
const Window = 60 * time.Second

// Bounds of what is read: a proof with an RSA key has some 1.2 KB.
const (
	maxProof = 8 << 10
	maxName  = 512
)

// leastRSA is the size of an RSA key in bytes: 2048 bits (FAPI 2.0 section
// 5.4.1).
const leastRSA = 256

// Algorithms are those that proofs may be signed with: the ones of FAPI 2.0
// section 5.4.1, all asymmetric (RFC 9449 section 4.3).
func Algorithms() []string { return []string{"ES256", "PS256", "EdDSA"} }

// Why a proof is refused. The words go into error_description.
var (
	ErrSeveral   = errors.New("more than one DPoP header was sent")
	ErrForm      = errors.New("the DPoP proof is not one signed JWT in compact form")
	ErrType      = errors.New("the typ of the DPoP proof must be dpop+jwt")
	ErrAlgorithm = errors.New("the alg of the DPoP proof must be ES256, PS256 or EdDSA")
	ErrKey       = errors.New("the jwk of the DPoP proof must be a public key that fits its alg; an RSA key needs 2048 bits")
	ErrSignature = errors.New("the signature of the DPoP proof does not fit its jwk")
	ErrClaims    = errors.New("the DPoP proof must have jti, htm, htu and iat")
	ErrMethod    = errors.New("the htm of the DPoP proof is not the method of this request")
	ErrAddress   = errors.New("the htu of the DPoP proof is not the address of this request")
	ErrTime      = errors.New("the iat of the DPoP proof must be within 60 seconds of now, and exp and nbf must hold: look at your clock")
	ErrToken     = errors.New("the ath of the DPoP proof is not the SHA-256 of the access token in base64url")
	ErrUsed      = errors.New("the DPoP proof was used before: each request needs a jti of its own")
)

// Proof is a proof that holds.
type Proof struct {
	// JKT is the thumbprint of the key (RFC 7638, SHA-256, base64url).
	JKT string

	name  string
	until time.Time
}

// Expect is what a proof has to be for.
type Expect struct {
	Method string
	// Addresses are those at which the endpoint is reached.
	Addresses []string
	// Token is the access token that the request carries, or "" for a request
	// that carries none.
	Token string
	Now   time.Time
}

// Read returns the proof of a request, or one of the errors above (RFC 9449
// section 4.3). It reports false if the request has none.
func Read(header http.Header, want Expect) (Proof, bool, error) {
	sent := header.Values("DPoP")
	switch {
	case len(sent) == 0:
		return Proof{}, false, nil
	case len(sent) > 1:
		return Proof{}, true, ErrSeveral
	}
	jkt, payload, err := verify(sent[0])
	if err != nil {
		return Proof{}, true, err
	}
	c, err := readClaims(payload)
	if err != nil {
		return Proof{}, true, err
	}
	if err := c.check(want); err != nil {
		return Proof{}, true, err
	}
	return Proof{JKT: jkt, name: *c.ID, until: moment(*c.IssuedAt).Add(Window + time.Second)}, true, nil
}

// head is the protected header of a proof, as far as it is read here.
type head struct {
	Type      string          `json:"typ"`
	Algorithm string          `json:"alg"`
	Key       json.RawMessage `json:"jwk"`
}

// verify checks what holds for every proof, and returns the thumbprint of its
// key.
func verify(text string) (jkt string, payload []byte, err error) {
	first, _, ok := strings.Cut(text, ".")
	plain, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil || !ok || len(text) > maxProof {
		return "", nil, ErrForm
	}
	var h head
	if err := json.Unmarshal(plain, &h); err != nil {
		return "", nil, ErrForm
	}
	var key jose.JSONWebKey
	switch {
	case !strings.EqualFold(h.Type, "dpop+jwt"):
		return "", nil, ErrType
	case !slices.Contains(Algorithms(), h.Algorithm):
		return "", nil, ErrAlgorithm
	case key.UnmarshalJSON(h.Key) != nil, !fits(&key, h.Algorithm):
		return "", nil, ErrKey
	}
	signed, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(h.Algorithm)})
	if err != nil {
		return "", nil, ErrForm
	}
	if payload, err = signed.Verify(&key); err != nil {
		return "", nil, ErrSignature
	}
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", nil, ErrKey
	}
	return base64.RawURLEncoding.EncodeToString(sum), payload, nil
}

// fits reports whether the key is a public one and good enough for the
// algorithm. What else is wrong with a key shows when it verifies nothing.
func fits(key *jose.JSONWebKey, algorithm string) bool {
	if key.Algorithm != "" && key.Algorithm != algorithm || !key.IsPublic() {
		return false
	}
	switch k := key.Key.(type) {
	case *rsa.PublicKey:
		return algorithm == "PS256" && k.Size() >= leastRSA
	case *ecdsa.PublicKey:
		return algorithm == "ES256" && k.Params().Name == "P-256"
	}
	return algorithm == "EdDSA"
}

// claims of a proof. Pointers tell what is absent.
type claims struct {
	ID        *string  `json:"jti"`
	Method    *string  `json:"htm"`
	Address   *string  `json:"htu"`
	IssuedAt  *float64 `json:"iat"`
	NotBefore *float64 `json:"nbf"`
	Expires   *float64 `json:"exp"`
	TokenHash string   `json:"ath"`
}

func readClaims(payload []byte) (claims, error) {
	var c claims
	if err := json.Unmarshal(payload, &c); err != nil {
		return claims{}, ErrClaims
	}
	if c.ID == nil || *c.ID == "" || len(*c.ID) > maxName || c.Method == nil || c.Address == nil || c.IssuedAt == nil {
		return claims{}, ErrClaims
	}
	return c, nil
}

// check holds the claims against the request.
func (c claims) check(want Expect) error {
	if *c.Method != want.Method {
		return ErrMethod
	}
	address, ok := normal(*c.Address)
	if !ok || !slices.ContainsFunc(want.Addresses, func(one string) bool {
		known, ok := normal(one)
		return ok && known == address
	}) {
		return ErrAddress
	}
	off := want.Now.Sub(moment(*c.IssuedAt))
	switch {
	case off > Window, off < -Window,
		c.NotBefore != nil && moment(*c.NotBefore).After(want.Now.Add(Window)),
		c.Expires != nil && !moment(*c.Expires).After(want.Now): // RFC 7519 section 4.1.4
		return ErrTime
	}
	if want.Token != "" {
		sum := sha256.Sum256([]byte(want.Token))
		if !keys.Equal([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(c.TokenHash)) {
			return ErrToken
		}
	}
	return nil
}

// moment is a NumericDate of RFC 7519, held to what a time can be.
func moment(seconds float64) time.Time {
	const far = 1 << 40 // the year 36812
	if math.IsNaN(seconds) || math.Abs(seconds) > far {
		seconds = -far
	}
	return time.UnixMicro(int64(seconds * 1e6))
}

// kind keeps the names of proofs apart from others.
const kind = "dpop_proof"

// Use uses the proof up, in the transaction of what it achieves: refused is
// ErrUsed if it was used before (RFC 9449 section 11.1).
func (p Proof) Use(tx *db.Tx) (refused, err error) {
	fresh, err := once.Use(tx, kind, p.JKT, p.name, p.until)
	if err != nil {
		return nil, fmt.Errorf("using a DPoP proof: %w", err)
	}
	if !fresh {
		return ErrUsed, nil
	}
	return nil, nil
}
