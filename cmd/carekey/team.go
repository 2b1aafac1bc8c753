package main

import (
	"errors"
	"fmt"
	"text/tabwriter"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/relyingparty/team"
	"carekey.dev/carekey/internal/server"
)

type teamCommand struct {
	List   teamListCommand   `cmd:"" help:"List the teams of suppliers."`
	Show   teamShowCommand   `cmd:"" help:"Show a team, its secrets (not themselves) and its relying parties."`
	Add    teamAddCommand    `cmd:"" help:"Make a team that looks after relying parties through the Connection Manager, and show its secret once."`
	Secret teamSecretCommand `cmd:"" help:"Replace a team's secret, without a pause for its programs."`
	Remove teamRemoveCommand `cmd:"" help:"Remove a team that looks after nothing any more."`
}

// noTeam says that there is no such team, if that is the error.
func noTeam(id string, err error) error {
	if errors.Is(err, db.ErrNoRows) {
		return fmt.Errorf("there is no team %s: carekey team list shows them all, carekey team add makes one", id)
	}
	return err
}

// standing is a team with what hangs on it.
type standing struct {
	team.Team
	secrets []team.Secret
	parties []relyingparty.RelyingParty
}

func (c *console) teams(h *server.House) ([]standing, error) {
	var all []standing
	err := h.DB.Read(c.ctx, func(tx *db.Tx) error {
		all = nil
		teams, err := team.All(tx)
		if err != nil {
			return err
		}
		parties, err := relyingparty.All(tx)
		if err != nil {
			return err
		}
		for _, t := range teams {
			s := standing{Team: t}
			if s.secrets, err = team.Secrets(tx, t.ID); err != nil {
				return err
			}
			for _, rp := range parties {
				if rp.Team == t.ID {
					s.parties = append(s.parties, rp)
				}
			}
			all = append(all, s)
		}
		return nil
	})
	return all, err
}

type teamListCommand struct{ place }

// Run lists the teams.
func (l *teamListCommand) Run(c *console) error {
	return l.enter(c, func(h *server.House) error {
		all, err := c.teams(h)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "TEAM\tNAME\tRELYING PARTIES\tSECRETS\tLAST USED")
		for _, t := range all {
			last := "-"
			for _, s := range t.secrets {
				if used := moment(s.UsedAt); used > last {
					last = used
				}
			}
			fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%s\n", t.ID, t.Name, len(t.parties), len(t.secrets), last)
		}
		return table.Flush()
	})
}

type teamShowCommand struct {
	Team string `arg:"" help:"The team's id." placeholder:"TEAM"`
	place
}

// Run shows one team.
func (s *teamShowCommand) Run(c *console) error {
	return s.enter(c, func(h *server.House) error {
		all, err := c.teams(h)
		if err != nil {
			return err
		}
		for _, t := range all {
			if t.ID != s.Team {
				continue
			}
			c.printf("%s  %s, since %s UTC\n", t.ID, t.Name, moment(t.CreatedAt))
			for _, secret := range t.secrets {
				c.printf("  secret %s  made %s, last used %s\n", secret.ID, moment(secret.CreatedAt), moment(secret.UsedAt))
			}
			for _, rp := range t.parties {
				c.printf("  relying party %s  %s\n", rp.ClientID, rp.Name)
			}
			return nil
		}
		return noTeam(s.Team, db.ErrNoRows)
	})
}

type teamAddCommand struct {
	Team string `arg:"" help:"The team's id: small letters, digits, - and _." placeholder:"TEAM"`
	Name string `required:"" help:"What people call it." placeholder:"NAME"`
	place
}

// Run makes a team and its first secret.
func (a *teamAddCommand) Run(c *console) error {
	return a.enter(c, func(h *server.House) error {
		fresh := team.NewSecret(h.Random)
		err := h.DB.Write(c.ctx, func(tx *db.Tx) error {
			if err := team.Add(tx, operator, a.Team, a.Name); err != nil {
				return err
			}
			return team.AddSecret(tx, operator, team.Team{ID: a.Team}, fresh)
		})
		if errors.Is(err, team.ErrTaken) {
			return fmt.Errorf("there is a team %s already: carekey team secret new %s makes another secret for it", a.Team, a.Team)
		}
		if err != nil {
			return err
		}
		c.printf("Team %s %s was added.\n", a.Team, a.Name)
		c.secret("secret for the Connection Manager", fresh.Value)
		if !h.Config.ConnectionManager.Offered() && !h.Config.Dev {
			c.printf("This installation does not offer a Connection Manager yet: set connection_manager.base_url.\n")
		}
		return nil
	})
}

type teamSecretCommand struct {
	New  teamSecretNewCommand  `cmd:"" help:"Make a secret and show it once. The one before stays good until it is dropped; older ones are good no more."`
	Drop teamSecretDropCommand `cmd:"" help:"Make every secret but the newest good no more, and end their sessions."`
}

type teamSecretNewCommand struct {
	Team string `arg:"" help:"The team's id." placeholder:"TEAM"`
	place
}

// Run makes a secret.
func (n *teamSecretNewCommand) Run(c *console) error {
	return n.enter(c, func(h *server.House) error {
		fresh := team.NewSecret(h.Random)
		err := c.changeTeam(h, n.Team, func(tx *db.Tx, t team.Team) error { return team.AddSecret(tx, operator, t, fresh) })
		if err != nil {
			return err
		}
		c.secret("secret for the Connection Manager", fresh.Value)
		c.printf("The one before stays good: when the team's programs use the new one, run\n  carekey team secret drop %s\n", n.Team)
		return nil
	})
}

type teamSecretDropCommand struct {
	Team string `arg:"" help:"The team's id." placeholder:"TEAM"`
	All  bool   `help:"Drop the newest too: a secret has leaked, and nobody may use any."`
	place
}

// Run drops the old secrets.
func (d *teamSecretDropCommand) Run(c *console) error {
	return d.enter(c, func(h *server.House) error {
		err := c.changeTeam(h, d.Team, func(tx *db.Tx, t team.Team) error {
			secrets, err := team.Secrets(tx, t.ID)
			if err != nil {
				return err
			}
			if len(secrets) == 1 && !d.All {
				return fmt.Errorf("there is no older secret to drop. If the present one has leaked: carekey team secret drop %s --all", d.Team)
			}
			return team.DropSecrets(tx, operator, t, d.All)
		})
		if err != nil {
			return err
		}
		c.printf("The secrets are dropped, and their sessions have ended.\n")
		return nil
	})
}

func (c *console) changeTeam(h *server.House, id string, fn func(tx *db.Tx, t team.Team) error) error {
	return h.DB.Write(c.ctx, func(tx *db.Tx) error {
		t, err := team.Locked(tx, id)
		if err != nil {
			return noTeam(id, err)
		}
		return fn(tx, t)
	})
}

type teamRemoveCommand struct {
	Team string `arg:"" help:"The team's id." placeholder:"TEAM"`
	Yes  bool   `help:"Do not ask."`
	place
}

// Run removes a team, when the operator says yes.
func (r *teamRemoveCommand) Run(c *console) error {
	return r.enter(c, func(h *server.House) error {
		if err := c.sure(r.Yes, fmt.Sprintf("Remove team %s with its secrets? [y/N] ", r.Team)); err != nil {
			return err
		}
		err := c.changeTeam(h, r.Team, func(tx *db.Tx, t team.Team) error {
			parties, err := relyingparty.All(tx)
			if err != nil {
				return err
			}
			inUse := 0
			for _, rp := range parties {
				if rp.Team == t.ID {
					inUse++
				}
			}
			return team.Remove(tx, operator, t, inUse)
		})
		if errors.Is(err, team.ErrInUse) {
			return fmt.Errorf("team %s still looks after relying parties: give them away with carekey rp set CLIENT team=OTHER, or remove them", r.Team)
		}
		if err != nil {
			return err
		}
		c.printf("Team %s was removed.\n", r.Team)
		return nil
	})
}
