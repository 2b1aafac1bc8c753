package main

import (
	"errors"
	"strings"
	"time"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/server"
	"carekey.dev/carekey/internal/server/faultlog"
)

type explainCommand struct {
	Ref []string `arg:"" help:"The reference, as it was read out: 412-7XQ-9KD." placeholder:"REF"`
	place
}

// Run says what the person saw, what usually lies behind it, and what is known
// of this occurrence. The first two come from the number alone, so they are
// there even if the database is what failed.
func (e *explainCommand) Run(c *console) error {
	ref, kind, err := fault.ParseRef(strings.Join(e.Ref, " "))
	if err != nil {
		return err
	}
	if kind == nil {
		c.printf("%s\n\nThis version of Carekey does not know the kind of fault %s: a newer one gave it.\n\n", ref, ref[:3])
	} else {
		c.printf("%s  %s\n\n", ref, kind.Name)
		c.printf("What the person read:\n  %s\n  %s %s\n\n", kind.Title, kind.Sentence, kind.Next)
		c.printf("What lies behind it, and what helps:\n  %s\n\n", kind.Desk)
	}
	var found faultlog.Occurrence
	err = e.enter(c, func(h *server.House) error {
		return h.DB.Read(c.ctx, func(tx *db.Tx) (err error) {
			found, err = faultlog.Find(tx, ref)
			return err
		})
	})
	switch {
	case errors.Is(err, db.ErrNoRows):
		c.printf("This occurrence:\n  Nothing is stored about it. It is older than 30 days, or happened when the database could not be written;\n  the log has one line with the reference.\n")
		return nil
	case err != nil:
		c.printf("This occurrence:\n  It could not be looked up.\n")
		return err
	}
	c.occurrence(found)
	return nil
}

func (c *console) occurrence(o faultlog.Occurrence) {
	c.printf("This occurrence:\n")
	for _, line := range [][2]string{
		{"when", o.At.Format(time.DateTime) + " UTC"},
		{"where", o.Method + " " + o.Path},
		{"person", string(o.UID)},
		{"relying party", o.Client},
		{"told as well", o.Detail},
		{"cause", o.Cause},
		{"request", o.Request},
	} {
		if line[1] != "" {
			c.printf("  %-14s %s\n", line[0]+":", line[1])
		}
	}
}
