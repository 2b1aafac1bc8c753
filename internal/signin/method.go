package signin

import (
	"net/http"
	"net/url"
	"slices"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/fido"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/page"
)

// rememberLife is how long a remembered choice lives, in seconds: two years
// (domain, 1.11).
const rememberLife = 2 * 365 * 24 * 60 * 60

// unavailable says why a method cannot be chosen for what is asked, or is "".
func (s *SignIn) unavailable(req care.Requirement, m care.Method) string {
	switch m {
	case care.AuthenticatorApp, care.WindowsHello, care.SecurityKey:
		return ""
	case care.Passkey:
		if s.Passkeys.Service(req.ClientID) {
			return ""
		}
		return "In private beta, and not open here yet."
	default:
		return "Not available here yet."
	}
}

// usable returns those of the offered methods that can be used.
func (s *SignIn) usable(req care.Requirement) []care.Method {
	return slices.DeleteFunc(req.Offers(), func(m care.Method) bool { return s.unavailable(req, m) != "" })
}

// about is what the page says of a method: one line for people who do not know
// its name, with the levels that it can reach, and what the browser must be able
// to do for it, or else why it cannot be chosen there.
type about struct{ hint, needs, unable string }

var methods = map[care.Method]about{
	care.Smartcard: {hint: "Your NHS smartcard and its passcode (AAL3)"},
	care.WindowsHello: {
		"Your face, fingerprint or PIN on this Windows device (AAL3 or AAL2)",
		"platform", "This browser cannot use Windows Hello, or it is not set up on this computer.",
	},
	care.SecurityKey: {
		"A small device that you plug in or hold to the computer (AAL3 or AAL2)",
		"webauthn", "This browser cannot use security keys. Use a current version of Chrome or Edge.",
	},
	care.IPadApp:          {hint: "Your fingerprint on your iPad (AAL3)"},
	care.AuthenticatorApp: {hint: "Your email address, password and a 6-digit code from your phone (AAL2)"},
	care.NHSmail:          {hint: "Your NHSmail account (AAL2)"},
	care.Passkey: {
		"Your phone or computer, without a password (AAL2, or AAL3 if it is bound to one device)",
		"webauthn", "This browser cannot use passkeys. Use a current version of Chrome or Edge.",
	},
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
	// Who asks for the page by name gets it. Its form keeps the word, so that a
	// mistake there comes back to the page too.
	if r.URL.Query().Get("choose") == "" && !s.shared(r) {
		if m := remembered(r, req.ACR); slices.Contains(s.usable(req), m) {
			s.begin(w, r, req, m, true)
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
		a := methods[m]
		choice := page.Choice{Value: string(m), Label: m.Label(), Hint: a.hint, Reason: s.unavailable(req, m)}
		if choice.Reason == "" {
			data.None = false
			choice.Needs, choice.Unable = a.needs, a.unable
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
	m, usable := care.Method(form.Get("method")), s.usable(req)
	if !slices.Contains(usable, m) {
		problem := page.FieldError{Field: "method", Message: "Select how you want to sign in"}
		if len(usable) == 0 {
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
	s.begin(w, r, req, m, false)
}

// begin starts the journey of a method, which was chosen now or is remembered.
func (s *SignIn) begin(w http.ResponseWriter, r *http.Request, req care.Requirement, m care.Method, remembered bool) {
	if slices.Contains(fido.Methods(), m) {
		// Who comes by a remembered choice has to touch their key and nothing
		// else. A passkey chosen now has a list in the address field too.
		begin := remembered || m != care.Passkey
		s.next(w, r, journey.Begin(s.journeys, stepKey, state{Requirement: req, Method: m, Begin: begin}), stepKey, pathKey)
		return
	}
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
