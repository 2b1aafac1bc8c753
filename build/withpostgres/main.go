// Withpostgres runs a command beside a PostgreSQL server of its own, whose
// address it passes in CAREKEY_TEST_POSTGRES, so that all test programs share
// one. The server is gone when the command is.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"carekey.dev/carekey/internal/db/dbtest"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			os.Exit(exit.ExitCode())
		}
		fmt.Fprintln(os.Stderr, "withpostgres:", err)
		os.Exit(1)
	}
}

func run(command []string) error {
	if len(command) == 0 {
		return errors.New("say which command to run")
	}
	server, err := dbtest.StartServer()
	if err != nil {
		return err
	}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "CAREKEY_TEST_POSTGRES="+server.URL)
	return errors.Join(cmd.Run(), server.Stop())
}
