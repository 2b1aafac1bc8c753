package registration

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/session"
)

// kind is an authenticator type as seed 0 offers it.
type kind struct {
	method care.Method
	about  string
}

// kinds are in the seed's order ("Select authenticator type").
var kinds = []kind{
	{care.IPadApp, "Uses fingerprint biometrics on an iPad to authenticate"},
	{care.AuthenticatorApp, "Uses an approved email and security code to access National Care Records Service"},
	{care.WindowsHello, "Uses facial recognition, fingerprint or PIN on supported Windows devices"},
	{care.SecurityKey, "Uses a small physical device that is a software free alternative to smartcards"},
}

// built holds the types that this version can register.
func built(m care.Method) bool { return m == care.AuthenticatorApp }

// bindable reports whether a session at level may bind m (N23; decision 3).
func bindable(m care.Method, level care.AAL) bool { return level >= m.Highest() }

// reason says why a type cannot be chosen, or "".
func reason(m care.Method, held, built bool, level care.AAL) string {
	switch {
	case held:
		return "You have registered this type."
	case built && bindable(m, level):
		return ""
	case built:
		return fmt.Sprintf("This needs a sign-in at %s, such as a smartcard, or your Registration Authority. You are signed in at %s.", m.Highest(), level)
	case bindable(m, level):
		return "Not available here yet."
	}
	return fmt.Sprintf("Not available here yet. It will need a sign-in at %s or your Registration Authority.", m.Highest())
}

// typesData is the page of the types.
type typesData struct {
	Choices     []page.Choice
	Replaceable []replaceable
	// Any: something can be chosen.
	Any bool
}

// replaceable is a held type that can be moved to a new device.
type replaceable struct{ Label, Href string }

// offer is what a person who holds some authenticators can choose at a level.
func offer(held []credential.Record, level care.AAL) typesData {
	var d typesData
	for _, k := range kinds {
		has := holds(held, k.method)
		c := page.Choice{
			Value: string(k.method), Label: k.method.TypeLabel(), Hint: k.about,
			Reason: reason(k.method, has, built(k.method), level),
		}
		if has {
			c.Tag = "Registered"
		}
		if has && built(k.method) && bindable(k.method, level) {
			d.Replaceable = append(d.Replaceable, replaceable{k.method.TypeLabel(), pathReplace})
		}
		d.Any = d.Any || c.Reason == ""
		d.Choices = append(d.Choices, c)
	}
	return d
}

func holds(held []credential.Record, m care.Method) bool {
	return slices.ContainsFunc(held, func(r credential.Record) bool { return r.Method == m })
}

// holder reads a person and what they hold.
func (g *Registration) holder(ctx context.Context, uid care.UID) (person.Person, []credential.Record, error) {
	var p person.Person
	var held []credential.Record
	err := g.DB.Read(ctx, func(tx *db.Tx) error {
		var err error
		if p, err = person.ByUID(tx, uid); err != nil {
			return err
		}
		held, err = credential.Of(tx, uid)
		return err
	})
	return p, held, err
}

func (g *Registration) types(w http.ResponseWriter, r *http.Request, s *session.Session) {
	g.typesPage(w, r, s)
}

func (g *Registration) typesPage(w http.ResponseWriter, r *http.Request, s *session.Session, mistakes ...page.FieldError) {
	_, held, err := g.holder(r.Context(), s.UID)
	if err != nil {
		g.Kit.Fault(w, r, err)
		return
	}
	g.render(w, r, "types", "", page.View{
		Title: "Select authenticator type", Data: offer(held, s.AAL), Errors: mistakes, Back: "/cim/",
	})
}

// postType goes on to the instructions of the chosen type.
func (g *Registration) postType(w http.ResponseWriter, r *http.Request, s *session.Session) {
	form, err := page.Form(w, r)
	if err != nil {
		g.Kit.Fault(w, r, err)
		return
	}
	_, held, err := g.holder(r.Context(), s.UID)
	if err != nil {
		g.Kit.Fault(w, r, err)
		return
	}
	for _, c := range offer(held, s.AAL).Choices {
		if c.Value == form.Get("type") && c.Reason == "" {
			page.SeeOther(w, r, pathAdd+"/"+c.Value)
			return
		}
	}
	g.typesPage(w, r, s, page.FieldError{Field: "type", Message: "Select the type of authenticator that you want to register"})
}
