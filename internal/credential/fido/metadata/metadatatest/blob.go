package metadatatest

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"
)

// Publisher signs metadata files as the FIDO Alliance does.
type Publisher struct {
	t                    testing.TB
	Root, Issuer, Signer Pair
}

// ListAt is where the publisher's certificates say that revocation lists are.
const ListAt = "http://crl.example/fido.crl"

// NewPublisher returns a publisher whose certificate is made out to host.
func NewPublisher(t testing.TB, host string) *Publisher {
	t.Helper()
	p := &Publisher{t: t}
	p.Root = Sign(t, authority("Test publisher root"), Pair{})
	issuer := authority("Test publisher issuer")
	issuer.CRLDistributionPoints = []string{ListAt}
	p.Issuer = Sign(t, issuer, p.Root)
	p.Signer = p.NewSigner(host, from, until)
	return p
}

// NewSigner returns another certificate of the publisher.
func (p *Publisher) NewSigner(host string, from, until time.Time) Pair {
	p.t.Helper()
	return Sign(p.t, &x509.Certificate{
		Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, NotBefore: from, NotAfter: until,
		BasicConstraintsValid: true, CRLDistributionPoints: []string{ListAt},
	}, p.Issuer)
}

// Lists returns revocation lists of root and issuer, with the certificates in
// them, in force from one day to another.
func (p *Publisher) Lists(from, until time.Time, revoked ...*x509.Certificate) []*x509.RevocationList {
	p.t.Helper()
	var entries []x509.RevocationListEntry
	for _, c := range revoked {
		entries = append(entries, x509.RevocationListEntry{SerialNumber: c.SerialNumber, RevocationTime: from})
	}
	var lists []*x509.RevocationList
	for _, by := range []Pair{p.Root, p.Issuer} {
		der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
			Number: big.NewInt(1), ThisUpdate: from, NextUpdate: until, RevokedCertificateEntries: entries,
		}, by.Certificate, by.Key)
		if err != nil {
			p.t.Fatal(err)
		}
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			p.t.Fatal(err)
		}
		lists = append(lists, list)
	}
	return lists
}

// File is what a publisher writes.
type File struct {
	No         int
	NextUpdate string
	Entries    []map[string]any
	// Signer replaces the publisher's, Header adds to the header; NoChain leaves
	// the certificates out.
	Signer  *Pair
	Header  map[string]any
	NoChain bool
}

// Write returns the signed file.
func (p *Publisher) Write(f File) []byte {
	p.t.Helper()
	signer := p.Signer
	if f.Signer != nil {
		signer = *f.Signer
	}
	options := (&jose.SignerOptions{}).WithType("JWT")
	if !f.NoChain {
		options.WithHeader("x5c", []string{encoded(signer.Certificate), encoded(p.Issuer.Certificate)})
	}
	for name, value := range f.Header {
		options.WithHeader(jose.HeaderKey(name), value)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: signer.Key}, options)
	if err != nil {
		p.t.Fatal(err)
	}
	payload, err := json.Marshal(map[string]any{"legalHeader": "test", "no": f.No, "nextUpdate": f.NextUpdate, "entries": f.Entries})
	if err != nil {
		p.t.Fatal(err)
	}
	signed, err := s.Sign(payload)
	if err != nil {
		p.t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		p.t.Fatal(err)
	}
	return []byte(text)
}

func encoded(c *x509.Certificate) string { return base64.StdEncoding.EncodeToString(c.Raw) }

// Entry returns the entry of a hardware model with the roots of its makers.
func Entry(model uuid.UUID, description string, makers ...*Maker) map[string]any {
	roots := []string{}
	for _, m := range makers {
		roots = append(roots, encoded(m.Root.Certificate))
	}
	return map[string]any{
		"aaguid": model.String(),
		"metadataStatement": map[string]any{
			"description": description, "aaguid": model.String(), "protocolFamily": "fido2", "schema": 3,
			"attestationTypes": []string{"basic_full", "attca"}, "keyProtection": []string{"hardware", "secure_element"},
			"attestationRootCertificates": roots,
		},
		"statusReports":          []map[string]any{{"status": "FIDO_CERTIFIED_L1", "effectiveDate": "2021-05-01"}},
		"timeOfLastStatusChange": "2021-05-01",
	}
}

// Statement returns an entry's statement, for changes.
func Statement(entry map[string]any) map[string]any {
	return entry["metadataStatement"].(map[string]any)
}

// Reported adds a status report to an entry: status, effective date, and pairs
// of further fields.
func Reported(entry map[string]any, status, from string, more ...string) map[string]any {
	r := map[string]any{"status": status}
	if from != "" {
		r["effectiveDate"] = from
	}
	for i := 0; i+1 < len(more); i += 2 {
		r[more[i]] = more[i+1]
	}
	entry["statusReports"] = append(entry["statusReports"].([]map[string]any), r)
	return entry
}

// Base64 is how a file holds a certificate.
func Base64(c *x509.Certificate) string { return encoded(c) }
