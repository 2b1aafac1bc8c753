package oidc

import (
	"fmt"
	"net/http"
	"strings"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/oidc/dpop"
	"carekey.dev/carekey/internal/oidc/grant"
)

// The challenges of what takes access tokens (RFC 6750 section 3; RFC 9449
// section 7.1).
const challengeBearer = `Bearer realm="Carekey"`

func challengeDPoP() string {
	return `DPoP realm="Carekey", algs="` + strings.Join(dpop.Algorithms(), " ") + `"`
}

// The schemes by which a token is sent, which are compared without regard to
// case (RFC 9110 section 11.1).
const (
	schemeBearer = "bearer"
	schemeDPoP   = "dpop"
)

// presentedToken is an access token as a request carries it.
type presentedToken struct {
	scheme, text string // "", "" if there is none
	sender
}

// presented returns the access token of a request: in the header as Bearer, or
// as DPoP with a proof (RFC 9449 section 7.1), or in the form of a POST (RFC 6750
// section 2.2; OpenID Connect Core section 5.3.1), and never in an address (RFC
// 9700 section 4.3.2).
func (p *Provider) presented(r *http.Request, path string) (presentedToken, *refusal) {
	scheme, text, e := sentToken(r)
	if e != nil {
		return presentedToken{}, e
	}
	token := presentedToken{scheme: strings.ToLower(scheme), text: text}
	if token.scheme != schemeBearer && token.scheme != schemeDPoP || text == "" {
		return presentedToken{}, badBearer("an access token is missing: send it in the header Authorization: Bearer, or DPoP with a proof")
	}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		token.Certificate = thumbprint(r.TLS.PeerCertificates[0])
	}
	if token.scheme == schemeBearer {
		return token, nil // a proof beside a bearer token means nothing
	}
	s, err := p.proofOf(r, path, text)
	switch {
	case err != nil:
		return token, badBearerProof(err.Error())
	case !s.proven:
		return token, badBearerProof("a DPoP proof is missing: send one in the header DPoP")
	}
	token.JKT, token.proof, token.proven = s.JKT, s.proof, true
	return token, nil
}

// sentToken returns the token and its scheme, as they were sent by one way (RFC
// 6750 section 2).
func sentToken(r *http.Request) (scheme, text string, e *refusal) {
	sent := r.Header.Values("Authorization")
	if r.Method == http.MethodPost {
		if err := r.ParseForm(); err != nil {
			return "", "", badUse("the body is not a form, or is larger than 64 KiB")
		}
		sent = append(sent, prefixed("Bearer ", r.PostForm["access_token"])...)
	}
	switch len(sent) {
	case 0:
		return "", "", nil
	case 1:
		scheme, text, _ = strings.Cut(sent[0], " ")
		return scheme, text, nil
	}
	return "", "", badUse("an access token was sent more than once")
}

func prefixed(prefix string, all []string) []string {
	var with []string
	for _, one := range all {
		with = append(with, prefix+one)
	}
	return with
}

func badUse(description string) *refusal {
	return refuse(fault.TokenMisused, "invalid_request", description, nil)
}

// may reports why the token may not be used like this, or nil: a bound token by
// who holds its key alone (RFC 9449 section 7.1, RFC 8705 section 3), and never
// as a bearer token (RFC 9449 section 7.2).
func (t presentedToken) may(bound grant.Binding) *refusal {
	switch {
	case bound.JKT != "" && !t.proven:
		return badBearer("the access token is bound to a DPoP key: send it in the header Authorization: DPoP with a proof")
	case bound.JKT == "" && t.proven:
		return badBearer("the access token is not bound to a DPoP key: send it in the header Authorization: Bearer")
	case bound.JKT != t.JKT:
		return badBearer("the access token is bound to another DPoP key")
	case bound.Certificate != "" && bound.Certificate != t.Certificate:
		return badBearer("the access token is bound to a client certificate, and the request came without it")
	}
	return nil
}

// spend uses the token's proof up. A bearer token costs no commit.
func (p *Provider) spend(r *http.Request, t presentedToken) *refusal {
	if !t.proven {
		return nil
	}
	var used error
	err := p.DB.Write(r.Context(), func(tx *db.Tx) (err error) {
		used, err = t.use(tx)
		return err
	})
	switch {
	case err != nil:
		return unavailable(err)
	case used != nil:
		return badBearerProof(used.Error())
	}
	return nil
}

// badBearer and badBearerProof are the errors of what takes access tokens (RFC
// 6750 section 3.1; RFC 9449 section 7.1).
func badBearer(description string) *refusal {
	return refuse(fault.TokenRefused, "invalid_token", description, nil)
}

func badBearerProof(description string) *refusal {
	return refuse(fault.TokenProofRefused, "invalid_dpop_proof", description, nil)
}

// challenge says how to come back with a good token. A request that carried
// none learns no error (RFC 6750 section 3.1).
func challenge(w http.ResponseWriter, scheme string, e *refusal) {
	bearer, bound := challengeBearer, challengeDPoP()
	detail := fmt.Sprintf(`, error="%s", error_description="%s"`, e.code, e.description)
	switch scheme {
	case schemeDPoP:
		bound += detail
	case schemeBearer:
		bearer += detail
	}
	w.Header().Add("WWW-Authenticate", bearer)
	w.Header().Add("WWW-Authenticate", bound)
}
