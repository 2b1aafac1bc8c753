//go:build cgo && linux

// Command carekey-hsm lets the Carekey of this machine sign with keys in a
// hardware security module (decision 20).
//
// It reads its configuration, logs in to the module and answers on a Unix
// socket to the users that its rules name; what it does for them is done by
// internal/hsm. It needs cgo for the module's library, so it is a program of
// its own and carekey stays static.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"carekey.dev/carekey/internal/hsm"
	"carekey.dev/carekey/internal/hsm/pkcs11"
)

type arguments struct {
	Config  string `required:"" help:"Configuration: module, token, pin_file, socket, socket_group, rules." placeholder:"FILE"`
	Verbose bool   `help:"Log each signature."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var a arguments
	kong.Parse(&a, kong.Name("carekey-hsm"), kong.Description("Lets the Carekey of this machine sign with keys in a hardware security module."))
	if err := run(ctx, a, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "carekey-hsm:", err)
		os.Exit(1)
	}
}

// run serves until it is told to stop, or until the module is lost: then it
// fails, and whoever supervises it starts it anew.
func run(ctx context.Context, a arguments, errors io.Writer) error {
	c, err := load(a.Config)
	if err != nil {
		return err
	}
	level := slog.LevelInfo
	if a.Verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewJSONHandler(errors, &slog.HandlerOptions{Level: level}))
	token, err := pkcs11.Open(pkcs11.Options{Module: c.Module, Label: c.Token, PIN: c.pin})
	if err != nil {
		return err
	}
	return serve(ctx, c, token, log)
}

func serve(ctx context.Context, c *settings, token *pkcs11.Token, log *slog.Logger) error {
	l, err := hsm.Listen(c.Socket, c.group)
	if err != nil {
		return errors.Join(err, token.Close())
	}
	lost := make(chan error, 1)
	service := &hsm.Service{Token: token, Rules: c.rules, Log: log, Failed: func(error) {
		if err := token.Alive(); err != nil {
			select {
			case lost <- fmt.Errorf("the module is lost: %w", err):
			default: // it has been said
			}
		}
	}}
	log.Info("serving", "socket", c.Socket, "token", c.Token, "rules", len(c.rules))
	return errors.Join(service.Serve(ctx, l, lost), token.Close())
}
