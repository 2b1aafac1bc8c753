package relyingparty

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"carekey.dev/carekey/internal/care"
)

// Document is a registration as people write and read it, with the names of
// the world file. It holds no secret.
type Document struct {
	ClientID               string          `json:"client_id"`
	Name                   string          `json:"name"`
	ShortName              string          `json:"short_name,omitempty"`
	Profile                Profile         `json:"profile,omitempty"`
	AuthMethod             AuthMethod      `json:"token_endpoint_auth_method,omitempty"`
	JWKSURI                string          `json:"jwks_uri,omitempty"`
	JWKS                   json.RawMessage `json:"jwks,omitempty"`
	SigningAlgorithm       string          `json:"jwks_uri_signing_algorithm,omitempty"`
	RedirectURIs           []string        `json:"redirect_uris,omitempty"`
	PostLogoutRedirectURIs []string        `json:"post_logout_redirect_uris,omitempty"`
	BackchannelLogoutURI   string          `json:"backchannel_logout_uri,omitempty"`
	Scopes                 []string        `json:"scopes,omitempty"`
	Methods                []care.Method   `json:"methods,omitempty"`
	DefaultACR             care.ACR        `json:"default_acr,omitempty"`

	Metadata
}

// Document returns the registration without its secrets.
func (rp RelyingParty) Document() Document {
	return Document{
		ClientID: rp.ClientID, Name: rp.Name, ShortName: rp.ShortName, Profile: rp.Profile,
		AuthMethod: rp.AuthMethod, JWKSURI: rp.JWKSURI, JWKS: rp.JWKS, SigningAlgorithm: rp.SigningAlgorithm,
		RedirectURIs: rp.RedirectURIs, PostLogoutRedirectURIs: rp.PostLogoutRedirectURIs,
		BackchannelLogoutURI: rp.BackchannelLogoutURI,
		Scopes:               rp.Scopes, Methods: rp.Methods, DefaultACR: rp.DefaultACR, Metadata: rp.Metadata,
	}
}

// RelyingParty returns what the document registers, completed and without a
// secret. Check says what to mend in it.
func (d Document) RelyingParty() RelyingParty {
	rp := RelyingParty{
		ClientID: d.ClientID, Name: d.Name, ShortName: d.ShortName, Profile: d.Profile,
		AuthMethod: d.AuthMethod, JWKSURI: d.JWKSURI, JWKS: d.JWKS, SigningAlgorithm: d.SigningAlgorithm,
		RedirectURIs: d.RedirectURIs, PostLogoutRedirectURIs: d.PostLogoutRedirectURIs,
		BackchannelLogoutURI: d.BackchannelLogoutURI,
		Scopes:               d.Scopes, Methods: d.Methods, DefaultACR: d.DefaultACR, Metadata: d.Metadata,
	}
	rp.Complete()
	return rp
}

// ReadDocument reads a registration in JSON. An unknown field is a mistake,
// because it is a mistyped one.
func ReadDocument(text []byte) (Document, error) {
	var d Document
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		return Document{}, err
	}
	if decoder.More() {
		return Document{}, errors.New("there is more after the first document")
	}
	return d, nil
}

// An Assignment changes one field of a document: "name=My service",
// "default_max_age=300", "redirect_uris+=https://my.example/callback",
// "scopes-=email", "quirks.numeric_levels=true". An empty value takes the
// field out, so that it has its default.
type Assignment string

// Set returns the document with the assignments made, the first first.
func (d Document) Set(assignments ...Assignment) (Document, error) {
	for _, a := range assignments {
		field, text, ok := strings.Cut(string(a), "=")
		if !ok || field == "" {
			return d, fmt.Errorf("%q sets nothing: write field=value, field+=value or field-=value", a)
		}
		operation := ""
		if last := field[len(field)-1:]; last == "+" || last == "-" {
			field, operation = field[:len(field)-1], last
		}
		var err error
		if d, err = d.set(field, operation, text); err != nil {
			return d, err
		}
	}
	return d, nil
}

// errKind is the error of a value of another kind than the field's.
var errKind = errors.New("")

func (d Document) set(field, operation, text string) (Document, error) {
	known, err := object(d)
	if err != nil {
		return d, err
	}
	inner, of := known, field
	if group, name, nested := strings.Cut(field, "."); nested {
		if inner, err = member(known, group); err != nil {
			return d, err
		}
		of = name
	}
	for _, value := range candidates(inner[of], operation, text) {
		if value == nil {
			delete(inner, of)
		} else {
			inner[of] = value
		}
		changed, err := decode(known, field)
		if !errors.Is(err, errKind) {
			return changed, err
		}
	}
	if operation != "" {
		return d, fmt.Errorf("%s is no list: write %s=%s", field, field, text)
	}
	return d, fmt.Errorf("%s: %q is not what belongs here", field, text)
}

// candidates are what a text may mean; the kind of the field decides.
func candidates(now any, operation, text string) []any {
	var list []any
	if operation != "" {
		list, _ = now.([]any)
	}
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		list = slices.DeleteFunc(list, func(known any) bool { return known == part })
		if operation != "-" && part != "" {
			list = append(list, part)
		}
	}
	switch {
	case operation != "":
		return []any{list}
	case text == "":
		return []any{nil}
	}
	var literal any
	if err := json.Unmarshal([]byte(text), &literal); err != nil {
		return []any{text, list}
	}
	switch literal.(type) {
	case nil, string: // somebody's text, quotes and all
		return []any{text, list}
	}
	return []any{literal, text, list}
}

func object(v any) (map[string]any, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("writing a registration: %w", err)
	}
	var fields map[string]any
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&fields); err != nil {
		return nil, fmt.Errorf("reading a registration: %w", err)
	}
	return fields, nil
}

// member returns a group of fields, made if it is not there yet.
func member(fields map[string]any, name string) (map[string]any, error) {
	if fields[name] == nil {
		fields[name] = map[string]any{}
	}
	group, ok := fields[name].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s has no fields of its own", name)
	}
	return group, nil
}

func decode(fields map[string]any, field string) (Document, error) {
	text, err := json.Marshal(fields)
	if err != nil {
		return Document{}, fmt.Errorf("writing a registration: %w", err)
	}
	d, err := ReadDocument(text)
	if _, kind := errors.AsType[*json.UnmarshalTypeError](err); kind {
		return d, errKind
	}
	if err != nil { // the names are our own but for this one
		return d, fmt.Errorf("there is no field %s: use one of %s", field, strings.Join(Fields(), ", "))
	}
	return d, nil
}

// Fields returns the name of each field of a document, in its order.
func Fields() []string {
	return []string{
		"client_id", "name", "short_name", "profile", "token_endpoint_auth_method", "jwks_uri", "jwks", "jwks_uri_signing_algorithm",
		"redirect_uris", "post_logout_redirect_uris", "backchannel_logout_uri", "scopes", "methods", "default_acr",
		"description", "config_name", "team", "id_token_signed_response_alg", "userinfo_signed_response_alg",
		"request_object_signing_alg", "request_uris", "require_signed_request_object", "require_pushed_authorization_requests",
		"tls_client_auth_subject_dn", "tls_client_auth_san_dns", "tls_client_auth_san_uri", "tls_client_auth_san_ip", "tls_client_auth_san_email",
		"tls_client_certificate_bound_access_tokens", "dpop_bound_access_tokens",
		"backchannel_logout_session_required", "frontchannel_logout_uri", "frontchannel_logout_session_required",
		"default_max_age", "refresh_tokens", "introspects", "quirks",
	}
}
