package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/oidc/clientauth"
	"carekey.dev/carekey/internal/oidc/clientkeys"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/server"
)

type rpExplainCommand struct {
	Client string `arg:"" help:"The client_id." placeholder:"CLIENT"`
	JSON   bool   `help:"Print JSON."`
	place
}

// explanation is what the owner of a relying party wants to know when it
// cannot authenticate.
type explanation struct {
	ClientID  string `json:"client_id"`
	Name      string `json:"name"`
	Profile   string `json:"profile"`
	Method    string `json:"token_endpoint_auth_method"`
	Algorithm string `json:"jwks_uri_signing_algorithm,omitempty"`
	JWKSURI   string `json:"jwks_uri,omitempty"`
	Keys      string `json:"keys,omitempty"`
	KeysError string `json:"keys_error,omitempty"`
	// Certificate is the name that its certificate must carry.
	Certificate string    `json:"certificate,omitempty"`
	Failures    []failure `json:"failures"`
}

type failure struct {
	Cause     string    `json:"cause"`
	Reason    string    `json:"reason"`
	Times     int       `json:"times"`
	First     time.Time `json:"first"`
	Last      time.Time `json:"last"`
	Reference string    `json:"reference"`
	Path      string    `json:"path"`
	Network   string    `json:"network,omitempty"`
}

// Run says how the relying party has to authenticate, whether its keys can be
// read from here now, and why it failed lately.
func (e *rpExplainCommand) Run(c *console) error {
	return e.enter(c, func(h *server.House) error {
		var rp relyingparty.RelyingParty
		var failed []clientauth.Failure
		err := h.DB.Read(c.ctx, func(tx *db.Tx) (err error) {
			if rp, err = relyingparty.ByID(tx, e.Client); err != nil {
				return err
			}
			failed, err = clientauth.Recent(tx, e.Client)
			return err
		})
		if err != nil {
			return noClient(e.Client, err)
		}
		told := explanationOf(rp, failed)
		if rp.JWKSURI != "" || len(rp.JWKS) > 0 {
			sets := clientkeys.New(clientkeys.Options{Client: h.Fetch, Now: h.DB.Now})
			if told.Keys, err = sets.Describe(c.ctx, rp); err != nil {
				told.KeysError = err.Error()
			}
		}
		return e.print(c, told)
	})
}

func explanationOf(rp relyingparty.RelyingParty, failed []clientauth.Failure) explanation {
	told := explanation{
		ClientID: rp.ClientID, Name: rp.Name, Profile: string(rp.Profile), Method: string(rp.AuthMethod),
		Algorithm: rp.SigningAlgorithm, JWKSURI: rp.JWKSURI, Certificate: rp.TLSSubject.Expected(), Failures: []failure{},
	}
	for _, f := range failed {
		told.Failures = append(told.Failures, failure{
			Cause: string(f.Cause), Reason: f.Reason, Times: f.Times, First: f.First, Last: f.Last,
			Reference: f.Ref, Path: f.Path, Network: f.Network,
		})
	}
	return told
}

func (e *rpExplainCommand) print(c *console, told explanation) error {
	if e.JSON {
		text, err := json.MarshalIndent(told, "", "  ")
		if err != nil {
			return fmt.Errorf("encoding: %w", err)
		}
		c.printf("%s\n", text)
		return nil
	}
	c.printf("%s  %s\n\n", told.ClientID, told.Name)
	c.printf("How it authenticates:\n  %s\n", strings.TrimSpace(told.Method+" "+told.Algorithm)+", profile "+told.Profile)
	switch {
	case told.KeysError != "":
		c.printf("  %s\n", told.KeysError)
	case told.JWKSURI != "":
		c.printf("  %s: %s\n", told.JWKSURI, told.Keys)
	case told.Keys != "":
		c.printf("  registered keys: %s\n", told.Keys)
	case told.Certificate != "":
		c.printf("  with a certificate for %s\n", told.Certificate)
	}
	if len(told.Failures) == 0 {
		c.printf("\nIt has not failed in the last 90 days.\n")
		return nil
	}
	c.printf("\nWhy it failed, the last first:\n")
	for _, f := range told.Failures {
		c.printf("  %s UTC  %s\n      %s\n", f.Last.Format(time.DateTime), f.Cause, f.Reason)
		from := ""
		if f.Network != "" {
			from = " from " + f.Network
		}
		c.printf("      at %s%s, reference %s", f.Path[strings.LastIndex(f.Path, "/")+1:], from, f.Reference)
		if f.Times > 1 {
			c.printf(", %d times since %s", f.Times, f.First.Format(time.DateOnly))
		}
		c.printf("\n")
	}
	return nil
}
