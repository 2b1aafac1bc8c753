package config

import (
	"net/url"
	"strings"
)

// MutualTLS is where relying parties show a certificate (RFC 8705).
type MutualTLS struct {
	// BaseURL is where programs reach it, without a path, Listen the address
	// that serves it; both are "" if it is not offered. TLS ends in Carekey,
	// never in a proxy, which would keep the certificate to itself.
	BaseURL string
	Listen  string
	// CertificateFile and KeyFile are its own, or those of tls.
	CertificateFile string
	KeyFile         string
	// ClientCAFile holds the authorities of client certificates, "" if
	// tls_client_auth is not offered.
	ClientCAFile string
}

// Offered reports whether there is an mTLS host.
func (m MutualTLS) Offered() bool { return m.Listen != "" }

// mutualTLS checks that certificates are asked for at a host or port of their
// own: browsers would show people a window.
func (l *loader) mutualTLS(c *Config, f file) {
	m := MutualTLS(f.MTLS)
	if m == (MutualTLS{}) {
		return
	}
	m.BaseURL = strings.TrimSuffix(m.BaseURL, "/")
	u, err := url.Parse(m.BaseURL)
	people, other := url.Parse(c.BaseURL)
	switch {
	case m.BaseURL == "":
		l.wrong("mtls.base_url", "is missing: where programs reach it")
	case err != nil || u.Host == "" || u.Scheme != "https" || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		l.wrong("mtls.base_url", "looks like https://mtls.example.nhs.uk, without a path")
	case other == nil && strings.EqualFold(u.Host, people.Host):
		l.wrong("mtls.base_url", "needs a host or a port that base_url does not have")
	}
	if m.Listen == "" {
		l.wrong("mtls.listen", "is missing: certificates are asked for on an address of its own")
	} else {
		l.socket("mtls.listen", m.Listen)
	}
	if m.CertificateFile == "" && m.KeyFile == "" {
		m.CertificateFile, m.KeyFile = c.TLS.CertificateFile, c.TLS.KeyFile
	}
	if m.CertificateFile == "" || m.KeyFile == "" {
		l.wrong("mtls", "needs certificate_file and key_file, its own or those of tls")
	}
	c.MutualTLS = m
}
