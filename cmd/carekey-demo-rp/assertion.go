package main

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/oauth2"
)

// assertionLife is how long an assertion is good: CIS2's relying parties use 3
// to 5 minutes.
const assertionLife = 3 * time.Minute

// jwksPath is where a demo with a key of its own publishes it.
const jwksPath = "/jwks.json"

// assertions are how a relying party without a secret proves that it is itself:
// by a JWT that it signs (RFC 7523 section 2.2). Its key lives as long as the
// program.
type assertions struct {
	clientID string
	signer   jose.Signer
	public   []byte
}

func newAssertions(clientID string) (*assertions, error) {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("making the key of %s: %w", clientID, err)
	}
	key := jose.JSONWebKey{Key: private, KeyID: rand.Text(), Algorithm: string(jose.RS512), Use: "sig"}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS512, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, fmt.Errorf("preparing the key of %s: %w", clientID, err)
	}
	public, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key.Public()}})
	if err != nil {
		return nil, fmt.Errorf("publishing the key of %s: %w", clientID, err)
	}
	return &assertions{clientID, signer, public}, nil
}

// options are what a token request carries in place of a secret.
func (a *assertions) options(provider *oidc.Provider, now time.Time) ([]oauth2.AuthCodeOption, error) {
	payload, err := json.Marshal(map[string]any{
		"iss": a.clientID, "sub": a.clientID, "aud": provider.Endpoint().TokenURL,
		"jti": rand.Text(), "iat": now.Unix(), "exp": now.Add(assertionLife).Unix(),
	})
	if err != nil {
		return nil, err
	}
	signed, err := a.signer.Sign(payload)
	if err != nil {
		return nil, err
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		return nil, err
	}
	return []oauth2.AuthCodeOption{
		oauth2.SetAuthURLParam("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
		oauth2.SetAuthURLParam("client_assertion", compact),
	}, nil
}

// ServeHTTP publishes the public key.
func (a *assertions) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Write(a.public)
}
