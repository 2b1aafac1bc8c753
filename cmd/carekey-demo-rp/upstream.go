package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// realmPath is where the issuer is below Carekey's address, as in CIS2.
const realmPath = "/openam/oauth2/realms/root/realms/NHSIdentity/realms/Healthcare"

// patience is how long a page waits for Carekey.
const patience = 10 * time.Second

// upstream is Carekey as a relying party sees it: what discovery says. Either
// program may start first.
type upstream struct {
	issuer string
	origin string
	client *http.Client
	ready  chan struct{} // closed when provider is set

	mu       sync.Mutex // guards what follows
	provider *oidc.Provider
	failed   error
}

func newUpstream(issuer string) (*upstream, error) {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("the issuer must look like http://localhost:8080, not %q", issuer)
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = realmPath
	}
	return &upstream{
		issuer: u.String(), origin: u.Scheme + "://" + u.Host,
		client: &http.Client{Timeout: patience}, ready: make(chan struct{}),
	}, nil
}

// discover reads what Carekey supports, again and again until it answers or ctx
// ends.
func (u *upstream) discover(ctx context.Context) {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		provider, err := oidc.NewProvider(u.calls(ctx), u.issuer)
		u.mu.Lock()
		u.provider, u.failed = provider, err
		u.mu.Unlock()
		if err == nil {
			close(u.ready)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// known returns Carekey, waiting for it while ctx lasts.
func (u *upstream) known(ctx context.Context) (*oidc.Provider, error) {
	select {
	case <-u.ready:
	case <-ctx.Done():
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.provider == nil {
		return nil, fmt.Errorf("reading what %s supports: %w", u.issuer, u.failed)
	}
	return u.provider, nil
}

// calls returns a context in which the libraries call Carekey by our client.
func (u *upstream) calls(ctx context.Context) context.Context {
	return oidc.ClientContext(ctx, u.client)
}
