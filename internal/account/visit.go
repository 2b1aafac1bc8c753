package account

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/session"
	"carekey.dev/carekey/internal/throttle"
)

// The service's name and home page.
const (
	service = "Care Identity Management"
	home    = "/cim/"
)

// visit is a request of a signed-in person.
type visit struct {
	session *session.Session
	person  person.Person
}

// owns says whether a journey is the visitor's own. Two people can use one
// browser after one another, and a tab of the first may still be open.
func (v visit) owns(uid care.UID) error {
	if v.person.UID != uid {
		return fault.New(fault.OtherPerson, nil)
	}
	return nil
}

// visitor turns a handler that may fail into one that shows why.
func (a *Account) visitor(h func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			a.Kit.Fault(w, r, err, waysOn(r.URL.Path)...)
		}
	}
}

// member lets signed-in people in and sends everybody else to sign in first.
// Who needs a newer sign-in is sent too, and comes back to the same page.
func (a *Account) member(h func(w http.ResponseWriter, r *http.Request, v visit) error) http.HandlerFunc {
	return a.visitor(func(w http.ResponseWriter, r *http.Request) error {
		v, err := a.visit(r)
		if err != nil {
			return err
		}
		if v.session == nil {
			return a.signIn(w, r, time.Time{})
		}
		err = h(w, r, v)
		if fault.Has(err, fault.NotFresh) {
			return a.signIn(w, r, a.DB.Now())
		}
		return err
	})
}

// visit returns who is signed in. The session is nil if nobody is.
func (a *Account) visit(r *http.Request) (visit, error) {
	return a.by(r, a.Sessions.Own)
}

// leaving returns whose session the browser holds, idle ones and those for
// relying parties among them: a sign-out ends whatever there is.
func (a *Account) leaving(r *http.Request) (visit, error) {
	return a.by(r, a.Sessions.Kept)
}

func (a *Account) by(r *http.Request, find func(context.Context, *http.Request) (*session.Session, error)) (visit, error) {
	found, err := find(r.Context(), r)
	if err != nil || found == nil {
		return visit{}, err
	}
	v := visit{session: found}
	err = a.DB.Read(r.Context(), func(tx *db.Tx) error {
		v.person, err = person.ByUID(tx, found.UID)
		return err
	})
	return v, err
}

// fresh refuses a visitor whose sign-in is too old to begin a change (ASVS
// 7.5.1; decision 6).
func (a *Account) fresh(v visit) error {
	if !v.session.Fresh(a.DB.Now(), gate.Fresh) {
		return fault.New(fault.NotFresh, nil)
	}
	return nil
}

// signIn sends the browser to sign in and back.
func (a *Account) signIn(w http.ResponseWriter, r *http.Request, after time.Time) error {
	return a.signInTo(w, r, after, here(r))
}

// signInTo sends the browser to sign in and from there to a page.
func (a *Account) signInTo(w http.ResponseWriter, r *http.Request, after time.Time, to string) error {
	sealed, err := a.Requirements.SealRequirement(care.SelfService(after, to))
	if err != nil {
		return err
	}
	page.SeeOther(w, r, "/signin?req="+sealed)
	return nil
}

// here is the page to come back to: the one asked for, or the one that the
// form was on. Each form of this room is sent to the path of its own page.
func here(r *http.Request) string {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return r.URL.RequestURI()
	}
	query := url.Values{}
	for _, name := range []string{"j", "id"} {
		if value := r.PostForm.Get(name); value != "" {
			query.Set(name, value)
		}
	}
	if len(query) == 0 {
		return r.URL.Path
	}
	return r.URL.Path + "?" + query.Encode()
}

// waysOn are the ways from a page that could not go on, the longest path first.
func waysOn(path string) []page.Link {
	ways := []struct {
		prefix string
		link   page.Link
	}{
		{"/cim/profile/email", page.Link{Text: "Start again", Href: "/cim/profile/email"}},
		{"/cim/authenticators", page.Link{Text: "See your authenticators", Href: "/cim/authenticators"}},
		{pathSignIns, page.Link{Text: "See where you are signed in", Href: pathSignIns}},
		{"/cim/password", page.Link{Text: "Start again", Href: "/cim/password"}},
		{"/cim/recovery-codes", page.Link{Text: "Start again", Href: "/cim/recovery-codes"}},
		{"/recover/password", page.Link{Text: "Start again", Href: "/recover/password"}},
		{"/not-me", page.Link{Text: "Get help if somebody else uses your identity", Href: "/help"}},
	}
	var links []page.Link
	for _, way := range ways {
		if strings.HasPrefix(path, way.prefix) {
			links = append(links, way.link)
		}
	}
	return append(links, page.Link{Text: "Go to " + service, Href: home})
}

// who is the browser that tries something, as throttling sees it.
func (a *Account) who(r *http.Request, address care.Email) throttle.Subject {
	return a.Devices.Subject(r, address, a.Network(r))
}

// show renders a page of Care Identity Management, which says who is signed in.
func (a *Account) show(w http.ResponseWriter, r *http.Request, status int, name string, v visit, view page.View) error {
	view.Person = page.SignedIn(v.person.DisplayName(), v.person.Login(), v.session.AAL).
		Warned(a.DB.Now(), v.session.IdleUntil, v.session.Until)
	view.Section, view.SectionHref = service, home
	a.pages.Render(w, r, status, name, view)
	return nil
}

// ok and mend render a page as it is first seen, and with what has to be
// mended.
func (a *Account) ok(w http.ResponseWriter, r *http.Request, name string, v visit, view page.View) error {
	return a.show(w, r, http.StatusOK, name, v, view)
}

func (a *Account) mend(w http.ResponseWriter, r *http.Request, name string, v visit, view page.View) error {
	return a.show(w, r, http.StatusUnprocessableEntity, name, v, view)
}

// open returns the sealed journey of a request at one of steps: field j of a
// form, or j of an address.
func open[S any](r *http.Request, s *journey.Sealer, steps ...string) (journey.Journey[S], error) {
	return journey.Open[S](s, page.Browser(r), token(r), steps...)
}

// token is the sealed journey of a request.
func token(r *http.Request) string {
	if r.Method == http.MethodPost {
		return r.PostForm.Get("j")
	}
	return r.URL.Query().Get("j")
}

// next seals a journey at its next step and sends the browser to its page.
func next[S any](w http.ResponseWriter, r *http.Request, s *journey.Sealer, j journey.Journey[S], step, path string) error {
	j.Step = step
	sealed, err := journey.Seal(s, page.Browser(r), j)
	if err != nil {
		return err
	}
	page.SeeOther(w, r, path+"?j="+sealed)
	return nil
}
