package metadata

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/go-webauthn/webauthn/protocol/webauthncose"
)

// androidKey is the extension with what Android attests (Key and ID
// Attestation, source.android.com/docs/security/features/keystore/attestation).
var androidKey = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 1, 17}

// Tags of an authorization list, and the values that are wanted.
const (
	tagPurpose         = 1
	tagAllApplications = 600
	tagOrigin          = 702

	purposeSign     = 2
	originGenerated = 0
	levelSoftware   = 0
)

// keyDescription is that extension's beginning and its two lists.
type keyDescription struct {
	AttestationVersion int
	AttestationLevel   asn1.Enumerated
	KeymasterVersion   int
	KeymasterLevel     asn1.Enumerated
	Challenge          []byte
	UniqueID           []byte
	Software           asn1.RawValue
	Hardware           asn1.RawValue
}

// verifyAndroid verifies an Android key attestation (WebAuthn section 8.4). Of
// the section's choice, only what the trusted environment enforces counts.
func verifyAndroid(a Attestation) ([]*x509.Certificate, error) {
	path, err := certificates(a)
	if err != nil {
		return nil, err
	}
	algorithm, _ := a.Object.AttStatement["alg"].(int64)
	signature, _ := a.Object.AttStatement["sig"].([]byte)
	kind := webauthncose.SigAlgFromCOSEAlg(webauthncose.COSEAlgorithmIdentifier(algorithm))
	if kind == x509.UnknownSignatureAlgorithm {
		return nil, fmt.Errorf("the algorithm %d is not known", algorithm)
	}
	if err := path[0].CheckSignature(kind, a.signed(), signature); err != nil {
		return nil, fmt.Errorf("checking the signature: %w", err)
	}
	if err := sameKey(a, path[0]); err != nil {
		return nil, err
	}
	value, err := extension(path[0], androidKey)
	if err != nil {
		return nil, err
	}
	// The trusted environment describes one key, and that key can sign more
	// certificates: what stands below the first description is its holder's word
	// (Android, Verify hardware-backed key pairs: only the first can be trusted).
	for _, above := range path[1:] {
		if _, err := extension(above, androidKey); err == nil {
			return nil, errors.New("the certificate is by a key that the device itself describes")
		}
	}
	return path, checkDescription(value, a.ClientDataHash)
}

// checkDescription checks what is said about the key.
func checkDescription(der, challenge []byte) error {
	var d keyDescription
	if _, err := asn1.Unmarshal(der, &d); err != nil {
		return fmt.Errorf("reading the key description: %w", err)
	}
	if !bytes.Equal(d.Challenge, challenge) {
		return errors.New("the key description is about another challenge")
	}
	if d.AttestationLevel == levelSoftware || d.KeymasterLevel == levelSoftware {
		return errors.New("the key is in software")
	}
	software, err := readAuthorizations(d.Software)
	if err != nil {
		return err
	}
	hardware, err := readAuthorizations(d.Hardware)
	switch {
	case err != nil:
		return err
	case software.anyApplication || hardware.anyApplication:
		return errors.New("the key can be used for other services")
	case !hardware.generated:
		return errors.New("the key was not made in the trusted environment")
	case !slices.Contains(hardware.purposes, purposeSign):
		return errors.New("the key is not for signing")
	}
	return nil
}

// authorizations is what a list says that matters here.
type authorizations struct {
	anyApplication, generated bool
	purposes                  []int
}

// readAuthorizations looks at each element: new versions of Android add some,
// which must not hide others.
func readAuthorizations(list asn1.RawValue) (authorizations, error) {
	var found authorizations
	if list.Class != asn1.ClassUniversal || list.Tag != asn1.TagSequence || !list.IsCompound {
		return found, errors.New("an authorization list is no sequence")
	}
	for rest := list.Bytes; len(rest) > 0; {
		var element asn1.RawValue
		var err error
		if rest, err = asn1.Unmarshal(rest, &element); err != nil {
			return found, fmt.Errorf("reading an authorization list: %w", err)
		}
		if element.Class != asn1.ClassContextSpecific {
			return found, errors.New("an authorization list has an element without tag")
		}
		switch element.Tag {
		case tagPurpose:
			_, err = asn1.UnmarshalWithParams(element.Bytes, &found.purposes, "set")
		case tagAllApplications:
			found.anyApplication = true
		case tagOrigin:
			var origin int
			_, err = asn1.Unmarshal(element.Bytes, &origin)
			found.generated = err == nil && origin == originGenerated
		}
		if err != nil {
			return found, fmt.Errorf("reading authorization %d: %w", element.Tag, err)
		}
	}
	return found, nil
}

func rsaKey(k webauthncose.RSAPublicKeyData) (*rsa.PublicKey, error) {
	exponent, err := webauthncose.ParseRSAPublicKeyDataExponent(&k)
	if err != nil {
		return nil, err
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(k.Modulus), E: exponent}, nil
}
