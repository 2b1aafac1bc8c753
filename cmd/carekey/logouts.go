package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/oidc/logout"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/server"
)

type logoutsCommand struct {
	Client string `help:"Only this relying party." placeholder:"CLIENT_ID"`
	All    bool   `help:"Those that have arrived too: seven days are kept."`
	Limit  int    `help:"Show so many, the newest first." default:"100"`
	JSON   bool   `help:"Print JSON." name:"json"`
	Retry  bool   `help:"Try those that are shown and have not arrived again now, for another day: when a relying party has been mended."`
	place
}

// Run shows which relying parties have yet to be told of sign-outs, and why.
func (l *logoutsCommand) Run(c *console) error {
	return l.enter(c, func(h *server.House) error {
		filter := logout.Filter{ClientID: l.Client, Told: l.All, Most: l.Limit}
		if l.Retry {
			return l.retry(c, h, filter)
		}
		var all []logout.Delivery
		err := h.DB.Read(c.ctx, func(tx *db.Tx) (err error) {
			all, err = logout.Deliveries(tx, filter)
			return err
		})
		if err != nil {
			return err
		}
		if l.JSON {
			encoder := json.NewEncoder(c.out)
			encoder.SetIndent("", "  ")
			return encoder.Encode(append([]logout.Delivery{}, all...)) // [] and not null
		}
		if len(all) == 0 && l.Client != "" {
			return l.none(c, h)
		}
		return l.show(c, all)
	})
}

// none says that a relying party has heard of everything, unless its name is
// nobody's: a mistyped one must not look like good news.
func (l *logoutsCommand) none(c *console, h *server.House) error {
	err := h.DB.Read(c.ctx, func(tx *db.Tx) error {
		_, err := relyingparty.ByID(tx, l.Client)
		return err
	})
	if err != nil {
		return noClient(l.Client, err)
	}
	c.printf("%s has been told of every sign-out.\n", l.Client)
	return nil
}

func (l *logoutsCommand) show(c *console, all []logout.Delivery) error {
	if len(all) == 0 {
		c.printf("Every relying party has been told of every sign-out.\n")
		return nil
	}
	table := tabwriter.NewWriter(c.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SIGNED OUT\tRELYING PARTY\tPERSON\tBECAUSE\tSTATE\tTRIES\tNEXT\tLAST ANSWER")
	for _, d := range all {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n",
			moment(d.Made), d.ClientID, d.UID, d.Why, d.State, d.Attempts, moment(d.Next), cmp.Or(d.LastError, "-"))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if len(all) == l.Limit {
		c.printf("There may be more: see --limit.\n")
	}
	return nil
}

// retry is audited as the operator's. A server that runs beside it notices
// within its next look, some seconds.
func (l *logoutsCommand) retry(c *console, h *server.House, filter logout.Filter) error {
	var again int
	err := h.DB.Write(c.ctx, func(tx *db.Tx) error {
		all, err := logout.Deliveries(tx, filter)
		if err != nil {
			return err
		}
		again, err = logout.Retry(tx, all, operator)
		return err
	})
	if err != nil {
		return err
	}
	if again == 0 && l.Client != "" {
		return l.none(c, h)
	}
	c.printf("%d will be tried again within 15 seconds.\n", again)
	return nil
}
