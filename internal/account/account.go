// Package account is the way of a worker who looks after their own care
// identity: home page, profile, email address, authenticators, password,
// recovery codes, where they are signed in; and the doors that must open without
// a sign-in: signing out, "Not you?", "this wasn't me", a forgotten password, the
// mark of a shared computer.
//
// A browser comes in, signed in or on one of those doors. It leaves with a page,
// or for a neighbour's address: /signin, /register, /help. This room changes no
// secret, no address and no authenticator by itself: it asks the gate, with
// proofs that verifiers made. It shows nobody but the signed-in person, and says
// nothing about whether an address belongs to anybody until its mailbox is
// proven.
package account

import (
	"context"
	"embed"
	"io"
	"net/http"
	"net/netip"
	"time"

	"carekey.dev/carekey/internal/credential/app"
	"carekey.dev/carekey/internal/credential/mailcode"
	"carekey.dev/carekey/internal/credential/recovery"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/session"
)

//go:embed templates
var templates embed.FS

// journeyLife is how long a change may take from its first page. Together with
// gate.Fresh it stays within what the gate accepts as a fresh sign-in.
const journeyLife = 20 * time.Minute

// lately is how fresh activity is that is not worth a time of day.
const lately = 5 * time.Minute

// shownLife is how long a page that ends a journey can be reloaded. New
// recovery codes are on one of them.
const shownLife = 5 * time.Minute

// Options is what the room needs.
type Options struct {
	DB        *db.DB
	Kit       *page.Kit
	Ring      *keys.Ring
	Gate      *gate.Gate
	Sessions  *session.Sessions
	Devices   *session.Devices
	Computers *session.Computers
	Directory *relyingparty.Directory
	// Services returns the relying parties that got something from a session.
	Services     func(tx *db.Tx, sid string) (clientIDs []string, err error)
	Requirements *journey.Requirements
	App          *app.App
	MailCode     *mailcode.MailCode
	Recovery     *recovery.Recovery
	// Frames returns the addresses that the browser of a session that has just
	// ended opens in frames, to sign out there too; "" is no session.
	Frames func(ctx context.Context, sid string) ([]string, error)
	// Network returns the client's address behind trusted proxies.
	Network func(r *http.Request) netip.Addr
	Random  io.Reader
}

// Account is the room.
type Account struct {
	Options
	pages *page.Pages
	// One kind of journey for each thing that a person does here.
	addresses, secrets, codes, farewells, forgotten *journey.Sealer
}

// New returns the room.
func New(o Options) *Account {
	sealer := func(kind string, life time.Duration) *journey.Sealer {
		return journey.New(o.Ring, kind, life, o.DB.Now, o.Random)
	}
	return &Account{
		Options:   o,
		pages:     o.Kit.Pages(templates),
		addresses: sealer("address", journeyLife),
		secrets:   sealer("secret", journeyLife),
		codes:     sealer("recovery-codes", shownLife),
		farewells: sealer("farewell", shownLife),
		forgotten: sealer("forgotten-password", journeyLife),
	}
}

// Routes adds the room's pages.
func (a *Account) Routes(mux *http.ServeMux) {
	mux.Handle("GET /cim", http.RedirectHandler(home, http.StatusMovedPermanently))
	mux.HandleFunc("GET /cim/{$}", a.member(a.home))
	mux.HandleFunc("GET /cim/profile", a.member(a.profile))

	mux.HandleFunc("GET /cim/profile/email", a.member(a.email))
	mux.HandleFunc("POST /cim/profile/email", a.member(a.postEmail))
	mux.HandleFunc("GET /cim/profile/email/verify", a.member(a.verify))
	mux.HandleFunc("POST /cim/profile/email/verify", a.member(a.postVerify))
	mux.HandleFunc("GET /cim/profile/email/code", a.member(a.emailCode))
	mux.HandleFunc("POST /cim/profile/email/code", a.member(a.postEmailCode))
	mux.HandleFunc("GET /cim/profile/email/done", a.member(a.emailDone))

	mux.HandleFunc("GET "+pathSignIns, a.member(a.signIns))
	mux.HandleFunc("GET "+pathSignIns+"/end", a.member(a.endSignIn))
	mux.HandleFunc("POST "+pathSignIns+"/end", a.member(a.postEndSignIn))
	mux.HandleFunc("GET "+pathSignIns+"/end-others", a.member(a.endOthers))
	mux.HandleFunc("POST "+pathSignIns+"/end-others", a.member(a.postEndOthers))
	mux.HandleFunc("GET /cim/time-left", a.visitor(a.timeLeft))
	mux.HandleFunc("POST /cim/time-left", a.visitor(a.postTimeLeft))
	mux.HandleFunc("GET /cim/timed-out", a.visitor(a.timedOut))
	mux.HandleFunc("GET /cim/again", a.visitor(a.again))

	mux.HandleFunc("GET "+pathAuthenticators, a.member(a.authenticators))
	mux.HandleFunc("GET "+pathAuthenticators+"/rename", a.member(a.rename))
	mux.HandleFunc("POST "+pathAuthenticators+"/rename", a.member(a.postRename))
	mux.HandleFunc("GET "+pathAuthenticators+"/remove", a.member(a.remove))
	mux.HandleFunc("POST "+pathAuthenticators+"/remove", a.member(a.postRemove))
	mux.HandleFunc("GET "+pathAuthenticators+"/removed", a.visitor(a.removed))
	mux.HandleFunc("GET "+pathAuthenticators+"/lost", a.member(a.lost))
	mux.HandleFunc("POST "+pathAuthenticators+"/lost", a.member(a.postLost))
	mux.HandleFunc("GET "+pathAuthenticators+"/reported", a.visitor(a.reported))

	mux.HandleFunc("GET /cim/password", a.member(a.password))
	mux.HandleFunc("POST /cim/password", a.member(a.postPassword))
	mux.HandleFunc("GET /cim/password/done", a.member(a.passwordDone))

	mux.HandleFunc("GET /cim/recovery-codes", a.member(a.recoveryCodes))
	mux.HandleFunc("POST /cim/recovery-codes", a.member(a.postRecoveryCodes))
	mux.HandleFunc("GET /cim/recovery-codes/new", a.member(a.newRecoveryCodes))

	mux.HandleFunc("GET /signout", a.visitor(a.signout))
	mux.HandleFunc("POST /signout", a.visitor(a.postSignout))
	mux.HandleFunc("GET /not-you", a.visitor(a.notYou))
	mux.HandleFunc("POST /not-you", a.visitor(a.postNotYou))
	mux.HandleFunc("GET "+pathShared, a.visitor(a.sharedComputer))
	mux.HandleFunc("POST "+pathShared, a.visitor(a.postSharedComputer))
	mux.HandleFunc("GET /not-me", a.visitor(a.notMe))
	mux.HandleFunc("POST /not-me", a.visitor(a.postNotMe))
	mux.HandleFunc("GET /not-me/done", a.visitor(a.notMeDone))

	mux.HandleFunc("GET /recover/password", a.visitor(a.forgottenEmail))
	mux.HandleFunc("POST /recover/password", a.visitor(a.postForgottenEmail))
	mux.HandleFunc("GET /recover/password/code", a.visitor(a.forgottenCode))
	mux.HandleFunc("POST /recover/password/code", a.visitor(a.postForgottenCode))
	mux.HandleFunc("GET /recover/password/new", a.visitor(a.forgottenNew))
	mux.HandleFunc("POST /recover/password/new", a.visitor(a.postForgottenNew))
	mux.HandleFunc("GET /recover/password/app", a.visitor(a.forgottenApp))
	mux.HandleFunc("POST /recover/password/app", a.visitor(a.postForgottenApp))
	mux.HandleFunc("GET /recover/password/done", a.visitor(a.forgottenDone))
}
