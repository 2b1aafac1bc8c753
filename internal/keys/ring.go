package keys

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	subtleaead "github.com/tink-crypto/tink-go/v2/aead/subtle"
)

// idSize is the length of the root's identifier before each sealed text.
const idSize = 4

// ErrSealed is the error of a sealed text that does not open: changed, cut,
// made for another purpose, or by a root that is gone.
var ErrSealed = errors.New("sealed text does not open")

// Ring holds the roots, the newest first.
type Ring struct {
	roots []Root
}

// NewRing returns a ring. The first root seals; all of them open.
func NewRing(roots ...Root) *Ring { return &Ring{roots: roots} }

// derive returns 32 bytes for one purpose (HKDF-SHA256, RFC 5869).
func derive(root Root, purpose string) []byte {
	key, err := hkdf.Key(sha256.New, root[:], nil, "carekey/"+purpose, 32)
	if err != nil {
		panic(fmt.Sprintf("deriving a 32-byte key: %v", err)) // impossible at this length
	}
	return key
}

// Sealer seals for one purpose with XChaCha20-Poly1305, whose random nonce is
// long enough for any number of messages.
type Sealer struct {
	ids  [][idSize]byte
	aead []*subtleaead.XChaCha20Poly1305
}

// Sealer returns the sealer of a purpose.
func (r *Ring) Sealer(purpose string) *Sealer {
	s := &Sealer{}
	for _, root := range r.roots {
		aead, err := subtleaead.NewXChaCha20Poly1305(derive(root, "seal/"+purpose))
		if err != nil {
			panic(fmt.Sprintf("making a sealer with a 32-byte key: %v", err)) // impossible at this length
		}
		s.aead = append(s.aead, aead)
		s.ids = append(s.ids, [idSize]byte(derive(root, "id")))
	}
	return s
}

// Seal returns the sealed form of plaintext. associated is bound to it and
// must be the same when it is opened.
func (s *Sealer) Seal(plaintext, associated []byte) ([]byte, error) {
	sealed, err := s.aead[0].Encrypt(plaintext, associated)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	return append(s.ids[0][:], sealed...), nil
}

// Open returns what was sealed, or ErrSealed.
func (s *Sealer) Open(sealed, associated []byte) ([]byte, error) {
	if len(sealed) < idSize {
		return nil, ErrSealed
	}
	for i, id := range s.ids {
		if id == [idSize]byte(sealed[:idSize]) {
			plaintext, err := s.aead[i].Decrypt(sealed[idSize:], associated)
			if err != nil {
				return nil, ErrSealed
			}
			return plaintext, nil
		}
	}
	return nil, ErrSealed
}

// MAC authenticates for one purpose (HMAC-SHA256).
type MAC struct {
	ids  []string
	keys [][]byte
}

// MAC returns the MAC of a purpose.
func (r *Ring) MAC(purpose string) *MAC {
	m := &MAC{}
	for _, root := range r.roots {
		m.keys = append(m.keys, derive(root, "mac/"+purpose))
		m.ids = append(m.ids, hex.EncodeToString(derive(root, "id")[:idSize]))
	}
	return m
}

// ID names the newest root, for what must be computed again under the same
// root later (a peppered password hash) instead of compared with Verify.
func (m *MAC) ID() string { return m.ids[0] }

// SumBy returns the MAC of parts under the root that ID named; false if the
// ring does not hold it any more.
func (m *MAC) SumBy(id string, parts ...[]byte) ([]byte, bool) {
	for i, known := range m.ids {
		if known == id {
			return sum(m.keys[i], parts), true
		}
	}
	return nil, false
}

// Sum returns the MAC of parts under the newest root. Each part is preceded by
// its length, so that parts cannot flow into one another.
func (m *MAC) Sum(parts ...[]byte) []byte { return sum(m.keys[0], parts) }

// Verify reports in constant time whether mac is right under any root.
func (m *MAC) Verify(mac []byte, parts ...[]byte) bool {
	ok := 0
	for _, key := range m.keys {
		ok |= subtle.ConstantTimeCompare(mac, sum(key, parts))
	}
	return ok == 1
}

func sum(key []byte, parts [][]byte) []byte {
	h := hmac.New(sha256.New, key)
	var length [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write(part)
	}
	return h.Sum(nil)
}

// Token returns a new random token of the given number of bytes in base64url.
func Token(random io.Reader, size int) string {
	b := make([]byte, size)
	if _, err := io.ReadFull(random, b); err != nil {
		panic(fmt.Sprintf("reading randomness: %v", err)) // no safe way to go on
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// Hash is how a high-entropy token is stored where it is only compared.
func Hash(token string) []byte {
	digest := sha256.Sum256([]byte(token))
	return digest[:]
}

// Equal compares in constant time.
func Equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
