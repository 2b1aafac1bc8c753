package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/goccy/go-yaml"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/relyingparty/team"
	"carekey.dev/carekey/internal/server"
)

// rpCommand looks after relying parties.
type rpCommand struct {
	List              rpListCommand   `cmd:"" help:"List the relying parties."`
	Show              rpShowCommand   `cmd:"" help:"Show one relying party, as a world file or a program reads it. Its secrets are never shown."`
	Add               rpAddCommand    `cmd:"" help:"Register a relying party: field=value for each field."`
	Set               rpSetCommand    `cmd:"" help:"Change fields: field=value replaces, field+=value and field-=value change a list, field= takes it out."`
	Secret            rpSecretCommand `cmd:"" help:"Replace the client secret, without a pause for the service."`
	Remove            rpRemoveCommand `cmd:"" help:"Remove a relying party: nobody signs in to it any more."`
	RegistrationToken rpTokenCommand  `cmd:"" name:"registration-token" help:"Print a token with which programs register relying parties by themselves."`

	Explain rpExplainCommand `cmd:"" help:"Say why a relying party could not prove who it is, and with which keys it can."`
}

// seenBy is how soon a running server knows of a change.
const seenBy = "A running server knows it within ten seconds.\n"

const fieldsHelp = `

Fields have the names of the world file (docs/suppliers.md lists them). Lists are separated by commas.

  carekey rp add name="My service" redirect_uris=https://my.example/callback scopes=openid,profile
  carekey rp set 123456789012.apps.national redirect_uris+=https://my.example/second
  carekey rp set 123456789012.apps.national token_endpoint_auth_method=private_key_jwt jwks_uri=https://my.example/jwks
  carekey rp set 123456789012.apps.national quirks.numeric_levels=true team=my-team`

type rpListCommand struct {
	Format string `help:"table, json or yaml (a world file)." enum:"table,json,yaml" default:"table"`
	place
}

// Run lists them in the order of their client ids.
func (l *rpListCommand) Run(c *console) error {
	return l.enter(c, func(h *server.House) error {
		var all []relyingparty.RelyingParty
		err := h.DB.Read(c.ctx, func(tx *db.Tx) (err error) {
			all, err = relyingparty.All(tx)
			return err
		})
		if err != nil {
			return err
		}
		if l.Format != "table" {
			documents := []relyingparty.Document{}
			for _, rp := range all {
				documents = append(documents, rp.Document())
			}
			if l.Format == "json" {
				return c.json(documents)
			}
			return c.worldFile(documents)
		}
		table := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "CLIENT ID\tNAME\tPROFILE\tAUTHENTICATION\tTEAM")
		for _, rp := range all {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", rp.ClientID, rp.Name, rp.Profile, rp.AuthMethod, orDash(rp.Team))
		}
		return table.Flush()
	})
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func (c *console) json(v any) error {
	encoder := json.NewEncoder(c.out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// worldFile writes registrations as carekey apply takes them.
func (c *console) worldFile(documents []relyingparty.Document) error {
	text, err := json.Marshal(map[string]any{"relying_parties": documents})
	if err != nil {
		return fmt.Errorf("writing YAML: %w", err)
	}
	if text, err = yaml.JSONToYAML(text); err != nil {
		return fmt.Errorf("writing YAML: %w", err)
	}
	c.printf("%s", text)
	return nil
}

type rpShowCommand struct {
	Client string `arg:"" help:"Client id." placeholder:"CLIENT"`
	Format string `help:"yaml (a world file) or json." enum:"yaml,json" default:"yaml"`
	place
}

// Run shows one.
func (s *rpShowCommand) Run(c *console) error {
	return s.enter(c, func(h *server.House) error {
		var rp relyingparty.RelyingParty
		err := h.DB.Read(c.ctx, func(tx *db.Tx) (err error) {
			rp, err = relyingparty.ByID(tx, s.Client)
			return err
		})
		if err != nil {
			return noClient(s.Client, err)
		}
		if s.Format == "json" {
			return c.json(rp.Document())
		}
		if err := c.worldFile([]relyingparty.Document{rp.Document()}); err != nil || !rp.AuthMethod.HasSecret() {
			return err
		}
		c.printf("# Client secrets that are good: %d\n", len(rp.Secrets))
		return nil
	})
}

// noClient says that there is no such relying party, if that is the error.
func noClient(id string, err error) error {
	if errors.Is(err, db.ErrNoRows) {
		return fmt.Errorf("there is no relying party %s: carekey rp list shows them all", id)
	}
	return err
}

type rpAddCommand struct {
	Fields []relyingparty.Assignment `arg:"" help:"field=value. Without client_id one is made." placeholder:"FIELD=VALUE"`
	place
}

// Help shows how fields are written.
func (rpAddCommand) Help() string { return fieldsHelp }

// Run registers a relying party, checked as a world file is.
func (a *rpAddCommand) Run(c *console) error {
	return a.enter(c, func(h *server.House) error {
		d, err := relyingparty.Document{}.Set(a.Fields...)
		if err != nil {
			return err
		}
		if d.ClientID == "" {
			d.ClientID = relyingparty.NewClientID(h.Random)
		}
		rp := d.RelyingParty()
		if err := mended(rp); err != nil {
			return err
		}
		secret := ""
		if rp.AuthMethod.HasSecret() {
			var hash []byte
			secret, hash = relyingparty.NewSecret(h.Random)
			rp.AddSecret(hash)
		}
		err = h.DB.Write(c.ctx, func(tx *db.Tx) error {
			if err := knownTeam(tx, rp.Team); err != nil {
				return err
			}
			return relyingparty.Add(tx, operator, rp)
		})
		if errors.Is(err, relyingparty.ErrTaken) {
			return fmt.Errorf("there is a relying party %s already: carekey rp set changes it", rp.ClientID)
		}
		if err != nil {
			return err
		}
		c.printf("Relying party %s %s was added.\n", rp.ClientID, rp.Name)
		c.secret("client secret", secret)
		c.printf(seenBy)
		return nil
	})
}

// mended is the error of a registration that has mistakes, one line for each.
func mended(rp relyingparty.RelyingParty) error {
	var all []error
	for _, m := range relyingparty.Check(rp) {
		all = append(all, m)
	}
	return errors.Join(all...)
}

// knownTeam checks that somebody looks after what a team is named for.
func knownTeam(tx *db.Tx, id string) error {
	if id == "" {
		return nil
	}
	_, err := team.Locked(tx, id)
	return noTeam(id, err)
}

// secret shows a new secret, once.
func (c *console) secret(what, value string) {
	if value != "" {
		c.printf("\nThe %s, shown this once:\n  %s\n\n", what, value)
	}
}

type rpSetCommand struct {
	Client string                    `arg:"" help:"Client id." placeholder:"CLIENT"`
	Fields []relyingparty.Assignment `arg:"" help:"field=value, field+=value, field-=value or field=." placeholder:"FIELD=VALUE"`
	DryRun bool                      `help:"Show what would change, and change nothing."`
	place
}

// Help shows how fields are written.
func (rpSetCommand) Help() string { return fieldsHelp }

// errDry ends a transaction that was only to show what it would do.
var errDry = errors.New("dry run")

// Run changes a relying party, checked as a whole.
func (s *rpSetCommand) Run(c *console) error {
	return s.enter(c, func(h *server.House) error {
		fresh, hash := relyingparty.NewSecret(h.Random)
		var changed []relyingparty.Difference
		secret := ""
		err := h.DB.Write(c.ctx, func(tx *db.Tx) error {
			secret = ""
			before, err := relyingparty.Locked(tx, s.Client)
			if err != nil {
				return noClient(s.Client, err)
			}
			after, err := s.change(before)
			if err != nil {
				return err
			}
			if after.AuthMethod.HasSecret() && len(after.Secrets) == 0 {
				secret = fresh
				after.AddSecret(hash)
			}
			if after.Team != before.Team {
				if err := knownTeam(tx, after.Team); err != nil {
					return err
				}
			}
			if changed, err = relyingparty.Replace(tx, operator, before, after); err == nil && s.DryRun {
				err = errDry
			}
			return err
		})
		if err != nil && !errors.Is(err, errDry) {
			return err
		}
		for _, d := range changed {
			c.printf("%s\n", d)
		}
		switch {
		case s.DryRun:
			c.printf("Nothing was changed.\n")
		case len(changed) == 0:
			c.printf("No change made.\n")
		default:
			c.secret("client secret", secret)
			c.printf(seenBy)
		}
		return nil
	})
}

func (s *rpSetCommand) change(before relyingparty.RelyingParty) (relyingparty.RelyingParty, error) {
	d, err := before.Document().Set(s.Fields...)
	if err != nil {
		return before, err
	}
	if d.ClientID != before.ClientID {
		return before, errors.New("a client_id never changes: add another relying party and remove this one")
	}
	after := d.RelyingParty()
	if after.AuthMethod.HasSecret() {
		after.Secrets = before.Secrets
	}
	return after, mended(after)
}

type rpRemoveCommand struct {
	Client string `arg:"" help:"Client id." placeholder:"CLIENT"`
	Yes    bool   `help:"Do not ask."`
	place
}

// Run removes a relying party, when the operator says yes.
func (r *rpRemoveCommand) Run(c *console) error {
	return r.enter(c, func(h *server.House) error {
		var rp relyingparty.RelyingParty
		err := h.DB.Read(c.ctx, func(tx *db.Tx) (err error) {
			rp, err = relyingparty.ByID(tx, r.Client)
			return err
		})
		if err != nil {
			return noClient(r.Client, err)
		}
		if err := c.sure(r.Yes, fmt.Sprintf("Nobody will be able to sign in to %s %s any more. Remove it? [y/N] ", rp.ClientID, rp.Name)); err != nil {
			return err
		}
		err = h.DB.Write(c.ctx, func(tx *db.Tx) error {
			rp, err := relyingparty.Locked(tx, r.Client)
			if err != nil {
				return noClient(r.Client, err)
			}
			return relyingparty.Remove(tx, operator, rp)
		})
		if err != nil {
			return err
		}
		c.printf("Relying party %s %s was removed.\n%s", rp.ClientID, rp.Name, seenBy)
		return nil
	})
}

// sure asks before something that cannot be taken back.
func (c *console) sure(yes bool, question string) error {
	if yes {
		return nil
	}
	answer, err := c.ask(question)
	if err != nil {
		return err
	}
	if !answer {
		return errors.New("nothing was changed")
	}
	return nil
}
