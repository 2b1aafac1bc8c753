package config

import (
	"net/url"
	"strings"
)

// ConnectionManager is where suppliers' programs register relying parties.
type ConnectionManager struct {
	// BaseURL is where programs reach it, without a path; "" if it is not
	// offered. It is never where people sign in.
	BaseURL string
	// Listen is its own address to serve on, "" if it shares that of the pages
	// and is told apart by the host of BaseURL.
	Listen string
}

// Offered reports whether there is a Connection Manager.
func (m ConnectionManager) Offered() bool { return m.BaseURL != "" }

// ListensOnLoopback reports whether nobody outside this machine can connect.
func (m ConnectionManager) ListensOnLoopback() bool { return onLoopback(m.Listen) }

// connectionManager checks that programs reach it by a host or port of its own
// and not in the clear: they send secrets (decision 14).
func (l *loader) connectionManager(c *Config, f file) {
	m := ConnectionManager{BaseURL: strings.TrimSuffix(f.ConnectionManager.BaseURL, "/"), Listen: f.ConnectionManager.Listen}
	if m == (ConnectionManager{}) {
		return
	}
	c.ConnectionManager = m
	const name = "connection_manager.base_url"
	u, err := url.Parse(m.BaseURL)
	people, other := url.Parse(c.BaseURL)
	switch {
	case m.BaseURL == "":
		l.wrong("connection_manager.listen", "needs %s too, where programs reach it", name)
	case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		l.wrong(name, "looks like https://connectionmanager.example.nhs.uk, without a path")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		l.wrong(name, "begins with https:// unless programs reach it on this machine alone")
	case other == nil && strings.EqualFold(u.Host, people.Host):
		l.wrong(name, "needs a host or a port that base_url does not have")
	case other == nil && m.Listen == "" && strings.EqualFold(u.Hostname(), people.Hostname()):
		l.wrong(name, "on the host of base_url it needs a port of its own: set connection_manager.listen")
	}
	if m.Listen == "" {
		return
	}
	l.socket("connection_manager.listen", m.Listen)
	if c.TLS.CertificateFile == "" && len(c.TrustedProxies) == 0 && !m.ListensOnLoopback() {
		l.wrong("connection_manager.listen", "%s would be plain http for everybody: name tls.certificate_file and tls.key_file, or the trusted_proxies that end TLS in front", m.Listen)
	}
}
