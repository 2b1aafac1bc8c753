// Package config is how Carekey is configured: a YAML file, each of whose
// settings can also be given as an environment variable.
//
// The operator's file and the environment come in; a checked Config leaves, or
// one line for each thing to mend. A setting that is absent has a default that
// is safe. Secrets are never in the file itself: it names the files that hold
// them.
package config

import (
	"net/netip"
	"strings"
	"time"

	"carekey.dev/carekey/internal/page"
)

// Config is everything that an operator decides.
type Config struct {
	// BaseURL is where people and relying parties reach Carekey, without a
	// path: "https://id.example.nhs.uk". The issuer follows from it.
	BaseURL string
	// Listen is the address that serves people, MetricsListen the one that
	// serves Prometheus ("" for none).
	Listen        string
	MetricsListen string
	// MutualTLS is for relying parties that show a certificate.
	MutualTLS MutualTLS
	// ConnectionManager is for the programs of suppliers.
	ConnectionManager ConnectionManager

	Database Database
	// RootKeyFile holds the root key, outside the database and its backup.
	RootKeyFile string
	TLS         TLS
	// TrustedProxies are the networks of the proxies that end TLS in front of
	// Carekey: their word about the client's address is believed, and without
	// TLS of its own Carekey answers nobody else.
	TrustedProxies []netip.Prefix

	Operator Operator
	SMTP     SMTP
	// TermsFolder holds the versions of the terms of use, "" for the ones that
	// come with Carekey.
	TermsFolder string
	Passwords   Passwords
	Sessions    Sessions
	Signing     Signing
	// ThrottleExempt are networks whose failures are not counted by network.
	ThrottleExempt []netip.Prefix
	// FIDO is about security keys, Windows Hello and passkeys.
	FIDO FIDO
	// PerType is how many authenticators of one type a person may hold.
	PerType int
	// Passkey is whom the private beta of passkeys is open to.
	Passkey Passkey
	// SharedComputers are networks whose computers people share.
	SharedComputers []netip.Prefix
	// OutgoingAllow are networks that relying parties' addresses may lie in
	// although they are not public.
	OutgoingAllow []netip.Prefix

	// HeadlessSignIn opens the sign-in for test automation.
	HeadlessSignIn bool
	// DynamicRegistration lets programs register relying parties, each with a
	// token that the operator gives out.
	DynamicRegistration bool

	// Dev is dev mode: demonstrations on one machine. No file can set it.
	Dev bool
	// DataDir is the folder of dev mode.
	DataDir string
}

// Passkey names the relying parties (client ids) and the people (UIDs, or ODS
// codes of where they work) whom passkeys are open to; access.Everyone opens
// them to all. Passkeys are used where both lists let them.
type Passkey struct{ RelyingParties, People []string }

// Database says where everything is kept.
type Database struct {
	// URL is "sqlite:/path/carekey.db" or "postgres://…".
	URL string
	// AllowAsynchronousStandbys accepts that a failover may lose what was
	// acknowledged.
	AllowAsynchronousStandbys bool
}

// TLS names the files of the certificate. They are read again when they
// change.
type TLS struct {
	CertificateFile string
	KeyFile         string
}

// Operator is who runs this installation, as its pages show it.
type Operator struct {
	Name    string
	Service string
	// Desk says how to reach the service desk: "call 0300 000 0000".
	Desk         string
	HeaderColour string
	LinkColour   string
}

// Colours returns the colours for the page kit.
func (o Operator) Colours() page.Colours {
	return page.Colours{Header: o.HeaderColour, Link: o.LinkColour}
}

// SMTP is how mail leaves.
type SMTP struct {
	Host string
	Port int
	User string
	// PasswordFile holds the password of User.
	PasswordFile string
	From         string
	// Security is "starttls" (the default), "tls", or "none" on one machine.
	Security string
}

// Passwords is the cost of one password hash (argon2id), and how many are
// computed at once: memory use is Pool times MemoryKiB at most.
type Passwords struct {
	MemoryKiB int
	Time      int
	Threads   int
	Pool      int
	// BlockListFile holds further passwords to refuse, one a line.
	BlockListFile string
}

// Sessions are the limits of a sign-in. Zero is the most that is allowed (N2,
// N3).
type Sessions struct {
	AAL2Idle  time.Duration
	AAL2Total time.Duration
	AAL3Idle  time.Duration
	AAL3Total time.Duration
}

// Link returns the absolute address of a path.
func (c *Config) Link(path string) string { return strings.TrimSuffix(c.BaseURL, "/") + path }

// Secure reports whether people reach Carekey by https.
func (c *Config) Secure() bool { return strings.HasPrefix(c.BaseURL, "https://") }
