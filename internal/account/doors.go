package account

import (
	"fmt"
	"net/http"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/session"
)

// door renders a page that needs no sign-in. The kit says who is signed in, if
// somebody is.
func (a *Account) door(w http.ResponseWriter, r *http.Request, status int, name string, view page.View) error {
	view.Section, view.SectionHref = service, home
	a.pages.Render(w, r, status, name, view)
	return nil
}

// leave ends the session of a request, if there is one, and returns who was
// signed in. The relying parties of the session are told in their time
// (decision 7).
func (a *Account) leave(w http.ResponseWriter, r *http.Request, why string) (visit, error) {
	v, err := a.leaving(r)
	if err != nil {
		return v, err
	}
	if v.session != nil {
		err = a.DB.Write(r.Context(), func(tx *db.Tx) error {
			if err := session.End(tx, v.session.ID, why); err != nil {
				return err
			}
			return audit.Record(tx, audit.Entry{
				Action: "session.ended", Subject: v.person.UID, Actor: string(v.person.UID), Session: v.session.SID,
				Fields: []audit.Field{{Name: "why", Value: why}},
			})
		})
		if err != nil {
			return v, fmt.Errorf("ending a session: %w", err)
		}
	}
	session.ClearCookie(w)
	return v, nil
}

// gone is a page after a sign-out: services that hear of it through the browser
// do so here, in frames.
func (a *Account) gone(w http.ResponseWriter, r *http.Request, name string, left farewell, view page.View) error {
	frames, err := a.Frames(r.Context(), left.SID)
	if err != nil {
		return err
	}
	view.Frames = frames
	return a.door(w, r, http.StatusOK, name, view)
}

// signout asks whoever is still signed in, and else says that nobody is.
func (a *Account) signout(w http.ResponseWriter, r *http.Request) error {
	v, err := a.leaving(r)
	if err != nil {
		return err
	}
	if v.session != nil {
		return a.ok(w, r, "signout", v, page.View{Title: "Do you want to sign out?", Back: home, Data: v.person.DisplayName()})
	}
	trip, err := open[farewell](r, a.farewells, stepSignedOut)
	if err != nil {
		trip.State = farewell{} // reloaded late, or nobody was signed in
	}
	return a.gone(w, r, "signed-out", trip.State, page.View{Title: "You have signed out"})
}

func (a *Account) postSignout(w http.ResponseWriter, r *http.Request) error {
	left, err := a.leave(w, r, "signed out")
	if err != nil {
		return err
	}
	if left.session == nil {
		page.SeeOther(w, r, "/signout")
		return nil
	}
	trip := journey.Begin(a.farewells, stepSignedOut, farewell{SID: left.session.SID})
	return next(w, r, a.farewells, trip, stepSignedOut, "/signout")
}

// notYou says who is not signed in any more (decision 8).
func (a *Account) notYou(w http.ResponseWriter, r *http.Request) error {
	trip, err := open[farewell](r, a.farewells, stepNotYou)
	if err != nil {
		// Reloaded late, or typed: the question of the other door fits.
		return a.signout(w, r)
	}
	return a.gone(w, r, "not-you", trip.State, page.View{Title: trip.State.Name + " is signed out"})
}

func (a *Account) postNotYou(w http.ResponseWriter, r *http.Request) error {
	left, err := a.leave(w, r, "holder was another person")
	if err != nil {
		return err
	}
	if left.session == nil {
		page.SeeOther(w, r, "/signout")
		return nil
	}
	trip := journey.Begin(a.farewells, stepNotYou, farewell{Name: left.person.DisplayName(), SID: left.session.SID})
	return next(w, r, a.farewells, trip, stepNotYou, "/not-you")
}

// notMe is the door of "this wasn't me" in a notice. Programs that look at mail
// follow links: it changes nothing and asks.
func (a *Account) notMe(w http.ResponseWriter, r *http.Request) error {
	link := r.URL.Query().Get("t")
	if err := a.Gate.CheckDisavowal(link); err != nil {
		return err
	}
	return a.door(w, r, http.StatusOK, "not-me", page.View{Title: "Was this not you?", Data: link})
}

// postNotMe ends every session and suspends the authenticator, without a
// sign-in: the person may have lost every other way (decision 6).
func (a *Account) postNotMe(w http.ResponseWriter, r *http.Request) error {
	if err := a.Gate.Disavow(r.Context(), r.PostForm.Get("t")); err != nil {
		return err
	}
	page.SeeOther(w, r, "/not-me/done")
	return nil
}

func (a *Account) notMeDone(w http.ResponseWriter, r *http.Request) error {
	return a.door(w, r, http.StatusOK, "not-me-done", page.View{Title: "Your identity is locked"})
}
