package main

import (
	"errors"

	"carekey.dev/carekey/internal/server"
	"carekey.dev/carekey/internal/server/config"
)

// place is where a command finds the installation that it works on.
type place struct {
	Config string `help:"Configuration of the installation, as for serve." placeholder:"FILE" xor:"place"`
	Data   string `help:"Data folder of carekey dev (default: data)." placeholder:"DIR" xor:"place"`
}

// resolve reads the configuration. Without a flag, the environment may hold
// it all; else the folder that carekey dev makes is meant.
func (p place) resolve(c *console) (*config.Config, error) {
	_, environment := c.env(config.Variable("database.url"))
	switch {
	case p.Config != "" || p.Data == "" && environment:
		return config.Load(p.Config, c.env)
	case p.Data != "":
		return server.BesideDev(p.Data, c.env)
	}
	return server.BesideDev(server.DefaultFolder, c.env)
}

// enter runs fn in the installation, beside its server or without it.
func (p place) enter(c *console, fn func(h *server.House) error) error {
	settings, err := p.resolve(c)
	if err != nil {
		return err
	}
	h, err := server.Furnish(c.ctx, settings, c.quiet())
	if err != nil {
		return err
	}
	return errors.Join(fn(h), h.Close())
}
