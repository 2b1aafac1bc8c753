package clientkeys

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

const (
	// mostKeys bounds what a signature without kid is compared with: anybody
	// can send one.
	mostKeys = 50
	// leastRSA is the smallest RSA key that may sign (RFC 7518 sections 3.3
	// and 3.5).
	leastRSA = 2048
)

// set is a key set as it can be used: the public keys that may sign.
type set struct {
	keys []jose.JSONWebKey
	// passed says why other entries are not used, for whoever looks after it.
	passed []string
}

// parse reads a JWK set. An entry that is of no use here (an unknown kind of
// key, a key for encryption) does not spoil the others (RFC 7517 section 5).
func parse(text []byte) (set, error) {
	var entries struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), &entries); err != nil {
		return set{}, fmt.Errorf("it is not a JWK set: %w", err)
	}
	switch {
	case entries.Keys == nil:
		return set{}, errors.New(`it is not a JWK set: it has no member "keys"`)
	case len(entries.Keys) > mostKeys:
		return set{}, fmt.Errorf("it has %d keys: at most %d are read", len(entries.Keys), mostKeys)
	}
	var s set
	for i, entry := range entries.Keys {
		var key jose.JSONWebKey
		err := json.Unmarshal(entry, &key)
		if err == nil {
			err = usable(key)
		}
		if err != nil {
			s.passed = append(s.passed, fmt.Sprintf("key %d (kid %.64q): %v", i+1, key.KeyID, err))
			continue
		}
		s.keys = append(s.keys, key)
	}
	return s, nil
}

// usable says why a key verifies no signature here.
func usable(key jose.JSONWebKey) error {
	switch {
	case !key.IsPublic():
		// A secret, or a private key that everybody can read.
		return errors.New("it is not a public key")
	case key.Use != "" && key.Use != "sig":
		return fmt.Errorf("its use is %.16q and not sig", key.Use)
	}
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		if public.N.BitLen() < leastRSA {
			return fmt.Errorf("it has %d bits: at least %d are wanted", public.N.BitLen(), leastRSA)
		}
		// Some sign with RS512 and publish the key as RS256: it is the same key.
		if !slices.Contains([]string{"", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}, key.Algorithm) {
			return fmt.Errorf("its alg is %.16q", key.Algorithm)
		}
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P256() {
			return errors.New("its curve is not P-256")
		}
		if key.Algorithm != "" && key.Algorithm != string(jose.ES256) {
			return fmt.Errorf("its alg is %.16q", key.Algorithm)
		}
	default:
		return errors.New("it is neither an RSA nor a P-256 key")
	}
	return nil
}

// fits reports whether a key is of the kind that an algorithm signs with.
func fits(key jose.JSONWebKey, alg string) bool {
	_, curve := key.Key.(*ecdsa.PublicKey)
	return curve == (alg == string(jose.ES256))
}

// candidates returns the keys that may have made a signature. A key without
// kid may be meant by any, and a signature without kid may be by any.
func (s set) candidates(kid, alg string) []jose.JSONWebKey {
	var all []jose.JSONWebKey
	for _, key := range s.keys {
		if fits(key, alg) && (kid == "" || key.KeyID == "" || key.KeyID == kid) {
			all = append(all, key)
		}
	}
	return all
}

// verify returns the payload if one of the keys made the signature.
func (s set) verify(signed *jose.JSONWebSignature, kid, alg string) ([]byte, error) {
	candidates := s.candidates(kid, alg)
	if len(candidates) == 0 {
		return nil, fmt.Errorf("%w: kid %s, alg %s; %s", ErrNoKey, named(kid), alg, s)
	}
	for _, key := range candidates {
		if payload, err := signed.Verify(key.Key); err == nil {
			return payload, nil
		}
	}
	return nil, fmt.Errorf("%w: kid %s, alg %s; %s", ErrSignature, named(kid), alg, s)
}

// holds reports whether a certificate is one of those registered: one of x5c,
// or for a key without certificates one with its public key (RFC 8705 section
// 2.2).
func (s set) holds(certificate *x509.Certificate) bool {
	public, comparable := certificate.PublicKey.(interface{ Equal(x crypto.PublicKey) bool })
	for _, key := range s.keys {
		if len(key.Certificates) > 0 {
			if key.Certificates[0].Equal(certificate) {
				return true
			}
			continue
		}
		if comparable && public.Equal(key.Key) {
			return true
		}
	}
	return false
}

// String describes the set for whoever looks after it.
func (s set) String() string {
	if len(s.keys) == 0 {
		return strings.Join(append([]string{"the set has no key that can be used"}, s.passed...), "; ")
	}
	kids := make([]string, len(s.keys))
	for i, key := range s.keys {
		kids[i] = named(key.KeyID)
	}
	return strings.Join(append([]string{"the keys are " + strings.Join(kids, ", ")}, s.passed...), "; ")
}

func named(kid string) string {
	if kid == "" {
		return "(none)"
	}
	return fmt.Sprintf("%.64q", kid)
}
