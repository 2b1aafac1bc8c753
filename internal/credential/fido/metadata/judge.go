package metadata

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/google/uuid"

	"carekey.dev/carekey/internal/db"
)

// ErrStatement is the error of an attestation that contradicts what it attests:
// a wrong signature, another key, another challenge. A browser never sends one.
var ErrStatement = errors.New("the attestation does not fit the key that it is about")

// Attestation is what a registration carries.
type Attestation struct {
	// Object is the parsed attestation object, with its authenticator data.
	Object protocol.AttestationObject
	// ClientDataHash is the SHA-256 sum of the client data.
	ClientDataHash []byte
}

// Verdict is what an attestation has shown.
type Verdict struct {
	// Format is the format as it was sent, AAGUID what the authenticator says
	// of itself ("" for none): a claim until Attested.
	Format, AAGUID string
	// Attested: the attestation chains to the roots of the model, or to one of
	// the operator's.
	Attested bool
	// DeviceBound: and the model keeps keys where they cannot be copied from.
	// The backup flags of the key are for the caller to look at.
	DeviceBound bool
	// Provenance is for whoever keeps the key.
	Provenance Provenance
	// Status is how the model stands. Its Description is that of the model that
	// is claimed, if Attested is false.
	Status Status
	// Why says in a sentence for the holder why DeviceBound is false.
	Why string
}

// The sentences of Verdict.Why.
const (
	whyNone     = "Your browser or your device did not say which model it is."
	whySelf     = "Your device vouches for itself, and no maker does."
	whyFormat   = "Your device proves its model in a way that is not understood here."
	whyUnknown  = "The model of your device is not known here."
	whyChain    = "Your device could not show that it is the model that it says it is."
	whyExpired  = "The certificate by which your device shows its model is out of date."
	whySoftware = "This model keeps its keys in software, where they could be copied."
	whyMovable  = "Your device could not show that the key was made in it and stays there."
)

// Judge verifies an attestation and says what it shows (WebAuthn section 7.1,
// steps 21 to 24). It fails with ErrStatement where the registration has to be
// refused; what merely shows nothing is no error. Call it outside transactions.
func (s *Store) Judge(ctx context.Context, a Attestation) (Verdict, error) {
	v := Verdict{Format: a.Object.Format}
	id, err := uuid.FromBytes(a.Object.AuthData.AttData.AAGUID)
	if err != nil {
		return Verdict{}, fmt.Errorf("%w: reading the AAGUID: %w", ErrStatement, err)
	}
	if id != uuid.Nil {
		v.AAGUID = id.String()
	}
	path, why, err := statement(a, s.o.DB.Now())
	if errors.Is(err, errUnread) {
		path, why, err = nil, whyFormat, nil
	}
	if err == nil && v.Format == formatU2F && v.AAGUID != "" {
		err = errors.New("U2F signs no AAGUID") // whoever adds one could choose it
	}
	if err != nil {
		return Verdict{}, fmt.Errorf("%w: %s: %w", ErrStatement, v.Format, err)
	}
	model, known, err := s.claimed(ctx, v, path)
	if err != nil {
		return Verdict{}, err
	}
	v.Status.Description = model.Description
	if len(path) == 0 {
		v.Why = why
		return v, nil
	}
	ends, err := s.trace(&v, path, model, known)
	if err != nil || !v.Attested {
		return v, err
	}
	v.Provenance.Path = sums(path, ends)
	switch {
	case v.Provenance.Model == "":
		v.Status = Status{} // what was claimed is not what was shown
	case !known:
		v.Status = s.judgeModel(Model{Name: v.Provenance.Model}, v.Provenance, s.o.DB.Now())
	default:
		v.Status = s.judgeModel(model, v.Provenance, s.o.DB.Now())
	}
	return v, nil
}

// sums are those of the certificates that came, and of the roots that they end
// at: they seldom come with them, and a report may name the root (MDS3 section
// 3.1.3, certificate).
func sums(path, ends []*x509.Certificate) (all []string) {
	for _, c := range slices.Concat(path, ends) {
		if sum := sumOf(c.Raw); !slices.Contains(all, sum) {
			all = append(all, sum)
		}
	}
	return all
}

// claimed returns the model that the authenticator says it is: by its AAGUID,
// or by the key identifier of its certificate where it has none (U2F).
func (s *Store) claimed(ctx context.Context, v Verdict, path []*x509.Certificate) (m Model, known bool, err error) {
	var names []string
	switch {
	case v.AAGUID != "":
		names = []string{v.AAGUID}
	case len(path) > 0:
		names = keyIdentifiers(path[0])
	default:
		return Model{}, false, nil
	}
	err = s.o.DB.Read(ctx, func(tx *db.Tx) error {
		for _, name := range names {
			if m, known, err = s.o.Source.Lookup(tx, name); err != nil || known {
				return err
			}
		}
		return nil
	})
	return m, known, err
}

// trace follows the certificates to the model's roots, and else to the
// operator's, and returns those that they end at.
func (s *Store) trace(v *Verdict, path []*x509.Certificate, m Model, known bool) ([]*x509.Certificate, error) {
	now := s.o.DB.Now()
	v.Why = whyUnknown
	if known {
		roots, shared, err := m.certificates()
		if err != nil {
			return nil, err
		}
		v.Why = whyChain
		if ends := chain(v.Format, path, roots, now); ends != nil && (v.Format != "packed" || names(path[0], v.AAGUID) || !allIn(ends, shared)) {
			v.Attested, v.DeviceBound, v.Why = true, m.Hardware, ""
			v.Provenance.Model = m.Name
			if !m.Hardware {
				v.Why = whySoftware
			}
			return ends, nil
		}
	}
	own := s.o.Roots
	if v.Format == formatApple {
		own = slices.Concat(own, s.apple)
	}
	ends := chain(v.Format, path, own, now)
	if ends == nil {
		return nil, nil
	}
	// The operator's root vouches for the device. Which model it is stands in
	// the certificate, or is not shown.
	v.Attested, v.DeviceBound, v.Why = true, true, ""
	if names(path[0], v.AAGUID) {
		v.Provenance.Model = v.AAGUID
	}
	return ends, nil
}

func allIn(some, all []*x509.Certificate) bool {
	return !slices.ContainsFunc(some, func(c *x509.Certificate) bool { return !slices.ContainsFunc(all, c.Equal) })
}

// modelExtension names the model in an attestation certificate
// (id-fido-gen-ce-aaguid, WebAuthn section 8.2.1).
var modelExtension = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 45724, 1, 1, 4}

// names reports whether a certificate is made out to a model.
func names(c *x509.Certificate, aaguid string) bool {
	for _, e := range c.Extensions {
		if !e.Id.Equal(modelExtension) {
			continue
		}
		var written []byte
		rest, err := asn1.Unmarshal(e.Value, &written)
		id, parsed := uuid.FromBytes(written)
		return err == nil && len(rest) == 0 && parsed == nil && id != uuid.Nil && id.String() == aaguid
	}
	return false
}

// keyIdentifiers returns the names that the FIDO Alliance may have given to an
// attestation certificate without AAGUID: its key identifier, and the one that
// RFC 5280 section 4.2.1.2 computes.
func keyIdentifiers(c *x509.Certificate) []string {
	var all []string
	if len(c.SubjectKeyId) > 0 {
		all = append(all, hex.EncodeToString(c.SubjectKeyId))
	}
	var key struct {
		Algorithm asn1.RawValue
		Bits      asn1.BitString
	}
	if _, err := asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &key); err == nil {
		all = append(all, keyIdentifier(key.Bits.Bytes))
	}
	return all
}

// statement verifies an attestation statement by the rules of its format and
// returns the certificates that it came with, the attesting one first. None and
// a reason: nobody but the authenticator itself stands behind it.
func statement(a Attestation, now time.Time) (path []*x509.Certificate, why string, err error) {
	switch a.Object.Format {
	case "none":
		// Its statement is an empty map (WebAuthn section 8.7).
		if len(a.Object.AttStatement) != 0 || len(a.Object.SubStatements) != 0 {
			return nil, "", errors.New("it says more than nothing")
		}
		return nil, whyNone, nil
	case formatApple:
		path, err = verifyApple(a)
		return path, "", err
	case formatAndroid:
		path, err = verifyAndroid(a)
		return path, "", err
	case "packed", formatTPM, formatU2F:
		_, certified := a.Object.AttStatement["x5c"]
		if certified {
			path, err = certificates(a) // before anything is verified by one of them
		}
		if slices.ContainsFunc(path, func(c *x509.Certificate) bool { return !inForce(c, now) }) {
			// The library refuses these. They are no mistake of a key: as in the other
			// formats, they chain to nothing.
			return nil, whyExpired, nil
		}
		if err == nil {
			err = a.Object.VerifyAttestation(a.ClientDataHash, nil, protocol.AttestationPolicy{}, protocol.SignaturePolicy{})
		}
		switch {
		case err != nil:
			return nil, "", explain(err)
		case !certified:
			return nil, whySelf, nil
		case a.Object.Format == formatTPM && !stays(a):
			return nil, whyMovable, nil
		}
		return path, "", nil
	}
	// Unknown formats are no reason to refuse a key (WebAuthn section 7.1, step
	// 21): nothing is shown.
	return nil, whyFormat, nil
}

const (
	formatApple   = "apple"
	formatAndroid = "android-key"
	formatTPM     = "tpm"
	formatU2F     = "fido-u2f"
)

// explain keeps what the library knows of a failure, for the log.
func explain(err error) error {
	var failure *protocol.Error
	if errors.As(err, &failure) {
		return fmt.Errorf("%w: %s", err, failure.Details+" "+failure.DevInfo)
	}
	return err
}

// The bounds of the certificates of a statement: more than any maker sends.
// Whoever answers a registration without a key makes them up, and a signature by
// an RSA key that fills the form takes seconds to verify (ASVS 15.2.2).
const (
	mostCertificates = 10
	mostRSA          = 4096 // bits
)

// errUnread is the error of a certificate that breaks its standard. Some makers'
// do, which is no mistake of a key: it shows nothing.
var errUnread = errors.New("a certificate that cannot be read")

// certificates returns those of a statement, the attesting one first.
func certificates(a Attestation) ([]*x509.Certificate, error) {
	list, ok := a.Object.AttStatement["x5c"].([]any)
	if !ok || len(list) == 0 || len(list) > mostCertificates {
		return nil, fmt.Errorf("x5c is no list of 1 to %d certificates", mostCertificates)
	}
	var all []*x509.Certificate
	for i, one := range list {
		der, ok := one.([]byte)
		if !ok {
			return nil, fmt.Errorf("certificate %d is no byte string", i+1)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w: %w", i+1, errUnread, err)
		}
		if key, ok := c.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > mostRSA {
			return nil, fmt.Errorf("certificate %d: an RSA key of %d bits", i+1, key.N.BitLen())
		}
		all = append(all, c)
	}
	return all, nil
}

// signed is what an attestation signs: authenticator data and client data.
func (a Attestation) signed() []byte {
	return bytes.Join([][]byte{a.Object.RawAuthData, a.ClientDataHash}, nil)
}
