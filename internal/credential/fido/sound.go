package fido

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/go-webauthn/webauthn/protocol/webauthncose"
)

// The bounds of what a registration may bring. Whoever answers without a real
// key chooses all of it, and it is stored.
const (
	mostFormat    = 32   // characters: WebAuthn, 8.1
	mostPublicKey = 1024 // bytes: RSA with 4096 bits has some 530

	leastRSA = 2048 // bits: 112 bits of security, NIST SP 800-63B-4 section 3.1.7.1
	mostRSA  = 4096 // whoever sends something in the key's name has it verified
)

// soundFormat checks that text can name a format of attestation (WebAuthn, 8.1):
// printable US-ASCII without backslash and quotation mark.
func soundFormat(text string) error {
	strange := func(c rune) bool { return c <= ' ' || c >= 0x7f || c == '\\' || c == '"' }
	if text == "" || len(text) > mostFormat || strings.ContainsFunc(text, strange) {
		return fmt.Errorf("no format of attestation is called %.40q", text)
	}
	return nil
}

// soundKey checks that a public key is one whose signature proves something, and
// takes no longer to verify than others. The library does so for the NIST curves.
func soundKey(public []byte) error {
	if len(public) > mostPublicKey {
		return fmt.Errorf("a public key of %d bytes", len(public))
	}
	parsed, err := webauthncose.ParsePublicKey(public)
	if err != nil {
		return fmt.Errorf("reading the public key: %w", err)
	}
	switch key := parsed.(type) {
	case webauthncose.RSAPublicKeyData:
		return soundRSA(key)
	case webauthncose.OKPPublicKeyData:
		if smallOrder(key.XCoord) {
			return errors.New("an Ed25519 key of small order")
		}
	}
	return nil
}

// smallOrders are the points of Ed25519 whose order divides eight, each in the
// forms in which it can be written, without the sign of x (RFC 8032 section
// 5.1.2). Whoever knows one makes signatures for it, without any private key.
var smallOrders = []string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
}

func smallOrder(x []byte) bool {
	x = bytes.Clone(x)
	if len(x) > 0 {
		x[len(x)-1] &= 0x7f
	}
	return slices.Contains(smallOrders, hex.EncodeToString(x))
}

func soundRSA(key webauthncose.RSAPublicKeyData) error {
	n := new(big.Int).SetBytes(key.Modulus)
	exponent, err := webauthncose.ParseRSAPublicKeyDataExponent(&key)
	switch {
	case err != nil:
		return fmt.Errorf("reading the exponent: %w", err)
	case webauthncose.COSEAlgorithmIdentifier(key.Algorithm) != webauthncose.AlgRS256:
		return errors.New("an RSA key for an algorithm that is none of RSA")
	case n.BitLen() < leastRSA || n.BitLen() > mostRSA || n.Bit(0) == 0:
		return fmt.Errorf("an RSA modulus of %d bits", n.BitLen())
	case exponent < 3 || exponent > 1<<31-1 || exponent%2 == 0: // what crypto/rsa verifies by
		return fmt.Errorf("the RSA exponent %d", exponent)
	}
	return nil
}
