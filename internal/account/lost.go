package account

import (
	"net/http"

	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/session"
)

// farewell is what a page says to somebody who is perhaps not signed in any
// more: who was, and what was suspended.
type farewell struct {
	Name string `json:"n"`
	Type string `json:"t,omitempty"`
	Noun string `json:"o,omitempty"`
	// SID is the session that ended, for the relying parties that hear of it
	// through the browser.
	SID string `json:"s,omitempty"`
}

const (
	stepReported  = "reported"
	stepNotYou    = "not you"
	stepSignedOut = "signed out"
	stepEnded     = "ended"
	stepChanged   = "changed"
	stepRemoved   = "removed"
)

// lost asks before it suspends: a phone in another coat is not lost.
func (a *Account) lost(w http.ResponseWriter, r *http.Request, v visit) error {
	h, _, err := a.named(r, v)
	if err != nil {
		return err
	}
	if !h.SuspendedAt.IsZero() {
		page.SeeOther(w, r, pathAuthenticators)
		return nil
	}
	h.App = h.App && h.Usable()
	return a.ok(w, r, "lost", v, page.View{Title: "Report " + h.Called() + " as lost", Back: pathAuthenticators, Data: h})
}

// postLost suspends it, at any level and without a fresh sign-in: whoever has
// the phone must be stopped now (decision 3).
func (a *Account) postLost(w http.ResponseWriter, r *http.Request, v visit) error {
	h, _, err := a.named(r, v)
	if err != nil {
		return err
	}
	if err := a.Gate.ReportLost(r.Context(), v.session, h.ID); err != nil {
		return err
	}
	if h.Here {
		session.ClearCookie(w)
	}
	trip := journey.Begin(a.farewells, stepReported, farewell{Name: v.person.DisplayName(), Type: h.Called(), Noun: h.Noun})
	return next(w, r, a.farewells, trip, stepReported, pathAuthenticators+"/reported")
}

// reported says what to do next. Its reader is not signed in any more, unless
// they used another authenticator.
func (a *Account) reported(w http.ResponseWriter, r *http.Request) error {
	trip, err := open[farewell](r, a.farewells, stepReported)
	if err != nil {
		return err
	}
	return a.door(w, r, http.StatusOK, "reported", page.View{
		Title: trip.State.Type + " is suspended", Data: trip.State,
	})
}
