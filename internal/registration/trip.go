package registration

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/session"
	"carekey.dev/carekey/internal/throttle"
)

// open returns the journey of a request at one of steps. If it cannot go on
// here, it shows the page that says why, with a way on, and returns false.
func (g *Registration) open(w http.ResponseWriter, r *http.Request, sealed string, steps ...string) (trip, bool) {
	t, err := journey.Open[state](g.journeys, page.Browser(r), sealed, steps...)
	if err != nil {
		g.stop(w, r, t, err)
		return t, false
	}
	if t.State.By != bySession || t.Step == stepDone {
		return t, true
	}
	s, err := g.Sessions.Own(r.Context(), r)
	switch {
	case err != nil:
		g.Kit.Fault(w, r, err)
	case s == nil:
		// The journey waits in the address while its holder signs in again.
		g.signIn(w, r, pageOf(t, sealed), time.Time{})
	case s.UID != t.State.UID:
		g.stop(w, r, t, fault.New(fault.OtherPerson, nil))
	default:
		return t, true
	}
	return t, false
}

// form reads a posted form and its journey at one of steps.
func (g *Registration) form(w http.ResponseWriter, r *http.Request, steps ...string) (url.Values, trip, bool) {
	form, err := page.Form(w, r)
	if err != nil {
		g.Kit.Fault(w, r, err)
		return nil, trip{}, false
	}
	t, ok := g.open(w, r, form.Get("j"), steps...)
	return form, t, ok
}

// next seals the journey at its next step and sends the browser to its page.
func (g *Registration) next(w http.ResponseWriter, r *http.Request, t trip, step, path string) {
	t.Step = step
	sealed, err := journey.Seal(g.journeys, page.Browser(r), t)
	if err != nil {
		g.Kit.Fault(w, r, err)
		return
	}
	page.SeeOther(w, r, path+"?j="+sealed)
}

// pageOf is the address of the page where a journey stands.
func pageOf(t trip, sealed string) string {
	path := map[string]string{
		stepEmail: pathEmail, stepCode: pathCode, stepPassword: pathPassword, stepApp: pathScan, stepKey: pathKey,
	}[t.Step]
	return path + "?j=" + sealed
}

// stop shows why a journey cannot go on, and the ways on that fit it. t is
// empty if it could not be read.
func (g *Registration) stop(w http.ResponseWriter, r *http.Request, t trip, err error) {
	switch f := fault.As(err); {
	case fault.Has(err, fault.JourneyOtherBrowser):
		err = f.With("If you began with a registration link, open the link again in the browser where you began.")
	case fault.Has(err, fault.JourneyExpired) && t.State.By == byLink:
		err = f.With("Ask your Registration Authority for another link.")
	}
	g.Kit.Fault(w, r, err, waysFrom(t.State)...)
}

// waysFrom are the ways on from a page that could not go on.
func waysFrom(s state) []page.Link {
	selfService := page.Link{Text: "Start again in Care Identity Management", Href: pathAdd}
	authority := page.Link{Text: "Help with registering", Href: "/help/authenticators"}
	if k := kindOf(s.Method); k.built() {
		authority.Href = k.Guide.Href + "#register"
	}
	switch s.By {
	case bySession:
		return []page.Link{selfService}
	case byLink:
		return []page.Link{authority}
	case byRecovery:
		return []page.Link{
			{Text: "Sign in again", Href: "/cim/"},
			{Text: "What to do about a lost phone", Href: "/help/lost-phone"},
		}
	}
	return []page.Link{selfService, authority}
}

// render shows a page of a journey.
func (g *Registration) render(w http.ResponseWriter, r *http.Request, name, sealed string, v page.View) {
	v.Journey = sealed
	status := http.StatusOK
	if len(v.Errors) > 0 {
		status = http.StatusUnprocessableEntity
	}
	g.pages.Render(w, r, status, name, v)
}

// member lets a signed-in person in, and sends anybody else to sign in first.
func (g *Registration) member(next func(http.ResponseWriter, *http.Request, *session.Session)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s, err := g.Sessions.Own(r.Context(), r)
		switch {
		case err != nil:
			g.Kit.Fault(w, r, err)
		case s == nil:
			g.signIn(w, r, here(r), time.Time{})
		default:
			next(w, r, s)
		}
	}
}

// here is the address to come back to with a GET: each form of these pages goes
// to the address of its own page. What is sealed in it is made anew.
func here(r *http.Request) string {
	if id := r.URL.Query().Get("id"); id != "" {
		return r.URL.Path + "?id=" + url.QueryEscape(id)
	}
	return r.URL.Path
}

// signIn sends the browser to sign in, at or after a moment, and back to a
// page.
func (g *Registration) signIn(w http.ResponseWriter, r *http.Request, back string, after time.Time) {
	req, err := g.Requirements.SealRequirement(care.SelfService(after, back))
	if err != nil {
		g.Kit.Fault(w, r, err)
		return
	}
	page.SeeOther(w, r, "/signin?req="+req)
}

// who is the browser that tries, as throttling sees it.
func (g *Registration) who(r *http.Request, address care.Email) throttle.Subject {
	return g.Devices.Subject(r, address, g.Network(r))
}

// errForged is the cause of a form that no page of ours could have sent.
var errForged = errors.New("the form holds what its page does not offer")
