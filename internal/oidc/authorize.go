package oidc

import (
	"net/http"
	"time"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/page"
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
	a, err := p.arrive(r)
	if err != nil {
		p.Kit.Fault(w, r, err)
		return
	}
	req, e := p.read(a)
	if e != nil {
		p.sendError(w, r, req, e)
		return
	}
	if _, ok := p.Requirements.OpenRefusal(r.URL.Path, a.own); ok {
		p.sendError(w, r, req, refused("access_denied", "the person did not sign in"))
		return
	}
	current, roles, err := p.current(r, req)
	if err != nil {
		p.Kit.Fault(w, r, err)
		return
	}
	now := p.DB.Now()
	asked := p.whenAsked(r, a.own, now)
	is := req.judge(current, asked, now)
	if is.refusal != nil {
		p.sendError(w, r, req, is.refusal)
		return
	}
	if is.missing != nil {
		p.askPerson(w, r, a, *is.missing, now)
		return
	}
	role, ok := req.told(roles, current, asked)
	switch {
	case ok:
		p.sendCode(w, r, a, req, signIn{current, is.acr, role}, now)
	case req.silent:
		p.sendError(w, r, req, silence("interaction_required"))
	default:
		if asked.IsZero() {
			asked = now
		}
		p.askPerson(w, r, a, req.requirement(req.after(now, asked)), asked)
	}
}

// current returns the session of a request, and the roles that its person holds
// if one is asked for, in one statement.
func (p *Provider) current(r *http.Request, req request) (*session.Session, []access.Role, error) {
	look := p.Sessions.CurrentBeside
	if req.silent {
		look = p.Sessions.GlanceBeside // no sign of anybody at the keyboard (N3; ASVS 7.3.1)
	}
	held := ""
	current, err := look(r.Context(), r, func(tx *db.Tx) (string, []any) {
		if req.role == care.NoRole {
			return "", nil
		}
		return access.RolesOf(tx, session.OfPerson), []any{&held}
	})
	if err != nil || current == nil || held == "" {
		return current, nil, err
	}
	roles, err := access.ReadRoles(held)
	return current, roles, err
}

// told returns the role to tell, and false if the person has to choose.
func (req request) told(held []access.Role, s *session.Session, asked time.Time) (string, bool) {
	if req.role == care.NoRole {
		return "", true
	}
	return chosenRole(req.role, held, s, asked)
}

// askPerson sends the person to sign in or to choose a role, and from there
// back to this request.
func (p *Provider) askPerson(w http.ResponseWriter, r *http.Request, a arrival, missing care.Requirement, asked time.Time) {
	back, err := p.wayBack(r, a)
	if err != nil {
		p.Kit.Fault(w, r, err)
		return
	}
	mark, err := p.sealAsked(r, back, asked)
	if err != nil {
		p.Kit.Fault(w, r, err)
		return
	}
	back.Set(askedParameter, mark)
	missing.ReturnTo = authorizePath + "?" + back.Encode()
	sealed, err := p.Requirements.SealRequirement(missing)
	if err != nil {
		p.Kit.Fault(w, r, err)
		return
	}
	http.Redirect(w, r, signInPath+sealed, http.StatusFound)
}
