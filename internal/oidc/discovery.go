package oidc

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/oidc/dpop"
	"carekey.dev/carekey/internal/oidc/signing"
	"carekey.dev/carekey/internal/relyingparty"
)

// metadata is the discovery document (OpenID Connect Discovery section 3). It
// names what works today and nothing else (decision 11): relying parties
// choose by it.
type metadata struct {
	Issuer        string `json:"issuer"`
	Authorization string `json:"authorization_endpoint"`
	Token         string `json:"token_endpoint"`
	Userinfo      string `json:"userinfo_endpoint"`
	JWKS          string `json:"jwks_uri"`
	Introspection string `json:"introspection_endpoint"` // RFC 8414 section 2
	Revocation    string `json:"revocation_endpoint"`
	Push          string `json:"pushed_authorization_request_endpoint"` // RFC 9126 section 5

	// Registration is there if it is open (RFC 8414 section 2).
	Registration string `json:"registration_endpoint,omitempty"`

	// Aliases are the endpoints on the mTLS host, TLSBound says that access
	// tokens can be bound there (RFC 8705 sections 5 and 3.3).
	Aliases  map[string]string `json:"mtls_endpoint_aliases,omitempty"`
	TLSBound bool              `json:"tls_client_certificate_bound_access_tokens,omitempty"`

	Scopes        []string   `json:"scopes_supported"`
	Claims        []string   `json:"claims_supported"`
	ACRs          []care.ACR `json:"acr_values_supported"`
	ResponseTypes []string   `json:"response_types_supported"`
	ResponseModes []string   `json:"response_modes_supported"`
	GrantTypes    []string   `json:"grant_types_supported"`
	Prompts       []string   `json:"prompt_values_supported"`
	Subjects      []string   `json:"subject_types_supported"`
	ClaimTypes    []string   `json:"claim_types_supported"`
	IDTokenAlgs   []string   `json:"id_token_signing_alg_values_supported"`
	UserinfoAlgs  []string   `json:"userinfo_signing_alg_values_supported"`
	ClientAuth    []string   `json:"token_endpoint_auth_methods_supported"`
	AskAuth       []string   `json:"introspection_endpoint_auth_methods_supported"`
	RevokeAuth    []string   `json:"revocation_endpoint_auth_methods_supported"`
	TokenAlgs     []string   `json:"token_endpoint_auth_signing_alg_values_supported"` // RFC 8414 section 2: REQUIRED with private_key_jwt
	AskAlgs       []string   `json:"introspection_endpoint_auth_signing_alg_values_supported"`
	RevokeAlgs    []string   `json:"revocation_endpoint_auth_signing_alg_values_supported"`
	DPoPAlgs      []string   `json:"dpop_signing_alg_values_supported"` // RFC 9449 section 5.1
	PKCE          []string   `json:"code_challenge_methods_supported"`
	ObjectAlgs    []string   `json:"request_object_signing_alg_values_supported"` // never none

	ResponseIssuer   bool `json:"authorization_response_iss_parameter_supported"` // RFC 9207
	ClaimsParameter  bool `json:"claims_parameter_supported"`
	RequestParameter bool `json:"request_parameter_supported"`
	RequestURI       bool `json:"request_uri_parameter_supported"` // true if it were absent
	RegisteredURI    bool `json:"require_request_uri_registration"`
	signOutMetadata
	// Version is what CIS2's document has, as a string.
	Version string `json:"version"`
}

func algorithms() []string {
	var names []string
	for _, algorithm := range signing.Algorithms() {
		names = append(names, string(algorithm))
	}
	return names
}

// describe returns the document. registration is the endpoint, or "" while it
// is closed; aliases are those of the mTLS host, if there is one.
func describe(issuer, registration string, mutual Mutual, aliases map[string]string) ([]byte, error) {
	clientAuth := mutual.methods()
	assertionAlgs := relyingparty.AssertionAlgorithms()
	text, err := json.MarshalIndent(metadata{
		Issuer:        issuer,
		Authorization: issuer + authorizePath[len(RealmPath):],
		Token:         issuer + tokenPath[len(RealmPath):],
		Userinfo:      issuer + userinfoPath[len(RealmPath):],
		JWKS:          issuer + jwksPath[len(RealmPath):],
		Introspection: issuer + introspectPath[len(RealmPath):],
		Revocation:    issuer + revokePath[len(RealmPath):],
		Push:          issuer + pushPath[len(RealmPath):],
		Registration:  registration,
		Aliases:       aliases,
		TLSBound:      aliases != nil,
		Scopes:        relyingparty.Scopes(),
		Claims: []string{
			"sub", "iss", "aud", "azp", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid", "at_hash", "c_hash", "s_hash",
			"id_assurance_level", "idassurancelevel", "authentication_assurance_level", "selected_roleid",
			"name", "given_name", "family_name", "uid", "email",
			"nhsid_useruid", "title", "initials", "middle_names", "display_name",
			"nhsid_nrbac_roles", "nhsid_user_orgs", "nhsid_org_roles", "nhsid_org_memberships",
			"gmc_id", "gmp_id", "gdc_id", "gdp_id", "gphc_id", "nmc_id", "rcn_id", "consultant_id",
		},
		ACRs:           care.ACRs(),
		ResponseTypes:  []string{"code"},
		ResponseModes:  []string{modeQuery, modeFormPost},
		GrantTypes:     []string{grantCode, grantRefresh},
		Prompts:        []string{promptNone, promptLogin, promptConsent, promptAccount},
		Subjects:       []string{"public"},
		ClaimTypes:     []string{"normal"},
		IDTokenAlgs:    algorithms(),
		UserinfoAlgs:   algorithms(),
		ClientAuth:     clientAuth,
		AskAuth:        clientAuth,
		RevokeAuth:     clientAuth,
		TokenAlgs:      assertionAlgs,
		AskAlgs:        assertionAlgs,
		RevokeAlgs:     assertionAlgs,
		DPoPAlgs:       dpop.Algorithms(),
		PKCE:           []string{"S256"},
		ResponseIssuer: true, ClaimsParameter: true, RequestParameter: true, RequestURI: true, RegisteredURI: true,
		ObjectAlgs:      assertionAlgs,
		signOutMetadata: describeSignOut(issuer),
		Version:         "3.0",
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding the discovery document: %w", err)
	}
	return text, nil
}

// document is public JSON that is fetched often, some of it at every sign-in
// (wire rule 19): made once, cached by those who can, 304 for those who ask.
type document struct {
	body []byte
	etag string
}

func newDocument(body []byte) document {
	sum := sha256.Sum256(body)
	return document{body, `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
}

// jwks serves the public key set of the moment.
func (p *Provider) jwks(w http.ResponseWriter, r *http.Request) {
	newDocument(p.keys.Public()).ServeHTTP(w, r)
}

// ServeHTTP writes the document.
func (d document) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "public, max-age=300") // signing.LeastPublish is three times this
	h.Set("ETag", d.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(d.body))
}
