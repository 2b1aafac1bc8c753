package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/porttest"
)

// patience is how long a script waits for a server.
const patience = 2 * time.Minute

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"carekey": main})
}

// TestCommands runs the scripts that say how the command line behaves. In each,
// $PORT and $METRICS_PORT are free ports and, if its name begins with postgres,
// $POSTGRES is an empty database.
func TestCommands(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("PORT", strconv.Itoa(porttest.Port(t)))
			env.Setenv("METRICS_PORT", strconv.Itoa(porttest.Port(t)))
			if strings.Contains(filepath.Base(env.WorkDir), "postgres") {
				env.Setenv("POSTGRES", dbtest.Postgres(t))
			}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"ready": ready, "get": get, "post": post, "explained": explained,
		},
	})
}

// TestABusyDatabaseIsExplained: the operator finds what holds it.
func TestABusyDatabaseIsExplained(t *testing.T) {
	if said := advice(fmt.Errorf("applying: %w", db.ErrBusy)); !strings.Contains(said, "fuser -v") {
		t.Errorf("a busy database: %q", said)
	}
	if said := advice(db.ErrNoRows); said != "" {
		t.Errorf("another error: %q", said)
	}
}

// ready waits until an address answers with 200. A second argument is the CA
// that has to vouch for it.
func ready(ts *testscript.TestScript, _ bool, args []string) {
	client := http.DefaultClient
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if len(args) > 1 {
			client = trusting(ts.MkAbs(args[1]))
		}
		response, err := client.Get(args[0])
		if err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-ctx.Done():
			ts.Fatalf("%s does not answer: %v", args[0], err)
		case <-tick.C:
		}
	}
}

// get writes the status and the text of an address to a file.
func get(ts *testscript.TestScript, _ bool, args []string) {
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Get(args[0])
	ts.Check(err)
	keep(ts, response, args[1])
}

// post sends a form to an address and writes the answer to a file.
func post(ts *testscript.TestScript, _ bool, args []string) {
	response, err := http.Post(args[0], "application/x-www-form-urlencoded", strings.NewReader(args[1]))
	ts.Check(err)
	keep(ts, response, args[2])
}

func keep(ts *testscript.TestScript, response *http.Response, name string) {
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	ts.Check(err)
	all := fmt.Sprintf("%d %s\n%s", response.StatusCode, response.Header.Get("Location"), text)
	ts.Check(os.WriteFile(ts.MkAbs(name), []byte(all), 0o600))
}

// trusting returns a client that trusts one CA, if its file is there already.
func trusting(path string) *http.Client {
	roots := x509.NewCertPool()
	if text, err := os.ReadFile(path); err == nil {
		roots.AppendCertsFromPEM(text)
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
}

var reference = regexp.MustCompile(`[0-9]{3}-[0-9A-Z]{3}-[0-9A-Z]{3}`)

// explained runs carekey explain for the reference in a file until what
// happened has been written, which takes the server a second.
func explained(ts *testscript.TestScript, _ bool, args []string) {
	ref := reference.FindString(ts.ReadFile(args[0]))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		ts.Check(ts.Exec("carekey", "explain", ref, "--data", args[1]))
		if strings.Contains(ts.ReadFile("stdout"), "where:") {
			return
		}
		select {
		case <-ctx.Done():
			ts.Fatalf("nothing is stored about %q", ref)
		case <-tick.C:
		}
	}
}
