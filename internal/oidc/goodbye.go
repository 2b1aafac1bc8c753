package oidc

import (
	"context"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/oidc/logout"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/session"
)

// The steps of a sign-out, and how long each page of it can be used.
const (
	stepConfirm   = "confirm"
	stepSignedOut = "signed out"
	partingLife   = 20 * time.Minute
)

// framesTime is how long the services in frames get before the browser goes on.
// Without scripts it begins to count when they all have answered, or the person
// goes on by themselves.
const framesTime = 3 * time.Second

// signOuts is what the provider needs to sign people out.
type signOuts struct {
	logout    *logout.Logout
	partings  *journey.Sealer
	farewells *page.Pages
}

func (p *Provider) newSignOuts() signOuts {
	return signOuts{
		logout: logout.New(logout.Options{
			DB: p.DB, Outbox: p.Outbox, Directory: p.Directory, Fetch: p.Fetch, Issuer: p.issuer,
			Sign: p.signLogout, Random: p.Random, Log: p.Log,
		}),
		partings:  journey.New(p.Ring, "parting", partingLife, p.DB.Now, p.Random),
		farewells: p.Kit.Pages(logout.Templates),
	}
}

// parting is a sign-out on its way through our pages.
type parting struct {
	// SID is the session that ends, or "" if there was none.
	SID string `json:"s,omitempty"`
	// Service is the relying party's name.
	Service string `json:"n,omitempty"`
	// Back is where to go then, or "".
	Back string `json:"b,omitempty"`
	// Reference is that of what was wrong with the request, or "".
	Reference string `json:"r,omitempty"`
}

func (f farewell) parting(sid string) parting {
	leave := parting{SID: sid, Service: f.rp.Name, Back: f.back}
	if f.problem != nil {
		leave.Reference = f.problem.fault.Ref
	}
	return leave
}

// end ends a session on a relying party's word, or on the person's own if
// clientID is "". Its relying parties are told in their time.
func (p *Provider) end(ctx context.Context, sid, clientID string) error {
	return p.DB.Write(ctx, func(tx *db.Tx) error {
		s, err := session.StandingAs(tx, sid)
		if err != nil || s == nil {
			return err
		}
		entry := audit.Entry{Action: "session.ended", Subject: s.UID, Actor: string(s.UID), Session: sid}
		why := "signed out"
		if clientID != "" {
			why = "signed out at a relying party"
			entry.Actor = clientID
		}
		entry.Fields = []audit.Field{{Name: "why", Value: why}}
		if err := session.End(tx, s.ID, why); err != nil {
			return err
		}
		return audit.Record(tx, entry)
	})
}

// signLogout signs a logout token as a relying party's ID tokens are signed
// (OpenID Connect Back-Channel Logout section 2.6).
func (p *Provider) signLogout(rp relyingparty.RelyingParty, typ string, claims any) (string, error) {
	return p.keys.Sign(jose.SignatureAlgorithm(rp.IDTokenAlgorithm()), typ, claims)
}

// TellSignOuts has relying parties told of sessions that are over, until ctx
// ends. Every node may run it.
func (p *Provider) TellSignOuts(ctx context.Context) error { return p.logout.Run(ctx) }

// goodbye is the end of a sign-out request: back to the relying party, past the
// frames of those that want to hear of it by the browser.
func (p *Provider) goodbye(w http.ResponseWriter, r *http.Request, f farewell, sid string) {
	if !wantsPage(r) {
		switch {
		case f.problem != nil:
			p.fail(w, r, f.problem, f.rp.ClientID)
		case f.back != "":
			http.Redirect(w, r, f.back, http.StatusSeeOther)
		default:
			w.WriteHeader(http.StatusNoContent) // wire rule 17
		}
		return
	}
	if f.problem != nil {
		p.note(r, f.problem, f.rp.ClientID)
	}
	p.part(w, r, f.parting(sid))
}

// part sends a browser that is signed out to where it belongs now.
func (p *Provider) part(w http.ResponseWriter, r *http.Request, leave parting) {
	frames, err := p.SignOutFrames(r.Context(), leave.SID)
	if err != nil {
		p.Kit.Fault(w, r, err)
		return
	}
	if leave.Back != "" && len(frames) == 0 {
		page.SeeOther(w, r, leave.Back)
		return
	}
	sealed, err := journey.Seal(p.partings, page.Browser(r), journey.Begin(p.partings, stepSignedOut, leave))
	if err != nil {
		p.Kit.Fault(w, r, err)
		return
	}
	page.SeeOther(w, r, signedOutPath+"?j="+sealed)
}

// SignOutFrames returns the addresses that the browser of a session that has
// just ended opens in frames (OpenID Connect Front-Channel Logout).
func (p *Provider) SignOutFrames(ctx context.Context, sid string) ([]string, error) {
	if sid == "" {
		return nil, nil
	}
	return p.logout.Frames(ctx, sid)
}

// askSignOut asks the person whether the relying party may sign them out.
func (p *Provider) askSignOut(w http.ResponseWriter, r *http.Request, f farewell, here *session.Session) {
	if f.problem != nil {
		p.note(r, f.problem, f.rp.ClientID)
	}
	leave := f.parting(here.SID)
	sealed, err := journey.Seal(p.partings, page.Browser(r), journey.Begin(p.partings, stepConfirm, leave))
	if err != nil {
		p.Kit.Fault(w, r, err)
		return
	}
	name, err := p.nameIn(r.Context(), here)
	if err != nil {
		p.Kit.Fault(w, r, err)
		return
	}
	view := page.View{
		Title: "Do you want to sign out?", Journey: sealed,
		Data: struct{ Service, Person, Confirm string }{leave.Service, name, confirmPath},
	}
	if leave.Back != "" {
		view.FormTargets = []string{leave.Back} // Chromium holds redirects after a form to the policy too
	}
	p.farewells.Render(w, r, http.StatusOK, "sign-out", view)
}

// nameIn is who is signed in, or "" after the idle limit: whoever sits there by
// then may be somebody else.
func (p *Provider) nameIn(ctx context.Context, s *session.Session) (string, error) {
	if !p.DB.Now().Before(s.IdleUntil) {
		return "", nil
	}
	var who person.Person
	err := p.DB.Read(ctx, func(tx *db.Tx) (err error) {
		who, err = person.ByUID(tx, s.UID)
		return err
	})
	return who.DisplayName(), err
}

// confirmSignOut takes the person's yes.
func (p *Provider) confirmSignOut(w http.ResponseWriter, r *http.Request) {
	asked, err := journey.Open[parting](p.partings, page.Browser(r), r.PostForm.Get("j"), stepConfirm)
	if err != nil {
		page.SeeOther(w, r, signOutPath) // the page was left open for long: ask again
		return
	}
	leave := asked.State
	here, _, err := p.standing(r, nil)
	switch {
	case err != nil:
		p.Kit.Fault(w, r, err)
		return
	case here != nil && here.SID != leave.SID:
		page.SeeOther(w, r, signOutPath) // somebody else has signed in since
		return
	case here != nil:
		if err := p.end(r.Context(), leave.SID, ""); err != nil {
			p.Kit.Fault(w, r, err)
			return
		}
	}
	session.ClearCookie(w)
	p.part(w, r, leave)
}

// signOutPath is the door of the account room that asks whoever is signed in.
const signOutPath = "/signout"

// signedOut is the page after a sign-out.
func (p *Provider) signedOut(w http.ResponseWriter, r *http.Request) {
	done, err := journey.Open[parting](p.partings, page.Browser(r), r.URL.Query().Get("j"), stepSignedOut)
	if err != nil {
		page.SeeOther(w, r, signOutPath)
		return
	}
	leave := done.State
	frames, err := p.SignOutFrames(r.Context(), leave.SID)
	if err != nil {
		p.Kit.Fault(w, r, err)
		return
	}
	view := page.View{
		Title: "You have signed out", Frames: frames,
		Data: struct {
			Service, Back, Reference string
			Problem, Ended           bool
			Seconds                  int
		}{leave.Service, leave.Back, leave.Reference, leave.Reference != "", leave.SID != "", int(framesTime.Seconds())},
	}
	status := http.StatusOK
	if leave.Reference != "" {
		status = http.StatusBadRequest
	}
	if leave.Back != "" {
		view.Refresh, view.Onward = framesTime, leave.Back
	}
	p.farewells.Render(w, r, status, "signed-out", view)
}
