package server

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"time"

	"carekey.dev/carekey/internal/oidc"
	"carekey.dev/carekey/internal/server/certificate"
)

// mutual is the mTLS host as the provider knows it.
func (s *site) mutual() (oidc.Mutual, error) {
	named := s.Config.MutualTLS
	m := oidc.Mutual{BaseURL: named.BaseURL}
	if named.ClientCAFile == "" {
		return m, nil
	}
	authorities, err := certificate.OpenAuthorities(named.ClientCAFile, time.Now, s.Log)
	if err != nil {
		return m, fmt.Errorf("mtls.client_ca_file: %w", err)
	}
	m.Authorities, s.reloads = authorities.Pool, append(s.reloads, authorities.Reload)
	return m, nil
}

// asking makes a server ask for a certificate, and accept whatever is shown
// with its private key or nothing at all: who a certificate belongs to is for
// the provider to say, as an OAuth error, and one that is self-signed has no
// authority (RFC 8705 sections 2.1 and 2.2).
func asking(c *tls.Config) *tls.Config {
	c.ClientAuth = tls.RequestClientCert
	return c
}

// mutualHall is what the mTLS host serves: the endpoints that programs call,
// and no page. TLS ends here, so no proxy has a say.
func (s *site) mutualHall() http.Handler {
	mux := http.NewServeMux()
	s.provider.ProgramRoutes(mux)
	const here = true // encrypted, as if nobody outside this machine could connect
	return s.hall(s.kit.Wrap(mux), here, func(r *http.Request, status int, took time.Duration) {
		_, route := mux.Handler(r)
		s.metrics.observe("mtls "+route, status, took)
	}, func(w http.ResponseWriter, r *http.Request, err error) { s.kit.Fault(w, r, err) })
}
