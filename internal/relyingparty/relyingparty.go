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
	"io/fs"
	"net"
	"net/url"
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

// The methods. A client with a secret may send it in the body or by Basic: it
// must not need to be told which (wire rule 3).
const (
	ClientSecret  AuthMethod = "client_secret_post"
	PrivateKeyJWT AuthMethod = "private_key_jwt"
)

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

	// Secrets are the SHA-256 of each secret that is good now.
	Secrets [][]byte
}

// Scopes returns every scope that Carekey knows (wire format).
func Scopes() []string {
	return []string{
		"openid", "profile", "email", "nhsperson", "nationalrbacaccess", "associatedorgs",
		"professionalmemberships", "organisationalmemberships", "selectedrole", "changedrole",
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
// 9700 section 2.1; ASVS 10.4.1).
func (rp RelyingParty) Redirects(uri string) bool { return slices.Contains(rp.RedirectURIs, uri) }

// Grant returns those of wanted that the relying party may have, in the order
// in which it asked, each once.
func (rp RelyingParty) Grant(wanted []string) []string {
	var granted []string
	for _, scope := range wanted {
		if slices.Contains(rp.Scopes, scope) && !slices.Contains(granted, scope) {
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
