// Carekey-demo-rp is four small relying parties with demo data: e-RS, NCRS,
// MESH and an example that wants AAL3. It shows what a supplier's service would
// get from Carekey, by standard OpenID Connect libraries alone. It is a
// demonstration: it keeps its sessions in memory and its secrets are public.
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
	"syscall"
	"time"

	"github.com/alecthomas/kong"
)

type flags struct {
	Issuer string `help:"The issuer to sign in with." default:"http://localhost:8080/openam/oauth2/realms/root/realms/NHSIdentity/realms/Healthcare" env:"CAREKEY_DEMO_ISSUER"`
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
	all := faces(f.Port)
	failed := make(chan error, len(all))
	var servers []*http.Server
	for _, face := range all {
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(face.Port)))
		if err != nil {
			return fmt.Errorf("%s cannot listen: %w", face.Short, err)
		}
		server := &http.Server{Handler: newDemo(f.Issuer, face, all).routes(), ReadHeaderTimeout: 5 * time.Second}
		servers = append(servers, server)
		go func() {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				failed <- err
			}
		}()
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	var closing error
	for _, server := range servers {
		closing = errors.Join(closing, server.Close())
	}
	return closing
}
