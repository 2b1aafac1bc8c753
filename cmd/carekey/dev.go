package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"carekey.dev/carekey/internal/server"
	"carekey.dev/carekey/internal/server/config"
	"carekey.dev/carekey/internal/world"
)

type devCommand struct {
	Listen            string `help:"Address to listen on (default: ${default})." default:"localhost:8080" placeholder:"ADDR"`
	Data              string `help:"Folder for the database and keys (default: ${default})." default:"data" placeholder:"DIR"`
	World             string `help:"World file to apply at each start, instead of the demo world at the first." placeholder:"FILE"`
	TLS               bool   `name:"tls" help:"Serve https with a certificate of a local CA, for software that insists on it."`
	Headless          bool   `name:"headless-sign-in" help:"Open the JSON sign-in for test automation."`
	ConnectionManager string `help:"Offer the Connection Manager on this address too (docs/suppliers.md)." placeholder:"ADDR"`
	Verbose           bool   `help:"Log every request."`
}

// Run serves a demonstration until it is told to stop.
func (d *devCommand) Run(c *console) error {
	demo := config.Demo{Listen: d.Listen, DataDir: d.Data, TLS: d.TLS, HeadlessSignIn: d.Headless, ConnectionManager: d.ConnectionManager}
	settings, lock, err := server.PrepareDev(demo, c.env)
	if err != nil {
		return err
	}
	level := slog.LevelInfo
	if d.Verbose {
		level = slog.LevelDebug
	}
	h, err := server.Furnish(c.ctx, settings, slog.New(slog.NewTextHandler(c.err, &slog.HandlerOptions{Level: level})))
	if err != nil {
		return errors.Join(err, lock.Close())
	}
	if err = d.populate(c, h); err == nil {
		err = server.Serve(c.ctx, h, func() { d.welcome(c, h) })
	}
	return errors.Join(err, h.Close(), lock.Close())
}

// populate applies the file that was named, each time: what people change by
// themselves is created once, and the file is what its author wants it to be.
// The demo world is applied to an empty database only, so that nothing that a
// visitor changed is undone.
func (d *devCommand) populate(c *console, h *server.House) error {
	if d.World == "" {
		return h.Populate(c.ctx)
	}
	text, err := os.ReadFile(d.World)
	if err != nil {
		return fmt.Errorf("reading the world file: %w", err)
	}
	w, err := world.Parse(d.World, text, world.Dev)
	if err != nil {
		return err
	}
	_, err = w.Apply(c.ctx, h.WorldOptions(false))
	return err
}

// welcome says what to open next.
func (d *devCommand) welcome(c *console, h *server.House) {
	link := h.Config.Link
	c.printf("\nCarekey runs for demonstration. Everybody in it is invented. Open:\n\n")
	for _, line := range [][2]string{
		{link("/"), "what to try, in order"},
		{link("/cim/"), "Care Identity Management: sign in as amara.osei@nhs.net, password: harbour lamp 42 otter"},
		{link("/dev/phone"), "everybody's phone with its 6-digit code"},
		{link("/dev/inbox"), "everybody's mail"},
		{server.DemoURL, "e-RS, a service to sign in to (started by make run, or bin/carekey-demo-rp)"},
	} {
		c.printf("  %-32s %s\n", line[0], line[1])
	}
	if d.TLS {
		c.printf("\nMake your browser trust %s, or it will warn you.\n", filepath.Join(d.Data, "tls", "ca.pem"))
	}
	c.printf("\nThe data is in %s. Ctrl-C stops; the next start goes on from there.\n\n", d.Data)
}
