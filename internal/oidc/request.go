package oidc

import (
	"encoding/base64"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/oidc/claims"
	"carekey.dev/carekey/internal/relyingparty"
)

// maxQuery is the longest authorization request that is read, in bytes: state
// is often long (wire rule 13), but a request travels on in other addresses.
const maxQuery = 16 << 10

// The ways back to a relying party (OAuth 2.0 Multiple Response Types section
// 2.1; OAuth 2.0 Form Post Response Mode).
const (
	modeQuery    = "query"
	modeFormPost = "form_post"
)

// maxNonce is the longest nonce: it travels in the code.
const maxNonce = 1024

// The values of prompt (OpenID Connect Core section 3.1.2.1).
const (
	promptNone    = "none"
	promptLogin   = "login"
	promptConsent = "consent"
	promptAccount = "select_account"
)

// request is an authorization request of a relying party that is known, for an
// address that is registered.
type request struct {
	rp          relyingparty.RelyingParty
	redirectURI string
	state       string
	nonce       string
	// mode is how the answer travels.
	mode string
	// scopes are those granted.
	scopes []string
	// acrs are the classes that would do, the preferred first.
	acrs []care.ACR
	// silent: nobody may be asked anything. again: the person must prove who
	// they are now, whatever session there is.
	silent, again bool
	// maxAge is how long ago the sign-in may have been; negative for any time.
	maxAge    time.Duration
	challenge string
	// jkt is the DPoP key that alone may redeem the code, or "".
	jkt       string
	loginHint care.Email
	role      care.RoleWish
	// subject is the person who must have signed in, or "" for anybody.
	subject care.UID
}

// parameters are those that the provider reads. Any other is ignored (wire rule
// 13: approval_prompt, acr, acr_sig …), an empty one is as good as absent (RFC
// 6749 section 3.1).
var parameters = []string{
	"response_type", "response_mode", "scope", "state", "nonce", "acr_values", "max_age",
	"code_challenge", "code_challenge_method", "login_hint", "id_token_hint", "claims", "dpop_jkt",
}

// parse reads an authorization request. Who asks and where to go back to have
// been checked.
func parse(query url.Values, rp relyingparty.RelyingParty) (request, *refusal) {
	req := request{rp: rp, redirectURI: query.Get("redirect_uri"), state: query.Get("state"), mode: modeQuery, maxAge: -1}
	for _, name := range parameters {
		if len(query[name]) > 1 {
			return req, invalidRequest(name + " was sent more than once")
		}
	}
	if e := req.parseMode(query.Get("response_mode")); e != nil {
		return req, e
	}
	if e := supported(query, rp); e != nil {
		return req, e
	}
	req.scopes = rp.Grant(strings.Fields(query.Get("scope")))
	req.role = roleWish(req.scopes)
	if !slices.Contains(req.scopes, claims.OpenID) {
		return req, refused("invalid_scope", "scope must contain openid")
	}
	if req.nonce = query.Get("nonce"); len(req.nonce) > maxNonce {
		return req, invalidRequest("nonce is longer than 1024 characters")
	}
	for _, step := range []func(url.Values) *refusal{req.parsePrompt, req.parseMaxAge, req.parseChallenge, req.parseKey} {
		if e := step(query); e != nil {
			return req, e
		}
	}
	if hint, err := care.ParseEmail(query.Get("login_hint")); err == nil {
		req.loginHint = hint
	}
	asked := wish{acrs: strings.Fields(query.Get("acr_values"))}
	if e := asked.readClaims(query.Get("claims")); e != nil {
		return req, e
	}
	req.subject = asked.subject
	var e *refusal
	req.acrs, e = acceptable(asked, rp)
	return req, e
}

// parseMode reads response_mode first, so that every later error travels the
// way that was asked for.
func (req *request) parseMode(mode string) *refusal {
	switch mode {
	case "", modeQuery:
		return nil
	case modeFormPost:
		if _, err := relyingparty.Origin(req.redirectURI); err != nil {
			return invalidRequest("response_mode=form_post needs a redirect_uri of a web page")
		}
		req.mode = modeFormPost
		return nil
	}
	return invalidRequest("response_mode must be query or form_post, or absent")
}

// supported refuses what discovery says is not supported.
func supported(query url.Values, rp relyingparty.RelyingParty) *refusal {
	switch {
	case query.Get("registration") != "":
		return refused("registration_not_supported", "the parameter registration is not supported")
	case query.Get("response_type") == "":
		return invalidRequest("response_type is missing: it must be code")
	case query.Get("response_type") != "code":
		return refused("unsupported_response_type", "response_type must be code")
	}
	return nil
}

func roleWish(scopes []string) care.RoleWish {
	switch {
	case slices.Contains(scopes, claims.ChangedRole):
		return care.AnotherRole
	case slices.Contains(scopes, claims.SelectedRole):
		return care.AnyRole
	}
	return care.NoRole
}

// parsePrompt reads prompt, which some relying parties send twice or empty
// (wire rule 13). There is no consent page: whoever signs in has agreed to the
// terms (domain, 1.2). Choosing another account is signing in again.
func (req *request) parsePrompt(query url.Values) *refusal {
	asked := strings.Fields(strings.Join(query["prompt"], " "))
	for _, prompt := range asked {
		switch prompt {
		case promptNone:
			req.silent = true
		case promptLogin, promptAccount:
			req.again = true
		case promptConsent:
		default:
			return invalidRequest("prompt must be none, login, consent or select_account")
		}
	}
	if req.silent && slices.ContainsFunc(asked, func(prompt string) bool { return prompt != promptNone }) {
		return invalidRequest("prompt=none cannot be combined with another value")
	}
	return nil
}

func (req *request) parseMaxAge(query url.Values) *refusal {
	text := query.Get("max_age")
	if text == "" && req.rp.DefaultMaxAge != nil {
		// OpenID Connect Registration section 2: overridden by max_age alone.
		text = strconv.FormatInt(*req.rp.DefaultMaxAge, 10)
	}
	if text == "" {
		return nil
	}
	seconds, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return invalidRequest("max_age must be a whole number of seconds")
	}
	// More than a duration can hold is more than any session lasts.
	req.maxAge = time.Duration(min(seconds, math.MaxInt64/uint64(time.Second))) * time.Second
	return nil
}

// parseChallenge reads PKCE: optional in the profile cis2 (domain, 1.2), but
// S256 only (RFC 7636 section 4.2; ASVS 10.4.6: plain is refused).
func (req *request) parseChallenge(query url.Values) *refusal {
	challenge, method := query.Get("code_challenge"), query.Get("code_challenge_method")
	switch {
	case challenge == "" && method == "" && req.rp.Profile == relyingparty.Strict:
		return invalidRequest("code_challenge is missing: this client must use PKCE with S256") // FAPI 2.0 section 5.3.2.2
	case challenge == "" && method == "":
		return nil
	case challenge == "":
		return invalidRequest("code_challenge_method was sent without code_challenge")
	case method != "S256":
		return invalidRequest("code_challenge_method must be S256")
	}
	if sum, err := base64.RawURLEncoding.DecodeString(challenge); err != nil || len(sum) != 32 {
		return invalidRequest("code_challenge must be the SHA-256 of the verifier in base64url without padding")
	}
	req.challenge = challenge
	return nil
}

// parseKey reads dpop_jkt, the thumbprint of a DPoP key (RFC 9449 section 10).
func (req *request) parseKey(query url.Values) *refusal {
	req.jkt = query.Get("dpop_jkt")
	if sum, err := base64.RawURLEncoding.DecodeString(req.jkt); err != nil || len(sum) != 32 && req.jkt != "" {
		return invalidRequest("dpop_jkt must be the SHA-256 thumbprint of a JWK in base64url without padding")
	}
	return nil
}
