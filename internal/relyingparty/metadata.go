package relyingparty

// Metadata is what else a relying party registered about itself. The names are
// those of the field's registries: RFC 7591, 8705, 9101, 9126 and 9449, and
// OpenID Connect Registration and Logout; those that are ours say so.
type Metadata struct {
	// Description and ConfigName are for whoever looks after it; Team is who
	// that is (ours, as in CIS2's Connection Manager).
	Description string `json:"description,omitempty" yaml:"description"`
	ConfigName  string `json:"config_name,omitempty" yaml:"config_name"`
	Team        string `json:"team,omitempty" yaml:"team"`

	// IDTokenAlg signs its ID and logout tokens: ask IDTokenAlgorithm, which
	// knows what "" means. UserinfoAlg signs userinfo, "" for plain JSON.
	IDTokenAlg  string `json:"id_token_signed_response_alg,omitempty" yaml:"id_token_signed_response_alg"`
	UserinfoAlg string `json:"userinfo_signed_response_alg,omitempty" yaml:"userinfo_signed_response_alg"`

	// RequestObjectAlg is what its request objects are signed with, "" for any
	// that is supported. RequestURIs are where they may be fetched.
	RequestObjectAlg     string   `json:"request_object_signing_alg,omitempty" yaml:"request_object_signing_alg"`
	RequestURIs          []string `json:"request_uris,omitempty" yaml:"request_uris"`
	RequireSignedRequest bool     `json:"require_signed_request_object,omitempty" yaml:"require_signed_request_object"`
	RequirePAR           bool     `json:"require_pushed_authorization_requests,omitempty" yaml:"require_pushed_authorization_requests"`

	TLSSubject `yaml:",inline"`
	// TLSBound and DPoPBound: its access tokens are bound to its certificate
	// or its DPoP key.
	TLSBound  bool `json:"tls_client_certificate_bound_access_tokens,omitempty" yaml:"tls_client_certificate_bound_access_tokens"`
	DPoPBound bool `json:"dpop_bound_access_tokens,omitempty" yaml:"dpop_bound_access_tokens"`

	BackchannelSession    bool   `json:"backchannel_logout_session_required,omitempty" yaml:"backchannel_logout_session_required"`
	FrontchannelLogoutURI string `json:"frontchannel_logout_uri,omitempty" yaml:"frontchannel_logout_uri"`
	FrontchannelSession   bool   `json:"frontchannel_logout_session_required,omitempty" yaml:"frontchannel_logout_session_required"`

	// DefaultMaxAge is how old a sign-in may be where a request does not say,
	// in seconds; nil for any age.
	DefaultMaxAge *int64 `json:"default_max_age,omitempty" yaml:"default_max_age"`
	// RefreshTokens lets it ask for the scope offline_access (ours: CIS2 gives
	// none, so off by default).
	RefreshTokens bool `json:"refresh_tokens,omitempty" yaml:"refresh_tokens"`
	// Introspects lets it ask about the tokens of others, as a resource server
	// does (ours).
	Introspects bool `json:"introspects,omitempty" yaml:"introspects"`

	Quirks Quirks `json:"quirks,omitzero" yaml:"quirks"`
}

// IDTokenAlgorithm is what its ID and logout tokens are signed with: RS256
// unless it chose, as at CIS2 (wire rule 8), and PS256 in the profile strict,
// which must not use RS256 (FAPI 2.0 section 5.4.1).
func (rp RelyingParty) IDTokenAlgorithm() string {
	switch {
	case rp.IDTokenAlg != "":
		return rp.IDTokenAlg
	case rp.Profile == Strict:
		return "PS256"
	}
	return "RS256"
}

// TLSSubject is whose certificate a client with tls_client_auth shows: exactly
// one of these (RFC 8705 section 2.1.2).
type TLSSubject struct {
	DN    string `json:"tls_client_auth_subject_dn,omitempty" yaml:"tls_client_auth_subject_dn"`
	DNS   string `json:"tls_client_auth_san_dns,omitempty" yaml:"tls_client_auth_san_dns"`
	URI   string `json:"tls_client_auth_san_uri,omitempty" yaml:"tls_client_auth_san_uri"`
	IP    string `json:"tls_client_auth_san_ip,omitempty" yaml:"tls_client_auth_san_ip"`
	Email string `json:"tls_client_auth_san_email,omitempty" yaml:"tls_client_auth_san_email"`
}

// Quirks are switches for relying parties whose libraries want something else
// than most. Each zero value is the safe choice.
type Quirks struct {
	// NumericLevels sends the assurance levels of the ID token as numbers
	// (domain, 1.7).
	NumericLevels bool `json:"numeric_levels,omitempty" yaml:"numeric_levels"`
	// SingleAsObject sends a list of one entry as that entry (domain, 1.6).
	SingleAsObject bool `json:"single_as_object,omitempty" yaml:"single_as_object"`
	// AssertionAudience is the aud that its assertions must have: "issuer" or
	// "token_endpoint"; "" takes both in the profile cis2 (wire rule 5) and the
	// issuer alone in strict.
	AssertionAudience string `json:"assertion_audience,omitempty" yaml:"assertion_audience"`
	// LogoutTokenType is the typ of its logout tokens: "JWT" or "logout+jwt";
	// "" means JWT in cis2 and logout+jwt in strict (decision 12).
	LogoutTokenType string `json:"logout_token_type,omitempty" yaml:"logout_token_type"`
}

// The audiences of an assertion.
const (
	AudienceIssuer        = "issuer"
	AudienceTokenEndpoint = "token_endpoint"
)

// The types of a logout token.
const (
	TypeJWT       = "JWT"
	TypeLogoutJWT = "logout+jwt"
)
