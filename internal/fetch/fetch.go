// Package fetch makes the HTTP client for every address that somebody else
// chose: a relying party's jwks_uri, logout URI or request_uri, a supplier's
// webhook, an upstream's discovery document.
//
// A URL comes in with a request; an answer of bounded size leaves, in bounded
// time. The client checks the address that it really connects to, after name
// resolution, so that no name and no redirect makes Carekey speak to the
// inside of its own network (OWASP ASVS 5.0, 15.3.2 and 13.2.4; CWE-918). It
// never sends cookies, never uses a proxy of the environment, and never goes
// on to another origin.
package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// Options are the settings of a client. The zero value is the strictest.
type Options struct {
	// Allow names networks that may be reached although they are not public,
	// and over plain http too. Dev mode names loopback.
	Allow []netip.Prefix
	// Timeout bounds a whole exchange, the body included; 10 s if zero.
	Timeout time.Duration
	// MaxBody is the most bytes of an answer that can be read; 1 MiB if zero.
	MaxBody int64
	// TLS is used for https, for an operator's own certificate authority or a
	// client certificate; nil means the system's roots.
	TLS *tls.Config
}

// Errors of the client, besides those of the network. They tell a supplier
// nothing about which inner addresses exist.
var (
	ErrAddress  = errors.New("the address is not one that may be called: only public addresses, or networks that the operator named")
	ErrScheme   = errors.New("only https may be called")
	ErrRedirect = errors.New("the answer redirects to another origin, which is not followed")
	ErrTooLarge = errors.New("the answer is larger than is accepted")
)

const (
	defaultTimeout = 10 * time.Second
	defaultMaxBody = 1 << 20
	maxHeader      = 64 << 10
	maxRedirects   = 3
)

// New returns a guarded client. It is safe for concurrent use.
func New(o Options) *http.Client {
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.MaxBody == 0 {
		o.MaxBody = defaultMaxBody
	}
	return &http.Client{
		Timeout:       o.Timeout,
		CheckRedirect: sameOrigin,
		Transport: &guard{
			maxBody: o.MaxBody,
			// Two transports, because an address that is good for https is
			// not always good for plain http, and the dialler does not know
			// what it dials for.
			secure: transport(o, func(a netip.Addr) bool { return public(a) || named(a, o.Allow) }),
			plain:  transport(o, func(a netip.Addr) bool { return named(a, o.Allow) }),
		},
	}
}

// transport makes connections only to addresses that may accepts.
func transport(o Options, may func(netip.Addr) bool) *http.Transport {
	dialer := &net.Dialer{
		Timeout: o.Timeout,
		// Control sees the resolved address right before the connection is
		// made: a name that answers differently the second time (DNS
		// rebinding) gains nothing.
		ControlContext: func(_ context.Context, network, address string, _ syscall.RawConn) error {
			resolved, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("reading the resolved address: %w", err)
			}
			if !may(resolved.Addr()) {
				return ErrAddress
			}
			return nil
		},
	}
	return &http.Transport{
		Proxy:                  nil,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        tlsConfig(o.TLS),
		TLSHandshakeTimeout:    o.Timeout,
		ResponseHeaderTimeout:  o.Timeout,
		MaxResponseHeaderBytes: maxHeader,
		ForceAttemptHTTP2:      true,
		// A kept connection would outlive a change of the operator's list and
		// hold sockets for hosts that we call once a day.
		DisableKeepAlives: true,
		// The limit then counts what is kept in memory, not what was sent.
		DisableCompression: true,
	}
}

func tlsConfig(own *tls.Config) *tls.Config {
	if own == nil {
		return &tls.Config{MinVersion: tls.VersionTLS12}
	}
	c := own.Clone()
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	return c
}

// guard checks what can be seen before and after an exchange.
type guard struct {
	secure, plain http.RoundTripper
	maxBody       int64
}

// RoundTrip sends one request.
func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.User != nil {
		return nil, fmt.Errorf("%w: a URL with a user name or password", ErrAddress)
	}
	next := g.secure
	switch r.URL.Scheme {
	case "https":
	case "http":
		next = g.plain
	default:
		return nil, ErrScheme
	}
	answer, err := next.RoundTrip(r)
	if errors.Is(err, ErrAddress) {
		// Without net.OpError, which names the inner address.
		if r.URL.Scheme == "http" {
			return nil, fmt.Errorf("calling %s: %w, except in networks that the operator named", r.URL.Hostname(), ErrScheme)
		}
		return nil, fmt.Errorf("calling %s: %w", r.URL.Hostname(), ErrAddress)
	}
	if err != nil {
		return nil, err
	}
	if answer.ContentLength > g.maxBody {
		return nil, errors.Join(ErrTooLarge, answer.Body.Close())
	}
	answer.Body = &bounded{body: answer.Body, left: g.maxBody}
	return answer, nil
}

// sameOrigin lets a redirect stay where it is: a supplier that passed our
// checks for one origin must not send us on to another.
func sameOrigin(next *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects || origin(next.URL) != origin(via[0].URL) {
		return ErrRedirect
	}
	return nil
}

func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + net.JoinHostPort(u.Hostname(), port)
}

// bounded fails a read that goes beyond the limit, instead of cutting the
// answer silently.
type bounded struct {
	body io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.body.Read(p)
	if int64(n) > b.left {
		n = int(b.left)
		b.left = 0
		return n, ErrTooLarge
	}
	b.left -= int64(n)
	return n, err
}

func (b *bounded) Close() error { return b.body.Close() }
