package fidotest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"sync"
	"time"

	"github.com/google/uuid"

	"carekey.dev/carekey/internal/credential/fido/metadata"
	"carekey.dev/carekey/internal/db"
)

// Authority attests keys: a root, and a certificate for each model.
type Authority struct {
	// Root is what Models trusts.
	Root *x509.Certificate

	private *ecdsa.PrivateKey
}

// Vendor is the one whom Models trusts.
var Vendor = sync.OnceValue(func() *Authority { return NewAuthority("Carekey Test Vendor") })

// NewAuthority returns one whom nobody trusts yet. Its certificates are good
// at any time that a test may set its clock to.
func NewAuthority(name string) *Authority {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{Country: []string{"GB"}, Organization: []string{name}, CommonName: name + " root"},
		NotBefore: date(2020), NotAfter: date(2050), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	must(err)
	root, err := x509.ParseCertificate(der)
	must(err)
	return &Authority{Root: root, private: private}
}

// Pool holds the root.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Root)
	return pool
}

// fidoAAGUID names the model in an attestation certificate (WebAuthn, 8.2.1).
var fidoAAGUID = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 45724, 1, 1, 4}

// leaf is the attestation certificate of a model, with its key.
func (a *Authority) leaf(aaguid uuid.UUID) ([][]byte, *ecdsa.PrivateKey, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	named, err := asn1.Marshal(aaguid[:])
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2),
		Subject: pkix.Name{
			Country: []string{"GB"}, Organization: a.Root.Subject.Organization,
			OrganizationalUnit: []string{"Authenticator Attestation"}, CommonName: "Carekey Test Key Attestation",
		},
		NotBefore: date(2020), NotAfter: date(2050), BasicConstraintsValid: true,
		ExtraExtensions: []pkix.Extension{{Id: fidoAAGUID, Value: named}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.Root, &private.PublicKey, a.private)
	return [][]byte{der}, private, err
}

func date(year int) time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }

func must(err error) {
	if err != nil {
		panic(err) // a generator of test certificates that cannot fail
	}
}

// Models is metadata for tests.
type Models map[uuid.UUID]metadata.Model

// Known knows AAGUID, by Vendor's root.
func Known() Models {
	return Models{AAGUID: {
		Name: AAGUID.String(), Description: Model, Hardware: true, Anchors: []metadata.Anchor{{DER: Vendor().Root.Raw}},
	}}
}

// Revoked is Known after a report about AAGUID.
func Revoked() Models {
	known := Known()
	model := known[AAGUID]
	model.Reports = []metadata.Report{{Status: "REVOKED"}}
	known[AAGUID] = model
	return known
}

// Lookup implements metadata.Source.
func (m Models) Lookup(_ *db.Tx, name string) (metadata.Model, bool, error) {
	id, err := uuid.Parse(name)
	if err != nil {
		return metadata.Model{}, false, nil // a key identifier
	}
	model, ok := m[id]
	return model, ok, nil
}
