// Package register lets programs register relying parties (RFC 7591, OpenID
// Connect Registration) and look after what they registered (RFC 7592).
//
// Metadata comes in with an initial access token that the operator gave out;
// a relying party and its registration access token leave. What may be
// registered is judged by relyingparty.Check, as everywhere, within the policy
// that came with the token. Tokens are kept as SHA-256 only. Nobody registers
// without a token, no program raises its own rights, and nothing that a program
// did not register itself is read or changed here.
package register

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"time"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/relyingparty"
)

//go:embed schema/*.sql
var schema embed.FS

// Schema holds the migrations of this room's tables.
var Schema fs.FS = schema

// tokenSize is the size of both kinds of token in bytes: 256 bits.
const tokenSize = 32

// Options is what the room needs.
type Options struct {
	DB *db.DB
	// Endpoint is the absolute address of the registration endpoint.
	Endpoint string
	// Fetch is the guarded client for what a program points to.
	Fetch  *http.Client
	Random io.Reader
}

// Registry registers.
type Registry struct{ Options }

// New returns the registry.
func New(o Options) *Registry { return &Registry{o} }

// Registration is what a program is told about its relying party (RFC 7591
// section 3.2.1, RFC 7592 section 3).
type Registration struct {
	ClientID string `json:"client_id"`
	// Secret is there when it was made just now: it is not kept.
	Secret string `json:"client_secret,omitempty"`
	// SecretExpires is 0, for never, where there is a secret.
	SecretExpires *int64 `json:"client_secret_expires_at,omitempty"`
	IssuedAt      int64  `json:"client_id_issued_at"`
	Token         string `json:"registration_access_token"`
	URI           string `json:"registration_client_uri"`
	Metadata
}

// Refused is an answer of the protocol: Code is one of its registry, and
// Description is for the developer.
type Refused struct{ Code, Description string }

func (r *Refused) Error() string { return r.Code + ": " + r.Description }

// The codes (RFC 7591 section 3.2.2; RFC 6750 section 3.1).
const (
	InvalidToken       = "invalid_token"
	InvalidRedirect    = "invalid_redirect_uri"
	InvalidMetadata    = "invalid_client_metadata"
	UnapprovedSoftware = "unapproved_software_statement"
)

// noToken is the one answer to a token that is missing, wrong, expired or used
// up, and to a client that is not there: nobody learns which (RFC 7592 section
// 2.1).
func noToken() error {
	return &Refused{InvalidToken, "the token is missing, wrong, expired or used up"}
}

// Register makes a relying party of what a program with an initial access token
// sent.
func (g *Registry) Register(ctx context.Context, token string, body []byte) (Registration, error) {
	var initial initialToken
	err := g.DB.Read(ctx, func(tx *db.Tx) (err error) {
		initial, err = readInitial(tx, token)
		return err
	})
	if err != nil {
		return Registration{}, err
	}
	sent, err := parse(body)
	if err != nil {
		return Registration{}, err
	}
	rp, err := g.accept(ctx, sent, relyingparty.RelyingParty{ClientID: relyingparty.NewClientID(g.Random)}, initial.policy)
	if err != nil {
		return Registration{}, err
	}
	secret := g.secret(&rp)
	own := keys.Token(g.Random, tokenSize)
	var issued time.Time
	err = g.DB.Write(ctx, func(tx *db.Tx) error {
		issued = tx.Now()
		if err := useInitial(tx, token); err != nil {
			return err
		}
		if err := relyingparty.Add(tx, "registration token "+initial.name, rp); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO registered_client (client_id, token, policy, given, issued_at) VALUES ($1, $2, $3, $4, $5)`,
			rp.ClientID, keys.Hash(own), encode(initial.policy), encode(given(rp)), db.Micros(issued))
		return err
	})
	if err != nil {
		return Registration{}, fmt.Errorf("registering a relying party: %w", err)
	}
	return g.registration(rp, own, secret, issued), nil
}

// Read tells a program what is registered (RFC 7592 section 2.1). The secret is
// not in it: only its hash is kept.
func (g *Registry) Read(ctx context.Context, clientID, token string) (Registration, error) {
	var c client
	err := g.DB.Read(ctx, func(tx *db.Tx) (err error) {
		c, err = readClient(tx, clientID, token)
		return err
	})
	if err != nil {
		return Registration{}, err
	}
	return g.registration(c.rp, token, "", c.issued), nil
}

// Replace puts what a program sent in the place of what it registered (RFC 7592
// section 2.2): what it leaves out has its default again. What an operator set
// stays. A secret is made if it has none and needs one, and never chosen by
// the program.
func (g *Registry) Replace(ctx context.Context, clientID, token string, body []byte) (Registration, error) {
	var c client
	err := g.DB.Read(ctx, func(tx *db.Tx) (err error) {
		c, err = readClient(tx, clientID, token)
		return err
	})
	if err != nil {
		return Registration{}, err
	}
	sent, err := parseUpdate(body, c.rp)
	if err != nil {
		return Registration{}, err
	}
	after, err := g.accept(ctx, sent, c.rp, c.policy)
	if err != nil {
		return Registration{}, err
	}
	secret := g.secret(&after)
	err = g.DB.Write(ctx, func(tx *db.Tx) error {
		before, err := relyingparty.Locked(tx, clientID)
		if errors.Is(err, db.ErrNoRows) {
			return noToken()
		}
		if err != nil {
			return err
		}
		if len(relyingparty.Differences(c.rp, before)) > 0 {
			return &Refused{InvalidMetadata, "the registration was changed by somebody else at this moment: read it again"}
		}
		if _, err = relyingparty.Replace(tx, "client "+clientID, before, after); err != nil {
			return err
		}
		return leave(tx, after, c.policy)
	})
	if err != nil {
		return Registration{}, fmt.Errorf("replacing a registration: %w", err)
	}
	return g.registration(after, token, secret, c.issued), nil
}

// Remove takes the relying party away, and with it its token (RFC 7592 section
// 2.3).
func (g *Registry) Remove(ctx context.Context, clientID, token string) error {
	err := g.DB.Write(ctx, func(tx *db.Tx) error {
		c, err := readClient(tx, clientID, token)
		if err != nil {
			return err
		}
		return relyingparty.Remove(tx, "client "+clientID, c.rp)
	})
	if err != nil {
		return fmt.Errorf("removing a registration: %w", err)
	}
	return nil
}

// secret gives a relying party that needs a client secret and has none a new
// one, and takes away what a changed way of authentication leaves behind.
func (g *Registry) secret(rp *relyingparty.RelyingParty) string {
	if !rp.AuthMethod.HasSecret() {
		rp.Secrets = nil
		return ""
	}
	if len(rp.Secrets) > 0 {
		return ""
	}
	secret, hash := relyingparty.NewSecret(g.Random)
	rp.AddSecret(hash)
	return secret
}

func (g *Registry) registration(rp relyingparty.RelyingParty, token, secret string, issued time.Time) Registration {
	r := Registration{
		ClientID: rp.ClientID, Secret: secret, IssuedAt: issued.Unix(), Token: token,
		URI: g.Endpoint + "?client_id=" + url.QueryEscape(rp.ClientID), Metadata: describe(rp),
	}
	if secret != "" {
		r.SecretExpires = new(int64)
	}
	return r
}
