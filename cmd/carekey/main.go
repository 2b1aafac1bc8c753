// Command carekey is the identity service and the tools of who runs it.
//
// It reads the command line and wires; what a command does is done by the
// rooms. A command that fails says in its last line what to mend and exits with 1.
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

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/server/config"
)

// commands is the command line.
type commands struct {
	Dev              devCommand          `cmd:"" help:"Run a demonstration on this machine: made-up people, a demo phone, an inbox. Nothing to configure."`
	Serve            serveCommand        `cmd:"" help:"Run the service."`
	Apply            applyCommand        `cmd:"" help:"Make people, organisations, roles, relying parties and notices as a file says."`
	RegistrationLink linkCommand         `cmd:"" name:"registration-link" help:"Introduce a worker who registers an authenticator: print a link, compare a number, confirm."`
	RP               rpCommand           `cmd:"" name:"rp" help:"Look after the relying parties: the services that people sign in to."`
	Team             teamCommand         `cmd:"" help:"Look after the suppliers' teams that use the Connection Manager."`
	Explain          explainCommand      `cmd:"" help:"Say what lies behind a reference that somebody read out from an error page."`
	Keys             keysCommand         `cmd:"" help:"Show and rotate the keys that sign tokens."`
	FIDOMetadata     fidoMetadataCommand `cmd:"" name:"fido-metadata" help:"Import and show what the FIDO Alliance says of models of security keys."`
	SharedComputer   sharedCommand       `cmd:"" name:"shared-computer" help:"Print a link that marks computers which people share."`
	Logouts          logoutsCommand      `cmd:"" help:"Show which relying parties have yet to be told of sign-outs, and why; try them again."`
	Version          versionCommand      `cmd:"" help:"Print the version."`
}

// console is where a command talks.
type console struct {
	ctx      context.Context
	in       io.Reader
	out, err io.Writer
	env      config.Environment
}

// printf writes to the console; a terminal that is gone is nobody to tell.
func (c *console) printf(format string, args ...any) { _, _ = fmt.Fprintf(c.out, format, args...) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var cli commands
	parser := kong.Must(&cli, kong.Name("carekey"), kong.UsageOnError(),
		kong.Description("Carekey signs health and care workers in to clinical systems, and lets them look after their care identity."),
		kong.Bind(&console{ctx: ctx, in: os.Stdin, out: os.Stdout, err: os.Stderr, env: os.LookupEnv}))
	command, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)
	if err := command.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "carekey:", err)
		if next := advice(err); next != "" {
			fmt.Fprintln(os.Stderr, next)
		}
		os.Exit(1)
	}
}

// advice is what to do about an error that the database gives to any command.
func advice(err error) string {
	if errors.Is(err, db.ErrBusy) {
		return "Another program holds the database. See which (SQLite: fuser -v FILE; PostgreSQL: pg_stat_activity), then run this again."
	}
	return ""
}

// quiet is the log of a command that talks to a person: warnings only.
func (c *console) quiet() *slog.Logger {
	return slog.New(slog.NewTextHandler(c.err, &slog.HandlerOptions{Level: slog.LevelWarn}))
}
