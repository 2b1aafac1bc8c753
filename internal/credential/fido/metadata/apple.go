package metadata

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
)

// appleNonce is the extension with what Apple attests.
var appleNonce = asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 8, 2}

// verifyApple verifies an Apple anonymous attestation (WebAuthn section 8.8).
// It and the one of Android are verified here and not by the library, because
// that believes roots of its own only.
func verifyApple(a Attestation) ([]*x509.Certificate, error) {
	path, err := certificates(a)
	if err != nil {
		return nil, err
	}
	value, err := extension(path[0], appleNonce)
	if err != nil {
		return nil, err
	}
	var written struct {
		Nonce []byte `asn1:"tag:1,explicit"`
	}
	if _, err := asn1.Unmarshal(value, &written); err != nil {
		return nil, fmt.Errorf("reading the nonce: %w", err)
	}
	nonce := sha256.Sum256(a.signed())
	if !bytes.Equal(written.Nonce, nonce[:]) {
		return nil, errors.New("the nonce is about something else")
	}
	return path, sameKey(a, path[0])
}
