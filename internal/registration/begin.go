package registration

import (
	"fmt"
	"net/http"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/session"
)

// start is what the page with the "Register" button is for. It travels sealed
// in the page's form, and the 3 minutes are its life. Its journey's name
// becomes that of the registration: pressing twice begins the same one.
type start struct {
	UID      care.UID    `json:"u"`
	Method   care.Method `json:"m"`
	Replaces string      `json:"r,omitempty"`
}

// instructionsData is the page with the "Register" button.
type instructionsData struct {
	// Action is where the form goes, Token the registration link or "".
	Action, Token    string
	Replaces, ByLink bool
}

// add shows the instructions for a type that the person does not hold.
func (g *Registration) add(w http.ResponseWriter, r *http.Request, s *session.Session) {
	g.instructions(w, r, s, care.Method(r.PathValue("type")), false)
}

// replace shows them for a new phone that takes the place of the old one
// (decision 6).
func (g *Registration) replace(w http.ResponseWriter, r *http.Request, s *session.Session) {
	g.instructions(w, r, s, care.AuthenticatorApp, true)
}

func (g *Registration) instructions(w http.ResponseWriter, r *http.Request, s *session.Session, method care.Method, replaces bool) {
	if !built(method) {
		g.Kit.Fault(w, r, fault.New(fault.NotFound, fmt.Errorf("no type %q", method)))
		return
	}
	p, held, err := g.holder(r.Context(), s.UID)
	if err != nil {
		g.Kit.Fault(w, r, err)
		return
	}
	switch now := g.DB.Now(); {
	case holds(held, method) != replaces:
		page.SeeOther(w, r, pathAdd)
		return
	case !bindable(method, s.AAL):
		g.stop(w, r, trip{State: state{By: bySession}}, fault.New(fault.LevelTooLow, nil))
		return
	case !s.Fresh(now, gate.Fresh-startWithin):
		// The 3 minutes of this page must fit into what the gate takes for
		// fresh, so that nobody is stopped on the last page (ASVS 7.5.1).
		g.signIn(w, r, r.URL.Path, now)
		return
	case p.Login() == "":
		g.render(w, r, "no-address", "", page.View{Title: "Add an email address first", Back: "/cim/authenticators"})
		return
	}
	j := journey.Begin(g.starts, "start", start{UID: s.UID, Method: method, Replaces: replaced(held, method)})
	sealed, err := journey.Seal(g.starts, page.Browser(r), j)
	if err != nil {
		g.Kit.Fault(w, r, err)
		return
	}
	g.instructionsPage(w, r, sealed, instructionsData{Action: r.URL.Path, Replaces: replaces})
}

// replaced is the record of a type that a new one would replace, or "".
func replaced(held []credential.Record, method care.Method) string {
	for _, r := range held {
		if r.Method == method {
			return r.ID
		}
	}
	return ""
}

func (g *Registration) instructionsPage(w http.ResponseWriter, r *http.Request, sealed string, d instructionsData, mistakes ...page.FieldError) {
	back := pathAdd
	if d.ByLink {
		back = ""
	}
	g.render(w, r, "instructions", sealed, page.View{
		Title: "Register " + care.AuthenticatorApp.TypeLabel() + " with your Care Identity",
		Data:  d, Errors: mistakes, Back: back,
	})
}

// soleAccess is the error of the tick box of seed 0.
func soleAccess() page.FieldError {
	return page.FieldError{Field: "confirm", Message: "Confirm that only you will have access to the device"}
}

func (g *Registration) postAdd(w http.ResponseWriter, r *http.Request, s *session.Session) {
	g.postStart(w, r, s, false)
}

func (g *Registration) postReplace(w http.ResponseWriter, r *http.Request, s *session.Session) {
	g.postStart(w, r, s, true)
}

// postStart begins the 20 minutes of a signed-in person.
func (g *Registration) postStart(w http.ResponseWriter, r *http.Request, s *session.Session, replaces bool) {
	form, err := page.Form(w, r)
	if err != nil {
		g.Kit.Fault(w, r, err)
		return
	}
	again := page.Link{Text: "Start again", Href: r.URL.Path}
	begun, err := journey.Open[start](g.starts, page.Browser(r), form.Get("j"), "start")
	if err == nil && begun.State.UID != s.UID {
		err = fault.New(fault.OtherPerson, nil)
	}
	if err == nil && replaces != (begun.State.Replaces != "") {
		err = fault.New(fault.JourneyTampered, errForged)
	}
	if err != nil {
		g.Kit.Fault(w, r, err, again)
		return
	}
	if form.Get("confirm") == "" {
		g.instructionsPage(w, r, form.Get("j"), instructionsData{Action: r.URL.Path, Replaces: replaces}, soleAccess())
		return
	}
	j := journey.Begin(g.journeys, stepEmail, state{
		UID: s.UID, Method: begun.State.Method, By: bySession, Replaces: begun.State.Replaces,
	})
	j.ID = begun.ID
	g.next(w, r, j, stepEmail, pathEmail)
}
