package metadata

import (
	"bytes"
	"crypto"
	"crypto/sha1" //nolint:gosec // a name, and no proof: RFC 5280 computes key identifiers so
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol/webauthncose"
)

// subjectAltName is critical in the certificates of TPMs, and names the TPM in
// a way that the standard library does not read; the library that verifies the
// statement does (TPMv2-EK-Profile section 3.2.9).
var subjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// chain returns the roots at which the certificates end, nil if they do not. A
// root may be the attesting certificate itself (FIDO Metadata Statement,
// attestationRootCertificates).
func chain(format string, path, roots []*x509.Certificate, now time.Time) []*x509.Certificate {
	if len(roots) == 0 {
		return nil
	}
	if anchors := anchors(path[0], roots, now); anchors != nil {
		return anchors
	}
	trusted, between := x509.NewCertPool(), x509.NewCertPool()
	for _, r := range roots {
		trusted.AddCert(authority(r))
	}
	for _, c := range path[1:] {
		between.AddCert(c)
	}
	leaf := *path[0]
	if format == formatTPM {
		leaf.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(leaf.UnhandledCriticalExtensions), subjectAltName.Equal)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots: trusted, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return nil
	}
	var ends []*x509.Certificate
	for _, c := range chains {
		ends = append(ends, c[len(c)-1])
	}
	return ends
}

// authority returns a root as one that may sign. Several makers publish roots
// that do not say so or even deny it, which is for certificates on a path: a
// trusted name and key have no such bounds (RFC 5280 section 6.1.1). A usage of
// the key that excludes it holds.
func authority(root *x509.Certificate) *x509.Certificate {
	if root.IsCA || !bytes.Equal(root.RawIssuer, root.RawSubject) {
		return root
	}
	signs := *root
	signs.BasicConstraintsValid, signs.IsCA, signs.MaxPathLen = true, true, -1
	return &signs
}

// anchors returns those of roots that have the attesting certificate's own name
// and key: an anchor is a name and a key (RFC 5280 section 6.1.1), and what it
// signed itself needs no path.
func anchors(leaf *x509.Certificate, roots []*x509.Certificate, now time.Time) []*x509.Certificate {
	key, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !inForce(leaf, now) {
		return nil
	}
	var own []*x509.Certificate
	for _, r := range roots {
		if bytes.Equal(r.RawSubject, leaf.RawSubject) && key.Equal(r.PublicKey) && inForce(r, now) {
			own = append(own, r)
		}
	}
	return own
}

func inForce(c *x509.Certificate, now time.Time) bool {
	return !now.Before(c.NotBefore) && !now.After(c.NotAfter)
}

func keyIdentifier(bits []byte) string {
	sum := sha1.Sum(bits) //nolint:gosec // see the import
	return hex.EncodeToString(sum[:])
}

// extension returns the value of a certificate's extension.
func extension(c *x509.Certificate, id asn1.ObjectIdentifier) ([]byte, error) {
	for _, e := range c.Extensions {
		if e.Id.Equal(id) {
			return e.Value, nil
		}
	}
	return nil, fmt.Errorf("the certificate has no extension %s", id)
}

// sameKey checks that a certificate is about the key that is registered.
func sameKey(a Attestation, c *x509.Certificate) error {
	parsed, err := webauthncose.ParsePublicKey(a.Object.AuthData.AttData.CredentialPublicKey)
	if err != nil {
		return fmt.Errorf("reading the public key: %w", err)
	}
	var public crypto.PublicKey
	switch k := parsed.(type) {
	case webauthncose.EC2PublicKeyData:
		public, err = k.ToECDSA()
	case webauthncose.RSAPublicKeyData:
		public, err = rsaKey(k)
	default:
		return fmt.Errorf("a key of type %T", parsed)
	}
	if err != nil {
		return fmt.Errorf("reading the public key: %w", err)
	}
	if own, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !own.Equal(public) {
		return errors.New("the certificate is about another key")
	}
	return nil
}
