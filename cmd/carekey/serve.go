package main

import (
	"errors"
	"fmt"
	"log/slog"

	"carekey.dev/carekey/internal/server"
	"carekey.dev/carekey/internal/server/config"
)

type serveCommand struct {
	Config  string `help:"Configuration. Each setting can also be given as an environment variable: smtp.host is CAREKEY_SMTP_HOST." placeholder:"FILE"`
	Verbose bool   `help:"Log more."`
}

// Run serves until it is told to stop.
func (s *serveCommand) Run(c *console) error {
	settings, err := config.Load(s.Config, c.env)
	if err != nil && s.Config == "" {
		return fmt.Errorf("%w\nThe settings come from the environment alone: name a file with --config, if there is one", err)
	}
	if err != nil {
		return err
	}
	level := slog.LevelInfo
	if s.Verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewJSONHandler(c.err, &slog.HandlerOptions{Level: level}))
	lock, err := server.LockServe(settings)
	if err != nil {
		return err
	}
	h, err := server.Furnish(c.ctx, settings, log)
	if err != nil {
		return errors.Join(err, lock.Close())
	}
	err = server.Serve(c.ctx, h, func() { log.Info("serving", "listen", settings.Listen, "base_url", settings.BaseURL) })
	return errors.Join(err, h.Close(), lock.Close())
}
