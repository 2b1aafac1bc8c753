//go:build cgo

// Package pkcs11 is a token behind a PKCS#11 module: a network HSM, a smart
// card in the machine, or SoftHSM. It needs cgo, and so carekey never links it.
//
// Service comes in with labels and digests; signatures and public keys leave.
// A key that is made here is sensitive and not extractable, and its label is
// unique. The room never exports a private key, never logs, and never asks who
// wants a signature.
package pkcs11

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/ThalesGroup/crypto11"
	"github.com/go-jose/go-jose/v4"

	"carekey.dev/carekey/internal/hsm"
)

// Options names a token.
type Options struct {
	// Module is the path of the library, Label the token's name in it.
	Module, Label string
	PIN           string
}

const (
	// sessions is how many signatures are made at once.
	sessions = 16
	// sessionWithin bounds the wait for one of them.
	sessionWithin = 4 * time.Second
	// bits is the size of an RSA key (RFC 7518 section 3.3).
	bits = 2048
	// idBytes is the length of CKA_ID, which ties the two halves together.
	idBytes = 16
)

// Token is an open token.
type Token struct {
	context *crypto11.Context
	close   func() error

	mu    sync.RWMutex
	known map[string]crypto11.Signer // by label
}

// Open logs in to a token.
func Open(o Options) (*Token, error) {
	context, err := crypto11.Configure(&crypto11.Config{
		Path: o.Module, TokenLabel: o.Label, Pin: o.PIN, MaxSessions: sessions, PoolWaitTimeout: sessionWithin,
	})
	if err != nil {
		return nil, fmt.Errorf("opening token %s of %s: %w", o.Label, o.Module, err)
	}
	return &Token{context: context, close: sync.OnceValue(context.Close), known: map[string]crypto11.Signer{}}, nil
}

// Close logs out. Calling it again does nothing.
func (t *Token) Close() error { return t.close() }

// Alive fails when the module no longer works: an HSM that was restarted has
// forgotten our sessions, and only a new process gets new ones everywhere.
func (t *Token) Alive() error {
	random, err := t.context.NewRandomReader()
	if err == nil {
		_, err = io.ReadFull(random, make([]byte, 1))
	}
	if err != nil {
		return fmt.Errorf("asking the token for a random byte: %w", err)
	}
	return nil
}

// Generate makes a key.
func (t *Token) Generate(label string, algorithm jose.SignatureAlgorithm) (crypto.PublicKey, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	found, err := t.find(label)
	if err != nil {
		return nil, err
	}
	if found != nil {
		return nil, hsm.ErrExists
	}
	id := make([]byte, idBytes)
	rand.Read(id)
	public, err := crypto11.NewAttributeSetWithIDAndLabel(id, []byte(label))
	if err != nil {
		return nil, fmt.Errorf("naming key %s: %w", label, err)
	}
	private := public.Copy()
	// A key has one use (NIST SP 800-57 part 1, 5.2): by themselves, library
	// and module would let it decrypt too.
	if err := errors.Join(private.Set(crypto11.CkaDecrypt, false), public.Set(crypto11.CkaEncrypt, false)); err != nil {
		return nil, fmt.Errorf("naming the uses of key %s: %w", label, err)
	}
	var made crypto11.Signer
	if algorithm == jose.ES256 {
		made, err = t.context.GenerateECDSAKeyPairWithAttributes(public, private, elliptic.P256())
	} else {
		made, err = t.context.GenerateRSAKeyPairWithAttributes(public, private, bits)
	}
	if err != nil {
		return nil, fmt.Errorf("making key %s: %w", label, err)
	}
	t.known[label] = made
	return made.Public(), nil
}

// Sign signs a SHA-256 digest.
func (t *Token) Sign(label string, algorithm jose.SignatureAlgorithm, digest []byte) ([]byte, error) {
	signer, err := t.signer(label)
	if err != nil {
		return nil, err
	}
	var opts crypto.SignerOpts = crypto.SHA256
	if algorithm == jose.PS256 {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256} // RFC 7518 section 3.5
	}
	switch signer.Public().(type) {
	case *rsa.PublicKey:
		if algorithm == jose.ES256 {
			return nil, hsm.ErrNoKey
		}
	case *ecdsa.PublicKey:
		if algorithm != jose.ES256 {
			return nil, hsm.ErrNoKey
		}
	default:
		return nil, hsm.ErrNoKey
	}
	signature, err := signer.Sign(rand.Reader, digest, opts)
	if err != nil {
		return nil, fmt.Errorf("signing with key %s: %w", label, err)
	}
	return signature, nil
}

// Destroy deletes both halves of a key.
func (t *Token) Destroy(label string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.known, label)
	found, err := t.find(label)
	if err != nil || found == nil {
		return err
	}
	if err := found.Delete(); err != nil {
		return fmt.Errorf("destroying key %s: %w", label, err)
	}
	return nil
}

// signer is the key of a label, looked up once.
func (t *Token) signer(label string) (crypto11.Signer, error) {
	t.mu.RLock()
	signer := t.known[label]
	t.mu.RUnlock()
	if signer != nil {
		return signer, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	found, err := t.find(label)
	if err != nil {
		return nil, err
	}
	if found == nil {
		return nil, hsm.ErrNoKey
	}
	t.known[label] = found
	return found, nil
}

func (t *Token) find(label string) (crypto11.Signer, error) {
	all, err := t.context.FindKeyPairs(nil, []byte(label))
	if err != nil {
		return nil, fmt.Errorf("looking for key %s: %w", label, err)
	}
	switch len(all) {
	case 0:
		return nil, nil
	case 1:
		return all[0], nil
	}
	return nil, fmt.Errorf("the token has %d keys of the name %s: delete the wrong ones with the tools of your HSM", len(all), label)
}
