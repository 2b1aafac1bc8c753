package account

import (
	"net/http"
	"net/url"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/session"
)

const pathAuthenticators = "/cim/authenticators"

// named returns the visitor's authenticator that the request names, and what
// they hold. Another person's is not there for them.
func (a *Account) named(r *http.Request, v visit) (held, authenticatorsData, error) {
	id := r.URL.Query().Get("id")
	if r.Method == http.MethodPost {
		id = r.PostForm.Get("id")
	}
	data, err := a.listOf(r.Context(), v)
	if err != nil {
		return held{}, data, err
	}
	for _, h := range data.Held {
		if h.ID == id {
			return h, data, nil
		}
	}
	return held{}, data, fault.New(fault.NoAuthenticator, nil)
}

// rename asks what its holder calls an authenticator, to tell two of one type
// apart.
func (a *Account) rename(w http.ResponseWriter, r *http.Request, v visit) error {
	h, _, err := a.named(r, v)
	if err != nil {
		return err
	}
	return a.ok(w, r, "rename", v, renameView(h, nil))
}

func renameView(h held, typed url.Values, mistakes ...page.FieldError) page.View {
	return page.View{
		Title: "What do you call this " + h.Noun + "?", Back: pathAuthenticators, Data: h, Values: typed, Errors: mistakes,
	}
}

func (a *Account) postRename(w http.ResponseWriter, r *http.Request, v visit) error {
	h, _, err := a.named(r, v)
	if err != nil {
		return err
	}
	name, err := credential.ParseName(r.PostForm.Get("name"))
	if err != nil {
		return a.mend(w, r, "rename", v, renameView(h, r.PostForm, page.FieldError{
			Field: "name", Message: "Enter a name with up to 40 letters, digits and spaces",
		}))
	}
	if err := a.Gate.Rename(r.Context(), v.session, h.ID, name); err != nil {
		return err
	}
	return a.listSays(w, r, credential.Called(h.Method, name)+" has its new name")
}

// listSays goes back to the list, which says once what was done.
func (a *Account) listSays(w http.ResponseWriter, r *http.Request, what string) error {
	trip := journey.Begin(a.farewells, stepChanged, farewell{Name: what})
	return next(w, r, a.farewells, trip, stepChanged, pathAuthenticators)
}

// remove asks before an authenticator is removed, after a fresh sign-in
// (decision 3; ASVS 7.5.1). It says right away if that cannot be done.
func (a *Account) remove(w http.ResponseWriter, r *http.Request, v visit) error {
	h, _, err := a.named(r, v)
	switch {
	case err != nil:
		return err
	case h.Last:
		return fault.New(fault.LastAuthenticator, nil)
	}
	if err := a.fresh(v); err != nil {
		return err
	}
	return a.ok(w, r, "remove", v, page.View{Title: "Remove " + h.Called(), Back: pathAuthenticators, Data: h})
}

// postRemove removes it. Whoever is signed in with it is not any more.
func (a *Account) postRemove(w http.ResponseWriter, r *http.Request, v visit) error {
	h, _, err := a.named(r, v)
	if err != nil {
		return err
	}
	if err := a.Gate.Remove(r.Context(), v.session, h.ID); err != nil {
		return err
	}
	still, err := a.visit(r)
	if err != nil {
		return err
	}
	if still.session != nil {
		return a.listSays(w, r, h.Called()+" is removed")
	}
	session.ClearCookie(w)
	left := farewell{Name: v.person.DisplayName(), Type: h.Called(), SID: v.session.SID}
	return next(w, r, a.farewells, journey.Begin(a.farewells, stepRemoved, left), stepRemoved, pathAuthenticators+"/removed")
}

// removed tells somebody who is not signed in any more.
func (a *Account) removed(w http.ResponseWriter, r *http.Request) error {
	trip, err := open[farewell](r, a.farewells, stepRemoved)
	if err != nil {
		return err
	}
	return a.gone(w, r, "removed", trip.State, page.View{Title: trip.State.Type + " is removed", Data: trip.State})
}

// nouns are what people call the thing of a type in a sentence.
var nouns = map[care.Method]string{
	care.Smartcard: "smartcard", care.WindowsHello: "device", care.SecurityKey: "security key", care.IPadApp: "iPad",
	care.AuthenticatorApp: "phone", care.NHSmail: "account", care.Passkey: "passkey",
}
