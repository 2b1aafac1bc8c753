package registration

import (
	"fmt"
	"net/http"
	"slices"

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
	Kind kind
	// Action is where the form goes, Token the registration link or "".
	Action, Token    string
	Replaces, ByLink bool
	// Standing says what a key will count for, "" for an app; Raise what to ask
	// for that leads higher, or "".
	Standing, Raise string
	// Several: a link adds to what the person holds.
	Several bool
}

// wanted is what a signed-in person wants to register: a type, in place of one
// of their authenticators or beside them.
type wanted struct {
	kind     kind
	replaces string
}

// add shows the instructions for another authenticator of a type.
func (g *Registration) add(w http.ResponseWriter, r *http.Request, s *session.Session) {
	if k, ok := g.addable(w, r, s); ok {
		g.instructions(w, r, s, wanted{kind: k})
	}
}

// addable is the type that the address names. If this person cannot register it
// here, it shows the page that says so and returns false.
func (g *Registration) addable(w http.ResponseWriter, r *http.Request, s *session.Session) (kind, bool) {
	k := kindOf(care.Method(r.PathValue("type")))
	open, err := g.admits(r.Context(), s.UID, k.method)
	if err == nil && !open {
		err = fault.New(fault.NotFound, fmt.Errorf("no type %q", r.PathValue("type")))
	}
	if err != nil {
		g.Kit.Fault(w, r, err)
		return kind{}, false
	}
	return k, true
}

// replace shows them for a new device that takes the place of an old one
// (decision 6): the one that the address names, or the phone.
func (g *Registration) replace(w http.ResponseWriter, r *http.Request, s *session.Session) {
	if old, ok := g.replaceable(w, r, s); ok {
		g.instructions(w, r, s, old)
	}
}

// replaceable is what the address wants to be replaced. If there is nothing of
// the kind, it shows the types and returns false.
func (g *Registration) replaceable(w http.ResponseWriter, r *http.Request, s *session.Session) (wanted, bool) {
	_, held, err := g.holder(r.Context(), s.UID)
	if err != nil {
		g.Kit.Fault(w, r, err)
		return wanted{}, false
	}
	id := r.URL.Query().Get("id")
	i := slices.IndexFunc(held, func(r credential.Record) bool {
		return r.ID == id || id == "" && r.Method == care.AuthenticatorApp
	})
	if i < 0 || !kindOf(held[i].Method).built() {
		page.SeeOther(w, r, pathAdd)
		return wanted{}, false
	}
	return wanted{kindOf(held[i].Method), held[i].ID}, true
}

func (g *Registration) instructions(w http.ResponseWriter, r *http.Request, s *session.Session, want wanted) {
	p, held, err := g.holder(r.Context(), s.UID)
	if err != nil {
		g.Kit.Fault(w, r, err)
		return
	}
	has := stock{held: held, level: s.AAL, limit: g.Gate.Limit}
	switch now := g.DB.Now(); {
	case want.replaces == "" && has.full(want.kind.method):
		page.SeeOther(w, r, pathAdd)
		return
	case s.AAL < care.AAL2:
		g.stop(w, r, trip{State: state{By: bySession}}, fault.New(fault.LevelTooLow, nil))
		return
	case !s.Fresh(now, gate.Fresh-startWithin):
		// The 3 minutes of this page must fit into what the gate takes for
		// fresh, so that nobody is stopped on the last page (ASVS 7.5.1).
		g.signIn(w, r, here(r), now)
		return
	case p.Login() == "":
		g.render(w, r, "no-address", "", page.View{
			Title: "Add an email address first", Data: want.kind, Back: "/cim/authenticators",
		})
		return
	}
	j := journey.Begin(g.starts, "start", start{UID: s.UID, Method: want.kind.method, Replaces: want.replaces})
	sealed, err := journey.Seal(g.starts, page.Browser(r), j)
	if err != nil {
		g.Kit.Fault(w, r, err)
		return
	}
	g.instructionsPage(w, r, sealed, forMember(r, s, want))
}

// forMember is what the page says to a signed-in person.
func forMember(r *http.Request, s *session.Session, want wanted) instructionsData {
	begun := state{By: bySession, Level: s.AAL}
	d := instructionsData{
		Kind: want.kind, Action: here(r), Replaces: want.replaces != "",
		Standing: begun.standing(want.kind),
	}
	switch {
	case !want.kind.key() || s.AAL >= care.AAL3:
	case want.kind.method == care.Passkey: // most can be copied, whoever stands behind them
		d.Raise = "a link for a security key"
	default:
		d.Raise = "a link"
	}
	return d
}

func (g *Registration) instructionsPage(w http.ResponseWriter, r *http.Request, sealed string, d instructionsData, mistakes ...page.FieldError) {
	back := pathAdd
	if d.ByLink {
		back = ""
	}
	g.render(w, r, "instructions", sealed, page.View{
		Title: "Register " + d.Kind.Called + " with your Care Identity",
		Data:  d, Errors: mistakes, Back: back,
	})
}

// soleAccess is the error of the tick box of seed 0.
func (k kind) soleAccess() page.FieldError {
	thing := "device"
	if k.method == care.SecurityKey || k.method == care.Passkey {
		thing = k.Noun
	}
	return page.FieldError{Field: "confirm", Message: "Confirm that only you will have access to the " + thing}
}

func (g *Registration) postAdd(w http.ResponseWriter, r *http.Request, s *session.Session) {
	if k, ok := g.addable(w, r, s); ok {
		g.postStart(w, r, s, wanted{kind: k})
	}
}

func (g *Registration) postReplace(w http.ResponseWriter, r *http.Request, s *session.Session) {
	if old, ok := g.replaceable(w, r, s); ok {
		g.postStart(w, r, s, old)
	}
}

// postStart begins the 20 minutes of a signed-in person.
func (g *Registration) postStart(w http.ResponseWriter, r *http.Request, s *session.Session, want wanted) {
	form, err := page.Form(w, r)
	if err != nil {
		g.Kit.Fault(w, r, err)
		return
	}
	again := page.Link{Text: "Start again", Href: here(r)}
	begun, err := journey.Open[start](g.starts, page.Browser(r), form.Get("j"), "start")
	if err == nil && begun.State.UID != s.UID {
		err = fault.New(fault.OtherPerson, nil)
	}
	if err == nil && (begun.State.Method != want.kind.method || begun.State.Replaces != want.replaces) {
		err = fault.New(fault.JourneyTampered, errForged)
	}
	if err != nil {
		g.Kit.Fault(w, r, err, again)
		return
	}
	if form.Get("confirm") == "" {
		g.instructionsPage(w, r, form.Get("j"), forMember(r, s, want), want.kind.soleAccess())
		return
	}
	j := journey.Begin(g.journeys, stepEmail, state{
		UID: s.UID, Method: want.kind.method, By: bySession, Replaces: want.replaces, Level: s.AAL,
	})
	j.ID = begun.ID
	g.next(w, r, j, stepEmail, pathEmail)
}
