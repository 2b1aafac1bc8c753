// Package relyingparty knows the services that workers sign in to: how each
// proves that it is itself, where people may be sent back to, what it may ask
// for and which methods it accepts.
//
// The provider and the pages that name a service come in; a RelyingParty
// leaves. Redirect addresses are compared exactly (RFC 9700 section 2.1), and
// secrets are kept as SHA-256 only. This room never fetches anything that a
// relying party points to.
package relyingparty

import (
	"crypto/subtle"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/keys"
)

//go:embed schema/*.sql
var schema embed.FS

// Schema holds the migrations of this room's tables.
var Schema fs.FS = schema

// Profile is how strictly the protocol is held towards a relying party.
// Nothing that protects a person differs between them.
type Profile string

// The profiles: drop-in compatible with CIS2 (the default), and FAPI 2.0.
const (
	CIS2   Profile = "cis2"
	Strict Profile = "strict"
)

// AuthMethod is how a relying party proves that it is itself at the token
// endpoint.
type AuthMethod string

// The methods. A client with a secret may send it in the body or by Basic,
// whichever it registered: it must not need to be told (wire rule 3).
const (
	ClientSecret      AuthMethod = "client_secret_post"
	ClientSecretBasic AuthMethod = "client_secret_basic"
	PrivateKeyJWT     AuthMethod = "private_key_jwt"
	TLSClientAuth     AuthMethod = "tls_client_auth"
	SelfSignedTLS     AuthMethod = "self_signed_tls_client_auth"
)

// AuthMethods returns every method.
func AuthMethods() []AuthMethod {
	return []AuthMethod{ClientSecret, ClientSecretBasic, PrivateKeyJWT, TLSClientAuth, SelfSignedTLS}
}

// HasSecret reports whether the method is by a client secret.
func (m AuthMethod) HasSecret() bool { return m == ClientSecret || m == ClientSecretBasic }

// AssertionAlgorithms are those with which relying parties sign assertions and
// request objects (wire rule 5; FAPI 2.0 section 5.4.1).
func AssertionAlgorithms() []string { return []string{"RS256", "RS512", "PS256", "ES256"} }

// SigningAlgorithms are those with which Carekey signs.
func SigningAlgorithms() []string { return []string{"RS256", "ES256", "PS256"} }

// RelyingParty is one service.
type RelyingParty struct {
	ClientID        string
	Name, ShortName string
	Profile         Profile
	AuthMethod      AuthMethod
	// Keys of a private_key_jwt client: fetched, or given. SigningAlgorithm is
	// what its assertions are signed with, "" for any that is supported.
	JWKSURI          string
	JWKS             json.RawMessage
	SigningAlgorithm string

	RedirectURIs           []string
	PostLogoutRedirectURIs []string
	BackchannelLogoutURI   string

	// Scopes it may ask for; others are ignored.
	Scopes []string
	// Methods that its people may sign in with, in the order of seed 0.
	Methods    []care.Method
	DefaultACR care.ACR

	// Secrets are the SHA-256 of each secret that is good now, the newest
	// first: two while one is being replaced.
	Secrets [][]byte

	Metadata
}

// maxSecrets is how many secrets are good at the same time.
const maxSecrets = 2

// secretSize is the size of a client secret in bytes (decision 15: 256 bits).
const secretSize = 32

// NewSecret returns a new client secret, to be shown once, and its hash.
func NewSecret(random io.Reader) (secret string, hash []byte) {
	secret = keys.Token(random, secretSize)
	return secret, keys.Hash(secret)
}

// AddSecret makes hash the newest secret. The one before stays good, so that a
// service changes over without a pause; an older one is good no more.
func (rp *RelyingParty) AddSecret(hash []byte) {
	rp.Secrets = append([][]byte{hash}, rp.Secrets...)
	rp.Secrets = rp.Secrets[:min(len(rp.Secrets), maxSecrets)]
}

// OfflineAccess is the scope that asks for a refresh token.
const OfflineAccess = "offline_access"

// Scopes returns every scope that Carekey knows (wire format).
func Scopes() []string {
	return []string{
		"openid", "profile", "email", "nhsperson", "nationalrbacaccess", "associatedorgs",
		"professionalmemberships", "organisationalmemberships", "selectedrole", "changedrole",
		OfflineAccess,
	}
}

// CheckSecret reports whether secret is one of the relying party's, comparing
// in constant time and always with all of them.
func (rp RelyingParty) CheckSecret(secret string) bool {
	digest := keys.Hash(secret)
	found := 0
	for _, good := range rp.Secrets {
		found |= subtle.ConstantTimeCompare(digest, good)
	}
	return found == 1
}

// Redirects reports whether uri is registered, character by character (RFC
// 9700 section 2.1; ASVS 10.4.1). Only the port of a developer's own machine
// may vary, where it was registered as "http://localhost:*/…" (wire rule 13;
// RFC 8252 section 7.3).
func (rp RelyingParty) Redirects(uri string) bool { return registered(rp.RedirectURIs, uri) }

// LogsOutTo reports whether uri is registered for the way back after a
// sign-out, compared as Redirects does.
func (rp RelyingParty) LogsOutTo(uri string) bool { return registered(rp.PostLogoutRedirectURIs, uri) }

func registered(all []string, uri string) bool {
	if _, pattern := anyPort(uri); slices.Contains(all, uri) && !pattern {
		return true
	}
	match := onLocalhost.FindStringSubmatch(uri)
	return match != nil && slices.ContainsFunc(all, func(pattern string) bool {
		rest, ok := anyPort(pattern)
		return ok && rest == match[1]
	})
}

// onLocalhost matches an address of a developer's machine with its port; what
// follows the port is compared exactly.
var onLocalhost = regexp.MustCompile(`^http://localhost:[0-9]{1,5}((?:[/?].*)?)$`)

// anyPort returns what follows the port of a pattern "http://localhost:*…".
func anyPort(pattern string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(pattern, "http://localhost:*")
	return rest, ok && (rest == "" || rest[0] == '/' || rest[0] == '?') && !strings.Contains(rest, "#")
}

// Grant returns those of wanted that the relying party may have, in the order
// in which it asked, each once. offline_access needs RefreshTokens too.
func (rp RelyingParty) Grant(wanted []string) []string {
	var granted []string
	for _, scope := range wanted {
		may := slices.Contains(rp.Scopes, scope) && (scope != OfflineAccess || rp.RefreshTokens)
		if may && !slices.Contains(granted, scope) {
			granted = append(granted, scope)
		}
	}
	return granted
}

// origins returns where its redirect addresses lead, each origin once.
func (rp RelyingParty) origins() []string {
	var origins []string
	for _, uri := range rp.RedirectURIs {
		if origin, err := Origin(uri); err == nil && !slices.Contains(origins, origin) {
			origins = append(origins, origin)
		}
	}
	return origins
}

// Origin returns the origin of an http or https address, without the port that
// the scheme implies: "https://ers.example.nhs.uk", "http://localhost:9090".
func Origin(uri string) (string, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return "", fmt.Errorf("reading an address: %w", err)
	}
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Hostname())
	if (scheme != "http" && scheme != "https") || host == "" || u.User != nil {
		return "", fmt.Errorf("%q is no address of a web page", uri)
	}
	port := u.Port()
	if port == "" || (scheme == "http" && port == "80") || (scheme == "https" && port == "443") {
		if strings.Contains(host, ":") {
			host = "[" + host + "]"
		}
		return scheme + "://" + host, nil
	}
	return scheme + "://" + net.JoinHostPort(host, port), nil
}
