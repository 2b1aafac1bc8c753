package config

import (
	"net"
	"net/netip"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"time"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/session"
)

// Defaults.
const (
	defaultListen    = "127.0.0.1:8080"
	defaultService   = "Care Identity Authentication" // what authenticator apps show too
	defaultMemoryKiB = 19456                          // 19 MiB, with time 2 and one thread: OWASP's argon2id
	defaultTime      = 2
	defaultThreads   = 1
)

// serve checks what a server needs beyond what a demonstration needs.
func (l *loader) serve(f file) *Config {
	missing := false
	for _, needed := range []struct{ name, value string }{
		{"base_url", f.BaseURL}, {"database.url", f.Database.URL}, {"root_key_file", f.RootKeyFile},
		{"smtp.host", f.SMTP.Host}, {"smtp.from", f.SMTP.From},
	} {
		if needed.value == "" {
			l.wrong(needed.name, "is missing")
			missing = true
		}
	}
	if missing {
		return nil
	}
	return l.config(f)
}

func (l *loader) config(f file) *Config {
	c := &Config{
		BaseURL: strings.TrimSuffix(f.BaseURL, "/"), Listen: f.Listen, MetricsListen: f.MetricsListen,
		Database:    Database(f.Database),
		RootKeyFile: f.RootKeyFile,
		TLS:         TLS(f.TLS), Operator: Operator(f.Operator), SMTP: SMTP(f.SMTP), TermsFolder: f.TermsFolder,
		Passwords: Passwords(f.Passwords), HeadlessSignIn: f.HeadlessSignIn, DynamicRegistration: f.DynamicRegistration,
	}
	if c.Listen == "" {
		c.Listen = defaultListen
	}
	if c.Operator.Service == "" {
		c.Operator.Service = defaultService
	}
	c.TrustedProxies = l.networks("trusted_proxies", f.TrustedProxies)
	c.ThrottleExempt = l.networks("throttle.exempt_networks", f.Throttle.ExemptNetworks)
	c.FIDO = l.fido(c, f)
	c.PerType = l.perType(f.Authenticators.PerType)
	c.Passkey = l.passkey(f)
	c.SharedComputers = l.networks("shared_computers.networks", f.SharedComputers.Networks)
	c.OutgoingAllow = l.networks("outgoing.allow_networks", f.Outgoing.AllowNetworks)
	c.Sessions = Sessions{
		AAL2Idle:  l.duration("sessions.aal2_idle", f.Sessions.AAL2Idle, session.MostAAL2.Idle),
		AAL2Total: l.duration("sessions.aal2_total", f.Sessions.AAL2Total, session.MostAAL2.Total),
		AAL3Idle:  l.duration("sessions.aal3_idle", f.Sessions.AAL3Idle, session.MostAAL3.Idle),
		AAL3Total: l.duration("sessions.aal3_total", f.Sessions.AAL3Total, session.MostAAL3.Total),
	}
	c.Signing = l.signing(f)
	l.addresses(c)
	l.connectionManager(c, f)
	l.mutualTLS(c, f)
	l.passwords(&c.Passwords)
	l.smtp(&c.SMTP)
	if err := c.Operator.Colours().Check(); err != nil {
		l.wrong("operator", "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if !strings.HasPrefix(c.Database.URL, "sqlite:") && !strings.HasPrefix(c.Database.URL, "postgres://") &&
		!strings.HasPrefix(c.Database.URL, "postgresql://") {
		l.wrong("database.url", "begins with sqlite: or postgres://") // never the value: it may hold a password
	}
	return c
}

// mostPerType is more than anybody can tell apart in a list.
const mostPerType = 10

// perType is how many authenticators of one type a person may hold; not set, it
// is seed 0's "one of each type".
func (l *loader) perType(n int) int {
	if n < 0 || n > mostPerType {
		l.wrong("authenticators.per_type", "is a number from 1 to %d", mostPerType)
	}
	return max(n, 1)
}

func (l *loader) networks(name string, values []string) []netip.Prefix {
	var all []netip.Prefix
	for _, value := range values {
		prefix, err := netip.ParsePrefix(value)
		if address, single := netip.ParseAddr(value); single == nil {
			prefix, err = address.Prefix(address.BitLen())
		}
		if err != nil {
			l.wrong(name, "%q is no network: write 10.1.0.0/16 or 10.1.2.3", value)
			continue
		}
		all = append(all, prefix.Masked())
	}
	return all
}

// duration is "45m" or "8h", at most most.
func (l *loader) duration(name, value string, most time.Duration) time.Duration {
	if value == "" {
		return 0
	}
	d, err := time.ParseDuration(value)
	switch {
	case err != nil || d <= 0:
		l.wrong(name, "a time looks like 45m or 8h, not %q", value)
	case d > most:
		l.wrong(name, "%s is more than the %s that NIST SP 800-63B-4 advises", value, most)
	}
	return d
}

// addresses checks who can reach Carekey and how. Plain http is for this
// machine, or for named proxies that end TLS (decision 14).
func (l *loader) addresses(c *Config) {
	u, err := url.Parse(c.BaseURL)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		l.wrong("base_url", "looks like https://id.example.nhs.uk, without a path")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		l.wrong("base_url", "begins with https:// unless people reach it on this machine alone")
	}
	l.socket("listen", c.Listen)
	if c.MetricsListen != "" {
		l.socket("metrics_listen", c.MetricsListen)
	}
	if (c.TLS.CertificateFile == "") != (c.TLS.KeyFile == "") {
		l.wrong("tls", "needs certificate_file and key_file")
	}
	if c.TLS.CertificateFile == "" && len(c.TrustedProxies) == 0 && !c.ListensOnLoopback() {
		l.wrong("listen", "%s would be plain http for everybody: name tls.certificate_file and tls.key_file, or the trusted_proxies that end TLS in front", c.Listen)
	}
}

func (l *loader) socket(name, address string) {
	_, port, err := net.SplitHostPort(address)
	if n, number := strconv.Atoi(port); err != nil || number != nil || n < 0 || n > 65535 {
		l.wrong(name, "an address looks like 127.0.0.1:8080, not %q", address)
	}
}

// ListensOnLoopback reports whether nobody outside this machine can connect.
func (c *Config) ListensOnLoopback() bool { return onLoopback(c.Listen) }

func onLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && loopback(host)
}

// loopback reports whether a host is this machine.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && address.IsLoopback()
}

func (l *loader) passwords(p *Passwords) {
	set := func(value *int, standard int) {
		if *value == 0 {
			*value = standard
		}
	}
	set(&p.MemoryKiB, defaultMemoryKiB)
	set(&p.Time, defaultTime)
	set(&p.Threads, defaultThreads)
	set(&p.Pool, runtime.GOMAXPROCS(0))
	// OWASP's equivalents of 19 MiB and 2 passes go down to 7 MiB and 5 passes.
	if !l.dev && (p.MemoryKiB < 7168 || p.MemoryKiB*p.Time < 35840) {
		l.wrong("passwords", "%d KiB and %d passes are too cheap: the least are 19456 KiB and 2 passes, or 7168 KiB and 5", p.MemoryKiB, p.Time)
	}
	if p.MemoryKiB < 8 || p.Time < 1 || p.Threads < 1 || p.Threads > 255 || p.Pool < 1 || p.MemoryKiB > 4<<20 || p.Time > 100 {
		l.wrong("passwords", "memory_kib, time, threads and pool are numbers above 0, and not absurd")
	}
}

func (l *loader) smtp(s *SMTP) {
	if s.Security == "" {
		s.Security = "starttls"
	}
	switch {
	case s.Security != "starttls" && s.Security != "tls" && s.Security != "none":
		l.wrong("smtp.security", "is starttls, tls or none, not %q", s.Security)
	case s.Security == "none" && s.Host != "" && !loopback(s.Host):
		l.wrong("smtp.security", "none is for a mail server on this machine only: codes would cross the network in the clear")
	}
	if (s.User == "") != (s.PasswordFile == "") {
		l.wrong("smtp", "user and password_file go together")
	}
	if s.Port < 0 || s.Port > 65535 {
		l.wrong("smtp.port", "%d is no port", s.Port)
	}
	if _, err := care.ParseEmail(s.From); s.From != "" && err != nil {
		l.wrong("smtp.from", "looks like no-reply@example.nhs.uk")
	}
}

func (l *loader) passkey(f file) Passkey {
	p := Passkey(f.Passkey)
	for _, who := range p.People {
		_, uid := care.ParseUID(who)
		_, organisation := care.ParseODSCode(who)
		if who != access.Everyone && uid != nil && organisation != nil {
			l.wrong("passkey.people", "%q is none of a UID, an ODS code in capitals, and %s", who, access.Everyone)
		}
	}
	return p
}
