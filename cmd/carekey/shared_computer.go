package main

import (
	"net/url"

	"carekey.dev/carekey/internal/server"
	"carekey.dev/carekey/internal/session"
)

type sharedCommand struct {
	Private bool `help:"Make a link that takes the mark away again."`
	place
}

// Run prints the link that IT opens in the browser of each computer that people
// share (decision 8).
func (s *sharedCommand) Run(c *console) error {
	return s.enter(c, func(h *server.House) error {
		token, err := h.Computers.Link(!s.Private)
		if err != nil {
			return err
		}
		what := "marks it as one that people share"
		if s.Private {
			what = "takes the mark of a shared computer away"
		}
		c.printf("Open this link in the browser of a computer, as the user that works there. Its button %s.\nIt works for %d hours, on any number of computers:\n\n  %s\n",
			what, int(session.MarkLife.Hours()), h.Config.Link("/shared-computer?t="+url.QueryEscape(token)))
		return nil
	})
}
