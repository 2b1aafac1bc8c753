package fido

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"

	"github.com/go-webauthn/webauthn/metadata"
	"github.com/go-webauthn/webauthn/protocol"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
)

// Why a key does not count as AAL3, in the words of the result page.
const (
	whySynced     = "It can be copied to your other devices, so it is not bound to this one."
	whyUnattested = "It does not prove which device it is, so we cannot be sure that it cannot be copied."
	whyUntrusted  = "We do not know its maker, so we cannot be sure that it cannot be copied."
)

// judge says what a key's attestation shows, and whether the key may be
// registered. The statement itself is verified already. r is filled in. It
// returns why the key does not reach AAL3, or "".
func (f *FIDO) judge(tx *db.Tx, r *row, o protocol.AttestationObject) (why string, err error) {
	model, known, err := f.model(tx, r.AAGUID)
	if err != nil {
		return "", err
	}
	chain, err := chainOf(o)
	if err != nil {
		return "", refused(err)
	}
	// Neither "none" nor a statement that the key signed for itself shows
	// anything (WebAuthn, 6.5.4: self attestation has no trust anchor).
	byModel := known && f.chains(chain, model.Roots)
	r.Attested = byModel || f.chains(chain, f.o.Roots)
	if r.Attested && known {
		r.Model = model.Description
	}
	if err := f.admits(*r, model); err != nil {
		return "", err
	}
	switch {
	case r.BackupEligible:
		return whySynced, nil
	case len(chain) == 0:
		return whyUnattested, nil
	case !r.Attested:
		return whyUntrusted, nil
	}
	return "", nil
}

// model is what is known about a model.
func (f *FIDO) model(tx *db.Tx, aaguid AAGUID) (Model, bool, error) {
	if f.o.Models == nil || aaguid == (AAGUID{}) {
		return Model{}, false, nil
	}
	model, known, err := f.o.Models.Model(tx, aaguid)
	if err != nil {
		return Model{}, false, fmt.Errorf("looking a model up: %w", err)
	}
	return model, known, nil
}

// admits judges a key whose attestation was judged: at its registration, and
// again at each sign-in, because models fall from grace.
func (f *FIDO) admits(r row, model Model) error {
	switch {
	case r.Attested && model.Revoked:
		return fault.New(fault.FIDOModelRevoked, fmt.Errorf("model %s: %s", r.AAGUID, model.Reason))
	case r.Attested && f.o.Refused[r.AAGUID]:
		return fault.New(fault.FIDOModelRefused, fmt.Errorf("model %s is refused", r.AAGUID))
	}
	switch f.o.Policies[r.Method] {
	case Attested:
		if !r.Attested {
			return fault.New(fault.FIDOAttestationMissing, fmt.Errorf("%s wants an attestation that is trusted", r.Method))
		}
	case Listed:
		if !r.Attested {
			return fault.New(fault.FIDOAttestationMissing, fmt.Errorf("%s wants a listed model", r.Method))
		}
		if !f.o.Allowed[r.AAGUID] {
			return fault.New(fault.FIDOModelRefused, fmt.Errorf("model %s is not listed", r.AAGUID))
		}
	}
	return nil
}

// chainOf returns the certificates of an attestation, the leaf first; none for
// "none" and self attestation.
func chainOf(o protocol.AttestationObject) ([]*x509.Certificate, error) {
	if !slices.Contains([]string{string(metadata.BasicFull), string(metadata.AttCA), string(metadata.AnonCA)}, o.Type) {
		return nil, nil
	}
	x5c, ok := o.AttStatement["x5c"].([]any)
	if !ok || len(x5c) == 0 {
		return nil, nil
	}
	var chain []*x509.Certificate
	for _, raw := range x5c {
		der, ok := raw.([]byte)
		if !ok {
			return nil, errors.New("a certificate of the attestation is no bytes")
		}
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("reading a certificate of the attestation: %w", err)
		}
		chain = append(chain, certificate)
	}
	return chain, nil
}

// subjectAltName is critical in certificates of TPMs, whose subject is empty,
// and holds a directory name, which Go does not know (WebAuthn, 8.3.1).
var subjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// chains reports whether a chain ends at one of the roots now.
func (f *FIDO) chains(chain []*x509.Certificate, roots *x509.CertPool) bool {
	if len(chain) == 0 || roots == nil {
		return false
	}
	leaf := *chain[0]
	leaf.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(leaf.UnhandledCriticalExtensions),
		func(id asn1.ObjectIdentifier) bool { return id.Equal(subjectAltName) })
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: between, CurrentTime: f.o.DB.Now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	return err == nil
}
