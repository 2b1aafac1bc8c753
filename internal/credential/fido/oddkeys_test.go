package fido_test

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/fido"
	"carekey.dev/carekey/internal/credential/fido/fidotest"
	"carekey.dev/carekey/internal/credential/internal/credtest"
	"carekey.dev/carekey/internal/fault"
)

// homeMade is what somebody sends who answers without any key. The statement is
// empty, so that everything in it can be chosen.
func homeMade(t *testing.T, response []byte, format string, public []byte) []byte {
	t.Helper()
	var object struct {
		AuthData []byte `cbor:"authData"`
	}
	must(t, webauthncbor.Unmarshal(part(t, response, "attestationObject"), &object))
	data := object.AuthData
	if public != nil {
		id := int(binary.BigEndian.Uint16(data[53:]))
		data = append(bytes.Clone(data[:55+id]), public...)
	}
	made, err := webauthncbor.Marshal(map[string]any{"fmt": format, "attStmt": map[string]any{}, "authData": data})
	must(t, err)
	return with(t, response, "attestationObject", made)
}

func rsaKey(t *testing.T, modulus *big.Int, exponent ...byte) []byte {
	t.Helper()
	key, err := webauthncbor.Marshal(webauthncose.RSAPublicKeyData{
		PublicKeyData: webauthncose.PublicKeyData{KeyType: int64(webauthncose.RSAKey), Algorithm: int64(webauthncose.AlgRS256)},
		Modulus:       modulus.Bytes(), Exponent: exponent,
	})
	must(t, err)
	return key
}

func ed25519Key(t *testing.T, x string) []byte {
	t.Helper()
	point, err := hex.DecodeString(x)
	must(t, err)
	key, err := webauthncbor.Marshal(webauthncose.OKPPublicKeyData{
		PublicKeyData: webauthncose.PublicKeyData{KeyType: int64(webauthncose.OctetKey), Algorithm: int64(webauthncose.AlgEdDSA)},
		Curve:         int64(webauthncose.Ed25519), XCoord: point,
	})
	must(t, err)
	return key
}

// relabelled says that it signs by another algorithm.
func relabelled(t *testing.T, modulus *big.Int, algorithm string) []byte {
	t.Helper()
	return bytes.Replace(rsaKey(t, modulus, 1, 0, 1), []byte("\x03\x39\x01\x00"), []byte("\x03"+algorithm), 1)
}

// padded has something else in it.
func padded(t *testing.T, modulus *big.Int) []byte {
	t.Helper()
	var whole map[int64]any
	must(t, webauthncbor.Unmarshal(rsaKey(t, modulus, 1, 0, 1), &whole))
	whole[-70000] = make([]byte, 20000)
	key, err := webauthncbor.Marshal(whole)
	must(t, err)
	return key
}

// odd is an odd number of so many bits.
func odd(bits uint) *big.Int {
	n := new(big.Int).Lsh(big.NewInt(1), bits-1)
	return n.Add(n, big.NewInt(0x10001))
}

// TestKeysThatProveNothingAreRefused: NIST SP 800-63B-4 section 3.1.7.1 asks for
// 112 bits of security. A key that is too long to be one makes each sign-in by it
// slow, for whoever sends something in its name.
func TestKeysThatProveNothingAreRefused(t *testing.T) {
	h := credtest.Open(t, fido.Schema)
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	for name, c := range map[string]struct {
		public []byte
		want   *fault.Kind
	}{
		"RSA of 2048 bits":   {rsaKey(t, private.N, 1, 0, 1), nil},
		"RSA of 1024 bits":   {rsaKey(t, odd(1024), 1, 0, 1), fault.FIDORefused},
		"RSA of 2047 bits":   {rsaKey(t, odd(2047), 1, 0, 1), fault.FIDORefused},
		"RSA of 16384 bits":  {rsaKey(t, odd(16384), 1, 0, 1), fault.FIDORefused},
		"RSA, exponent 1":    {rsaKey(t, private.N, 1), fault.FIDORefused},
		"RSA, even exponent": {rsaKey(t, private.N, 1, 0, 0), fault.FIDORefused},
		"RSA, exponent 2^40": {rsaKey(t, private.N, 1, 0, 0, 0, 0, 1), fault.FIDORefused},
		"RSA for ES256":      {relabelled(t, private.N, "\x26"), fault.FIDORefused},
		"RSA for RS512":      {relabelled(t, private.N, "\x39\x01\x02"), fault.FIDORefused}, // nobody asked for it (7.1, step 20)
		"padded":             {padded(t, private.N), fault.FIDORefused},
		"RSA, even modulus":  {rsaKey(t, new(big.Int).Lsh(big.NewInt(1), 2047), 1, 0, 1), fault.FIDORefused},

		"Ed25519":                    {ed25519Key(t, "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"), nil},
		"Ed25519, order 1":           {ed25519Key(t, "01"+strings.Repeat("00", 31)), fault.FIDORefused},
		"Ed25519, order 1, sign set": {ed25519Key(t, "01"+strings.Repeat("00", 30)+"80"), fault.FIDORefused},
		"Ed25519, order 2":           {ed25519Key(t, "ec"+strings.Repeat("ff", 30)+"7f"), fault.FIDORefused},
		"Ed25519, order 4":           {ed25519Key(t, strings.Repeat("00", 32)), fault.FIDORefused},
		"Ed25519, order 4, reduced":  {ed25519Key(t, "ed"+strings.Repeat("ff", 31)), fault.FIDORefused},
		"Ed25519, order 8":           {ed25519Key(t, "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"), fault.FIDORefused},
		"Ed25519, too short":         {ed25519Key(t, strings.Repeat("00", 31)), fault.FIDORefused},
	} {
		t.Run(name, func(t *testing.T) {
			f, ceremony, response := created(t, h, fidotest.NewPlatform(origin))
			_, err := f.FinishRegistration(t.Context(), ceremony.Sealed, bound, homeMade(t, response, fidotest.None, c.public))
			if c.want == nil {
				must(t, err)
				return
			}
			wants(t, err, c.want)
		})
	}
}

// TestANameOfAKeyIsAtMost1023Bytes: WebAuthn, 7.1, step 25.
func TestANameOfAKeyIsAtMost1023Bytes(t *testing.T) {
	h := credtest.Open(t, fido.Schema)
	for size, want := range map[int]*fault.Kind{1023: nil, 1024: fault.FIDORefused} {
		f, ceremony, response := created(t, h, fidotest.NewPlatform(origin))
		var object struct {
			AuthData []byte `cbor:"authData"`
		}
		must(t, webauthncbor.Unmarshal(part(t, response, "attestationObject"), &object))
		short := int(binary.BigEndian.Uint16(object.AuthData[53:]))
		name := bytes.Repeat([]byte{7}, size)
		data := binary.BigEndian.AppendUint16(bytes.Clone(object.AuthData[:53]), uint16(size))
		data = append(append(data, name...), object.AuthData[55+short:]...)
		made, err := webauthncbor.Marshal(map[string]any{"fmt": "none", "attStmt": map[string]any{}, "authData": data})
		must(t, err)
		var whole map[string]any
		must(t, json.Unmarshal(with(t, response, "attestationObject", made), &whole))
		whole["id"] = base64.RawURLEncoding.EncodeToString(name)
		whole["rawId"] = whole["id"]
		response, err = json.Marshal(whole)
		must(t, err)
		_, err = f.FinishRegistration(t.Context(), ceremony.Sealed, bound, response)
		if want == nil {
			must(t, err)
			continue
		}
		wants(t, err, want)
	}
}

// TestWhatABrowserCallsAFormatIsStoredOnlyIfItIsOne: WebAuthn, 8.1: at most 32
// printable characters. A format that nobody knows is no reason to refuse a key.
func TestWhatABrowserCallsAFormatIsStoredOnlyIfItIsOne(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		for i, c := range []struct {
			format string
			want   *fault.Kind
		}{
			{"next-year", nil},
			{strings.Repeat("x", 32), nil},
			{strings.Repeat("x", 33), fault.FIDORefused},
			{"zero\x00", fault.FIDORefused},
			{"back\\slash", fault.FIDORefused},
			{"quo\"te", fault.FIDORefused},
			{"clé", fault.FIDORefused},
			{"", fault.FIDORefused},
		} {
			f, ceremony, response := created(t, r.House, fidotest.NewPlatform(origin))
			proven, err := f.FinishRegistration(t.Context(), ceremony.Sealed, bound, homeMade(t, response, c.format, nil))
			if c.want != nil {
				wants(t, err, c.want)
				continue
			}
			must(t, err)
			e, err := f.Enrolment(proven, "")
			must(t, err)
			r.Bind(t, fmt.Sprint("a", i), e)
			if proven.Level != care.AAL2 {
				t.Errorf("%q reaches %s", c.format, proven.Level)
			}
		}
	})
}
