// Package fidotest is a key in software, and the browser in front of it, for
// tests: it answers the options of a ceremony as navigator.credentials does,
// with the flags, the counter and the attestation that a test wants. Its
// attestation chains to a root of its own, which Models trusts. Only tests
// import it.
package fidotest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/google/uuid"
)

// AAGUID is the model of every new Key; Models knows it as Model.
var AAGUID = uuid.MustParse("ca4e0000-7e57-4b1d-9c5a-0123456789ab")

// Model is what the metadata calls it.
const Model = "Carekey Test Key"

// Formats of attestation.
const (
	Packed = "packed" // by the certificate of Chain
	Self   = "self"   // packed, signed by the key itself
	None   = "none"
)

// The errors are the names of what a browser throws.
var (
	ErrInvalidState = errors.New("InvalidStateError") // this key is registered already
	ErrNotAllowed   = errors.New("NotAllowedError")   // no key that would do
)

// Key is an authenticator of one person. Its fields may be changed between
// ceremonies.
type Key struct {
	// Origin is where the page was opened.
	Origin string
	// Format is the attestation of new credentials, Authority who attests.
	Format    string
	Authority *Authority
	AAGUID    uuid.UUID
	// The flags of the authenticator data.
	UserVerified, BackupEligible, BackupState bool
	// Attachment is "cross-platform" or "platform".
	Attachment string
	Transports []string
	// Discoverable: it keeps its credentials, and says whose they are.
	Discoverable bool
	// What a key or a browser that misbehaves does: RPID signs for another domain
	// ("" for the right one), Absent with nobody there, Forge with a wrong
	// signature; Same makes the newest credential once more, whatever is excluded.
	RPID                string
	Absent, Forge, Same bool
	// Counter is the next signature's; a key that does not count has Step 0.
	Counter, Step uint32

	held []held
}

type held struct {
	id, user []byte
	rp       string
	private  *ecdsa.PrivateKey
}

// New returns a security key that verifies its user and attests, for a page of
// origin.
func New(origin string) *Key {
	return &Key{
		Origin: origin, Format: Packed, Authority: Vendor(), AAGUID: AAGUID, UserVerified: true,
		Attachment: "cross-platform", Transports: []string{"usb"}, Discoverable: true, Counter: 1, Step: 1,
	}
}

// NewPlatform returns Windows Hello: a platform authenticator that attests.
func NewPlatform(origin string) *Key {
	k := New(origin)
	k.Attachment, k.Transports, k.Step, k.Counter = "platform", []string{"internal"}, 0, 0
	return k
}

// NewSynced returns a passkey that its provider copies: no attestation, no
// counter.
func NewSynced(origin string) *Key {
	k := NewPlatform(origin)
	k.Format, k.BackupEligible, k.BackupState = None, true, true
	k.AAGUID = uuid.UUID{}
	k.Transports = []string{"hybrid", "internal"}
	return k
}

// Copy returns a second key with the same credentials, as whoever copied the
// first has it.
func (k *Key) Copy() *Key {
	other := *k
	other.held = slices.Clone(k.held)
	return &other
}

// b64 is bytes in the JSON of Web Authentication.
type b64 []byte

func (b b64) MarshalJSON() ([]byte, error) {
	return json.Marshal(base64.RawURLEncoding.EncodeToString(b))
}

func (b *b64) UnmarshalJSON(text []byte) error {
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	plain, err := base64.RawURLEncoding.DecodeString(s)
	*b = plain
	return err
}

type descriptor struct {
	ID b64 `json:"id"`
}

// options is what this browser reads of both kinds.
type options struct {
	PublicKey struct {
		Challenge string `json:"challenge"`
		RP        struct {
			ID string `json:"id"`
		} `json:"rp"`
		RPID string `json:"rpId"`
		User struct {
			ID b64 `json:"id"`
		} `json:"user"`
		Exclude []descriptor `json:"excludeCredentials"`
		Allow   []descriptor `json:"allowCredentials"`
	} `json:"publicKey"`
}

func read(text json.RawMessage) (options, error) {
	var o options
	if err := json.Unmarshal(text, &o); err != nil {
		return o, fmt.Errorf("reading options: %w", err)
	}
	return o, nil
}

// Create answers create(): PublicKeyCredential.toJSON(), or one of the errors.
func (k *Key) Create(text json.RawMessage) ([]byte, error) {
	o, err := read(text)
	if err != nil {
		return nil, err
	}
	for _, d := range o.PublicKey.Exclude {
		if k.has(d.ID) && !k.Same {
			return nil, ErrInvalidState
		}
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	h := held{id: make([]byte, 32), user: o.PublicKey.User.ID, rp: o.PublicKey.RP.ID, private: private}
	rand.Read(h.id)
	if k.Same {
		h = k.held[len(k.held)-1]
		private = h.private
	}
	public, err := cose(&private.PublicKey)
	if err != nil {
		return nil, err
	}
	data := k.data(h.rp, 1<<6)
	data = append(data, k.AAGUID[:]...)
	data = binary.BigEndian.AppendUint16(data, uint16(len(h.id)))
	data = append(append(data, h.id...), public...)
	client := k.client("webauthn.create", o.PublicKey.Challenge)
	object, err := k.attest(private, data, client)
	if err != nil {
		return nil, err
	}
	k.held = append(k.held, h)
	return k.answer(h.id, map[string]any{
		"clientDataJSON": b64(client), "attestationObject": b64(object), "transports": k.Transports,
		"authenticatorData": b64(data), "publicKeyAlgorithm": -7,
	}, map[string]any{"credProps": map[string]any{"rk": k.Discoverable}})
}

// Get answers get(): PublicKeyCredential.toJSON(), or ErrNotAllowed.
func (k *Key) Get(text json.RawMessage) ([]byte, error) {
	o, err := read(text)
	if err != nil {
		return nil, err
	}
	h, ok := k.find(o)
	if !ok {
		return nil, ErrNotAllowed
	}
	data := k.data(h.rp, 0)
	client := k.client("webauthn.get", o.PublicKey.Challenge)
	signature, err := k.sign(h.private, data, client)
	if err != nil {
		return nil, err
	}
	response := map[string]any{"clientDataJSON": b64(client), "authenticatorData": b64(data), "signature": b64(signature)}
	if k.Discoverable {
		response["userHandle"] = b64(h.user)
	}
	return k.answer(h.id, response, map[string]any{})
}

func (k *Key) has(id []byte) bool {
	return slices.ContainsFunc(k.held, func(h held) bool { return bytes.Equal(h.id, id) })
}

// find is the newest credential that would do.
func (k *Key) find(o options) (held, bool) {
	for _, h := range slices.Backward(k.held) {
		named := slices.ContainsFunc(o.PublicKey.Allow, func(d descriptor) bool { return bytes.Equal(d.ID, h.id) })
		if h.rp == o.PublicKey.RPID && (named || len(o.PublicKey.Allow) == 0 && k.Discoverable) {
			return h, true
		}
	}
	return held{}, false
}

// data is authenticator data up to the counter (WebAuthn, 6.1).
func (k *Key) data(rp string, flags byte) []byte {
	for bit, on := range map[byte]bool{1: !k.Absent, 1 << 2: k.UserVerified, 1 << 3: k.BackupEligible, 1 << 4: k.BackupState} {
		if on {
			flags |= bit
		}
	}
	if k.RPID != "" {
		rp = k.RPID
	}
	hash := sha256.Sum256([]byte(rp))
	data := binary.BigEndian.AppendUint32(append(hash[:], flags), k.Counter)
	k.Counter += k.Step
	return data
}

func (k *Key) client(kind, challenge string) []byte {
	text, err := json.Marshal(map[string]any{"type": kind, "challenge": challenge, "origin": k.Origin, "crossOrigin": false})
	if err != nil {
		panic(err) // strings and a bool
	}
	return text
}

func (k *Key) answer(id []byte, response, extensions map[string]any) ([]byte, error) {
	return json.Marshal(map[string]any{
		"id": b64(id), "rawId": b64(id), "type": "public-key", "authenticatorAttachment": k.Attachment,
		"response": response, "clientExtensionResults": extensions,
	})
}

func (k *Key) attest(private *ecdsa.PrivateKey, data, client []byte) ([]byte, error) {
	format, statement := k.Format, map[string]any{}
	switch k.Format {
	case Self:
		signature, err := k.sign(private, data, client)
		if err != nil {
			return nil, err
		}
		format, statement = Packed, map[string]any{"alg": -7, "sig": signature}
	case Packed:
		chain, leaf, err := k.Authority.leaf(k.AAGUID)
		if err != nil {
			return nil, err
		}
		signature, err := k.sign(leaf, data, client)
		if err != nil {
			return nil, err
		}
		statement = map[string]any{"alg": -7, "sig": signature, "x5c": chain}
	}
	return webauthncbor.Marshal(map[string]any{"fmt": format, "attStmt": statement, "authData": data})
}

func (k *Key) sign(private *ecdsa.PrivateKey, data, client []byte) ([]byte, error) {
	if k.Forge {
		client = append(slices.Clone(client), ' ')
	}
	hash := sha256.Sum256(client)
	sum := sha256.Sum256(append(slices.Clone(data), hash[:]...))
	return ecdsa.SignASN1(rand.Reader, private, sum[:])
}

func cose(public *ecdsa.PublicKey) ([]byte, error) {
	point, err := public.Bytes()
	if err != nil {
		return nil, err
	}
	return webauthncbor.Marshal(webauthncose.EC2PublicKeyData{
		PublicKeyData: webauthncose.PublicKeyData{KeyType: int64(webauthncose.EllipticKey), Algorithm: int64(webauthncose.AlgES256)},
		Curve:         int64(webauthncose.P256), XCoord: point[1:33], YCoord: point[33:],
	})
}
