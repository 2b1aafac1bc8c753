package metadatatest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"math/big"
	"slices"
	"testing"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/google/uuid"
)

// Registration is what is attested. NewRegistration fills it in.
type Registration struct {
	RPID           string
	ClientDataHash []byte
	Flags          protocol.AuthenticatorFlags
	Counter        uint32
	AAGUID         uuid.UUID
	CredentialID   []byte
	Key            *ecdsa.PrivateKey
	// Twist changes a statement before it is encoded, if set.
	Twist func(statement map[string]any)
}

// NewRegistration returns one by a model, with a user verified.
func NewRegistration(t testing.TB, model uuid.UUID) Registration {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id := make([]byte, 32)
	if _, err := rand.Read(id); err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256([]byte(`{"type":"webauthn.create"}`))
	return Registration{
		RPID: "localhost", ClientDataHash: hash[:], AAGUID: model, CredentialID: id, Key: key,
		Flags: protocol.FlagUserPresent | protocol.FlagUserVerified | protocol.FlagAttestedCredentialData,
	}
}

// point is the public key as numbers of 32 bytes.
func (r Registration) point(t testing.TB) (x, y []byte) {
	t.Helper()
	raw, err := r.Key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return raw[1:33], raw[33:]
}

// AuthData returns the authenticator data (WebAuthn section 6.1).
func (r Registration) AuthData(t testing.TB) []byte {
	t.Helper()
	x, y := r.point(t)
	cose, err := webauthncbor.Marshal(webauthncose.EC2PublicKeyData{
		PublicKeyData: webauthncose.PublicKeyData{KeyType: int64(webauthncose.EllipticKey), Algorithm: int64(webauthncose.AlgES256)},
		Curve:         int64(webauthncose.P256), XCoord: x, YCoord: y,
	})
	if err != nil {
		t.Fatal(err)
	}
	party := sha256.Sum256([]byte(r.RPID))
	data := append(party[:], byte(r.Flags))
	data = binary.BigEndian.AppendUint32(data, r.Counter)
	data = append(data, r.AAGUID[:]...)
	data = binary.BigEndian.AppendUint16(data, uint16(len(r.CredentialID)))
	return slices.Concat(data, r.CredentialID, cose)
}

// signed is what most formats sign.
func (r Registration) signed(t testing.TB) []byte {
	t.Helper()
	return slices.Concat(r.AuthData(t), r.ClientDataHash)
}

// object returns the attestation object.
func (r Registration) object(t testing.TB, format string, statement map[string]any) []byte {
	t.Helper()
	if r.Twist != nil {
		r.Twist(statement)
	}
	raw, err := webauthncbor.Marshal(map[string]any{"fmt": format, "authData": r.AuthData(t), "attStmt": statement})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// sign signs with SHA-256.
func sign(t testing.TB, key crypto.Signer, text []byte) []byte {
	t.Helper()
	digest := sha256.Sum256(text)
	signature, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

// None returns an attestation object that attests nothing.
func (r Registration) None(t testing.TB) []byte {
	t.Helper()
	return r.object(t, "none", map[string]any{})
}

// Self returns one that the new key itself has signed.
func (r Registration) Self(t testing.TB) []byte {
	t.Helper()
	return r.object(t, "packed", map[string]any{"alg": int64(webauthncose.AlgES256), "sig": sign(t, r.Key, r.signed(t))})
}

// Packed returns one of a security key (WebAuthn section 8.2).
func (m *Maker) Packed(r Registration) []byte {
	m.t.Helper()
	return m.packed(r, r.AAGUID)
}

// PackedUnnamed is Packed by a certificate that names no model.
func (m *Maker) PackedUnnamed(r Registration) []byte {
	m.t.Helper()
	return m.packed(r, uuid.Nil)
}

func (m *Maker) packed(r Registration, named uuid.UUID) []byte {
	m.t.Helper()
	return m.PackedBy(r, m.device(attestor(named), nil, m.Issuer))
}

// Batch returns the certificate of a batch of a model.
func (m *Maker) Batch(model uuid.UUID) Pair {
	m.t.Helper()
	return m.device(attestor(model), nil, m.Issuer)
}

// PackedBy is Packed by a certificate that is there.
func (m *Maker) PackedBy(r Registration, by Pair) []byte {
	m.t.Helper()
	return r.object(m.t, "packed", map[string]any{
		"alg": int64(webauthncose.AlgES256), "sig": sign(m.t, by.Key, r.signed(m.t)),
		"x5c": []any{by.Certificate.Raw, m.Issuer.Certificate.Raw},
	})
}

// PackedByRSA is Packed by a certificate for an RSA key of so many bits, and a
// signature that it did not make.
func (m *Maker) PackedByRSA(r Registration, bits int) []byte {
	m.t.Helper()
	template := attestor(r.AAGUID)
	template.SerialNumber, template.NotBefore, template.NotAfter = big.NewInt(1), from, until
	modulus := new(big.Int).SetBit(big.NewInt(1), bits-1, 1)
	der, err := x509.CreateCertificate(rand.Reader, template, m.Issuer.Certificate, &rsa.PublicKey{N: modulus, E: 1<<31 - 1}, m.Issuer.Key)
	if err != nil {
		m.t.Fatal(err)
	}
	return r.object(m.t, "packed", map[string]any{
		"alg": int64(webauthncose.AlgRS256), "sig": make([]byte, bits/8), "x5c": []any{der},
	})
}

// U2F returns one of an old security key, whose AAGUID is zero (WebAuthn
// section 8.6), by a certificate that the root has signed.
func (m *Maker) U2F(r Registration) ([]byte, Pair) {
	m.t.Helper()
	r.AAGUID = uuid.Nil
	by := m.device(attestor(uuid.Nil), nil, m.Root)
	x, y := r.point(m.t)
	party := sha256.Sum256([]byte(r.RPID))
	text := slices.Concat([]byte{0}, party[:], r.ClientDataHash, r.CredentialID, []byte{4}, x, y)
	return r.object(m.t, "fido-u2f", map[string]any{"sig": sign(m.t, by.Key, text), "x5c": []any{by.Certificate.Raw}}), by
}
