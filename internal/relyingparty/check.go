package relyingparty

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/mail"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/go-jose/go-jose/v4"

	"carekey.dev/carekey/internal/care"
)

// Mistake is one thing to mend in what was registered. Field has the name of
// the field in registrations, or "" for the whole; Index is the entry of a
// list, or -1.
type Mistake struct {
	Field string
	Index int
	Text  string
}

// Error says the field too.
func (m Mistake) Error() string {
	switch {
	case m.Field == "":
		return m.Text
	case m.Index >= 0:
		return fmt.Sprintf("%s[%d]: %s", m.Field, m.Index, m.Text)
	}
	return m.Field + ": " + strings.TrimPrefix(m.Text, m.Field+": ")
}

// Complete fills what was left out: the profile cis2, a secret, every scope
// and method, and the class that CIS2 assumes (domain, 1.8).
func (rp *RelyingParty) Complete() {
	if rp.ShortName == "" {
		rp.ShortName = rp.Name
	}
	if rp.Profile == "" {
		rp.Profile = CIS2
	}
	if rp.AuthMethod == "" {
		rp.AuthMethod = ClientSecret
	}
	if rp.Scopes == nil {
		rp.Scopes = defaultScopes(rp.RefreshTokens)
	}
	if rp.Methods == nil {
		rp.Methods = care.Methods()
	}
	rp.Methods = care.InOrder(rp.Methods)
	if rp.DefaultACR == "" {
		rp.DefaultACR = care.AAL3Any
	}
}

func defaultScopes(offline bool) []string {
	return slices.DeleteFunc(Scopes(), func(scope string) bool { return scope == OfflineAccess && !offline })
}

// check collects mistakes.
type check struct{ all []Mistake }

func (c *check) wrong(field, format string, args ...any) { c.at(field, -1, format, args...) }

func (c *check) at(field string, index int, format string, args ...any) {
	c.all = append(c.all, Mistake{field, index, fmt.Sprintf(format, args...)})
}

// oneOf checks a field that may be empty.
func (c *check) oneOf(field, value string, allowed ...string) {
	if value != "" && !slices.Contains(allowed, value) {
		c.wrong(field, "%s: %q is not one of %v", field, value, allowed)
	}
}

// Check returns what has to be mended in a registration that is Complete,
// wherever it comes from: the world file, the command line or a program.
func Check(rp RelyingParty) []Mistake {
	var c check
	c.identity(rp)
	c.oneOf("profile", string(rp.Profile), string(CIS2), string(Strict))
	c.authentication(rp)
	c.certificate(rp)
	c.addresses(rp)
	c.permissions(rp)
	c.algorithms(rp)
	c.strict(rp)
	return c.all
}

// longest are the longest texts that are stored.
const longest = 255

var idForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/-]*$`)

func (c *check) identity(rp RelyingParty) {
	for _, f := range []struct{ name, value string }{{"client_id", rp.ClientID}, {"name", rp.Name}} {
		if f.value == "" {
			c.wrong("", "%s is missing", f.name)
		}
	}
	if rp.ClientID != "" && (len(rp.ClientID) > longest || !idForm.MatchString(rp.ClientID)) {
		c.wrong("client_id", "client_id: at most %d letters, digits and . _ : / -, beginning with a letter or digit", longest)
	}
	for _, f := range []struct{ name, value string }{
		{"name", rp.Name}, {"short_name", rp.ShortName}, {"description", rp.Description}, {"config_name", rp.ConfigName}, {"team", rp.Team},
	} {
		if len(f.value) > longest || strings.ContainsFunc(f.value, invisible) {
			c.wrong(f.name, "%s: at most %d bytes on one line, without marks that cannot be seen", f.name, longest)
		}
	}
}

// invisible reports whether a character shows nothing and yet does something to
// those around it: people read the name of a service before they type a
// password, and operators on a terminal.
func invisible(r rune) bool { return !unicode.IsGraphic(r) }

func (c *check) authentication(rp RelyingParty) {
	c.oneOf("token_endpoint_auth_method", string(rp.AuthMethod), texts(AuthMethods())...)
	c.oneOf("jwks_uri_signing_algorithm", rp.SigningAlgorithm, AssertionAlgorithms()...)
	if rp.JWKS != nil {
		if err := publicKeys(rp.JWKS); err != nil {
			c.wrong("jwks", "jwks: %v", err)
		}
	}
	switch {
	case rp.AuthMethod == PrivateKeyJWT && rp.JWKSURI == "" && rp.JWKS == nil:
		c.wrong("", "private_key_jwt needs a jwks_uri or jwks")
	case rp.AuthMethod == SelfSignedTLS && rp.JWKSURI == "" && rp.JWKS == nil:
		c.wrong("", "self_signed_tls_client_auth needs the certificates (x5c) in a jwks_uri or jwks") // RFC 8705 section 2.2.2
	case rp.JWKSURI != "" && rp.JWKS != nil:
		c.wrong("jwks", "use jwks_uri or jwks, not both")
	}
}

// certificate checks whose certificate a client with tls_client_auth shows
// (RFC 8705 section 2.1.2).
func (c *check) certificate(rp RelyingParty) {
	set := 0
	who := rp.TLSSubject
	for _, value := range []string{who.DN, who.DNS, who.URI, who.IP, who.Email} {
		if value != "" {
			set++
		}
	}
	switch {
	case rp.AuthMethod == TLSClientAuth && set != 1:
		c.wrong("", "tls_client_auth needs exactly one of tls_client_auth_subject_dn, _san_dns, _san_uri, _san_ip and _san_email")
	case rp.AuthMethod != TLSClientAuth && set > 0:
		c.wrong("", "tls_client_auth_… is for clients with token_endpoint_auth_method: tls_client_auth")
	}
	if _, err := parseDN(who.DN); who.DN != "" && err != nil {
		c.wrong("tls_client_auth_subject_dn", "tls_client_auth_subject_dn: %v", err)
	}
	if _, err := netip.ParseAddr(who.IP); who.IP != "" && err != nil {
		c.wrong("tls_client_auth_san_ip", "tls_client_auth_san_ip: %q is no IP address", who.IP)
	}
	if _, err := mail.ParseAddress(who.Email); who.Email != "" && err != nil {
		c.wrong("tls_client_auth_san_email", "tls_client_auth_san_email: %q is no email address", who.Email)
	}
}

// publicKeys checks that a key set holds public keys alone.
func publicKeys(text json.RawMessage) error {
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(text, &set); err != nil {
		return fmt.Errorf("reading the keys: %w", err)
	}
	if len(set.Keys) == 0 {
		return errors.New("there is no key in it")
	}
	for _, key := range set.Keys {
		if !key.Valid() || !key.IsPublic() {
			return fmt.Errorf("key %q is not a public key", key.KeyID)
		}
	}
	return nil
}

func (c *check) addresses(rp RelyingParty) {
	if len(rp.RedirectURIs) == 0 {
		c.wrong("", "redirect_uris is missing: nobody could be sent back")
	}
	for _, list := range []struct {
		field string
		uris  []string
	}{
		{"redirect_uris", rp.RedirectURIs},
		{"post_logout_redirect_uris", rp.PostLogoutRedirectURIs},
		{"request_uris", rp.RequestURIs},
	} {
		for i, uri := range list.uris {
			if _, wild := anyPort(uri); wild && list.field != "request_uris" {
				continue
			}
			if list.field == "request_uris" {
				// A fragment says which version lies there (OpenID Connect Core
				// section 6.2).
				uri, _, _ = strings.Cut(uri, "#")
			}
			c.address(list.field, i, uri)
		}
	}
	for _, one := range []struct{ field, uri string }{
		{"jwks_uri", rp.JWKSURI}, {"backchannel_logout_uri", rp.BackchannelLogoutURI}, {"frontchannel_logout_uri", rp.FrontchannelLogoutURI},
	} {
		if one.uri != "" {
			c.address(one.field, -1, one.uri)
		}
	}
	if rp.FrontchannelLogoutURI != "" && !rp.isAt(rp.FrontchannelLogoutURI) {
		c.wrong("frontchannel_logout_uri", "%q must have the scheme, host and port of one of redirect_uris", rp.FrontchannelLogoutURI)
	}
}

// isAt reports whether an address has the origin of a redirect address (OpenID
// Connect Front-Channel Logout section 2): browsers are sent to no other host.
func (rp RelyingParty) isAt(uri string) bool {
	origin, err := Origin(uri)
	if err != nil || slices.Contains(rp.origins(), origin) {
		return true // what is no address is told apart from this
	}
	return onLocalhost.MatchString(uri) && slices.ContainsFunc(rp.RedirectURIs, func(pattern string) bool {
		_, any := anyPort(pattern)
		return any
	})
}

// address checks an address that people or Carekey are sent to: absolute,
// without fragment (OpenID Connect Core 3.1.2.1), and https unless it stays on
// the machine (RFC 9700 section 2.6; RFC 8252 section 7.3 for developers).
func (c *check) address(field string, index int, uri string) {
	u, err := url.Parse(uri)
	if err != nil {
		c.at(field, index, "%q is no address", uri)
		return
	}
	_, err = Origin(uri)
	switch {
	case err != nil:
		c.at(field, index, "%q is no address of a web page: it begins with https:// and a host", uri)
	case strings.Contains(uri, "#"):
		c.at(field, index, "%q has a fragment (#), which is not allowed", uri)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		c.at(field, index, "%q must be https: plain http is for this machine only", uri)
	}
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

func (c *check) permissions(rp RelyingParty) {
	for i, scope := range rp.Scopes {
		if !slices.Contains(Scopes(), scope) {
			c.at("scopes", i, "%q is not one of %v", scope, Scopes())
		}
	}
	for i, method := range rp.Methods {
		if _, err := care.ParseMethod(string(method)); err != nil {
			c.at("methods", i, "%v", err)
		}
	}
	known := care.KnownACR(rp.DefaultACR)
	if !known {
		c.wrong("default_acr", "default_acr: %q is not one of %v", rp.DefaultACR, care.ACRs())
	}
	if known && len(rp.DefaultACR.Offers(rp.Methods)) == 0 {
		c.wrong("", "none of its methods reaches %s: nobody could sign in", rp.DefaultACR)
	}
	if rp.DefaultMaxAge != nil && *rp.DefaultMaxAge < 0 {
		c.wrong("default_max_age", "default_max_age: a whole number of seconds, 0 or more")
	}
}

func (c *check) algorithms(rp RelyingParty) {
	c.oneOf("id_token_signed_response_alg", rp.IDTokenAlg, SigningAlgorithms()...)
	c.oneOf("userinfo_signed_response_alg", rp.UserinfoAlg, SigningAlgorithms()...)
	c.oneOf("request_object_signing_alg", rp.RequestObjectAlg, AssertionAlgorithms()...)
	c.oneOf("quirks", rp.Quirks.AssertionAudience, AudienceIssuer, AudienceTokenEndpoint)
	c.oneOf("quirks", rp.Quirks.LogoutTokenType, TypeJWT, TypeLogoutJWT)
}

// strict holds a registration to FAPI 2.0 (section 5.3.2.1).
func (c *check) strict(rp RelyingParty) {
	if rp.Profile != Strict {
		return
	}
	if rp.AuthMethod == ClientSecret || rp.AuthMethod == ClientSecretBasic {
		c.wrong("token_endpoint_auth_method", "token_endpoint_auth_method: the profile strict needs private_key_jwt or TLS client authentication")
	}
	if !rp.TLSBound && !rp.DPoPBound {
		c.wrong("", "the profile strict needs tls_client_certificate_bound_access_tokens or dpop_bound_access_tokens")
	}
	for _, alg := range []string{rp.SigningAlgorithm, rp.RequestObjectAlg, rp.IDTokenAlg, rp.UserinfoAlg} {
		if strings.HasPrefix(alg, "RS") {
			c.wrong("", "the profile strict signs with PS256 or ES256, not %s", alg) // FAPI 2.0 section 5.4.1
		}
	}
	if rp.Quirks.AssertionAudience == AudienceTokenEndpoint {
		c.wrong("quirks", "quirks: assertion_audience must be the issuer in the profile strict") // FAPI 2.0 section 5.3.2.1
	}
}

func texts[T ~string](values []T) []string {
	all := make([]string, len(values))
	for i, value := range values {
		all[i] = string(value)
	}
	return all
}
