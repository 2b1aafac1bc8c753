package register

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/relyingparty"
)

// Metadata is what a program may say about its relying party, with the names of
// the registry (RFC 7591 section 2; OpenID Connect Registration section 2; RFC
// 8705, 9101, 9126 and 9449; OpenID Connect Logout). It is also what a program
// is told: what was left out has its default there.
type Metadata struct {
	RedirectURIs  []string                `json:"redirect_uris,omitempty"`
	AuthMethod    relyingparty.AuthMethod `json:"token_endpoint_auth_method,omitempty"`
	AuthAlg       string                  `json:"token_endpoint_auth_signing_alg,omitempty"`
	GrantTypes    []string                `json:"grant_types,omitempty"`
	ResponseTypes []string                `json:"response_types,omitempty"`
	Name          string                  `json:"client_name,omitempty"`
	Scope         string                  `json:"scope,omitempty"`
	JWKSURI       string                  `json:"jwks_uri,omitempty"`
	JWKS          json.RawMessage         `json:"jwks,omitempty"`
	SubjectType   string                  `json:"subject_type,omitempty"`

	IDTokenAlg    string   `json:"id_token_signed_response_alg,omitempty"`
	UserinfoAlg   string   `json:"userinfo_signed_response_alg,omitempty"`
	DefaultMaxAge *int64   `json:"default_max_age,omitempty"`
	DefaultACRs   []string `json:"default_acr_values,omitempty"`

	RequestObjectAlg     string   `json:"request_object_signing_alg,omitempty"`
	RequestURIs          []string `json:"request_uris,omitempty"`
	RequireSignedRequest bool     `json:"require_signed_request_object,omitempty"`
	RequirePAR           bool     `json:"require_pushed_authorization_requests,omitempty"`

	relyingparty.TLSSubject
	TLSBound  bool `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	DPoPBound bool `json:"dpop_bound_access_tokens,omitempty"`

	PostLogoutRedirectURIs []string `json:"post_logout_redirect_uris,omitempty"`
	BackchannelLogoutURI   string   `json:"backchannel_logout_uri,omitempty"`
	BackchannelSession     bool     `json:"backchannel_logout_session_required,omitempty"`
	FrontchannelLogoutURI  string   `json:"frontchannel_logout_uri,omitempty"`
	FrontchannelSession    bool     `json:"frontchannel_logout_session_required,omitempty"`
}

// sentMetadata is what is read besides, and never told.
type sentMetadata struct {
	Metadata
	// SectorURI says that the redirect addresses belong together. With the
	// subject type public nothing follows from it, but it must be true (OpenID
	// Connect Registration section 5).
	SectorURI         string `json:"sector_identifier_uri"`
	SoftwareStatement string `json:"software_statement"`

	// Encryption is not supported (decision 11): who asks for it must not get
	// plain tokens instead.
	IDTokenEncryption  string `json:"id_token_encrypted_response_alg"`
	UserinfoEncryption string `json:"userinfo_encrypted_response_alg"`
	RequestEncryption  string `json:"request_object_encryption_alg"`

	// Of an update.
	ClientID string  `json:"client_id"`
	Secret   *string `json:"client_secret"`
	// Those that an update must not have (RFC 7592 section 2.2).
	Token         json.RawMessage `json:"registration_access_token"`
	URI           json.RawMessage `json:"registration_client_uri"`
	IssuedAt      json.RawMessage `json:"client_id_issued_at"`
	SecretExpires json.RawMessage `json:"client_secret_expires_at"`
}

// grant and response types of the code flow, which is the only one.
const (
	grantCode    = "authorization_code"
	grantRefresh = "refresh_token"
	responseCode = "code"
	public       = "public"
)

// parse reads metadata. What it does not know is ignored (RFC 7591 section 2);
// what cannot be had is refused, where a default would surprise.
func parse(body []byte) (sentMetadata, error) {
	var sent sentMetadata
	decoder := json.NewDecoder(bytes.NewReader(body))
	err := decoder.Decode(&sent)
	if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok && kind.Field != "" {
		return sent, refuse("%s has another type than it should", kind.Field)
	}
	if err != nil || decoder.More() || len(body) > 0 && bytes.TrimSpace(body)[0] != '{' {
		return sent, refuse("the body is not one JSON object")
	}
	switch {
	case sent.SoftwareStatement != "":
		return sent, &Refused{UnapprovedSoftware, "no software statement is approved here: send the metadata itself"}
	case sent.ResponseTypes != nil && !slices.Contains(sent.ResponseTypes, responseCode):
		return sent, refuse("response_types: only code is supported")
	case sent.GrantTypes != nil && !slices.Contains(sent.GrantTypes, grantCode):
		return sent, refuse("grant_types: authorization_code is needed with the response type code") // RFC 7591 section 2.1
	case sent.SubjectType != "" && sent.SubjectType != public:
		return sent, refuse("subject_type: only public is supported")
	case sent.IDTokenEncryption != "", sent.UserinfoEncryption != "", sent.RequestEncryption != "":
		return sent, refuse("encryption of tokens and request objects is not supported")
	}
	return sent, nil
}

// parseUpdate reads the metadata that takes the place of what is registered
// (RFC 7592 section 2.2): it names the client, gives no secret but its own, and
// leaves out what is ours to say.
func parseUpdate(body []byte, now relyingparty.RelyingParty) (sentMetadata, error) {
	sent, err := parse(body)
	switch {
	case err != nil:
		return sent, err
	case sent.ClientID != now.ClientID:
		return sent, refuse("client_id must be that of the registration")
	case sent.Secret != nil && !now.CheckSecret(*sent.Secret):
		return sent, refuse("client_secret is not the one that was issued: leave it out")
	case sent.Token != nil, sent.URI != nil, sent.IssuedAt != nil, sent.SecretExpires != nil:
		return sent, refuse("leave out registration_access_token, registration_client_uri, client_id_issued_at and client_secret_expires_at")
	}
	return sent, nil
}

func refuse(format string, args ...any) error {
	return &Refused{InvalidMetadata, fmt.Sprintf(format, args...)}
}

// accept returns rp with what was sent in place of what a program can say, if
// that can be registered.
func (g *Registry) accept(ctx context.Context, sent sentMetadata, rp relyingparty.RelyingParty, policy Policy) (relyingparty.RelyingParty, error) {
	rp, err := sent.onto(rp, policy)
	if err != nil {
		return rp, err
	}
	if mistakes := relyingparty.Check(rp); len(mistakes) > 0 {
		return rp, because(mistakes)
	}
	return rp, g.sector(ctx, sent)
}

// onto sets each field that is the program's to set; the others, which an
// operator may have set since, stay.
func (m Metadata) onto(rp relyingparty.RelyingParty, policy Policy) (relyingparty.RelyingParty, error) {
	rp.Profile, rp.DefaultACR = policy.Profile, policy.DefaultACR
	rp.Name, rp.ShortName = m.Name, m.Name
	rp.RedirectURIs, rp.PostLogoutRedirectURIs = m.RedirectURIs, m.PostLogoutRedirectURIs
	rp.AuthMethod, rp.SigningAlgorithm = m.AuthMethod, m.AuthAlg
	rp.JWKSURI, rp.JWKS = m.JWKSURI, m.JWKS
	rp.IDTokenAlg, rp.UserinfoAlg, rp.DefaultMaxAge = m.IDTokenAlg, m.UserinfoAlg, m.DefaultMaxAge
	rp.RequestObjectAlg, rp.RequestURIs = m.RequestObjectAlg, m.RequestURIs
	rp.RequireSignedRequest, rp.RequirePAR = m.RequireSignedRequest, m.RequirePAR
	rp.TLSSubject, rp.TLSBound, rp.DPoPBound = m.TLSSubject, m.TLSBound, m.DPoPBound
	rp.BackchannelLogoutURI, rp.BackchannelSession = m.BackchannelLogoutURI, m.BackchannelSession
	rp.FrontchannelLogoutURI, rp.FrontchannelSession = m.FrontchannelLogoutURI, m.FrontchannelSession
	rp.RefreshTokens = policy.RefreshTokens && slices.Contains(m.GrantTypes, grantRefresh)
	rp.Scopes = scopes(m.Scope, policy, rp.RefreshTokens)
	if rp.AuthMethod == "" {
		rp.AuthMethod = relyingparty.ClientSecretBasic // RFC 7591 section 2
	}
	if string(rp.JWKS) == "null" {
		rp.JWKS = nil
	}
	if rp.Name == "" && len(rp.RedirectURIs) > 0 {
		if u, err := url.Parse(rp.RedirectURIs[0]); err == nil {
			rp.Name, rp.ShortName = u.Hostname(), u.Hostname() // people must be told something
		}
	}
	if len(m.DefaultACRs) > 0 {
		i := slices.IndexFunc(m.DefaultACRs, func(acr string) bool { return care.KnownACR(care.ACR(acr)) })
		if i < 0 {
			return rp, refuse("default_acr_values: none of them is in acr_values_supported")
		}
		rp.DefaultACR = care.ACR(m.DefaultACRs[i])
	}
	rp.Complete()
	return rp, nil
}

// scopes are those that are known and allowed of what was asked for; all that
// are allowed, if nothing was. Unknown ones are ignored (decision 11).
func scopes(asked string, policy Policy, offline bool) []string {
	wanted := strings.Fields(asked)
	allowed := []string{}
	for _, scope := range relyingparty.Scopes() {
		switch {
		case len(wanted) > 0 && !slices.Contains(wanted, scope),
			policy.Scopes != nil && !slices.Contains(policy.Scopes, scope),
			scope == relyingparty.OfflineAccess && !offline:
		default:
			allowed = append(allowed, scope)
		}
	}
	return allowed
}

// because turns what is to be mended into the error of the protocol.
func because(mistakes []relyingparty.Mistake) error {
	refused := &Refused{Code: InvalidMetadata}
	for i, mistake := range mistakes {
		if mistake.Field == "redirect_uris" || strings.HasPrefix(mistake.Text, "redirect_uris") {
			refused.Code = InvalidRedirect
		}
		if i > 0 {
			refused.Description += "; "
		}
		refused.Description += mistake.Error()
	}
	refused.Description = plain(refused.Description)
	return refused
}

// longest is the longest description of an error, in bytes.
const longest = 500

// plain is a text as error_description takes it (RFC 6749 section 5.2): ASCII
// without quotes and backslashes.
func plain(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r < ' ' || r > '~' || r == '\\':
			return '?'
		}
		return r
	}, text)
	return text[:min(len(text), longest)]
}

// describe is what is registered.
func describe(rp relyingparty.RelyingParty) Metadata {
	m := Metadata{
		RedirectURIs: rp.RedirectURIs, AuthMethod: rp.AuthMethod, AuthAlg: rp.SigningAlgorithm,
		GrantTypes: []string{grantCode}, ResponseTypes: []string{responseCode}, SubjectType: public,
		Name: rp.Name, Scope: strings.Join(rp.Scopes, " "), JWKSURI: rp.JWKSURI, JWKS: rp.JWKS,
		IDTokenAlg: rp.IDTokenAlgorithm(), UserinfoAlg: rp.UserinfoAlg, DefaultMaxAge: rp.DefaultMaxAge,
		DefaultACRs:      []string{string(rp.DefaultACR)},
		RequestObjectAlg: rp.RequestObjectAlg, RequestURIs: rp.RequestURIs,
		RequireSignedRequest: rp.RequireSignedRequest, RequirePAR: rp.RequirePAR,
		TLSSubject: rp.TLSSubject, TLSBound: rp.TLSBound, DPoPBound: rp.DPoPBound,
		PostLogoutRedirectURIs: rp.PostLogoutRedirectURIs,
		BackchannelLogoutURI:   rp.BackchannelLogoutURI, BackchannelSession: rp.BackchannelSession,
		FrontchannelLogoutURI: rp.FrontchannelLogoutURI, FrontchannelSession: rp.FrontchannelSession,
	}
	if rp.RefreshTokens {
		m.GrantTypes = append(m.GrantTypes, grantRefresh)
	}
	return m
}

// mostSector is the largest sector document that is read, in bytes.
const mostSector = 64 << 10

// sector checks that a sector_identifier_uri lists every redirect address
// (OpenID Connect Registration section 5).
func (g *Registry) sector(ctx context.Context, sent sentMetadata) error {
	if sent.SectorURI == "" {
		return nil
	}
	if u, err := url.Parse(sent.SectorURI); err != nil || u.Scheme != "https" || u.Host == "" {
		return refuse("sector_identifier_uri must be an https address")
	}
	listed, err := g.fetchList(ctx, sent.SectorURI)
	if err != nil {
		return refuse("sector_identifier_uri does not lead to a JSON array of addresses")
	}
	for i, uri := range sent.RedirectURIs {
		if !slices.Contains(listed, uri) {
			return refuse("redirect_uris[%d] is not in the document of sector_identifier_uri", i)
		}
	}
	return nil
}

func (g *Registry) fetchList(ctx context.Context, address string) ([]string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	response, err := g.Fetch.Do(r)
	if err != nil {
		return nil, fmt.Errorf("fetching a sector document: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetching a sector document: %s", response.Status)
	}
	var list []string
	if err := json.NewDecoder(io.LimitReader(response.Body, mostSector)).Decode(&list); err != nil {
		return nil, fmt.Errorf("reading a sector document: %w", err)
	}
	return list, nil
}
