package signin

import (
	"net/http"
	"net/url"
	"slices"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/page"
)

// rememberLife is how long a remembered choice lives, in seconds: two years
// (domain, 1.11).
const rememberLife = 2 * 365 * 24 * 60 * 60

// unavailable says why a method cannot be chosen here.
const unavailable = "Not available here yet."

// available holds the methods that can be used for signing in.
func available(m care.Method) bool { return m == care.AuthenticatorApp }

// help is one line about each method, for people who do not know its name.
var help = map[care.Method]string{
	care.Smartcard:        "Your NHS smartcard and its passcode",
	care.WindowsHello:     "Your face, fingerprint or PIN on this Windows device",
	care.SecurityKey:      "A small device that you plug in or hold to the computer",
	care.IPadApp:          "Your fingerprint on your iPad",
	care.AuthenticatorApp: "Your email address, password and a 6-digit code from your phone",
	care.NHSmail:          "Your NHSmail account",
	care.Passkey:          "Your phone or computer, without a password",
}

// start shows the login-method page, or goes on where less is needed.
func (s *SignIn) start(w http.ResponseWriter, r *http.Request) {
	req, ok := s.requirement(w, r, r.URL.Query().Get("req"))
	if !ok {
		return
	}
	current, err := s.Sessions.Current(r.Context(), r)
	if err != nil {
		s.Kit.Fault(w, r, err)
		return
	}
	if current != nil && current.Satisfies(req) {
		s.home(w, r, req)
		return
	}
	offered := req.Offers()
	// Who asks for the page by name gets it. Its form keeps the word, so that a
	// mistake there comes back to the page too.
	if r.URL.Query().Get("choose") == "" && !s.shared(r) {
		if m := remembered(r, req.ACR); available(m) && slices.Contains(offered, m) {
			s.begin(w, r, req, m)
			return
		}
	}
	s.methodPage(w, r, http.StatusOK, req, "", nil)
}

// home goes on from a session that is good enough: to the role, if one is
// wanted, else back to who asked.
func (s *SignIn) home(w http.ResponseWriter, r *http.Request, req care.Requirement) {
	if req.Role == care.NoRole {
		page.SeeOther(w, r, req.ReturnTo)
		return
	}
	sealed, err := s.Requirements.SealRequirement(req)
	if err != nil {
		s.Kit.Fault(w, r, err)
		return
	}
	page.SeeOther(w, r, "/signin/role?req="+sealed)
}

type methodData struct {
	Requirement string
	Service     string
	Choices     []page.Choice
	// None: nothing on the page can be used here.
	None bool
	// Shared: no choice is remembered on this computer (decision 8).
	Shared bool
}

func (s *SignIn) methodPage(w http.ResponseWriter, r *http.Request, status int, req care.Requirement, chosen string, errs []page.FieldError) {
	sealed, err := s.Requirements.SealRequirement(req)
	if err != nil {
		s.Kit.Fault(w, r, err)
		return
	}
	data := methodData{Requirement: sealed, Service: req.Service, None: true, Shared: s.shared(r)}
	for _, m := range req.Offers() {
		choice := page.Choice{Value: string(m), Label: m.Label(), Hint: help[m]}
		if available(m) {
			data.None = false
		} else {
			choice.Reason = unavailable
		}
		data.Choices = append(data.Choices, choice)
	}
	s.pages.Render(w, r, status, "method", page.View{
		Title: "Select your login method", Data: data, Errors: errs,
		Values: url.Values{"method": {chosen}}, FormTargets: targets(req),
	})
}

// choose takes the chosen method, remembers the choice if asked to, and begins
// a sign-in.
func (s *SignIn) choose(w http.ResponseWriter, r *http.Request) {
	form, err := page.Form(w, r)
	if err != nil {
		s.Kit.Fault(w, r, err)
		return
	}
	req, ok := s.requirement(w, r, form.Get("req"))
	if !ok {
		return
	}
	m, offered := care.Method(form.Get("method")), req.Offers()
	if !available(m) || !slices.Contains(offered, m) {
		problem := page.FieldError{Field: "method", Message: "Select how you want to sign in"}
		if !slices.ContainsFunc(offered, available) {
			problem = page.FieldError{Message: "None of these login methods is available here yet"} // no field to go to
		}
		s.methodPage(w, r, http.StatusUnprocessableEntity, req, form.Get("method"), []page.FieldError{problem})
		return
	}
	if form.Get("remember") != "" && !s.shared(r) {
		remember(w, req.ACR, m, rememberLife)
	} else {
		remember(w, req.ACR, m, -1)
	}
	s.begin(w, r, req, m)
}

// begin starts the journey of a method. The authenticator app is the only one
// so far: available says so.
func (s *SignIn) begin(w http.ResponseWriter, r *http.Request, req care.Requirement, _ care.Method) {
	s.next(w, r, journey.Begin(s.journeys, stepEmail, state{Requirement: req}), stepEmail, "/signin/email")
}

// cancel sends the person back to who asked, without a sign-in.
func (s *SignIn) cancel(w http.ResponseWriter, r *http.Request) {
	req, ok := s.requirement(w, r, r.URL.Query().Get("req"))
	if !ok {
		return
	}
	if req.ClientID == "" {
		page.SeeOther(w, r, "/")
		return
	}
	back, err := s.Requirements.SealRefusal(req, journey.Cancelled)
	if err != nil {
		s.Kit.Fault(w, r, err)
		return
	}
	page.SeeOther(w, r, back)
}

// shared reports whether people share the computer.
func (s *SignIn) shared(r *http.Request) bool { return s.Computers.Shared(r, s.Network(r)) }

// rememberCookie is the cookie of a remembered choice: one for each acr class,
// as CIS2 has them (domain, 1.11). It holds the method and nothing more.
func rememberCookie(acr care.ACR) string { return "__Host-method-" + string(acr) }

func remembered(r *http.Request, acr care.ACR) care.Method {
	cookie, err := r.Cookie(rememberCookie(acr))
	if err != nil {
		return ""
	}
	return care.Method(cookie.Value)
}

func remember(w http.ResponseWriter, acr care.ACR, m care.Method, seconds int) {
	http.SetCookie(w, &http.Cookie{
		Name: rememberCookie(acr), Value: string(m), Path: "/", MaxAge: seconds,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}
