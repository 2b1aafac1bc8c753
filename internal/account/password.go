package account

import (
	"net/http"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/page"
)

// The steps of a change of a secret.
const (
	stepPassword = "password"
	stepCodes    = "codes"
)

// secretState says whose secret of which authenticator is changed.
type secretState struct {
	UID           care.UID `json:"u"`
	Authenticator string   `json:"a"`
}

type secretTrip = journey.Journey[secretState]

// beginSecret begins a change of a secret after a fresh sign-in.
func (a *Account) beginSecret(r *http.Request, v visit, step string) (string, error) {
	record, err := a.own(r.Context(), v.person.UID, usableApp)
	if err != nil {
		return "", err
	}
	if err := a.fresh(v); err != nil {
		return "", err
	}
	trip := journey.Begin(a.secrets, step, secretState{UID: v.person.UID, Authenticator: record.ID})
	return journey.Seal(a.secrets, page.Browser(r), trip)
}

// secretTrip opens the visitor's own change of a secret.
func (a *Account) secretTrip(r *http.Request, v visit, step string) (secretTrip, error) {
	trip, err := open[secretState](r, a.secrets, step)
	if err != nil {
		return trip, err
	}
	return trip, v.owns(trip.State.UID)
}

func passwordView(v visit, sealed string) page.View {
	return page.View{
		Title: "Create a new password", Back: "/cim/authenticators", Journey: sealed,
		Data: passwordData{Action: "/cim/password", Email: v.person.Email},
	}
}

// passwordData is what the page of a new password shows.
type passwordData struct {
	// Action is where the form leads.
	Action string
	// Email is the sign-in address, for password managers.
	Email care.Email
}

func (a *Account) password(w http.ResponseWriter, r *http.Request, v visit) error {
	sealed, err := a.beginSecret(r, v, stepPassword)
	if err != nil {
		return err
	}
	return a.ok(w, r, "password", v, passwordView(v, sealed))
}

// postPassword changes the password. The fresh sign-in with the old one stands
// for typing it again (ASVS 6.2.3, 7.5.1). Other sessions end.
func (a *Account) postPassword(w http.ResponseWriter, r *http.Request, v visit) error {
	trip, err := a.secretTrip(r, v, stepPassword)
	if err != nil {
		return err
	}
	chosen := r.PostForm.Get("password")
	if err := a.App.CheckPassword(chosen, r.PostForm.Get("confirm"), v.person.Email, v.person.DisplayName()); err != nil {
		problems := passwordMistakes(err)
		if problems == nil {
			return err
		}
		view := passwordView(v, token(r))
		view.Errors = problems
		return a.mend(w, r, "password", v, view)
	}
	change, err := a.App.ChangePassword(r.Context(), v.person.UID, trip.State.Authenticator, chosen)
	if err != nil {
		return err
	}
	if err := a.Gate.Change(r.Context(), gate.Changing{Change: change, Session: v.session}); err != nil {
		return err
	}
	return next(w, r, a.secrets, trip, stepDone, "/cim/password/done")
}

func (a *Account) passwordDone(w http.ResponseWriter, r *http.Request, v visit) error {
	if _, err := a.secretTrip(r, v, stepDone); err != nil {
		return err
	}
	return a.ok(w, r, "password-done", v, page.View{Title: "Your password is changed"})
}
