package account

import (
	"errors"
	"net/http"
	"net/url"
	"slices"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/mailcode"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/person"
)

// Addresses of a forgotten password.
const (
	pathForgotten     = "/recover/password"
	pathForgottenCode = "/recover/password/code"
	pathForgottenNew  = "/recover/password/new"
	pathForgottenApp  = "/recover/password/app"
	pathForgottenDone = "/recover/password/done"
)

// stepApp is the page of the app's code.
const stepApp = "app"

// forgottenState is what the way back to a forgotten password has done so far.
// It asks for the emailed code, the new password and the app's code, in this
// order: a code of the app lives half a minute and is used up at the gate. The
// new password travels sealed until then; the emailed code is the journey's.
type forgottenState struct {
	Address  care.Email `json:"a,omitempty"`
	Password string     `json:"p,omitempty"`
	Again    bool       `json:"g,omitempty"`
}

type forgottenTrip = journey.Journey[forgottenState]

func (a *Account) forgottenEmail(w http.ResponseWriter, r *http.Request) error {
	sealed, err := journey.Seal(a.forgotten, page.Browser(r), journey.Begin(a.forgotten, stepEmail, forgottenState{}))
	if err != nil {
		return err
	}
	return a.door(w, r, http.StatusOK, "forgotten-email", forgottenEmailView(sealed))
}

func forgottenEmailView(sealed string) page.View {
	return page.View{Title: "Forgotten your password?", Journey: sealed}
}

// postForgottenEmail sends a code, or does all of that but the sending: whether
// the address is known must not show (ASVS 6.3.8).
func (a *Account) postForgottenEmail(w http.ResponseWriter, r *http.Request) error {
	trip, err := open[forgottenState](r, a.forgotten, stepEmail)
	if err != nil {
		return err
	}
	trip.State.Address, err = care.ParseEmail(r.PostForm.Get("email"))
	if err != nil {
		view := forgottenEmailView(token(r))
		view.Errors = []page.FieldError{{Field: "email", Message: "Enter an email address in the correct format, like name@example.nhs.uk"}}
		view.Values = url.Values{"email": r.PostForm["email"]}
		return a.door(w, r, http.StatusUnprocessableEntity, "forgotten-email", view)
	}
	if err := a.sendForgottenCode(r, trip); err != nil {
		return err
	}
	return next(w, r, a.forgotten, trip, stepCode, pathForgottenCode)
}

func (a *Account) sendForgottenCode(r *http.Request, trip forgottenTrip) error {
	uid, err := a.holder(r, trip.State.Address)
	if err != nil {
		return err
	}
	request := mailcode.Request{
		Journey: trip.ID, Purpose: "choose a new password for your Care Identity", UID: uid, Address: trip.State.Address, Deliver: uid != "",
		Network: a.Network(r),
	}
	if device, known := a.Devices.Known(r, trip.State.Address); known {
		request.Asker = "browser " + device
	}
	return a.MailCode.Send(r.Context(), request)
}

// holder is the open person with this verified address and an app that can
// prove a new password, or "". It reads the same for everybody.
func (a *Account) holder(r *http.Request, address care.Email) (care.UID, error) {
	var uid care.UID
	err := a.DB.Read(r.Context(), func(tx *db.Tx) error {
		p, err := person.ByEmail(tx, address)
		if err != nil && !errors.Is(err, db.ErrNoRows) {
			return err
		}
		records, err := credential.Of(tx, p.UID)
		if err != nil {
			return err
		}
		uid = ""
		if p.UID != "" && p.Closed == nil && slices.ContainsFunc(records, usableApp) {
			uid = p.UID
		}
		return nil
	})
	return uid, err
}

func forgottenCodeView(trip forgottenTrip, sealed string) page.View {
	return page.View{
		Title: "Check your inbox", Journey: sealed, Back: pathForgotten,
		Data: inboxData{Action: pathForgottenCode, Address: trip.State.Address, Again: trip.State.Again, Other: pathForgotten, Uniform: true},
	}
}

func (a *Account) forgottenCode(w http.ResponseWriter, r *http.Request) error {
	trip, err := open[forgottenState](r, a.forgotten, stepCode)
	if err != nil {
		return err
	}
	return a.door(w, r, http.StatusOK, "inbox", forgottenCodeView(trip, token(r)))
}

func (a *Account) postForgottenCode(w http.ResponseWriter, r *http.Request) error {
	trip, err := open[forgottenState](r, a.forgotten, stepCode)
	if err != nil {
		return err
	}
	if r.PostForm.Has("again") {
		if err = a.sendForgottenCode(r, trip); err == nil {
			trip.State.Again = true
			return next(w, r, a.forgotten, trip, stepCode, pathForgottenCode)
		}
	} else if _, err = a.MailCode.Check(r.Context(), trip.ID, r.PostForm.Get("code")); err == nil {
		return next(w, r, a.forgotten, trip, stepPassword, pathForgottenNew)
	}
	problems := inboxMistakes(err)
	if problems == nil {
		return err
	}
	trip.State.Again = false
	view := forgottenCodeView(trip, token(r))
	view.Errors = problems
	return a.door(w, r, http.StatusUnprocessableEntity, "inbox", view)
}
