package account

import (
	"fmt"
	"net/http"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/person"
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
// signed in.
func (a *Account) leave(w http.ResponseWriter, r *http.Request, why string) (person.Person, error) {
	v, err := a.visit(r)
	if err != nil {
		return v.person, err
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
			return v.person, fmt.Errorf("ending a session: %w", err)
		}
	}
	session.ClearCookie(w)
	return v.person, nil
}

// signout asks whoever is still signed in, and else says that nobody is.
func (a *Account) signout(w http.ResponseWriter, r *http.Request) error {
	v, err := a.visit(r)
	if err != nil {
		return err
	}
	if v.session != nil {
		return a.ok(w, r, "signout", v, page.View{Title: "Do you want to sign out?", Back: home, Data: v.person.DisplayName()})
	}
	return a.door(w, r, http.StatusOK, "signed-out", page.View{Title: "You have signed out"})
}

func (a *Account) postSignout(w http.ResponseWriter, r *http.Request) error {
	if _, err := a.leave(w, r, "signed out"); err != nil {
		return err
	}
	page.SeeOther(w, r, "/signout")
	return nil
}

// notYou says who is not signed in any more (decision 8).
func (a *Account) notYou(w http.ResponseWriter, r *http.Request) error {
	trip, err := open[farewell](r, a.farewells, stepNotYou)
	if err != nil {
		// Reloaded late, or typed: the question of the other door fits.
		return a.signout(w, r)
	}
	return a.door(w, r, http.StatusOK, "not-you", page.View{Title: trip.State.Name + " is signed out"})
}

func (a *Account) postNotYou(w http.ResponseWriter, r *http.Request) error {
	who, err := a.leave(w, r, "holder was another person")
	if err != nil {
		return err
	}
	if who.UID == "" {
		page.SeeOther(w, r, "/signout")
		return nil
	}
	trip := journey.Begin(a.farewells, stepNotYou, farewell{Name: who.DisplayName()})
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
