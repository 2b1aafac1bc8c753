// Package hsm lets Carekey sign with keys that live in a hardware security
// module, without any C in Carekey itself (decision 20).
//
// Carekey comes in with a digest and the label of a key, through Client, over a
// Unix socket; carekey-hsm, on the other side, is a Service that knows by the
// kernel who asks, looks into its rules, and has a Token sign. A signature
// leaves, or a public key. No private key ever crosses the socket, nobody gets
// a key's use that no rule gives them, and what is signed is never looked at:
// a digest says nothing. The room knows no database.
package hsm

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// How long the client waits: a network HSM takes milliseconds to sign and may
// take many seconds to make an RSA key.
const (
	signWithin = 5 * time.Second
	makeWithin = time.Minute
	// mostAnswer bounds what the client reads; a public key has 300 bytes.
	mostAnswer = 16 << 10
	// idleFor keeps connections open between bursts of sign-ins.
	idleFor        = time.Minute
	mostConnection = 16
)

// The acts, and the paths of their requests.
const (
	Sign     = "sign"
	Generate = "generate"
	Destroy  = "destroy"
)

// request is what is asked: one act with one key.
type request struct {
	Key       string                  `json:"key"`
	Algorithm jose.SignatureAlgorithm `json:"algorithm"`
	Digest    []byte                  `json:"digest,omitempty"` // SHA-256, to sign
}

// answer is what comes back.
type answer struct {
	Signature []byte `json:"signature,omitempty"`
	Public    []byte `json:"public,omitempty"` // PKIX
	Error     string `json:"error,omitempty"`
}

// errWrong is the error of a signature that its key did not make. A fault in
// the computation of an RSA signature gives the private key away to whoever
// sees the result (Boneh, DeMillo, Lipton 1997), so it goes nowhere.
var errWrong = errors.New("carekey-hsm gave a signature that does not verify with the key's public half")

// Client asks the carekey-hsm of this machine. It is safe for concurrent use,
// and connects when it is used.
type Client struct {
	socket string
	http   *http.Client
}

// NewClient returns the client of the carekey-hsm at a socket.
func NewClient(socket string) *Client {
	dialer := net.Dialer{Timeout: signWithin}
	return &Client{socket: socket, http: &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		},
		MaxIdleConnsPerHost: mostConnection, MaxConnsPerHost: mostConnection, IdleConnTimeout: idleFor,
	}}}
}

// Generate makes a key for one algorithm, which never leaves the HSM.
func (c *Client) Generate(ctx context.Context, label string, algorithm jose.SignatureAlgorithm) (crypto.PublicKey, error) {
	ctx, cancel := context.WithTimeout(ctx, makeWithin)
	defer cancel()
	got, err := c.ask(ctx, Generate, request{Key: label, Algorithm: algorithm})
	if err != nil {
		return nil, err
	}
	public, err := x509.ParsePKIXPublicKey(got.Public)
	if err != nil {
		return nil, fmt.Errorf("reading the public half of key %s: %w", label, err)
	}
	return public, nil
}

// Destroy deletes a key. One that is not there is no error.
func (c *Client) Destroy(ctx context.Context, label string, algorithm jose.SignatureAlgorithm) error {
	ctx, cancel := context.WithTimeout(ctx, makeWithin)
	defer cancel()
	_, err := c.ask(ctx, Destroy, request{Key: label, Algorithm: algorithm})
	return err
}

// Signer signs SHA-256 digests with a key. What it returns has been verified
// with the public half.
func (c *Client) Signer(label string, algorithm jose.SignatureAlgorithm, public crypto.PublicKey) crypto.Signer {
	return &signer{c, label, algorithm, public}
}

type signer struct {
	client    *Client
	label     string
	algorithm jose.SignatureAlgorithm
	public    crypto.PublicKey
}

// Public returns the public half.
func (s *signer) Public() crypto.PublicKey { return s.public }

// Sign signs a digest. The algorithm is the key's own; an ECDSA signature is in
// ASN.1.
func (s *signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts.HashFunc() != crypto.SHA256 {
		return nil, fmt.Errorf("key %s signs SHA-256 digests only, not %s", s.label, opts.HashFunc())
	}
	ctx, cancel := context.WithTimeout(context.Background(), signWithin)
	defer cancel()
	got, err := s.client.ask(ctx, Sign, request{s.label, s.algorithm, digest})
	if err != nil {
		return nil, err
	}
	if !verifies(s.public, s.algorithm, digest, got.Signature) {
		return nil, errWrong
	}
	return got.Signature, nil
}

func verifies(public crypto.PublicKey, algorithm jose.SignatureAlgorithm, digest, signature []byte) bool {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if algorithm == jose.PS256 {
			salt := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash} // RFC 7518 section 3.5
			return rsa.VerifyPSS(key, crypto.SHA256, digest, signature, salt) == nil
		}
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, digest, signature) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(key, digest, signature)
	}
	return false
}

// ask sends one request. Its errors say what an operator has to look at.
func (c *Client) ask(ctx context.Context, act string, asked request) (answer, error) {
	var got answer
	body, err := json.Marshal(asked)
	if err != nil {
		return got, fmt.Errorf("asking carekey-hsm to %s: %w", act, err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://carekey-hsm/"+act, bytes.NewReader(body))
	if err != nil {
		return got, fmt.Errorf("asking carekey-hsm to %s: %w", act, err)
	}
	response, err := c.http.Do(r)
	if err != nil {
		return got, fmt.Errorf("asking carekey-hsm at %s to %s with key %s: %w", c.socket, act, asked.Key, err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(io.LimitReader(response.Body, mostAnswer)).Decode(&got); err != nil {
		return answer{}, fmt.Errorf("reading what carekey-hsm at %s answered (%s): %w", c.socket, response.Status, err)
	}
	if response.StatusCode != http.StatusOK {
		return answer{}, fmt.Errorf("carekey-hsm at %s did not %s with key %s: %s", c.socket, act, asked.Key, got.Error)
	}
	return got, nil
}
