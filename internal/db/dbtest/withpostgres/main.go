// Command withpostgres runs a command, such as go test ./..., with one PostgreSQL server for all test programs, and ends the server after it.
//
//	go run ./internal/db/dbtest/withpostgres go test ./...
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"

	"carekey.dev/carekey/internal/db/dbtest"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: withpostgres COMMAND [ARGUMENT…]")
		os.Exit(2)
	}
	code, err := run(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "withpostgres:", err)
		os.Exit(1)
	}
	os.Exit(code)
}

// run returns the command's exit code.
func run(command []string) (int, error) {
	if os.Getenv(dbtest.ServerVariable) == "" {
		server, err := dbtest.StartServer()
		if err != nil {
			return 0, err
		}
		defer server.Stop()
		if err := os.Setenv(dbtest.ServerVariable, server.URL); err != nil {
			return 0, err
		}
	}
	// Ctrl-C ends the command, which has it from the terminal too; then the server is ended here. (Ignoring it would make the command ignore it.)
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return max(1, exit.ExitCode()), nil
	}
	return 0, err
}
