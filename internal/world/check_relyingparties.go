package world

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"

	"github.com/go-jose/go-jose/v4"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/relyingparty"
)

func (c *checker) relyingParties(entries []relyingPartyEntry) []wantedRelyingParty {
	if entries == nil {
		return nil
	}
	all := []wantedRelyingParty{}
	seen := map[string]bool{}
	for i, e := range entries {
		path := []any{"relying_parties", i}
		c.needed(path, "client_id", e.ClientID)
		c.needed(path, "name", e.Name)
		c.once(seen, at(path, "client_id"), "relying party", e.ClientID)
		w := wantedRelyingParty{secret: e.Secret, RelyingParty: relyingparty.RelyingParty{
			ClientID: e.ClientID, Name: e.Name, ShortName: e.ShortName,
			Profile:      relyingparty.Profile(c.choice(path, "profile", e.Profile, string(relyingparty.CIS2), string(relyingparty.Strict))),
			RedirectURIs: e.RedirectURIs, PostLogoutRedirectURIs: e.PostLogoutRedirectURIs,
			BackchannelLogoutURI: e.BackchannelLogoutURI,
		}}
		if e.ShortName == "" {
			w.ShortName = e.Name
		}
		c.authentication(path, e, &w.RelyingParty)
		c.addresses(path, e)
		c.permissions(path, e, &w.RelyingParty)
		if e.Secret != "" {
			w.Secrets = [][]byte{keys.Hash(e.Secret)}
		}
		all = append(all, w)
	}
	return all
}

// choice returns value, or the first of allowed if it is absent.
func (c *checker) choice(path []any, field, value string, allowed ...string) string {
	if value == "" {
		return allowed[0]
	}
	if !slices.Contains(allowed, value) {
		c.wrong(at(path, field), "%s: %q is not one of %v", field, value, allowed)
	}
	return value
}

func (c *checker) authentication(path []any, e relyingPartyEntry, rp *relyingparty.RelyingParty) {
	rp.AuthMethod = relyingparty.AuthMethod(c.choice(path, "token_endpoint_auth_method", e.AuthMethod,
		string(relyingparty.ClientSecret), string(relyingparty.PrivateKeyJWT)))
	rp.SigningAlgorithm = e.SigningAlgorithm
	if e.SigningAlgorithm != "" {
		c.choice(path, "jwks_uri_signing_algorithm", e.SigningAlgorithm, "RS256", "RS512")
	}
	rp.JWKSURI = e.JWKSURI
	if e.JWKS != nil {
		set, err := publicKeys(e.JWKS)
		if err != nil {
			c.wrong(at(path, "jwks"), "jwks: %v", err)
		}
		rp.JWKS = set
	}
	switch {
	case e.Secret != "" && c.mode != Dev:
		c.wrong(at(path, "secret"), "chosen secrets are accepted in dev mode only: leave it out, and one is made and shown once")
	case e.Secret != "" && rp.AuthMethod == relyingparty.PrivateKeyJWT:
		c.wrong(at(path, "secret"), "a relying party with private_key_jwt has no secret")
	case rp.AuthMethod == relyingparty.PrivateKeyJWT && e.JWKSURI == "" && e.JWKS == nil:
		c.wrong(path, "private_key_jwt needs a jwks_uri or jwks")
	case e.JWKSURI != "" && e.JWKS != nil:
		c.wrong(at(path, "jwks"), "use jwks_uri or jwks, not both")
	}
}

// publicKeys returns a key set as JSON, if all of it is public.
func publicKeys(value map[string]any) (json.RawMessage, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("reading the keys: %w", err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf("reading the keys: %w", err)
	}
	if len(set.Keys) == 0 {
		return nil, errors.New("there is no key in it")
	}
	for _, key := range set.Keys {
		if !key.Valid() || !key.IsPublic() {
			return nil, fmt.Errorf("key %q is not a public key", key.KeyID)
		}
	}
	return text, nil
}

func (c *checker) addresses(path []any, e relyingPartyEntry) {
	if len(e.RedirectURIs) == 0 {
		c.wrong(path, "redirect_uris is missing: nobody could be sent back")
	}
	for i, uri := range e.RedirectURIs {
		c.address(at(path, "redirect_uris", i), uri)
	}
	for i, uri := range e.PostLogoutRedirectURIs {
		c.address(at(path, "post_logout_redirect_uris", i), uri)
	}
	for field, uri := range map[string]string{"backchannel_logout_uri": e.BackchannelLogoutURI, "jwks_uri": e.JWKSURI} {
		if uri != "" {
			c.address(at(path, field), uri)
		}
	}
}

// address checks an address that people or Carekey are sent to: absolute,
// without fragment (OpenID Connect Core 3.1.2.1), and https unless it stays on
// the machine (RFC 9700 section 2.6; RFC 8252 section 7.3 for developers).
func (c *checker) address(path []any, uri string) {
	u, err := url.Parse(uri)
	if err != nil {
		c.wrong(path, "%q is no address", uri)
		return
	}
	_, err = relyingparty.Origin(uri)
	switch {
	case err != nil:
		c.wrong(path, "%q is no address of a web page: it begins with https:// and a host", uri)
	case u.Fragment != "" || u.RawFragment != "":
		c.wrong(path, "%q has a fragment (#), which is not allowed", uri)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		c.wrong(path, "%q must be https: plain http is for this machine only", uri)
	}
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

func (c *checker) permissions(path []any, e relyingPartyEntry, rp *relyingparty.RelyingParty) {
	rp.Scopes = relyingparty.Scopes()
	if e.Scopes != nil {
		rp.Scopes = e.Scopes
	}
	for i, scope := range e.Scopes {
		if !slices.Contains(relyingparty.Scopes(), scope) {
			c.wrong(at(path, "scopes", i), "%q is not one of %v", scope, relyingparty.Scopes())
		}
	}
	rp.Methods = care.Methods()
	if e.Methods != nil {
		rp.Methods = nil
	}
	for i, name := range e.Methods {
		method, err := care.ParseMethod(name)
		if err != nil {
			c.wrong(at(path, "methods", i), "%v", err)
		}
		rp.Methods = append(rp.Methods, method)
	}
	rp.Methods = care.InOrder(rp.Methods)
	rp.DefaultACR = care.AAL3Any
	if e.DefaultACR != "" {
		rp.DefaultACR = care.ACR(e.DefaultACR)
		if !care.KnownACR(rp.DefaultACR) {
			c.wrong(at(path, "default_acr"), "default_acr: %q is not one of %v", e.DefaultACR, care.ACRs())
		}
	}
	if len(rp.DefaultACR.Offers(rp.Methods)) == 0 && care.KnownACR(rp.DefaultACR) {
		c.wrong(path, "none of its methods reaches %s: nobody could sign in", rp.DefaultACR)
	}
}
