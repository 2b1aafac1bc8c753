package oidc

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/oidc/grant"
	"carekey.dev/carekey/internal/oidc/signing"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/session"
)

// signIn is what a request is answered with.
type signIn struct {
	session *session.Session
	acr     care.ACR
	// role is the person_roleid chosen, or "".
	role string
}

// sendCode sends the browser back to the relying party with a code.
func (p *Provider) sendCode(w http.ResponseWriter, r *http.Request, a arrival, req request, is signIn, now time.Time) {
	s := is.session
	first, err := p.useUp(r.Context(), s)
	switch {
	case err != nil:
		p.Kit.Fault(w, r, err)
		return
	case !first:
		p.askPerson(w, r, a, req.requirement(now), now)
		return
	}
	if err := p.finish(r, a); err != nil {
		p.Kit.Fault(w, r, err)
		return
	}
	code := grant.Code{
		ClientID: req.rp.ClientID, RedirectURI: req.redirectURI, Scopes: req.scopes, Nonce: req.nonce, Challenge: req.challenge, JKT: req.jkt,
		ACR: is.acr, SID: s.SID, UID: s.UID, AAL: s.AAL, Method: s.Method, AuthTime: s.AuthTime, Until: s.Until, Role: is.role,
	}
	if req.state != "" {
		code.StateHash = signing.HalfHash(req.state)
	}
	sealed, err := p.codes.Issue(code, now)
	if err != nil {
		p.Kit.Fault(w, r, err)
		return
	}
	answer := url.Values{"code": {sealed}}
	if req.rp.Profile != relyingparty.Strict {
		// CIS2 adds it to a code (wire rule 14). In strict, and with an error, there
		// are the parameters of the standard and no other.
		answer.Set("client_id", req.rp.ClientID)
	}
	p.sendBack(w, r, req, answer)
}

// useUp uses up a sign-in on a shared computer: whoever goes back in the
// browser's history afterwards may be somebody else (decision 8). Elsewhere
// there is nothing to use up.
func (p *Provider) useUp(ctx context.Context, s *session.Session) (first bool, err error) {
	if !s.Shared {
		return true, nil
	}
	err = p.DB.Write(ctx, func(tx *db.Tx) (err error) {
		first, err = session.Spend(tx, s.ID)
		return err
	})
	return first, err
}

// sendError sends the browser back to the relying party with an error.
func (p *Provider) sendError(w http.ResponseWriter, r *http.Request, req request, e *refusal) {
	p.note(r, e, req.rp.ClientID)
	p.sendBack(w, r, req, url.Values{"error": {e.code}, "error_description": {e.text()}})
}

// sendBack adds what every answer carries: state, and the issuer, so that a
// client of several providers is not mixed up (RFC 9207 section 2).
func (p *Provider) sendBack(w http.ResponseWriter, r *http.Request, req request, answer url.Values) {
	answer.Set("iss", p.issuer)
	if req.state != "" {
		answer.Set("state", req.state)
	}
	if req.mode == modeFormPost {
		p.postBack(w, r, req, answer)
		return
	}
	to, err := url.Parse(req.redirectURI)
	if err != nil {
		p.Kit.Fault(w, r, fault.New(fault.RedirectMismatch, err))
		return
	}
	if to.RawQuery != "" {
		to.RawQuery += "&"
	}
	to.RawQuery += answer.Encode()
	// The request came by GET, so 302 repeats no form (RFC 9700 section 4.12).
	http.Redirect(w, r, to.String(), http.StatusFound)
}

// onward is the page that carries an answer in a form.
type onward struct {
	To, Service string
	Fields      []field
}

type field struct{ Name, Value string }

// postBack sends the answer as a form that the browser posts by itself (OAuth
// 2.0 Form Post Response Mode section 2), or at the press of a button where
// scripts do not run. Nobody may keep the page: it holds the code.
func (p *Provider) postBack(w http.ResponseWriter, r *http.Request, req request, answer url.Values) {
	data := onward{To: req.redirectURI, Service: cmp.Or(req.rp.ShortName, req.rp.Name)}
	for name := range answer {
		data.Fields = append(data.Fields, field{name, answer.Get(name)})
	}
	slices.SortFunc(data.Fields, func(a, b field) int { return strings.Compare(a.Name, b.Name) })
	p.pages.Render(w, r, http.StatusOK, "onward", page.View{
		Title: "Continue to " + data.Service, Data: data, FormTargets: []string{req.redirectURI},
	})
}
