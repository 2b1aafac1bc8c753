package server

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"

	"carekey.dev/carekey/internal/account"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/connection"
	"carekey.dev/carekey/internal/credential/fido"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/dev"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/headless"
	"carekey.dev/carekey/internal/help"
	"carekey.dev/carekey/internal/oidc"
	"carekey.dev/carekey/internal/oidc/grant"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/registration"
	"carekey.dev/carekey/internal/server/faultlog"
	"carekey.dev/carekey/internal/server/web"
	"carekey.dev/carekey/internal/signin"
)

// DemoURL is where carekey-demo-rp shows its first face.
const DemoURL = "http://localhost:9090/"

// site is everything that answers people and relying parties.
type site struct {
	*House
	kit        *page.Kit
	mux        *http.ServeMux
	provider   *oidc.Provider
	connection *connection.Manager // nil if it is not offered
	faults     *faultlog.Log
	metrics    *metrics
	// reloads read again what the operator may have replaced (SIGHUP).
	reloads []func()
	// warned is when the log last said that the FIDO metadata is out of date.
	warned time.Time
}

func newSite(ctx context.Context, h *House) (*site, error) {
	s := &site{House: h, mux: http.NewServeMux(), faults: faultlog.New(h.DB, h.Log)}
	s.metrics = newMetrics(h.DB, s.faults)
	var err error
	s.kit, err = page.New(page.Options{
		Operator: h.Config.Operator.Name, Service: h.Config.Operator.Service, Colours: h.Config.Operator.Colours(),
		Dev: h.Config.Dev, Secure: h.Config.Secure(), Ring: h.Ring, Rand: h.Random,
		Person: s.person, Translate: translate, Record: s.record, Log: h.Log,
	})
	if err != nil {
		return nil, err
	}
	mutual, err := s.mutual()
	if err != nil {
		return nil, err
	}
	s.provider, err = oidc.New(ctx, oidc.Options{
		DB: h.DB, Kit: s.kit, Ring: h.Ring, Sessions: h.Sessions, Requirements: h.Requirements,
		Directory: h.Directory, Outbox: h.Outbox, BaseURL: h.Config.BaseURL, Mutual: mutual, Schedule: h.Config.Signing.Schedule(), HSM: h.signingHSM(),
		Random: h.Random, Fetch: h.Fetch, Registration: h.Config.DynamicRegistration, Network: web.Client, Record: s.record, Log: h.Log,
	})
	if err != nil {
		return nil, err
	}
	s.metrics.registry.MustRegister(newSigningKeys(s.provider))
	s.connection = s.newConnection()
	s.routes()
	return s, nil
}

// routes is the one list of what is served.
func (s *site) routes() {
	h := s.House
	s.kit.Routes(s.mux)
	s.provider.Routes(s.mux)
	signin.New(signin.Options{
		DB: h.DB, Kit: s.kit, Ring: h.Ring, App: h.App, FIDO: h.FIDO, Gate: h.Gate, Sessions: h.Sessions, Devices: h.Devices, Computers: h.Computers,
		Requirements: h.Requirements, Directory: h.Directory, Passkeys: h.Passkeys, BaseURL: h.Config.BaseURL, Network: web.Client,
		Terms: s.terms, Random: h.Random,
	}).Routes(s.mux)
	if h.Config.HeadlessSignIn {
		headless.New(headless.Options{
			DB: h.DB, Kit: s.kit, Ring: h.Ring, App: h.App, Gate: h.Gate, Devices: h.Devices, Computers: h.Computers,
			Requirements: h.Requirements, Directory: h.Directory,
			Authorize: s.mux, AuthorizePath: oidc.RealmPath + "/authorize", BaseURL: h.Config.BaseURL, Network: web.Client,
			Terms: s.terms, Random: h.Random,
		}).Routes(s.mux)
	}
	registration.New(registration.Options{
		DB: h.DB, Kit: s.kit, Ring: h.Ring, Gate: h.Gate, Sessions: h.Sessions, Devices: h.Devices,
		Requirements: h.Requirements, App: h.App, FIDO: h.FIDO, MailCode: h.MailCode, Link: h.Links, Recovery: h.Recovery,
		Passkeys: h.Passkeys, Network: web.Client, Random: h.Random,
	}).Routes(s.mux)
	account.New(account.Options{
		DB: h.DB, Kit: s.kit, Ring: h.Ring, Gate: h.Gate, Sessions: h.Sessions, Devices: h.Devices,
		Computers: h.Computers, Directory: h.Directory, Services: grant.Clients,
		Requirements: h.Requirements, App: h.App, MailCode: h.MailCode, Recovery: h.Recovery,
		Frames: s.provider.SignOutFrames, Network: web.Client, Random: h.Random,
	}).Routes(s.mux)
	if h.Config.FIDO.Related() {
		s.mux.HandleFunc("GET "+fido.RelatedPath, s.related)
	}
	help.New(s.kit, s.allowList).Routes(s.mux)
	h.Terms.Routes(s.mux, s.kit, h.DB.Now)
	if h.Config.Dev {
		dev.New(dev.Options{DB: h.DB, Kit: s.kit, App: h.App, Demo: DemoURL, Folder: folderFlag(h.Config.DataDir)}).Routes(s.mux)
		return
	}
	s.mux.Handle("GET /{$}", http.RedirectHandler("/cim/", http.StatusSeeOther))
}

// related tells browsers at which further origins keys of this domain are used.
func (s *site) related(w http.ResponseWriter, _ *http.Request) {
	text, err := fido.Related(s.Config.FIDO.Origins)
	if err != nil { // checked when the configuration was read
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json") // WebAuthn, 5.11.1 step 3
	w.Write(text)
}

// terms is the version in force.
func (s *site) terms() string { return s.Terms.Current(s.DB.Now()).ID }

func (s *site) allowList(ctx context.Context) (care.AllowList, error) {
	var list care.AllowList
	err := s.DB.Read(ctx, func(tx *db.Tx) (err error) {
		list, err = person.AllowList(tx)
		return err
	})
	return list, err
}

// translate names what the database says as a fault with its own page. It looks
// into faults too: a disk that is full is what a person should read about, and
// not what could not be done because of it.
func translate(err error) error {
	switch {
	case errors.Is(err, db.ErrFull):
		return fault.New(fault.Full, err)
	case errors.Is(err, db.ErrUncertain):
		return fault.New(fault.Uncertain, err)
	case errors.Is(err, db.ErrBusy), errors.Is(err, db.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		return fault.New(fault.Busy, err)
	}
	return err
}

// glance bounds what a page asks about its reader beside its own work: a page
// that cannot know who reads it is still a page.
const glance = 500 * time.Millisecond

// person is who is signed in, for pages that do not say it themselves.
func (s *site) person(r *http.Request) *page.Person {
	ctx, cancel := context.WithTimeout(r.Context(), glance)
	defer cancel()
	look := s.Sessions.Current
	if strings.HasPrefix(r.URL.Path, oidc.RealmPath) {
		look = s.Sessions.Glance // what counts as activity there, the provider knows: nobody may be at the keyboard
	}
	current, err := look(ctx, r)
	if err != nil || current == nil {
		return nil
	}
	var p person.Person
	err = s.DB.Read(ctx, func(tx *db.Tx) (err error) {
		p, err = person.ByUID(tx, current.UID)
		return err
	})
	if err != nil {
		return nil
	}
	reader := page.SignedIn(p.DisplayName(), p.Login(), current.AAL)
	if current.Serves("") && (strings.HasPrefix(r.URL.Path, "/cim") || strings.HasPrefix(r.URL.Path, "/register")) {
		reader.Warned(s.DB.Now(), current.IdleUntil, current.Until)
	}
	return reader
}

var clientForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// record keeps a fault for `carekey explain`.
func (s *site) record(r *http.Request, f *fault.Error) {
	o := faultlog.Of(f)
	o.Method, o.Path, o.Request = r.Method, r.URL.Path, web.ID(r)
	client := r.URL.Query().Get("client_id")
	if r.PostForm.Has("client_id") {
		client = r.PostForm.Get("client_id")
	}
	if clientForm.MatchString(client) {
		o.Client = client
	}
	if f.Kind.Status < http.StatusInternalServerError { // the database is well
		ctx, cancel := context.WithTimeout(r.Context(), glance)
		defer cancel()
		if current, err := s.Sessions.Glance(ctx, r); err == nil && current != nil {
			o.UID = current.UID
		}
	}
	s.metrics.faults.WithLabelValues(f.Kind.Name).Inc()
	s.faults.Record(o)
}
