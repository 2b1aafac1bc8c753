package page

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/fault"
)

// View is one page as a handler asks for it.
type View struct {
	// Title is the page's name in the browser and its one h1, unless Heading
	// differs or a component of the page is the h1.
	Title string
	// Heading is the h1 where it differs from Title.
	Heading string
	// Section is the name in the header instead of Options.Service. It is a
	// link only with SectionHref: in the middle of a sign-in it leads nowhere.
	Section, SectionHref string
	// Data is .Data in the template.
	Data any
	// Errors are shown in a summary on top and at their fields.
	Errors []FieldError
	// Values are what the person typed, kept after an error. Passwords and
	// codes are never taken from here.
	Values url.Values
	// Journey is the sealed journey that {{form}} carries in field "j".
	Journey string
	// At is the path of the page that this is, where a form at another path
	// leads back to it; "" means the path of the request.
	At string
	// Back is the address of the back link, or "".
	Back string
	// FormTargets are the origins, other than our own, to which a form of
	// this page may lead (CSP form-action also judges the redirects).
	FormTargets []string
	// Person is who is signed in, or nil.
	Person *Person
	// Notices are shown above the content until the person dismisses them.
	Notices []Notice
	// Refresh reloads a page that waits for somebody else. It is a response
	// header, so that it works without JavaScript; 0 means never.
	Refresh time.Duration
	// Onward is where the browser goes after Refresh; "" is this page again.
	Onward string
	// Frames are addresses of other services that the page opens out of sight:
	// OpenID Connect Front-Channel Logout signs people out there.
	Frames []string
	// Wide gives the content the whole width, for tables and tiles.
	Wide bool
}

// FieldError is one mistake in a form, in words that say how to mend it.
type FieldError struct {
	// Field is the name of the input, or "" for the form as a whole.
	Field string
	// Message is a whole sentence without a full stop: "Enter your password".
	Message string
	// Reference can be read out to the service desk, like that of a fault
	// page; "" where there is nothing to look up.
	Reference string

	fault *fault.Error
}

// Person is who is signed in, as every page says it (decision 8).
type Person struct {
	// Name is as the person knows it: "Dr Amara OSEI".
	Name, Email string
	// AAL is the level of the session, "AAL2".
	AAL string
	// SignOut and NotYou are the paths that take the POST of their buttons.
	SignOut, NotYou string
	// TimeOut is when the sign-in ends, on pages that warn of it; else nil.
	TimeOut *TimeOut
}

// SignedIn is the person of a session, with the doors of the account room.
func SignedIn(name string, address care.Email, level care.AAL) *Person {
	return &Person{Name: name, Email: string(address), AAL: level.String(), SignOut: "/signout", NotYou: "/not-you"}
}

// Warned adds when the sign-in ends, for pages that warn of it (decision 7):
// those of Carekey on which people type something. idle is when it ends without
// activity, until when it ends whatever is done.
func (p *Person) Warned(now, idle, until time.Time) *Person {
	p.TimeOut = &TimeOut{Left: idle.Sub(now), At: idle, Path: "/cim/time-left", Over: "/cim/timed-out", Again: "/cim/again"}
	if !idle.Before(until) {
		p.TimeOut.Left, p.TimeOut.At, p.TimeOut.Final = until.Sub(now), until, true
	}
	return p
}

// Notice is a message from the operator that a person can dismiss.
type Notice struct {
	// ID is what the browser remembers: letters, digits and dashes.
	ID   string
	Text string
}

// scene is what a template sees as $: the view and what the kit knows.
type scene struct {
	View
	Operator, Service, ServiceHref string
	Dev                            bool
	ThemeColour                    string
	// CSRF is the token of this browser (N18; ASVS 3.5.1).
	CSRF string
	// Here is the path of this page, to come back to.
	Here string
	// Content is the room's part of the page. Headed says that it holds the
	// h1 itself: a label, a legend or a panel that asks the page's question.
	Content template.HTML
	Headed  bool
}

// FullTitle is the text of the title element: "Error: " first, as a screen
// reader reads it first.
func (s *scene) FullTitle() string {
	title := s.Title + " – " + s.Service
	if s.Operator != s.Service {
		title += " – " + s.Operator
	}
	if len(s.Errors) > 0 {
		return "Error: " + title
	}
	return title
}

// H1 is the text of the page's heading.
func (s *scene) H1() string {
	if s.Heading != "" {
		return s.Heading
	}
	return s.Title
}

// errorOf returns the message at a field, or "".
func (s *scene) errorOf(field string) string {
	for _, e := range s.Errors {
		if e.Field == field {
			return e.Message
		}
	}
	return ""
}

// Render writes a page. Nothing is sent before the whole page is made, so a
// template that fails gives a clean fault page and never half a page.
func (p *Pages) Render(w http.ResponseWriter, r *http.Request, status int, name string, v View) {
	k := p.kit
	k.keep(r, v.Errors)
	if k.mend(w, r, v) {
		return
	}
	if k.withMistakes(r, &v) {
		status = http.StatusUnprocessableEntity
	}
	if v.Person == nil && k.options.Person != nil {
		v.Person = k.options.Person(r)
	}
	v.Notices = undismissed(r, v.Notices)
	body, err := p.execute(name, k.scene(r, v))
	if err != nil {
		k.Fault(w, r, err)
		return
	}
	k.send(w, r, status, v, body)
}

func (p *Pages) execute(name string, s *scene) ([]byte, error) {
	t, ok := p.pages[name]
	if !ok {
		return nil, fmt.Errorf("rendering page %q: there is no such template", name)
	}
	var content, body bytes.Buffer
	if err := t.ExecuteTemplate(&content, "content", s); err != nil {
		return nil, fmt.Errorf("rendering page %q: %w", name, err)
	}
	s.Content = template.HTML(content.String()) // escaped by the template that made it
	s.Headed = strings.Contains(string(s.Content), "<h1")
	if err := p.kit.layout.ExecuteTemplate(&body, "layout", s); err != nil {
		return nil, fmt.Errorf("rendering the layout of page %q: %w", name, err)
	}
	return body.Bytes(), nil
}

func (k *Kit) scene(r *http.Request, v View) *scene {
	s := &scene{
		View:     v,
		Operator: k.options.Operator, Service: k.options.Service, ServiceHref: "/",
		Dev:         k.options.Dev,
		ThemeColour: k.options.Colours.Header,
		CSRF:        k.token(Browser(r)),
		Here:        r.URL.RequestURI(),
	}
	if v.Section != "" {
		s.Service, s.ServiceHref = v.Section, v.SectionHref
	}
	return s
}

func (k *Kit) send(w http.ResponseWriter, r *http.Request, status int, v View, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Content-Security-Policy", contentPolicy(v.FormTargets, v.Frames))
	if v.Refresh > 0 {
		h.Set("Refresh", refresh(v))
	}
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(body)
	}
}
