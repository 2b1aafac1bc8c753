package account

import (
	"net/http"

	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/person"
)

func forgottenNewView(trip forgottenTrip, sealed string) page.View {
	return page.View{
		Title: "Create a new password", Journey: sealed,
		Data: passwordData{Action: pathForgottenNew, Email: trip.State.Address},
	}
}

func (a *Account) forgottenNew(w http.ResponseWriter, r *http.Request) error {
	trip, err := open[forgottenState](r, a.forgotten, stepPassword)
	if err != nil {
		return err
	}
	return a.door(w, r, http.StatusOK, "password", forgottenNewView(trip, token(r)))
}

// postForgottenNew takes the new password. The mailbox is proven here, so the
// person's name may be among the words that it must not be.
func (a *Account) postForgottenNew(w http.ResponseWriter, r *http.Request) error {
	trip, err := open[forgottenState](r, a.forgotten, stepPassword)
	if err != nil {
		return err
	}
	mailbox, err := a.MailCode.Proof(r.Context(), trip.ID)
	if err != nil {
		return err
	}
	var p person.Person
	err = a.DB.Read(r.Context(), func(tx *db.Tx) error {
		p, err = person.ByUID(tx, mailbox.UID())
		return err
	})
	if err != nil {
		return err
	}
	chosen := r.PostForm.Get("password")
	if err := a.App.CheckPassword(chosen, r.PostForm.Get("confirm"), trip.State.Address, p.DisplayName()); err != nil {
		problems := passwordMistakes(err)
		if problems == nil {
			return err
		}
		view := forgottenNewView(trip, token(r))
		view.Errors = problems
		return a.door(w, r, http.StatusUnprocessableEntity, "password", view)
	}
	trip.State.Password = chosen
	return next(w, r, a.forgotten, trip, stepApp, pathForgottenApp)
}

func forgottenAppView(sealed string) page.View {
	return page.View{Title: "Check your authenticator app", Journey: sealed}
}

func (a *Account) forgottenApp(w http.ResponseWriter, r *http.Request) error {
	if _, err := open[forgottenState](r, a.forgotten, stepApp); err != nil {
		return err
	}
	return a.door(w, r, http.StatusOK, "forgotten-app", forgottenAppView(token(r)))
}

// postForgottenApp takes the app's code and passes the gate with both proofs
// (ASVS 6.4.3: a reset does not bypass the second factor; N21).
func (a *Account) postForgottenApp(w http.ResponseWriter, r *http.Request) error {
	trip, err := open[forgottenState](r, a.forgotten, stepApp)
	if err != nil {
		return err
	}
	err = a.reset(r, trip)
	if err == nil {
		trip.State.Password = ""
		return next(w, r, a.forgotten, trip, stepDone, pathForgottenDone)
	}
	problems := appMistakes(err)
	if problems == nil {
		return err
	}
	view := forgottenAppView(token(r))
	view.Errors = problems
	return a.door(w, r, http.StatusUnprocessableEntity, "forgotten-app", view)
}

// reset changes the password with the proofs of the mailbox and of the app.
func (a *Account) reset(r *http.Request, trip forgottenTrip) error {
	mailbox, err := a.MailCode.Proof(r.Context(), trip.ID)
	if err != nil {
		return err
	}
	code, err := a.App.CheckCode(r.Context(), mailbox.UID(), trip.State.Address, r.PostForm.Get("code"), a.who(r, trip.State.Address))
	if err != nil {
		return err
	}
	change, err := a.App.ChangePassword(r.Context(), mailbox.UID(), code.AuthenticatorID(), trip.State.Password)
	if err != nil {
		return err
	}
	return a.Gate.Change(r.Context(), gate.Changing{Change: change, Proofs: []credential.Proof{mailbox, code}})
}

func (a *Account) forgottenDone(w http.ResponseWriter, r *http.Request) error {
	if _, err := open[forgottenState](r, a.forgotten, stepDone); err != nil {
		return err
	}
	return a.door(w, r, http.StatusOK, "forgotten-done", page.View{Title: "Your password is changed"})
}
