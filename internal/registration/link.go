package registration

import (
	"context"
	"errors"
	"net/http"

	"carekey.dev/carekey/internal/credential/link"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/page"
)

// link is the door of a registration link (GET /register?t=…). Looking at it
// changes nothing: mail programs and scanners open links too (decision 5).
func (g *Registration) link(w http.ResponseWriter, r *http.Request) {
	token := r.URL.Query().Get("t")
	if l, _, err := g.Link.Resume(r.Context(), token, page.Browser(r)); err == nil {
		g.render(w, r, "resume", "", page.View{
			Title: "Continue your registration", Data: struct{ Label, Token string }{kindOf(l.Method).one(), token},
		})
		return
	}
	g.linkPage(w, r, token, false)
}

// linkPage is the page with the "Register" button of a link that can be started;
// unticked: somebody has pressed it without confirming.
func (g *Registration) linkPage(w http.ResponseWriter, r *http.Request, token string, unticked bool) {
	l, err := g.Link.Peek(r.Context(), token)
	if err == nil {
		err = g.linkable(r.Context(), l)
	}
	if err != nil {
		g.stop(w, r, trip{State: state{By: byLink}}, err)
		return
	}
	k := kindOf(l.Method)
	var mistakes []page.FieldError
	if unticked {
		mistakes = append(mistakes, k.soleAccess())
	}
	g.instructionsPage(w, r, "", instructionsData{
		Kind: k, Action: pathLink, Token: token, ByLink: true, Several: g.Gate.Limit(l.Method) > 1,
		Standing: state{By: byLink}.standing(k),
	}, mistakes...)
}

// linkable is the fault of a link for a type that its person cannot register.
func (g *Registration) linkable(ctx context.Context, l link.Link) error {
	open, err := g.admits(ctx, l.UID, l.Method)
	if err == nil && !open {
		err = fault.New(fault.LinkUnknown, errors.New("no page for "+string(l.Method)))
	}
	return err
}

// postLink uses the link for one journey. In the browser that used it the same
// link goes on with that journey: a closed tab is no dead end.
func (g *Registration) postLink(w http.ResponseWriter, r *http.Request) {
	form, err := page.Form(w, r)
	if err != nil {
		g.Kit.Fault(w, r, err)
		return
	}
	token := form.Get("t")
	if form.Get("confirm") == "" {
		g.linkPage(w, r, token, true)
		return
	}
	j, err := g.startLink(r.Context(), token, page.Browser(r))
	if err != nil {
		g.stop(w, r, j, err)
		return
	}
	g.next(w, r, j, stepEmail, pathEmail)
}

// startLink begins the journey of a link, or returns to the one that this
// browser began with it, which does not live longer for that.
func (g *Registration) startLink(ctx context.Context, token, browser string) (trip, error) {
	j := journey.Begin(g.journeys, stepEmail, state{By: byLink})
	l, id, err := g.Link.Resume(ctx, token, browser)
	if err == nil {
		j.ID = id
	} else if l, err = g.Link.Start(ctx, token, j.ID, browser); err != nil {
		return j, err
	}
	if err := g.linkable(ctx, l); err != nil {
		return j, err
	}
	j.Expires = l.StartedAt.Add(journeyLife)
	if !g.DB.Now().Before(j.Expires) {
		return j, fault.New(fault.JourneyExpired, nil)
	}
	j.State.UID, j.State.Method = l.UID, l.Method
	return j, nil
}
