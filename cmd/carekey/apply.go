package main

import (
	"fmt"
	"os"

	"carekey.dev/carekey/internal/server"
	"carekey.dev/carekey/internal/world"
)

type applyCommand struct {
	File   string `short:"f" required:"" help:"World file." placeholder:"FILE"`
	DryRun bool   `help:"Show what would change, and change nothing."`
	Prune  bool   `help:"Remove what is missing from a section of the file; people are closed."`
	place
}

// Run applies the file in one transaction, or shows what that would do.
func (a *applyCommand) Run(c *console) error {
	text, err := os.ReadFile(a.File)
	if err != nil {
		return fmt.Errorf("reading the world file: %w", err)
	}
	return a.enter(c, func(h *server.House) error {
		w, err := world.Parse(a.File, text, world.Mode(h.Config.Dev))
		if err != nil {
			return err
		}
		if a.DryRun {
			outcome, err := w.Preview(c.ctx, h.WorldOptions(a.Prune))
			if err != nil {
				return err
			}
			a.show(c, outcome)
			c.printf("%s would be made. Nothing was changed.\n", changes(len(outcome.Changes)))
			return nil
		}
		outcome, err := w.Apply(c.ctx, h.WorldOptions(a.Prune))
		if err != nil {
			return err
		}
		a.show(c, outcome)
		for _, s := range outcome.Secrets {
			c.printf("\nThe client secret of %s %s, shown this once:\n  %s\n\n", s.ClientID, s.Name, s.Value)
		}
		c.printf("%s made.\n", changes(len(outcome.Changes)))
		return nil
	})
}

func (a *applyCommand) show(c *console, outcome world.Outcome) {
	for _, change := range outcome.Changes {
		c.printf("%s\n", change)
	}
	for _, note := range outcome.Notes {
		c.printf("note: %s\n", note)
	}
}

func changes(n int) string {
	switch n {
	case 0:
		return "No change"
	case 1:
		return "1 change"
	}
	return fmt.Sprintf("%d changes", n)
}
