package main

import (
	"fmt"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/oidc/register"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/server"
)

type rpTokenCommand struct {
	For           time.Duration `help:"How long it is good, at most 720h (default: ${default})." default:"24h" placeholder:"TIME"`
	Uses          int64         `help:"How many relying parties it registers at most (default: ${default})." default:"100" placeholder:"N"`
	Profile       string        `help:"Their profile." enum:"cis2,strict" default:"cis2"`
	DefaultACR    string        `name:"default-acr" help:"What they ask for when a request does not say (default: ${default})." default:"AAL2_OR_AAL3_ANY" placeholder:"ACR"`
	Scopes        []string      `help:"Scopes that they may register, separated by commas (default: all)." placeholder:"SCOPE"`
	RefreshTokens bool          `help:"Let them register for refresh tokens."`
	place
}

// Run makes an initial access token for programs that register relying parties
// by themselves, and shows it once.
func (t *rpTokenCommand) Run(c *console) error {
	return t.enter(c, func(h *server.House) error {
		token, err := register.Allow(c.ctx, h.DB, h.Random, register.Allowance{
			Policy: register.Policy{
				Profile: relyingparty.Profile(t.Profile), DefaultACR: care.ACR(t.DefaultACR), Scopes: t.Scopes, RefreshTokens: t.RefreshTokens,
			},
			For: t.For, Uses: t.Uses, Actor: operator,
		})
		if err != nil {
			return err
		}
		c.printf("%s\n", token)
		fmt.Fprintf(c.err, "It is shown this once, and registers up to %d relying parties until %s UTC.\n", t.Uses, moment(h.DB.Now().UTC().Add(t.For)))
		if !h.Config.DynamicRegistration {
			fmt.Fprintln(c.err, "The endpoint is closed: set dynamic_registration to true first.")
		}
		return nil
	})
}
