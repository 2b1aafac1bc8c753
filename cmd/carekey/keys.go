package main

import (
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/go-jose/go-jose/v4"

	"carekey.dev/carekey/internal/oidc/signing"
	"carekey.dev/carekey/internal/server"
)

type keysCommand struct {
	List   keysListCommand   `cmd:"" help:"Show every key: its algorithm, whether it signs, where it is kept, and its times (UTC)."`
	Rotate keysRotateCommand `cmd:"" help:"Publish a new key that takes over after a while. No relying party notices."`
}

type keysListCommand struct {
	place
}

// Run lists the keys. None of them is shown.
func (l *keysListCommand) Run(c *console) error {
	return l.enter(c, func(h *server.House) error {
		list, err := h.Rotation().List(c.ctx)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			c.printf("There are no signing keys yet: the first start of the service makes them.\n")
			return nil
		}
		table := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "ALGORITHM\tSTATE\tKEPT IN\tSIGNS FROM\tUNTIL\tPUBLISHED UNTIL\tKEY ID")
		for _, k := range list {
			fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n",
				k.Algorithm, k.State, keptIn(k), moment(k.From), moment(k.Until), moment(k.Gone), k.ID)
		}
		return table.Flush()
	})
}

func keptIn(k signing.Key) string {
	switch {
	case k.Erased:
		return "destroyed"
	case k.InHSM:
		return "HSM"
	}
	return "database"
}

func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format(time.DateTime)
}

type keysRotateCommand struct {
	Algorithm string        `help:"Rotate the keys of this algorithm only." enum:"RS256,ES256,PS256,all" default:"all" placeholder:"ALG"`
	After     time.Duration `help:"How long the new key is published before it signs, 15m or more (default: signing.publish_before)." placeholder:"TIME"`
	Leaked    bool          `help:"Somebody may have the present keys: give them up within a minute. Relying parties that keep the public keys for a while refuse sign-ins until they fetch them again, five minutes at most for most of them." xor:"when"`
	place
}

// Run makes the next keys. It works beside a running server, whose nodes see
// them within seconds.
func (r *keysRotateCommand) Run(c *console) error {
	if r.After != 0 && r.After < signing.LeastPublish {
		return fmt.Errorf("--after %s is too short: relying parties keep the old set of keys for minutes, so %s is the least", r.After, signing.LeastPublish)
	}
	return r.enter(c, func(h *server.House) error {
		for _, algorithm := range signing.Algorithms() {
			if r.Algorithm != "all" && r.Algorithm != string(algorithm) {
				continue
			}
			key, err := h.Rotation().Rotate(c.ctx, signing.Demand{Algorithm: algorithm, After: r.After, Leaked: r.Leaked, Actor: operator})
			switch from := moment(key.From) + " UTC"; {
			case errors.Is(err, signing.ErrUnderWay):
				c.printf("%s: nothing to do, key %s is published already and signs from %s.\n", algorithm, key.ID, from)
			case err != nil:
				return err
			default:
				c.told(algorithm, key, r.Leaked, from)
			}
		}
		return nil
	})
}

func (c *console) told(algorithm jose.SignatureAlgorithm, key signing.Key, leaked bool, from string) {
	if leaked {
		c.printf("%s: key %s signs from %s; from then on what any other key signed is worth nothing.\n", algorithm, key.ID, from)
		return
	}
	c.printf("%s: key %s is on every node within 15 seconds and signs from %s.\n", algorithm, key.ID, from)
}
