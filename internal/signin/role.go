package signin

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/session"
)

// searchAbove is the number of roles above which the list gets a search box
// (domain, 1.13: 2 to 5 a list, more a list with search).
const searchAbove = 5

const titleRole = "Select your role"

type roleData struct {
	Requirement string
	Service     string
	Choices     []page.Choice
	// Search: there are so many roles that the page has a search box; Query is
	// what was searched for, Found how many roles it matches of Total.
	Search       bool
	Query        string
	Found, Total int
}

// visit is a request of a signed-in person who has a role to choose.
type visit struct {
	req     care.Requirement
	session *session.Session
	person  person.Shown
	roles   []access.Role
}

// visitor reads who is there and which roles they have. It shows a page or
// sends the browser on, and returns false, where nobody suitable is signed in.
func (s *SignIn) visitor(w http.ResponseWriter, r *http.Request, sealed string) (visit, bool) {
	req, ok := s.requirement(w, r, sealed)
	if !ok {
		return visit{}, false
	}
	v := visit{req: req}
	held := ""
	var err error
	v.session, err = s.Sessions.CurrentBeside(r.Context(), r, func(tx *db.Tx) (string, []any) {
		shown, into := person.ShownOf(session.OfPerson, &v.person)
		return shown + ", " + access.RolesOf(tx, session.OfPerson), append(into, &held)
	})
	if err != nil {
		s.Kit.Fault(w, r, err)
		return v, false
	}
	if v.session == nil || !v.session.Satisfies(req) {
		page.SeeOther(w, r, "/signin?req="+url.QueryEscape(sealed))
		return v, false
	}
	if v.roles, err = access.ReadRoles(held); err != nil {
		s.Kit.Fault(w, r, err)
		return v, false
	}
	return v, true
}

// role shows the list of roles. Who has none goes on without one, who has one
// is not asked.
func (s *SignIn) role(w http.ResponseWriter, r *http.Request) {
	sealed := r.URL.Query().Get("req")
	v, ok := s.visitor(w, r, sealed)
	if !ok {
		return
	}
	if len(v.roles) < 2 || v.req.Role == care.AnyRole && held(v.roles, v.session.Role) {
		page.SeeOther(w, r, v.req.ReturnTo)
		return
	}
	s.rolePage(w, r, http.StatusOK, sealed, r.URL.Query().Get("q"), v, nil)
}

func (s *SignIn) rolePage(w http.ResponseWriter, r *http.Request, status int, sealed, query string, v visit, errs []page.FieldError) {
	data := roleData{
		Requirement: sealed, Service: v.req.Service, Query: query, Search: len(v.roles) > searchAbove, Total: len(v.roles),
	}
	for _, role := range v.roles {
		if data.Search && !matches(role, query) {
			continue
		}
		data.Choices = append(data.Choices, page.Choice{Value: role.ID, Label: role.Label(), Hint: role.OrgName + " (" + string(role.Org) + ")"})
	}
	data.Found = len(data.Choices)
	s.pages.Render(w, r, status, "role", page.View{
		Title: titleRole, Data: data, Errors: errs, FormTargets: targets(v.req),
		Values: url.Values{"role": {v.session.Role}},
		Person: page.SignedIn(v.person.DisplayName(), v.person.Login, v.session.AAL),
	})
}

// postRole remembers the chosen role in the session and goes back.
func (s *SignIn) postRole(w http.ResponseWriter, r *http.Request) {
	form, err := page.Form(w, r)
	if err != nil {
		s.Kit.Fault(w, r, err)
		return
	}
	req, ok := s.requirement(w, r, form.Get("req"))
	if !ok {
		return
	}
	chosen, err := s.chooseRole(r, req, form.Get("role"))
	if err != nil {
		s.Kit.Fault(w, r, err)
		return
	}
	if chosen {
		page.SeeOther(w, r, req.ReturnTo)
		return
	}
	if v, ok := s.visitor(w, r, form.Get("req")); ok {
		s.rolePage(w, r, http.StatusUnprocessableEntity, form.Get("req"), form.Get("q"), v, []page.FieldError{
			{Field: "role", Message: "Select the role that you want to use"},
		})
	}
}

// errUnmet undoes a choice in a session that does not meet the requirement.
var errUnmet = errors.New("the session does not meet the requirement")

// chooseRole remembers a role in the session of a request, in one statement. It
// reports false, and has changed nothing, if there is no session that meets the
// requirement or its person does not hold the role.
func (s *SignIn) chooseRole(r *http.Request, req care.Requirement, role string) (bool, error) {
	token := session.Token(r)
	if token == "" || role == "" {
		return false, nil
	}
	chosen := false
	err := s.DB.Write(r.Context(), func(tx *db.Tx) error {
		current, err := session.ChooseHeldRole(tx, token, role, access.Holds(session.OfPerson, "$1"))
		chosen = current != nil && current.Satisfies(req)
		if err == nil && current != nil && !chosen {
			return errUnmet
		}
		return err
	})
	if errors.Is(err, errUnmet) || errors.Is(err, db.ErrText) { // what is no text is no role
		return false, nil
	}
	return chosen && err == nil, err
}

func held(roles []access.Role, id string) bool {
	return id != "" && slices.ContainsFunc(roles, func(role access.Role) bool { return role.ID == id })
}

// matches reports whether every word of the query is found in the role, its
// organisation or its codes.
func matches(role access.Role, query string) bool {
	text := strings.ToLower(strings.Join([]string{role.Name, role.OrgName, string(role.Org), string(role.Code)}, " "))
	for word := range strings.FieldsSeq(strings.ToLower(query)) {
		if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}
