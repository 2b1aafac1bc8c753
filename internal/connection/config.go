package connection

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"carekey.dev/carekey/internal/relyingparty"
)

// clientConfig is what a team may set of its relying party (wire format). The
// fields stand in the order of their names: the hash is over this text.
type clientConfig struct {
	BackchannelLogoutURI string                  `json:"backchannel_logout_uri,omitempty"`
	ClientName           string                  `json:"client_name"`
	Description          string                  `json:"description,omitempty"`
	JWKSURI              string                  `json:"jwks_uri,omitempty"`
	SigningAlgorithm     string                  `json:"jwks_uri_signing_algorithm,omitempty"`
	RedirectURIs         []string                `json:"redirect_uris"`
	AuthMethod           relyingparty.AuthMethod `json:"token_endpoint_auth_method"`
}

const fieldNames = "client_name, description, redirect_uris, backchannel_logout_uri, token_endpoint_auth_method, jwks_uri and jwks_uri_signing_algorithm"

// configOf is what a team sees of its relying party.
func configOf(rp relyingparty.RelyingParty) clientConfig {
	c := clientConfig{
		BackchannelLogoutURI: rp.BackchannelLogoutURI, ClientName: rp.Name, Description: rp.Description,
		JWKSURI: rp.JWKSURI, SigningAlgorithm: rp.SigningAlgorithm, RedirectURIs: rp.RedirectURIs, AuthMethod: rp.AuthMethod,
	}
	if c.RedirectURIs == nil {
		c.RedirectURIs = []string{}
	}
	return c
}

// hash names this state of a config: whoever sends it back has seen it.
func (c clientConfig) hash() string {
	sum := sha256.Sum256(encode(c))
	return hex.EncodeToString(sum[:])
}

// readConfig reads what a program sent. A field that we do not know is a
// mistake: it would be lost silently.
func readConfig(text []byte) (clientConfig, error) {
	var c clientConfig
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&c)
	if err == nil && decoder.More() {
		err = errors.New("there is more after the config")
	}
	kind, isKind := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case err == nil:
	case isKind && kind.Field == "":
		return c, refused("A client_config is a JSON object.")
	case isKind:
		return c, mistakes{{Field: kind.Field, Message: fmt.Sprintf("%s: %s is wanted here", kind.Field, wanted(kind.Field))}}
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		return c, refused("There is a field that a client_config does not have. It has " + fieldNames + ".")
	default:
		return c, refused("What was sent is not one JSON object: it is cut off, or a comma, a quote or a bracket is wrong.")
	}
	// Programs leave the method out where it follows from the rest.
	if c.AuthMethod == "" {
		c.AuthMethod = relyingparty.ClientSecret
		if c.JWKSURI != "" {
			c.AuthMethod = relyingparty.PrivateKeyJWT
		}
	}
	return c, nil
}

func wanted(field string) string {
	if strings.HasPrefix(field, "redirect_uris") {
		return "a list of texts"
	}
	return "a text"
}

// teamMethods are the methods that a team may choose. A certificate is checked
// by the operator.
func teamMethod(m relyingparty.AuthMethod) bool {
	return m.HasSecret() || m == relyingparty.PrivateKeyJWT
}

// onto returns rp as the config wants it, checked by the rules of every
// registration. Whatever is not in a config stays.
func (c clientConfig) onto(rp relyingparty.RelyingParty) (relyingparty.RelyingParty, error) {
	if c.AuthMethod != rp.AuthMethod && !teamMethod(c.AuthMethod) {
		return rp, mistakes{{
			Field:   "token_endpoint_auth_method",
			Message: "token_endpoint_auth_method: use client_secret_post, client_secret_basic or private_key_jwt; the operator sets the others",
		}}
	}
	if rp.ShortName == rp.Name {
		rp.ShortName = c.ClientName
	}
	rp.Name, rp.Description = c.ClientName, c.Description
	rp.RedirectURIs, rp.BackchannelLogoutURI = c.RedirectURIs, c.BackchannelLogoutURI
	rp.AuthMethod, rp.JWKSURI, rp.SigningAlgorithm = c.AuthMethod, c.JWKSURI, c.SigningAlgorithm
	if c.JWKSURI != "" {
		rp.JWKS = nil // keys that the operator was given make way for those of the address
	}
	if !rp.AuthMethod.HasSecret() {
		rp.Secrets = nil
	}
	rp.Complete()
	var all mistakes
	for _, found := range relyingparty.Check(rp) {
		one := mistake{Field: found.Field, Message: found.Error()}
		if one.Field == "name" || one.Field == "" && strings.HasPrefix(one.Message, "name ") {
			one.Field, one.Message = "client_name", "client_"+one.Message
		}
		if found.Index >= 0 {
			one.Index = &found.Index
		}
		all = append(all, one)
	}
	if len(all) > 0 {
		return rp, all
	}
	return rp, nil
}
