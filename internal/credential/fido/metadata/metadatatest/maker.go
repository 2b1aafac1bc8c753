// Package metadatatest makes what makers of authenticators and the FIDO
// Alliance make: attestation statements of every format, and signed metadata
// files, under roots of its own. Only tests import it.
package metadatatest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"

	"github.com/google/uuid"
)

// Times of every certificate.
var (
	from  = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	until = time.Date(2049, 1, 1, 0, 0, 0, 0, time.UTC)
)

// Pair is a certificate with its key.
type Pair struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
}

// Maker makes authenticators: a root, and an issuer below it.
type Maker struct {
	t            testing.TB
	Root, Issuer Pair
	// Until is when the certificates of its authenticators end, if not as late as
	// its own.
	Until time.Time
}

// NewMaker returns a maker.
func NewMaker(t testing.TB, name string) *Maker {
	t.Helper()
	m := &Maker{t: t}
	m.Root = Sign(t, authority(name+" root"), Pair{})
	m.Issuer = Sign(t, authority(name+" issuer"), m.Root)
	return m
}

// device signs a certificate of an authenticator.
func (m *Maker) device(c *x509.Certificate, key crypto.Signer, by Pair) Pair {
	m.t.Helper()
	if !m.Until.IsZero() {
		c.NotBefore, c.NotAfter = from, m.Until
	}
	if key == nil {
		return Sign(m.t, c, by)
	}
	return SignFor(m.t, c, key, by)
}

func authority(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
}

// Sign returns a certificate for a fresh key, signed by its own key if by is
// empty.
func Sign(t testing.TB, template *x509.Certificate, by Pair) Pair {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return SignFor(t, template, key, by)
}

// SignFor is Sign for a key that is there.
func SignFor(t testing.TB, template *x509.Certificate, key crypto.Signer, by Pair) Pair {
	t.Helper()
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64))
	if err != nil {
		t.Fatal(err)
	}
	c := *template
	c.SerialNumber = serial
	if c.NotBefore.IsZero() {
		c.NotBefore, c.NotAfter = from, until
	}
	if by.Key == nil {
		by = Pair{&c, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, &c, by.Certificate, key.Public(), by.Key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return Pair{certificate, key}
}

// attestor is the certificate of a batch of authenticators (WebAuthn section
// 8.2.1), made out to a model unless that is zero.
func attestor(model uuid.UUID) *x509.Certificate {
	c := &x509.Certificate{
		Subject: pkix.Name{
			Country: []string{"SE"}, Organization: []string{"Test Keys AB"}, OrganizationalUnit: []string{"Authenticator Attestation"}, CommonName: "Batch 7",
		},
		BasicConstraintsValid: true,
	}
	if model != uuid.Nil {
		c.ExtraExtensions = []pkix.Extension{{Id: modelExtension, Value: encode(model[:])}}
	}
	return c
}

var modelExtension = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 45724, 1, 1, 4}

// encode is for values that cannot fail.
func encode(v any) []byte {
	der, err := asn1.Marshal(v)
	if err != nil {
		panic(err)
	}
	return der
}
