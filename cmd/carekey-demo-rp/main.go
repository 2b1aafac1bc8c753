// Carekey-demo-rp is four small relying parties with demo data: e-RS, NCRS,
// MESH and an example that asks for AAL3. It shows what a supplier's service
// gets from Carekey by means of ordinary OpenID Connect libraries alone, and
// every token and claim, so that suppliers can see what theirs will get.
//
// It is a demonstration: it keeps its sessions in memory, its secrets are
// public, and nothing but the browser and Carekey's issuer is needed to run it.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

type flags struct {
	Issuer string `help:"Where Carekey is: its address, or the whole issuer." default:"http://localhost:8080" env:"CAREKEY_DEMO_ISSUER"`
	Host   string `help:"The name by which browsers reach the demo." default:"localhost" env:"CAREKEY_DEMO_HOST"`
	Listen string `help:"The address to listen on." default:"127.0.0.1" env:"CAREKEY_DEMO_LISTEN"`
	Port   int    `help:"The port of e-RS; NCRS, MESH and the AAL3 example take the next three." default:"9090" env:"CAREKEY_DEMO_PORT"`
}

func main() {
	var f flags
	kong.Parse(&f, kong.Name("carekey-demo-rp"), kong.Description("Four demo relying parties for Carekey."))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, f); err != nil {
		fmt.Fprintln(os.Stderr, "carekey-demo-rp:", err)
		os.Exit(1)
	}
}

// run serves the four faces until ctx ends.
func run(ctx context.Context, f flags) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	up, err := newUpstream(f.Issuer)
	if err != nil {
		return err
	}
	go up.discover(ctx)
	all := faces(f.Host, f.Port)
	failed := make(chan error, len(all))
	var servers []*http.Server
	defer func() {
		for _, server := range servers {
			server.Close()
		}
	}()
	// Making a key takes a while: all faces answer as soon as one does.
	demos := make([]*demo, len(all))
	for i, one := range all {
		if demos[i], err = newDemo(one, all, up); err != nil {
			return err
		}
	}
	for i, one := range all {
		listener, err := net.Listen("tcp", net.JoinHostPort(f.Listen, strconv.Itoa(one.Port)))
		if err != nil {
			return fmt.Errorf("%s cannot listen: %w", one.Short, err)
		}
		server := &http.Server{Handler: demos[i].routes(), ReadHeaderTimeout: 5 * time.Second}
		servers = append(servers, server)
		go func() {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				failed <- fmt.Errorf("serving %s: %w", one.Short, err)
			}
		}()
	}
	fmt.Println("carekey-demo-rp:", addresses(all))
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		return nil
	}
}

func addresses(all []face) string {
	var lines []string
	for _, one := range all {
		lines = append(lines, one.Short+" "+one.Address)
	}
	return strings.Join(lines, "  ")
}
