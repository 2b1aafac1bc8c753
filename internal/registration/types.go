package registration

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/session"
)

// stock is what a person has, and what they may have.
type stock struct {
	held []credential.Record
	// level is that of the session.
	level care.AAL
	// limit is how many of a type they may hold, passkeys whether the private
	// beta is open to them.
	limit    func(care.Method) int
	passkeys bool
}

// of are the held ones of a type.
func (s stock) of(m care.Method) []credential.Record {
	var some []credential.Record
	for _, r := range s.held {
		if r.Method == m {
			some = append(some, r)
		}
	}
	return some
}

// full reports whether no other one of the type can be added.
func (s stock) full(m care.Method) bool { return len(s.of(m)) >= s.limit(m) }

// reason says why a type cannot be chosen, or "".
func (s stock) reason(k kind) string {
	switch n := len(s.of(k.method)); {
	case n == 1 && s.full(k.method):
		return "You have registered this type."
	case s.full(k.method):
		return fmt.Sprintf("You have registered %d of this type.", n)
	case !k.built():
		return "Not available here yet."
	case s.level < care.AAL2:
		return fmt.Sprintf("This needs a sign-in at %s, or your Registration Authority. You are signed in at %s.", care.AAL2, s.level)
	}
	return ""
}

// hint is seed 0's, and for a key what it will count for: nobody should find
// that out afterwards (decision 2).
func (s stock) hint(k kind) string {
	switch {
	case !k.key():
		return k.about
	case s.level < care.AAL3:
		return fmt.Sprintf("%s. It will count as %s, because you are signed in at %s", k.about, s.level, s.level)
	}
	return k.about + ". It counts as AAL3 if it proves that it cannot be copied, otherwise as AAL2"
}

// typesData is the page of the types.
type typesData struct {
	Choices     []page.Choice
	Replaceable []replaceable
	// Any: something can be chosen.
	Any bool
	// Most is how many of a type the person may hold.
	Most int
	// Raise: a registration link would lead to a higher level than the session.
	Raise bool
	Level string
}

// replaceable is a held authenticator that can be moved to a new device.
type replaceable struct{ Called, Noun, Href string }

// offer is what can be chosen.
func (s stock) offer() typesData {
	d := typesData{Most: s.limit(care.SecurityKey), Raise: s.level < care.AAL3, Level: s.level.String()}
	for _, k := range kinds {
		held := s.of(k.method)
		if k.method == care.Passkey && !s.passkeys && len(held) == 0 {
			continue
		}
		c := page.Choice{
			Value: string(k.method), Label: k.method.TypeLabel(), Hint: s.hint(k), Reason: s.reason(k),
			Needs: k.Needs, Unable: k.Unable,
		}
		if len(held) > 0 {
			c.Tag = "Registered"
		}
		if s.full(k.method) && k.built() && s.level >= care.AAL2 {
			for _, r := range held {
				d.Replaceable = append(d.Replaceable, replaceable{r.Called(), k.Noun, replaceHref(r)})
			}
		}
		d.Any = d.Any || c.Reason == ""
		d.Choices = append(d.Choices, c)
	}
	return d
}

// replaceHref is where a held authenticator is replaced.
func replaceHref(r credential.Record) string {
	if r.Method == care.AuthenticatorApp {
		return pathReplace
	}
	return pathReplace + "?id=" + url.QueryEscape(r.ID)
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

// stock reads what a signed-in person has and may have.
func (g *Registration) stock(ctx context.Context, s *session.Session) (stock, error) {
	_, held, err := g.holder(ctx, s.UID)
	if err != nil {
		return stock{}, err
	}
	open, err := g.admits(ctx, s.UID, care.Passkey)
	return stock{held: held, level: s.AAL, limit: g.Gate.Limit, passkeys: open}, err
}

// admits reports whether a person may register a type: all that are built, and a
// passkey if the private beta is open to them.
func (g *Registration) admits(ctx context.Context, uid care.UID, m care.Method) (bool, error) {
	if m != care.Passkey {
		return kindOf(m).built(), nil
	}
	var open bool
	err := g.DB.Read(ctx, func(tx *db.Tx) error {
		var err error
		open, err = g.Passkeys.Person(tx, uid)
		return err
	})
	return open, err
}

func (g *Registration) types(w http.ResponseWriter, r *http.Request, s *session.Session) {
	g.typesPage(w, r, s)
}

func (g *Registration) typesPage(w http.ResponseWriter, r *http.Request, s *session.Session, mistakes ...page.FieldError) {
	has, err := g.stock(r.Context(), s)
	if err != nil {
		g.Kit.Fault(w, r, err)
		return
	}
	g.render(w, r, "types", "", page.View{
		Title: "Select authenticator type", Data: has.offer(), Errors: mistakes, Back: "/cim/",
	})
}

// postType goes on to the instructions of the chosen type.
func (g *Registration) postType(w http.ResponseWriter, r *http.Request, s *session.Session) {
	form, err := page.Form(w, r)
	if err != nil {
		g.Kit.Fault(w, r, err)
		return
	}
	has, err := g.stock(r.Context(), s)
	if err != nil {
		g.Kit.Fault(w, r, err)
		return
	}
	for _, c := range has.offer().Choices {
		if c.Value == form.Get("type") && c.Reason == "" {
			page.SeeOther(w, r, pathAdd+"/"+c.Value)
			return
		}
	}
	g.typesPage(w, r, s, page.FieldError{Field: "type", Message: "Select the type of authenticator that you want to register"})
}
