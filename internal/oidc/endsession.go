package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/oidc/logout"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/session"
)

// The addresses of signing out: the endpoint, and the two pages of it.
const (
	endSessionPath = RealmPath + "/connect/endSession"
	confirmPath    = endSessionPath + "/confirm"
	signedOutPath  = endSessionPath + "/done"
)

// signOutRoutes adds them. The endpoint carries no CSRF token, since relying
// parties post to it (decision 14); the person's own yes does.
func (p *Provider) signOutRoutes(mux *http.ServeMux) {
	p.Kit.Exempt(endSessionPath)
	mux.HandleFunc("GET "+endSessionPath, p.endSession)
	mux.HandleFunc("POST "+endSessionPath, p.endSessionForm)
	mux.HandleFunc("POST "+confirmPath, p.confirmSignOut)
	mux.HandleFunc("GET "+signedOutPath, p.signedOut)
}

// signOutMetadata is the part of the discovery document about signing out
// (OpenID Connect RP-Initiated Logout section 2.1, Back-Channel Logout section
// 2.1, Front-Channel Logout section 3).
type signOutMetadata struct {
	EndSession          string `json:"end_session_endpoint"`
	Backchannel         bool   `json:"backchannel_logout_supported"`
	BackchannelSession  bool   `json:"backchannel_logout_session_supported"`
	Frontchannel        bool   `json:"frontchannel_logout_supported"`
	FrontchannelSession bool   `json:"frontchannel_logout_session_supported"`
}

func describeSignOut(issuer string) signOutMetadata {
	return signOutMetadata{issuer + endSessionPath[len(RealmPath):], true, true, true, true}
}

// farewell is a sign-out request of a relying party (OpenID Connect
// RP-Initiated Logout section 2).
type farewell struct {
	// rp is who asks, zero if that is not known.
	rp relyingparty.RelyingParty
	// hint is whom it means, nil if that is not known.
	hint *logout.Hint
	// back is the registered address to go back to, with state, or "".
	back string
	// problem is what is wrong with the request, or nil. It keeps nobody from
	// signing out, but takes the way back.
	problem *refusal
}

// signOutParameters are those that are read; each comes once. Others are
// ignored, and so are logout_hint and ui_locales: a session is known by its
// cookie, and the pages are in English.
var signOutParameters = []string{"id_token_hint", "client_id", "post_logout_redirect_uri", "state"}

// endSession answers a sign-out request by GET.
func (p *Provider) endSession(w http.ResponseWriter, r *http.Request) {
	if len(r.URL.RawQuery) > maxQuery {
		p.refuseSignOut(w, r, fmt.Errorf("the query has %d bytes", len(r.URL.RawQuery)))
		return
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		p.refuseSignOut(w, r, err)
		return
	}
	p.signOut(w, r, query)
}

// endSessionForm answers one by POST, which OpenID Connect RP-Initiated Logout
// section 2 asks for too. A browser does not send our cookies with a form from
// another site, so it comes back with a GET, which has them.
func (p *Provider) endSessionForm(w http.ResponseWriter, r *http.Request) {
	form, err := page.Form(w, r)
	switch {
	case err != nil:
		p.refuseSignOut(w, r, err)
	case wantsPage(r):
		page.SeeOther(w, r, endSessionPath+"?"+form.Encode())
	default:
		p.signOut(w, r, form)
	}
}

// refuseSignOut answers what cannot be read.
func (p *Provider) refuseSignOut(w http.ResponseWriter, r *http.Request, cause error) {
	if wantsPage(r) {
		p.Kit.Fault(w, r, fault.New(fault.SignOutUnreadable, cause))
		return
	}
	p.fail(w, r, refuse(fault.SignOutUnreadable, "invalid_request", "the request is cut off, too long, wrongly encoded or sends a parameter twice", cause), "")
}

// badSignOut is a mistake in a sign-out request.
func badSignOut(description string, cause error) *refusal {
	return refuse(fault.SignOutRefused, "invalid_request", description, cause)
}

// signOut signs a person out at once if the relying party shows whose session
// it means, and else asks the person first: nobody is signed out by a link that
// a stranger made (ASVS 10.6.2; OpenID Connect RP-Initiated Logout section 2).
func (p *Provider) signOut(w http.ResponseWriter, r *http.Request, query url.Values) {
	for _, name := range signOutParameters {
		if len(query[name]) > 1 {
			p.refuseSignOut(w, r, errors.New(name+" was sent more than once"))
			return
		}
	}
	f, err := p.readFarewell(r.Context(), query)
	if err != nil {
		p.stop(w, r, err)
		return
	}
	here, meant, err := p.standing(r, f.hint)
	if err != nil {
		p.stop(w, r, err)
		return
	}
	now := p.DB.Now()
	switch {
	case f.means(meant, here, now):
		if err := p.end(r.Context(), meant.SID, f.rp.ClientID); err != nil {
			p.stop(w, r, err)
			return
		}
		if here != nil {
			session.ClearCookie(w)
		}
		p.goodbye(w, r, f, meant.SID)
	case !wantsPage(r):
		p.tellProgram(w, r, f, meant, now)
	case here != nil:
		p.askSignOut(w, r, f, here)
	default:
		p.goodbye(w, r, f, "") // nobody is signed in
	}
}

// wantsPage tells a browser from a program: a relying party's server may call
// too, and gets no page (wire rule 17).
func wantsPage(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

// stop answers when we cannot go on.
func (p *Provider) stop(w http.ResponseWriter, r *http.Request, err error) {
	if wantsPage(r) {
		p.Kit.Fault(w, r, err)
		return
	}
	p.fail(w, r, unavailable(err), "")
}

// readFarewell reads a sign-out request. The error is ours; what the relying
// party did wrong is the request's problem.
func (p *Provider) readFarewell(ctx context.Context, query url.Values) (farewell, error) {
	var f farewell
	var meant *logout.Hint
	clientID := query.Get("client_id")
	if text := query.Get("id_token_hint"); text != "" {
		hint, err := p.readHint(text)
		switch {
		case err != nil:
			f.problem = badSignOut("id_token_hint is not an ID token that was issued here", err)
			return f, nil
		case clientID != "" && clientID != hint.ClientID:
			// OpenID Connect RP-Initiated Logout section 2: they must match.
			f.problem = badSignOut("client_id is not the client that id_token_hint was issued to", nil)
			return f, nil
		}
		meant, clientID = &hint, hint.ClientID
	}
	if clientID != "" {
		rp, err := p.byID(ctx, clientID)
		if errors.Is(err, db.ErrNoRows) {
			f.problem = badSignOut("the client is not registered", nil) // so its hint is nobody's word
			return f, nil
		}
		if err != nil {
			return f, err
		}
		f.rp, f.hint = rp, meant
	}
	return f, f.readBack(query)
}

func (p *Provider) readHint(text string) (logout.Hint, error) {
	payload, _, err := p.keys.Verify(text)
	if err != nil {
		return logout.Hint{}, err
	}
	return logout.ReadHint(payload, p.issuer)
}

// readBack reads where to go back to: an address that is registered, exactly
// (OpenID Connect RP-Initiated Logout section 3; ASVS 10.4.1).
func (f *farewell) readBack(query url.Values) error {
	uri := query.Get("post_logout_redirect_uri")
	switch {
	case uri == "":
		return nil
	case f.rp.ClientID == "":
		f.problem = badSignOut("post_logout_redirect_uri was sent without id_token_hint or client_id", nil)
		return nil
	case !f.rp.LogsOutTo(uri):
		f.problem = badSignOut("post_logout_redirect_uri is not registered for this client", fmt.Errorf("it is %.200q", uri))
		return nil
	}
	state := url.Values{}
	if query.Get("state") != "" {
		state.Set("state", query.Get("state"))
	}
	var err error
	f.back, err = logout.WithQuery(uri, state)
	return err
}

// means reports whether the request shows that it means a session, and no other
// than that of this browser. Who works for a whole shift signs out with the ID
// token of its beginning, so an expired one is enough where the browser holds
// the session (OpenID Connect RP-Initiated Logout section 2). By itself it shows
// nothing: anybody may have found it in a log.
func (f farewell) means(meant, here *session.Session, now time.Time) bool {
	if f.hint == nil || meant == nil || meant.UID != f.hint.UID {
		return false
	}
	if here == nil {
		return f.hint.Fresh(now)
	}
	return here.SID == meant.SID
}

// standing returns the session of this browser and the one that a hint names.
func (p *Provider) standing(r *http.Request, hint *logout.Hint) (here, meant *session.Session, err error) {
	token := session.Token(r)
	if token == "" && hint == nil {
		return nil, nil, nil
	}
	err = p.DB.Read(r.Context(), func(tx *db.Tx) (err error) {
		here, meant = nil, nil
		if token != "" {
			if here, err = session.Standing(tx, keys.Hash(token)); err != nil {
				return err
			}
		}
		if hint != nil {
			meant, err = session.StandingAs(tx, hint.SID)
		}
		return err
	})
	return here, meant, err
}

// tellProgram answers a program that has signed nobody out: there was nothing
// left to do, or a person has to confirm it.
func (p *Provider) tellProgram(w http.ResponseWriter, r *http.Request, f farewell, meant *session.Session, now time.Time) {
	e := f.problem
	switch {
	case e != nil:
	case f.hint == nil:
		e = badSignOut("id_token_hint is missing: without it a person has to confirm the sign-out in their browser", nil)
	case meant != nil && !f.hint.Fresh(now):
		e = badSignOut("id_token_hint has expired: send the person's browser here, or a newer one", nil)
	case meant != nil:
		e = badSignOut("id_token_hint belongs to another session than the one of this browser", nil)
	default:
		p.goodbye(w, r, f, "")
		return
	}
	p.fail(w, r, e, f.rp.ClientID)
}
