//go:build cgo

package pkcs11

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/ThalesGroup/crypto11"
	"github.com/go-jose/go-jose/v4"

	"carekey.dev/carekey/internal/hsm"
	"carekey.dev/carekey/internal/hsm/hsmtest"
)

func open(t *testing.T, made hsmtest.Token) *Token {
	t.Helper()
	token, err := Open(Options{Module: made.Module, Label: made.Label, PIN: made.PIN})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func verifies(public crypto.PublicKey, algorithm jose.SignatureAlgorithm, digest, signature []byte) bool {
	switch algorithm {
	case jose.ES256:
		return ecdsa.VerifyASN1(public.(*ecdsa.PublicKey), digest, signature)
	case jose.PS256:
		salt := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
		return rsa.VerifyPSS(public.(*rsa.PublicKey), crypto.SHA256, digest, signature, salt) == nil
	}
	return rsa.VerifyPKCS1v15(public.(*rsa.PublicKey), crypto.SHA256, digest, signature) == nil
}

// Decision 20: a key of each algorithm is made in the token, signs there, is
// found again by a new process, and can be destroyed.
func TestAKeyLivesInTheTokenFromItsMakingToItsEnd(t *testing.T) {
	made := hsmtest.New(t)
	token := open(t, made)
	public := map[jose.SignatureAlgorithm]crypto.PublicKey{}
	for _, algorithm := range []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.PS256} {
		key, err := token.Generate("key-"+string(algorithm), algorithm)
		if err != nil {
			t.Fatal(err)
		}
		public[algorithm] = key
		if _, err := token.Generate("key-"+string(algorithm), algorithm); !errors.Is(err, hsm.ErrExists) {
			t.Errorf("a second key of one name: %v", err)
		}
	}
	if size := public[jose.RS256].(*rsa.PublicKey).Size() * 8; size != 2048 {
		t.Errorf("an RSA key has %d bits", size)
	}
	digest := sha256.Sum256([]byte("a token"))
	if err := token.Close(); err != nil {
		t.Fatal(err)
	}
	token = open(t, made)
	for algorithm, key := range public {
		signature, err := token.Sign("key-"+string(algorithm), algorithm, digest[:])
		if err != nil || !verifies(key, algorithm, digest[:], signature) {
			t.Errorf("%s after a restart: %v", algorithm, err)
		}
	}
	for label, algorithm := range map[string]jose.SignatureAlgorithm{
		"key-RS256": jose.ES256, "key-ES256": jose.PS256, "key-nobody": jose.RS256,
	} {
		if _, err := token.Sign(label, algorithm, digest[:]); !errors.Is(err, hsm.ErrNoKey) {
			t.Errorf("%s with %s: %v", label, algorithm, err)
		}
	}
	for range 2 {
		if err := token.Destroy("key-ES256"); err != nil {
			t.Error(err)
		}
	}
	if _, err := token.Sign("key-ES256", jose.ES256, digest[:]); !errors.Is(err, hsm.ErrNoKey) {
		t.Errorf("a destroyed key signs: %v", err)
	}
	if err := token.Alive(); err != nil {
		t.Error(err)
	}
	if err := token.Close(); err != nil {
		t.Fatal(err)
	}
	if err := token.Alive(); err == nil {
		t.Error("a token that is closed is alive")
	}
}

// What makes an HSM worth its price.
func TestAPrivateKeyCannotBeTakenOut(t *testing.T) {
	token := open(t, hsmtest.New(t))
	defer token.Close()
	for _, algorithm := range []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.PS256} {
		label := "key-" + string(algorithm)
		if _, err := token.Generate(label, algorithm); err != nil {
			t.Fatal(err)
		}
		for attribute, want := range map[crypto11.AttributeType]byte{
			crypto11.CkaExtractable: 0, crypto11.CkaSensitive: 1, crypto11.CkaNeverExtractable: 1, crypto11.CkaDecrypt: 0, crypto11.CkaSign: 1,
		} {
			got, err := token.context.GetAttribute(token.known[label], attribute)
			if err != nil || len(got.Value) != 1 || got.Value[0] != want {
				t.Errorf("%s: attribute %v is %v, want %d (%v)", algorithm, attribute, got, want, err)
			}
		}
	}
}

func TestManySignAtOnce(t *testing.T) {
	token := open(t, hsmtest.New(t))
	defer token.Close()
	public, err := token.Generate("key", jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for i := range 64 {
		group.Go(func() {
			digest := sha256.Sum256([]byte{byte(i)})
			signature, err := token.Sign("key", jose.ES256, digest[:])
			if err != nil || !verifies(public, jose.ES256, digest[:], signature) {
				t.Errorf("signature %d: %v", i, err)
			}
		})
	}
	group.Wait()
}

func TestAWrongPINIsSaidAndNotShown(t *testing.T) {
	made := hsmtest.New(t)
	_, err := Open(Options{Module: made.Module, Label: made.Label, PIN: "wrong-secret"})
	if err == nil || !strings.Contains(err.Error(), "CKR_PIN_INCORRECT") || strings.Contains(err.Error(), "wrong-secret") {
		t.Errorf("a wrong PIN: %v", err)
	}
}
