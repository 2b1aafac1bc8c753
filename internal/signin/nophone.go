package signin

import (
	"net/http"

	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/page"
)

const titleNoPhone = "You do not have your phone"

// noPhone shows the ways on for a worker whose phone is lost, broken or at
// home: another authenticator, a saved recovery code, the RA.
func (s *SignIn) noPhone(w http.ResponseWriter, r *http.Request) {
	sealed := r.URL.Query().Get("j")
	if t, ok := s.open(w, r, sealed, stepCode); ok {
		s.show(w, r, http.StatusOK, "no-phone", t, sealed, page.View{Title: titleNoPhone, Back: "/signin/code?j=" + sealed})
	}
}

// postNoPhone takes the choice. A recovery code opens a registration and never
// a session; the password that was right travels as the app's own ticket, in
// this browser alone.
func (s *SignIn) postNoPhone(w http.ResponseWriter, r *http.Request) {
	form, t, ok := s.form(w, r, stepCode)
	if !ok {
		return
	}
	req, err := s.Requirements.SealRequirement(t.State.Requirement)
	if err != nil {
		s.Kit.Fault(w, r, err)
		return
	}
	switch form.Get("way") {
	case "another":
		page.SeeOther(w, r, "/signin?choose=1&req="+req)
	case "recovery":
		sealed, err := journey.Seal(s.lost, page.Browser(r), journey.Begin(s.lost, "", t.State.Ticket))
		if err != nil {
			s.Kit.Fault(w, r, err)
			return
		}
		page.SeeOther(w, r, "/register/recover?ticket="+sealed)
	case "ra":
		page.SeeOther(w, r, "/help/lost-phone")
	default:
		s.mend(w, r, "no-phone", titleNoPhone, t, form, page.FieldError{Field: "way", Message: "Select what you want to do"})
	}
}
