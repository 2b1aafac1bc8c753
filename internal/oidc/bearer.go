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

// presentedToken is an access token as a request carries it.
type presentedToken struct {
	text string
	sender
}

// presented returns the access token of a request. It comes in the header
// alone, never in an address (RFC 9700 section 4.3.2): as Bearer, or as DPoP
// with a proof (RFC 9449 section 7.1).
func (p *Provider) presented(r *http.Request, path string) (presentedToken, *refusal) {
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token := presentedToken{text: text}
	bearer, bound := strings.EqualFold(scheme, "Bearer"), strings.EqualFold(scheme, "DPoP")
	switch {
	case !bearer && !bound, text == "":
		return presentedToken{}, badBearer("an access token is missing: send it in the header Authorization: Bearer, or DPoP with a proof")
	case len(r.Header.Values("Authorization")) > 1:
		return presentedToken{}, badBearer("more than one Authorization header was sent")
	}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		token.Certificate = thumbprint(r.TLS.PeerCertificates[0])
	}
	if bearer {
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
func challenge(w http.ResponseWriter, r *http.Request, e *refusal) {
	bearer, bound := challengeBearer, challengeDPoP()
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch detail := fmt.Sprintf(`, error="%s", error_description="%s"`, e.code, e.description); {
	case text == "":
	case strings.EqualFold(scheme, "DPoP"):
		bound += detail
	case strings.EqualFold(scheme, "Bearer"):
		bearer += detail
	}
	w.Header().Add("WWW-Authenticate", bearer)
	w.Header().Add("WWW-Authenticate", bound)
}
