// Package headless signs in without pages, for test automation: the JSON
// interface of ForgeRock AM that scripts for CIS2 drive (wire rule 20).
//
// A script comes in with the address that a browser would have been sent to
// (goto, or a sealed requirement), fills in callbacks, and leaves with a
// session, its cookie, and the address to go on to. It passes the same
// verifiers, the same throttling and the same gate as a browser, and fails with
// the same faults. What was done so far travels sealed as authId and is stored
// nowhere. This room never decides a level, never answers a form or another
// site, never hands out a session that it did not just open, and is not there
// unless the operator wants it.
package headless

import (
	"io"
	"net/http"
	"net/netip"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/app"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/session"
	"carekey.dev/carekey/internal/throttle"
)

// The address of the interface, with the realm as a path (as CIS2 has it) and
// with the realm as a parameter (as AM's own tools write it).
const (
	Path      = "/openam/json/realms/root/realms/NHSIdentity/realms/Healthcare/authenticate"
	shortPath = "/openam/json/authenticate"
)

// realm is what a success names, as ID tokens do (wire format).
const realm = "/NHSIdentity/Healthcare"

// journeyLife is how long a sign-in may take, as it is with pages.
const journeyLife = 15 * time.Minute

// Options is what the room needs.
type Options struct {
	DB           *db.DB
	Kit          *page.Kit
	Ring         *keys.Ring
	App          *app.App
	Gate         *gate.Gate
	Devices      *session.Devices
	Computers    *session.Computers
	Requirements *journey.Requirements
	Directory    *relyingparty.Directory
	// Authorize answers an authorization request at AuthorizePath as it would
	// answer a browser: it is asked what a goto that leads there requires.
	Authorize     http.Handler
	AuthorizePath string
	// BaseURL is our own address.
	BaseURL string
	// Network returns the client's address behind trusted proxies.
	Network func(r *http.Request) netip.Addr
	// Terms returns the version of the terms in force.
	Terms  func() string
	Random io.Reader
}

// Headless is the room.
type Headless struct {
	Options
	journeys *journey.Sealer
}

// New returns the room.
func New(o Options) *Headless {
	return &Headless{Options: o, journeys: journey.New(o.Ring, "headless sign-in", journeyLife, o.DB.Now, o.Random)}
}

// Routes adds the interface.
func (h *Headless) Routes(mux *http.ServeMux) {
	h.Kit.Programs(Path, shortPath)
	mux.HandleFunc("POST "+Path, h.authenticate)
	mux.HandleFunc("POST "+shortPath, h.authenticate)
}

// The stages of a sign-in, as scripts see them.
const (
	stagePassword = "password"
	stageCode     = "appCode"
	stageRole     = "roleSelection" // wire rule 20
)

// state is what a sign-in has done so far.
type state struct {
	Requirement care.Requirement `json:"r"`
	Email       care.Email       `json:"e,omitempty"`
	// Ticket is the app's own sealed word that the password was right.
	Ticket string `json:"t,omitempty"`
	// Session is the token of the session that the gate opened, while a role is
	// to be chosen: a script need not keep cookies until it is told tokenId.
	Session string `json:"s,omitempty"`
}

type trip = journey.Journey[state]

// anywhere stands for the browser that a journey is bound to: AM's authId works
// without cookies, and so does this one. It proves no more than a right
// password, and another site can neither send nor read it.
const anywhere = ""

// authenticate is one exchange: a request without a body begins, one with
// filled callbacks goes on.
func (h *Headless) authenticate(w http.ResponseWriter, r *http.Request) {
	sent, err := read(r)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	answer, err := h.answer(w, r, sent)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	write(w, http.StatusOK, answer)
}

// answer is the next question, or the success.
func (h *Headless) answer(w http.ResponseWriter, r *http.Request, sent filled) (any, error) {
	if sent.authID == "" {
		return h.begin(r)
	}
	t, err := journey.Open[state](h.journeys, anywhere, sent.authID)
	if err != nil {
		return nil, err
	}
	switch t.Step {
	case stagePassword:
		return h.password(r, t, sent)
	case stageCode:
		return h.code(w, r, t, sent)
	default:
		return h.role(r, t, sent)
	}
}

// who is the browser or program that tries, as throttling sees it.
func (h *Headless) who(r *http.Request, address care.Email) throttle.Subject {
	return h.Devices.Subject(r, address, h.Network(r))
}
