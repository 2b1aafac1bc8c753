// Package oidc is the OpenID provider: the way between a relying party and a
// person who is signed in.
//
// An authorization request comes in: in an address, pushed beforehand, or signed.
// If a live session meets it, a code leaves for the relying party's redirect
// address; if not, what is missing goes sealed to /signin, and the browser comes
// back here when it is met. The relying party then redeems the code for tokens
// and asks userinfo about the person.
//
// Pushed requests are kept in pushed and signed ones opened in requestobject.
// Claims are built in claims, codes and access tokens kept in grant, keys in
// signing. This room never sees a proof or a password, never makes a session,
// and never sends a browser to an address that is not registered.
package oidc

import (
	"context"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/oidc/clientauth"
	"carekey.dev/carekey/internal/oidc/clientkeys"
	"carekey.dev/carekey/internal/oidc/grant"
	"carekey.dev/carekey/internal/oidc/logout"
	"carekey.dev/carekey/internal/oidc/once"
	"carekey.dev/carekey/internal/oidc/pushed"
	"carekey.dev/carekey/internal/oidc/register"
	"carekey.dev/carekey/internal/oidc/requestobject"
	"carekey.dev/carekey/internal/oidc/signing"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/session"
)

// RealmPath is where the issuer and all its endpoints are: the path of CIS2
// (wire).
const RealmPath = "/openam/oauth2/realms/root/realms/NHSIdentity/realms/Healthcare"

// The endpoints (decision 11).
const (
	discoveryPath  = RealmPath + "/.well-known/openid-configuration"
	jwksPath       = RealmPath + "/connect/jwk_uri"
	authorizePath  = RealmPath + "/authorize"
	tokenPath      = RealmPath + "/access_token"
	userinfoPath   = RealmPath + "/userinfo"
	introspectPath = RealmPath + "/introspect"
	revokePath     = RealmPath + "/token/revoke"
	pushPath       = RealmPath + "/par"
	registerPath   = RealmPath + "/register"
	// metadataPath is the same document where RFC 8414 section 3 puts it:
	// between the host and the path of the issuer.
	metadataPath = "/.well-known/oauth-authorization-server" + RealmPath
	schemasPath  = RealmPath + "/schemas/"
)

//go:embed templates/*.html
var templates embed.FS

// Schemas returns the migrations of this room's tables. Its queries read the
// tables of session, person and access through their rooms.
func Schemas() []fs.FS {
	return []fs.FS{
		grant.Schema, signing.Schema,
		once.Schema, clientauth.Schema,
		pushed.Schema,
		logout.Schema,
		register.Schema,
	}
}

// Options is what the room needs.
type Options struct {
	DB           *db.DB
	Kit          *page.Kit
	Ring         *keys.Ring
	Sessions     *session.Sessions
	Requirements *journey.Requirements
	Directory    *relyingparty.Directory
	Outbox       *outbox.Outbox
	// BaseURL is our own address as people and relying parties reach it:
	// "https://auth.example.nhs.uk".
	BaseURL string
	// Mutual is where relying parties show a certificate.
	Mutual Mutual
	// Schedule says when signing keys follow one another, and HSM is where new
	// ones are kept: nil for the database.
	Schedule signing.Schedule
	HSM      signing.HSM
	Random   io.Reader
	// Fetch is the guarded client for what relying parties point to.
	Fetch *http.Client
	// Registration lets programs register relying parties, with a token that
	// the operator gives out.
	Registration bool
	// Network is where a request comes from, for the owners of relying parties;
	// nil if nobody knows.
	Network func(*http.Request) netip.Addr
	// Record keeps a fault for `carekey explain`; nil keeps nothing.
	Record func(*http.Request, *fault.Error)
	Log    *slog.Logger
}

// Provider is the room.
type Provider struct {
	Options
	issuer  string
	origins []string // where the endpoints are reached
	keys    *signing.Keys
	clients *clientauth.Authenticator
	// clientKeys verifies what relying parties signed.
	clientKeys *clientkeys.Sets
	failures   *clientauth.Failures
	registry   *register.Registry
	codes      *grant.Codes
	refreshes  *grant.Refreshes
	objects    *requestobject.Reader
	asked      *keys.Sealer
	carried    *keys.Sealer
	pages      *page.Pages
	discovery  document
	schemas    map[string]document
	signOuts
}

// New returns the room. On the first start of an installation it makes the
// signing keys.
func New(ctx context.Context, o Options) (*Provider, error) {
	issuer, err := Issuer(o.BaseURL)
	if err != nil {
		return nil, err
	}
	signer, err := signing.Open(ctx, signing.Options{DB: o.DB, Ring: o.Ring, Schedule: o.Schedule, HSM: o.HSM, Log: o.Log})
	if err != nil {
		return nil, err
	}
	registration, open := issuer+registerPath[len(RealmPath):], ""
	if o.Registration {
		open = registration
	}
	origins, err := originsOf(issuer, o.Mutual)
	if err != nil {
		return nil, err
	}
	discovery, err := describe(issuer, open, o.Mutual, aliases(origins))
	if err != nil {
		return nil, err
	}
	schemas, err := published()
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	p := &Provider{
		Options: o, issuer: issuer, origins: origins, keys: signer,
		codes: grant.NewCodes(o.Ring, o.Random), refreshes: grant.NewRefreshes(o.Ring, o.Random), asked: o.Ring.Sealer("oidc/asked"),
		carried:   o.Ring.Sealer("oidc/carried"),
		pages:     o.Kit.Pages(templates),
		discovery: newDocument(discovery), schemas: schemas,
	}
	p.failures = clientauth.NewFailures(o.DB, o.Log)
	p.clientKeys = clientkeys.New(clientkeys.Options{Client: o.Fetch, Now: o.DB.Now, Log: o.Log})
	p.registry = register.New(register.Options{
		DB: o.DB, Endpoint: registration, Fetch: o.Fetch, Random: o.Random,
	})
	p.objects = requestobject.New(requestobject.Options{Keys: p.clientKeys, Client: o.Fetch, Issuer: issuer, Now: o.DB.Now})
	p.clients = clientauth.New(clientauth.Options{
		ByID: p.byID, Keys: p.clientKeys,
		Issuer: issuer, TokenEndpoint: issuer + tokenPath[len(RealmPath):],
		Origins: origins, Authorities: o.Mutual.Authorities, Now: o.DB.Now,
	})
	p.signOuts = p.newSignOuts()
	return p, nil
}

// Issuer returns the issuer of an installation at base. It always carries the
// port, as CIS2's does: relying parties compare it character by character (wire
// rule 1).
func Issuer(base string) (string, error) {
	u, err := url.Parse(base)
	if err != nil {
		return "", fmt.Errorf("reading our own address: %w", err)
	}
	port := u.Port()
	switch {
	case u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "", strings.Trim(u.Path, "/") != "", u.RawQuery != "", u.User != nil:
		return "", fmt.Errorf("our own address must look like https://auth.example.nhs.uk, not %q", base)
	case port == "" && u.Scheme == "https":
		port = "443"
	case port == "":
		port = "80"
	}
	host := strings.ToLower(u.Hostname())
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return u.Scheme + "://" + host + ":" + port + RealmPath, nil
}

// Issuer returns the issuer as tokens and discovery name it.
func (p *Provider) Issuer() string { return p.issuer }

// Routes adds the endpoints. Those that other programs and other sites post to
// carry no CSRF token: a client secret, a bearer token or the redirect address
// guards them (decision 14).
func (p *Provider) Routes(mux *http.ServeMux) {
	p.Kit.Exempt(authorizePath)
	mux.Handle("GET "+discoveryPath, p.discovery)
	mux.Handle("GET "+metadataPath, p.discovery)
	mux.HandleFunc("GET "+jwksPath, p.jwks)
	mux.HandleFunc("GET "+authorizePath, p.authorize)
	mux.HandleFunc("POST "+authorizePath, p.authorizeForm)
	p.ProgramRoutes(mux)
	if p.Registration {
		p.registrationRoutes(mux)
	}
	mux.HandleFunc("GET "+schemasPath+"{name}", p.schema)
	p.signOutRoutes(mux)
}

// Prune deletes what expired long ago. Wiring calls it now and then.
func (p *Provider) Prune(tx *db.Tx) error {
	for _, prune := range []func(*db.Tx) error{
		signing.Prune, grant.Prune,
		once.Prune, clientauth.Prune,
		pushed.Prune,
		logout.Prune,
		register.Prune,
	} {
		if err := prune(tx); err != nil {
			return err
		}
	}
	return nil
}

// KeepFailures writes down, beside requests and until ctx ends, why relying
// parties could not authenticate.
func (p *Provider) KeepFailures(ctx context.Context) { p.failures.Run(ctx) }

// KeysSince returns when the key that signs now began to, for each algorithm.
func (p *Provider) KeysSince() map[jose.SignatureAlgorithm]time.Time { return p.keys.Since() }

// RotateKeys makes the signing keys that are due and destroys those that have
// served. Wiring calls it now and then, outside transactions.
func (p *Provider) RotateKeys(ctx context.Context) error { return p.keys.Rotation().RunSchedule(ctx) }
