package main

import (
	"errors"
	"fmt"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/server"
)

type rpSecretCommand struct {
	New  rpSecretNewCommand  `cmd:"" help:"Make a client secret and show it once. The one before stays good until it is dropped; older ones are good no more."`
	Drop rpSecretDropCommand `cmd:"" help:"Make every client secret but the newest good no more."`
}

type rpSecretNewCommand struct {
	Client string `arg:"" help:"Client id." placeholder:"CLIENT"`
	place
}

// Run makes a secret.
func (n *rpSecretNewCommand) Run(c *console) error {
	return n.enter(c, func(h *server.House) error {
		secret, hash := relyingparty.NewSecret(h.Random)
		before := 0
		err := c.changeSecrets(h, n.Client, func(rp *relyingparty.RelyingParty) error {
			before = len(rp.Secrets)
			rp.AddSecret(hash)
			return nil
		})
		if err != nil {
			return err
		}
		c.secret("client secret", secret)
		if before > 0 {
			c.printf("The one before stays good: when the service uses the new one, run\n  carekey rp secret drop %s\n", n.Client)
		}
		c.printf("%s", seenBy)
		return nil
	})
}

type rpSecretDropCommand struct {
	Client string `arg:"" help:"Client id." placeholder:"CLIENT"`
	All    bool   `help:"Drop the newest too: a secret has leaked, and nobody may use any."`
	place
}

// Run drops the old secrets.
func (d *rpSecretDropCommand) Run(c *console) error {
	return d.enter(c, func(h *server.House) error {
		dropped := 0
		err := c.changeSecrets(h, d.Client, func(rp *relyingparty.RelyingParty) error {
			keep := 1
			if d.All {
				keep = 0
			}
			dropped = len(rp.Secrets) - keep
			switch {
			case len(rp.Secrets) == 0:
				return errors.New("there is no secret to drop")
			case dropped <= 0:
				return fmt.Errorf("there is no older secret to drop. If the present one has leaked: carekey rp secret drop %s --all", d.Client)
			}
			rp.Secrets = rp.Secrets[:keep]
			return nil
		})
		if err != nil {
			return err
		}
		c.printf("%s good no more.\n%s", secretsAre(dropped), seenBy)
		return nil
	})
}

func secretsAre(n int) string {
	if n == 1 {
		return "1 secret is"
	}
	return fmt.Sprintf("%d secrets are", n)
}

// changeSecrets changes the secrets of a relying party that has any use for
// them.
func (c *console) changeSecrets(h *server.House, client string, fn func(rp *relyingparty.RelyingParty) error) error {
	return h.DB.Write(c.ctx, func(tx *db.Tx) error {
		before, err := relyingparty.Locked(tx, client)
		if err != nil {
			return noClient(client, err)
		}
		if !before.AuthMethod.HasSecret() {
			return fmt.Errorf("%s authenticates with %s and has no secret", client, before.AuthMethod)
		}
		after := before
		if err := fn(&after); err != nil {
			return err
		}
		_, err = relyingparty.Replace(tx, operator, before, after)
		return err
	})
}
