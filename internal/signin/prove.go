package signin

import (
	"net/http"
	"net/url"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/session"
	"carekey.dev/carekey/internal/throttle"
)

// proveData is what the pages of a method show.
type proveData struct {
	Service string
	// Another leads to the login-method page, past a remembered choice.
	Another string
	// Cancel leads back to the service, or is "".
	Cancel  string
	Email   string
	Journey string
}

// data is what all pages of a journey show.
func (s *SignIn) data(t trip, sealed string) (proveData, error) {
	req, err := s.Requirements.SealRequirement(t.State.Requirement)
	data := proveData{
		Service: t.State.Requirement.Service, Email: string(t.State.Email), Journey: sealed,
		Another: "/signin?choose=1&req=" + req,
	}
	if t.State.Requirement.ClientID != "" {
		data.Cancel = "/signin/cancel?req=" + req
	}
	return data, err
}

// show renders one page of the journey.
func (s *SignIn) show(w http.ResponseWriter, r *http.Request, status int, name string, t trip, sealed string, v page.View) {
	data, err := s.data(t, sealed)
	if err != nil {
		s.Kit.Fault(w, r, err)
		return
	}
	v.Data, v.Journey, v.FormTargets = data, sealed, targets(t.State.Requirement)
	s.pages.Render(w, r, status, name, v)
}

// view shows the page of a step as it is first seen.
func (s *SignIn) view(w http.ResponseWriter, r *http.Request, step, title string, values func(trip) url.Values) {
	sealed := r.URL.Query().Get("j")
	if t, ok := s.open(w, r, sealed, step); ok {
		v := page.View{Title: title}
		if values != nil {
			v.Values = values(t)
		}
		s.show(w, r, http.StatusOK, step, t, sealed, v)
	}
}

// mend shows the page of a step with what has to be mended.
func (s *SignIn) mend(w http.ResponseWriter, r *http.Request, step, title string, t trip, form url.Values, problems ...page.FieldError) {
	s.show(w, r, http.StatusUnprocessableEntity, step, t, form.Get("j"), page.View{
		Title: title, Errors: problems, Values: form,
	})
}

// form reads a posted form and its journey at one of steps.
func (s *SignIn) form(w http.ResponseWriter, r *http.Request, steps ...string) (url.Values, trip, bool) {
	form, err := page.Form(w, r)
	if err != nil {
		s.Kit.Fault(w, r, err)
		return nil, trip{}, false
	}
	t, ok := s.open(w, r, form.Get("j"), steps...)
	return form, t, ok
}

// Titles of the pages.
const (
	titleEmail    = "What is your Care Identity email address?"
	titlePassword = "Enter your password"
	titleCode     = "Check your authenticator app"
)

func (s *SignIn) email(w http.ResponseWriter, r *http.Request) {
	s.view(w, r, stepEmail, titleEmail, func(t trip) url.Values {
		return url.Values{"email": {t.State.Requirement.LoginHint}}
	})
}

// postEmail takes the address. Whether anybody has it is not looked up here:
// known and unknown people see the same page next (ASVS 6.3.8).
func (s *SignIn) postEmail(w http.ResponseWriter, r *http.Request) {
	form, t, ok := s.form(w, r, stepEmail)
	if !ok {
		return
	}
	address, err := care.ParseEmail(form.Get("email"))
	if err != nil {
		s.mend(w, r, stepEmail, titleEmail, t, form, page.FieldError{
			Field: "email", Message: "Enter an email address in the correct format, like name@example.nhs.uk",
		})
		return
	}
	t.State.Email = address
	s.next(w, r, t, stepPassword, "/signin/password")
}

func (s *SignIn) password(w http.ResponseWriter, r *http.Request) {
	s.view(w, r, stepPassword, titlePassword, nil)
}

func (s *SignIn) postPassword(w http.ResponseWriter, r *http.Request) {
	form, t, ok := s.form(w, r, stepPassword)
	if !ok {
		return
	}
	if form.Get("password") == "" {
		s.mend(w, r, stepPassword, titlePassword, t, form, page.FieldError{Field: "password", Message: "Enter your password"})
		return
	}
	ticket, err := s.App.PasswordStep(r.Context(), t.State.Email, form.Get("password"), s.who(r, t.State.Email))
	if mistakes := page.Mistakes(err, "password", page.AndNext, fault.WrongEmailOrPassword); mistakes != nil {
		s.mend(w, r, stepPassword, titlePassword, t, form, mistakes...)
		return
	}
	if err != nil {
		s.Kit.Fault(w, r, err, s.waysFrom(t)...)
		return
	}
	t.State.Ticket = ticket
	s.next(w, r, t, stepCode, "/signin/code")
}

func (s *SignIn) code(w http.ResponseWriter, r *http.Request) {
	s.view(w, r, stepCode, titleCode, nil)
}

// postCode takes the code and passes the gate.
func (s *SignIn) postCode(w http.ResponseWriter, r *http.Request) {
	form, t, ok := s.form(w, r, stepCode)
	if !ok {
		return
	}
	proof, err := s.App.CodeStep(r.Context(), t.State.Ticket, form.Get("code"), s.who(r, t.State.Email))
	if err == nil {
		var admitted gate.Admitted
		if admitted, err = s.pass(r, t, proof); err == nil {
			s.admit(w, r, t, admitted)
			return
		}
	}
	mistakes := page.Mistakes(err, "code", page.AndNext, fault.WrongAppCode, fault.AppCodeUsed, fault.AppCodeMistyped)
	if mistakes != nil {
		s.mend(w, r, stepCode, titleCode, t, form, mistakes...)
		return
	}
	s.Kit.Fault(w, r, err, s.waysFrom(t)...)
}

// pass passes the gate with a proof.
func (s *SignIn) pass(r *http.Request, t trip, proof credential.Proof) (gate.Admitted, error) {
	return s.Gate.SignIn(r.Context(), gate.Admission{
		Proofs: []credential.Proof{proof}, Requirement: t.State.Requirement,
		Terms: s.Terms(), Previous: session.Token(r), Browser: session.BrowserName(r.UserAgent()), Shared: s.shared(r),
	})
}

// admit gives the browser its session and sends it on.
func (s *SignIn) admit(w http.ResponseWriter, r *http.Request, t trip, admitted gate.Admitted) {
	session.SetCookie(w, admitted.Token)
	if err := s.Computers.Renew(w, r); err != nil {
		s.Kit.Fault(w, r, err)
		return
	}
	// The budget of a browser that is known is for what can be guessed: a
	// password and a code. The address beside a key may be anybody's.
	if t.State.Method == "" {
		if err := s.Devices.Remember(w, r, t.State.Email); err != nil {
			s.Kit.Fault(w, r, err)
			return
		}
	}
	s.home(w, r, t.State.Requirement)
}

// who is the browser that tries, as throttling sees it.
func (s *SignIn) who(r *http.Request, address care.Email) throttle.Subject {
	return s.Devices.Subject(r, address, s.Network(r))
}

// waysFrom are the ways on from a page that could not go on.
func (s *SignIn) waysFrom(t trip) []page.Link {
	var ways []page.Link
	if t.State.Method == "" {
		ways = []page.Link{{Text: "Forgotten your password?", Href: "/recover/password"}}
	}
	if req, err := s.Requirements.SealRequirement(t.State.Requirement); err == nil {
		ways = append([]page.Link{{Text: "Use another way to sign in", Href: "/signin?choose=1&req=" + req}}, ways...)
	}
	return ways
}
