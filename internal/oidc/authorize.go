package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/session"
)

// signInPath is where a person goes who does not meet a requirement yet.
const signInPath = "/signin?req="

// authorizeForm takes an authorization request by POST (OpenID Connect Core
// section 3.1.2.1). A browser does not send our cookies with a form from
// another site, so it comes back with a GET, which has them.
func (p *Provider) authorizeForm(w http.ResponseWriter, r *http.Request) {
	form, err := page.Form(w, r)
	if err != nil {
		p.Kit.Fault(w, r, err)
		return
	}
	page.SeeOther(w, r, authorizePath+"?"+form.Encode())
}

// authorize answers an authorization request: with a code, with an error at the
// redirect address, or by sending the person to sign in first.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	query, rp, err := p.whoAsks(r)
	if err != nil {
		p.Kit.Fault(w, r, err)
		return
	}
	req, e := parse(query, rp)
	if e != nil {
		p.sendError(w, r, req, e)
		return
	}
	if _, ok := p.Requirements.OpenRefusal(r.URL.Path, query); ok {
		p.sendError(w, r, req, refused("access_denied", "the person did not sign in"))
		return
	}
	current, err := p.Sessions.Current(r.Context(), r)
	if err != nil {
		p.Kit.Fault(w, r, err)
		return
	}
	now := p.DB.Now()
	asked := p.whenAsked(r, query, now)
	is := req.judge(current, asked, now)
	if is.refusal != nil {
		p.sendError(w, r, req, is.refusal)
		return
	}
	if is.missing != nil {
		p.askPerson(w, r, query, *is.missing, now)
		return
	}
	role, ok, err := p.role(r.Context(), req, current, asked)
	switch {
	case err != nil:
		p.Kit.Fault(w, r, err)
	case ok:
		p.sendCode(w, r, req, current, is.acr, role, now)
	case req.silent:
		p.sendError(w, r, req, silence("interaction_required"))
	default:
		if asked.IsZero() {
			asked = now
		}
		p.askPerson(w, r, query, req.requirement(req.after(now, asked)), asked)
	}
}

// whoAsks returns the request's parameters and the relying party, or a fault
// that is a page: without a known client and an exactly registered address
// there is nowhere safe to send the browser to (RFC 6749 section 4.1.2.1; RFC
// 9700 section 2.1; ASVS 10.4.1).
func (p *Provider) whoAsks(r *http.Request) (url.Values, relyingparty.RelyingParty, error) {
	var none relyingparty.RelyingParty
	if len(r.URL.RawQuery) > maxQuery {
		return nil, none, fault.New(fault.RequestUnreadable, fmt.Errorf("the query has %d bytes", len(r.URL.RawQuery)))
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, none, fault.New(fault.RequestUnreadable, err)
	}
	if len(query["client_id"]) > 1 || len(query["redirect_uri"]) > 1 {
		return nil, none, fault.New(fault.RequestUnreadable, errors.New("client_id or redirect_uri was sent more than once"))
	}
	clientID, redirectURI := query.Get("client_id"), query.Get("redirect_uri")
	rp, err := p.byID(r.Context(), clientID)
	if errors.Is(err, db.ErrNoRows) {
		return nil, none, fault.New(fault.UnknownClient, fmt.Errorf("client_id %.64q is not registered", clientID))
	}
	if err != nil {
		return nil, none, err
	}
	if !rp.Redirects(redirectURI) {
		return nil, none, fault.New(fault.RedirectMismatch,
			fmt.Errorf("%s (%s) asked for redirect_uri %.200q", rp.ClientID, rp.ShortName, redirectURI))
	}
	return query, rp, nil
}

// role returns the role to tell, and false if the person has to choose.
func (p *Provider) role(ctx context.Context, req request, s *session.Session, asked time.Time) (string, bool, error) {
	if req.role == care.NoRole {
		return "", true, nil
	}
	var held []access.Role
	err := p.DB.Read(ctx, func(tx *db.Tx) (err error) {
		held, err = access.Roles(tx, s.UID)
		return err
	})
	if err != nil {
		return "", false, err
	}
	role, ok := chosenRole(req.role, held, s, asked)
	return role, ok, nil
}

// askPerson sends the person to sign in or to choose a role, and from there
// back to this request.
func (p *Provider) askPerson(w http.ResponseWriter, r *http.Request, query url.Values, missing care.Requirement, asked time.Time) {
	mark, err := p.sealAsked(r, query, asked)
	if err != nil {
		p.Kit.Fault(w, r, err)
		return
	}
	back := own(query)
	back.Set(askedParameter, mark)
	missing.ReturnTo = authorizePath + "?" + back.Encode()
	sealed, err := p.Requirements.SealRequirement(missing)
	if err != nil {
		p.Kit.Fault(w, r, err)
		return
	}
	http.Redirect(w, r, signInPath+sealed, http.StatusFound)
}
