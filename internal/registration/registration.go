// Package registration is the way of a worker who registers an authenticator:
// Microsoft Authenticator, screen by screen as seed 0 has it, or a security key,
// Windows Hello or a passkey by the same screens. Each type is a kind with its
// own words and steps; what comes before and after them is the same for all.
//
// A browser comes in with one of three rights: a fresh sign-in (a first or
// another device), a registration link that a Registration Authority made, or a
// right password and a recovery code (a lost phone). It leaves with an
// authenticator, or with a page that says why not and what to do instead.
//
// What was done so far travels sealed with the browser. This room never binds
// anything by itself: verifiers make the proofs, the gate weighs them. By link
// it never says whether an address is the right one.
package registration

import (
	"embed"
	"io"
	"net/http"
	"net/netip"
	"time"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/app"
	"carekey.dev/carekey/internal/credential/fido"
	"carekey.dev/carekey/internal/credential/link"
	"carekey.dev/carekey/internal/credential/mailcode"
	"carekey.dev/carekey/internal/credential/recovery"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/session"
)

//go:embed templates
var templates embed.FS

const (
	// startWithin is how long the page with the "Register" button works
	// (seed 0: 3 minutes; decision 5: the time to start).
	startWithin = 3 * time.Minute
	// journeyLife is how long the screens after it may take (decision 5).
	journeyLife = 20 * time.Minute
	// offerLife is how long the last page offers recovery codes: as long as
	// the gate lets the journey make them.
	offerLife = 20 * time.Minute
	// doneLife is how long the last page can be reloaded.
	doneLife = 24 * time.Hour
	// shownLife is how long the page with new recovery codes can be reloaded.
	shownLife = 5 * time.Minute
	// askEvery is how often a waiting page asks whether the RA has confirmed.
	askEvery = 3 * time.Second
)

// Options is what the room needs.
type Options struct {
	DB           *db.DB
	Kit          *page.Kit
	Ring         *keys.Ring
	Gate         *gate.Gate
	Sessions     *session.Sessions
	Devices      *session.Devices
	Requirements *journey.Requirements
	App          *app.App
	FIDO         *fido.FIDO
	MailCode     *mailcode.MailCode
	Link         *link.Links
	Recovery     *recovery.Recovery
	// Passkeys are in private beta, open to these people.
	Passkeys access.Cohort
	// Network returns the client's address behind trusted proxies.
	Network func(r *http.Request) netip.Addr
	Random  io.Reader
}

// Registration is the room.
type Registration struct {
	Options
	pages *page.Pages
	// starts are the pages with the "Register" button, journeys what follows
	// it, codes the page with recovery codes; lost is what the sign-in room
	// hands over.
	starts, journeys, codes, lost *journey.Sealer
}

// New returns the room.
func New(o Options) *Registration {
	sealer := func(kind string, life time.Duration) *journey.Sealer {
		return journey.New(o.Ring, kind, life, o.DB.Now, o.Random)
	}
	return &Registration{
		Options:  o,
		pages:    o.Kit.Pages(templates),
		starts:   sealer("registration-start", startWithin),
		journeys: sealer("registration", journeyLife),
		codes:    sealer("registration-codes", shownLife),
		lost:     sealer(journey.PhoneLost, app.RecoveryLife),
	}
}

// Routes adds the room's pages.
func (g *Registration) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET "+pathAdd, g.member(g.types))
	mux.HandleFunc("POST "+pathAdd, g.member(g.postType))
	mux.HandleFunc("GET "+pathAdd+"/{type}", g.member(g.add))
	mux.HandleFunc("POST "+pathAdd+"/{type}", g.member(g.postAdd))
	mux.HandleFunc("GET "+pathReplace, g.member(g.replace))
	mux.HandleFunc("POST "+pathReplace, g.member(g.postReplace))

	mux.HandleFunc("GET "+pathLink, g.link)
	mux.HandleFunc("POST "+pathLink, g.postLink)
	mux.HandleFunc("GET "+pathRecover, g.recover)
	mux.HandleFunc("POST "+pathRecover, g.postRecover)

	mux.HandleFunc("GET "+pathEmail, g.email)
	mux.HandleFunc("POST "+pathEmail, g.postEmail)
	mux.HandleFunc("GET "+pathCode, g.code)
	mux.HandleFunc("POST "+pathCode, g.postCode)
	mux.HandleFunc("POST "+pathResend, g.postResend)
	mux.HandleFunc("GET "+pathPassword, g.password)
	mux.HandleFunc("POST "+pathPassword, g.postPassword)
	mux.HandleFunc("GET "+pathScan, g.scan)
	mux.HandleFunc("POST "+pathScan, g.postScan)
	mux.HandleFunc("GET "+pathVerify, g.verify)
	mux.HandleFunc("POST "+pathVerify, g.postVerify)
	mux.HandleFunc("GET "+pathKey, g.key)
	mux.HandleFunc("POST "+pathKey, g.postKey)
	mux.HandleFunc("GET "+pathConfirm, g.confirm)
	mux.HandleFunc("GET "+pathDone, g.done)
	mux.HandleFunc("POST "+pathMake, g.postMake)
	mux.HandleFunc("GET "+pathCodes, g.showCodes)
	mux.HandleFunc("POST "+pathCodes, g.postSaved)
}

// Addresses of the pages. Other rooms lead here by pathAdd, pathReplace,
// pathLink and pathRecover.
const (
	pathAdd     = "/cim/authenticators/add"
	pathReplace = "/register/replace"
	pathLink    = "/register"
	pathRecover = "/register/recover"

	pathEmail    = "/register/email"
	pathCode     = "/register/code"
	pathResend   = "/register/code/resend"
	pathPassword = "/register/password"
	pathScan     = "/register/app"
	pathVerify   = "/register/verify"
	pathKey      = "/register/key"
	pathConfirm  = "/register/confirm"
	pathDone     = "/register/done"
	pathMake     = "/register/codes/new"
	pathCodes    = "/register/codes"
)

// right is by what right somebody registers.
type right string

const (
	bySession  right = "session"
	byLink     right = "link"
	byRecovery right = "recovery"
)

// The steps of a journey. A step's name is the page that is to come.
const (
	stepRecover  = "recover"
	stepEmail    = "email"
	stepCode     = "code"
	stepPassword = "password"
	stepApp      = "app"
	stepKey      = "key"
	stepConfirm  = "confirm"
	stepDone     = "done"
)

// state is what a registration has done so far.
type state struct {
	UID    care.UID    `json:"u"`
	Method care.Method `json:"m"`
	By     right       `json:"b"`
	// Replaces is the record that goes when the new one comes, or "".
	Replaces string     `json:"r,omitempty"`
	Address  care.Email `json:"e,omitempty"`
	// Ticket is the app's sealed word that the password of the lost phone's
	// record was right, Recovery that of a recovery code.
	Ticket   string `json:"t,omitempty"`
	Recovery string `json:"c,omitempty"`
	// Pending is the new authenticator, sealed by the app, and Proven the same
	// after its first code.
	Pending app.Pending `json:"p,omitzero"`
	Proven  app.Proven  `json:"v,omitzero"`
	// Level is that of the session that began it. Key is the new key once it has
	// shown that it works, Name what its holder calls it; Unnamed: what they
	// typed is no name.
	Level   care.AAL    `json:"l,omitempty"`
	Key     fido.Proven `json:"k,omitzero"`
	Name    string      `json:"n,omitempty"`
	Unnamed bool        `json:"x,omitempty"`
	// Record is the registered authenticator, Made when it was registered,
	// and Saved whether its holder has saved recovery codes.
	Record string    `json:"i,omitempty"`
	Made   time.Time `json:"d,omitzero"`
	Saved  bool      `json:"s,omitempty"`
}

type trip = journey.Journey[state]
