// Package signin is the way from "who asks" to a session: choose a login
// method, prove, choose a role, go back.
//
// A browser comes in with a sealed requirement (/signin?req=…), made by the
// provider or by one of Carekey's own pages, or through the address that CIS2
// users have bookmarked (/openam/XUI/). It leaves for the requirement's
// ReturnTo. What was done so far travels sealed with the browser; the gate
// alone makes the session. This room never decides a level and never learns
// what the provider will do with the answer.
package signin

import (
	"embed"
	"io"
	"io/fs"
	"net/http"
	"net/netip"
	"time"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/app"
	"carekey.dev/carekey/internal/credential/fido"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/session"
)

//go:embed templates/*.html
var templates embed.FS

// journeyLife is how long a sign-in may take from the choice of a method to
// the code.
const journeyLife = 15 * time.Minute

// The steps of a sign-in with the authenticator app, and the one of a security
// key, Windows Hello or a passkey.
const (
	stepEmail    = "email"
	stepPassword = "password"
	stepCode     = "code"
	stepKey      = "key"
)

// Options is what the room needs.
type Options struct {
	DB           *db.DB
	Kit          *page.Kit
	Ring         *keys.Ring
	App          *app.App
	FIDO         *fido.FIDO
	Gate         *gate.Gate
	Sessions     *session.Sessions
	Devices      *session.Devices
	Computers    *session.Computers
	Requirements *journey.Requirements
	Directory    *relyingparty.Directory
	// Passkeys is whom passkeys are open to: they are in private beta.
	Passkeys access.Cohort
	// BaseURL is our own address.
	BaseURL string
	// Network returns the client's address behind trusted proxies.
	Network func(r *http.Request) netip.Addr
	// Terms returns the version of the terms in force.
	Terms  func() string
	Random io.Reader
}

// SignIn is the room.
type SignIn struct {
	Options
	pages    *page.Pages
	journeys *journey.Sealer
	// lost hands the ticket over to the registration room.
	lost *journey.Sealer
}

// New returns the room.
func New(o Options) *SignIn {
	sub, err := fs.Sub(templates, ".")
	if err != nil {
		panic(err) // the templates are embedded
	}
	return &SignIn{
		Options: o, pages: o.Kit.Pages(sub),
		journeys: journey.New(o.Ring, "sign-in", journeyLife, o.DB.Now, o.Random),
		lost:     journey.New(o.Ring, journey.PhoneLost, app.RecoveryLife, o.DB.Now, o.Random),
	}
}

// Routes adds the room's pages.
func (s *SignIn) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /signin", s.start)
	mux.HandleFunc("POST /signin", s.choose)
	mux.HandleFunc("GET /signin/cancel", s.cancel)
	mux.HandleFunc("GET /signin/email", s.email)
	mux.HandleFunc("POST /signin/email", s.postEmail)
	mux.HandleFunc("GET /signin/password", s.password)
	mux.HandleFunc("POST /signin/password", s.postPassword)
	mux.HandleFunc("GET /signin/code", s.code)
	mux.HandleFunc("POST /signin/code", s.postCode)
	mux.HandleFunc("GET /signin/no-phone", s.noPhone)
	mux.HandleFunc("POST /signin/no-phone", s.postNoPhone)
	mux.HandleFunc("GET /signin/key", s.key)
	mux.HandleFunc("POST /signin/key", s.postKey)
	mux.HandleFunc("POST /signin/key/email", s.postKeyEmail)
	mux.HandleFunc("GET /signin/role", s.role)
	mux.HandleFunc("POST /signin/role", s.postRole)
	mux.HandleFunc("GET /openam/XUI/", s.bookmark)
}

// state is what a sign-in has done so far.
type state struct {
	Requirement care.Requirement `json:"r"`
	Email       care.Email       `json:"e,omitempty"`
	// Ticket is the app's own sealed word that the password was right.
	Ticket string `json:"t,omitempty"`
	// Method is the one that was chosen, where it is verified by a key, and
	// Begin says that its page asks for the key by itself.
	Method care.Method `json:"m,omitempty"`
	Begin  bool        `json:"b,omitempty"`
}

type trip = journey.Journey[state]

// open returns the journey of a request at one of steps. If it cannot go on,
// it shows the page that says why, with a way on, and returns false.
func (s *SignIn) open(w http.ResponseWriter, r *http.Request, sealed string, steps ...string) (trip, bool) {
	t, err := journey.Open[state](s.journeys, page.Browser(r), sealed, steps...)
	if err != nil {
		s.Kit.Fault(w, r, err, s.again(t, err)...)
		return t, false
	}
	return t, true
}

// again is the way on after a journey that cannot go on: back to the start of
// the same sign-in where it is still known what was asked, else home.
func (s *SignIn) again(t trip, err error) []page.Link {
	if t.State.Requirement.ReturnTo != "" && (fault.Has(err, fault.JourneyExpired) || fault.Has(err, fault.JourneyWrongStep)) {
		if req, err := s.Requirements.SealRequirement(t.State.Requirement); err == nil {
			return []page.Link{{Text: "Start signing in again", Href: "/signin?req=" + req}}
		}
	}
	return []page.Link{{Text: "Go to Care Identity Management", Href: "/cim/"}}
}

// next seals the journey at its next step and sends the browser to its page.
func (s *SignIn) next(w http.ResponseWriter, r *http.Request, t trip, step, path string) {
	t.Step = step
	sealed, err := journey.Seal(s.journeys, page.Browser(r), t)
	if err != nil {
		s.Kit.Fault(w, r, err)
		return
	}
	page.SeeOther(w, r, path+"?j="+sealed)
}

// requirement opens ?req= (or the field of that name), or shows why it cannot
// and returns false.
func (s *SignIn) requirement(w http.ResponseWriter, r *http.Request, sealed string) (care.Requirement, bool) {
	req, err := s.Requirements.OpenRequirement(sealed)
	if err == nil {
		return req, true
	}
	ways := []page.Link{{Text: "Go to Care Identity Management", Href: "/cim/"}}
	if fault.Has(err, fault.JourneyExpired) && req.ReturnTo != "" {
		ways = append([]page.Link{{Text: "Start signing in again", Href: req.ReturnTo}}, ways...)
	}
	s.Kit.Fault(w, r, err, ways...)
	return req, false
}

// targets are the origins that the journey's last form may lead to.
func targets(req care.Requirement) []string {
	if req.FormTarget == "" {
		return nil
	}
	return []string{req.FormTarget}
}
