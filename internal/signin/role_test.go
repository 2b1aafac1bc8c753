package signin

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/page/pagetest"
	"carekey.dev/carekey/internal/session"
)

// withRole is what a service asks for that wants a role.
func withRole(wish care.RoleWish) care.Requirement {
	req := ers()
	req.Role = wish
	return req
}

// signedIn is Amara's browser after the code, where a role is wanted and she
// has n of them.
func (h *house) signedIn(n int) *visitor {
	h.t.Helper()
	h.roles(amara.UID, n)
	return h.asked(withRole(care.AnyRole)).toCode(amara).code(amara)
}

// TestRoleIsAskedForIfThereIsAChoice: domain 1.13. None and one: nobody is
// asked; two to five a list; more a list with search.
func TestRoleIsAskedForIfThereIsAChoice(t *testing.T) {
	for n, c := range map[int]struct {
		at     string
		search bool
	}{0: {"/authorize", false}, 1: {"/authorize", false}, 2: {"/signin/role", false}, 3: {"/signin/role", false}, 5: {"/signin/role", false}, 6: {"/signin/role", true}, 7: {"/signin/role", true}} {
		h := newHouse(t)
		v := h.signedIn(n).isAt(c.at)
		if v.session() == nil {
			t.Errorf("%d roles: not signed in", n)
		}
		if c.at != "/signin/role" {
			continue
		}
		v.sees(http.StatusOK, "Select your role", "e-Referral Service asks in which role you are working.", "Nurse Access Role", "Northgate Hospital 0 (RX0)")
		if !strings.Contains(v.Page, "Dr Amara OSEI") {
			t.Errorf("%d roles: the page does not say who is signed in", n)
		}
		if got := len(v.choices("role")); got != n {
			t.Errorf("%d roles: %d are offered", n, got)
		}
		if search := strings.Contains(v.Text(), "Search your roles"); search != c.search {
			t.Errorf("%d roles: search: %t", n, search)
		}
	}
}

// pick sends the form of the roles, past that of the search.
func (v *visitor) pick(role string) *visitor {
	v.h.t.Helper()
	v.Post("/signin/role", pagetest.Fields("req", v.Field("req"), "q", v.Field("q"), "role", role))
	return v.check()
}

func TestChosenRoleIsRememberedInTheSession(t *testing.T) {
	h := newHouse(t)
	v := h.signedIn(3)
	v.submit("/signin/role").isAt("/signin/role").sees(http.StatusUnprocessableEntity, "Select the role that you want to use")
	v.submit("/signin/role", "role", "555000200001")
	if v.At != ers().ReturnTo || v.session().Role != "555000200001" || !v.session().RoleAt.Equal(h.Clock.Now()) {
		t.Errorf("at %s in role %q", v.At, v.session().Role)
	}
	v.get("/signin?req=" + h.sealed(withRole(care.AnyRole))).isAt("/authorize")
	v.get("/signin?req="+h.sealed(withRole(care.AnotherRole))).isAt("/signin/role").sees(http.StatusOK, "Select your role")
	v.submit("/signin/role", "role", "555000200002")
	if v.session().Role != "555000200002" {
		t.Errorf("role %q", v.session().Role)
	}
	v.get("/signin?req=" + h.sealed(ers())).isAt("/authorize")
}

// TestRoleOfSomebodyElseIsRefused: what the browser sends is one of the
// person's own, or nothing.
func TestRoleOfSomebodyElseIsRefused(t *testing.T) {
	h := newHouse(t)
	h.roles(helen.UID, 4)
	h.Write(func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE access_role SET id = 'helens' WHERE id = '555000200003'`)
		return err
	})
	v := h.signedIn(3) // takes Helen's first three
	for _, role := range []string{"helens", "unknown", "", "\x00", "\xff", "555000200101\x00"} {
		v.submit("/signin/role", "role", role).sees(http.StatusUnprocessableEntity, "Select the role that you want to use")
	}
	if v.session().Role != "" {
		t.Errorf("role %q", v.session().Role)
	}
}

func TestSearchingRoles(t *testing.T) {
	h := newHouse(t)
	v := h.signedIn(7).sees(http.StatusOK, "You have 7 roles")
	for query, want := range map[string][]string{
		"nurse":                {"555000200000", "555000200002", "555000200004", "555000200006"},
		"  CLERICAL hospital3": nil,
		"clerical hospital 3":  {"555000200003"},
		"RX5":                  {"555000200005"},
		"r8006":                {"555000200006"},
		"%":                    nil,
		"<script>":             nil,
	} {
		v.get("/signin/role?req="+h.sealed(withRole(care.AnyRole))).submit("/signin/role", "q", query).isAt("/signin/role")
		var got []string
		for _, c := range v.choices("role") {
			got = append(got, c.Value)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q finds %q, want %q", query, got, want)
		}
		if len(want) == 0 {
			v.sees(http.StatusOK, "0 of your 7 roles match").follow("Show all my roles").sees(http.StatusOK, "You have 7 roles")
		}
	}
	// A mistake keeps what was searched for.
	v.submit("/signin/role", "q", "nurse")
	v.pick("").sees(http.StatusUnprocessableEntity, "4 of your 7 roles match")
	v.pick("555000200004").isAt("/authorize")
}

// TestRolePageIsForThoseWhoAreSignedIn, well enough for the service.
func TestRolePageIsForThoseWhoAreSignedIn(t *testing.T) {
	h := newHouse(t)
	sealed := h.sealed(withRole(care.AnyRole))
	h.visitor().get("/signin/role?req="+sealed).isAt("/signin").sees(http.StatusOK, "Select your login method")

	v := h.signedIn(3)
	higher := withRole(care.AnyRole)
	higher.ACR = care.AAL3Any
	page := v.At
	v.get("/signin/role?req=" + h.sealed(higher)).isAt("/signin")
	v.get(page)
	v.Post("/signin/role", pagetest.Fields("req", h.sealed(higher), "role", "555000200001"))
	v.check().isAt("/signin")
	if n := h.Count(`session WHERE role <> ''`); n != 0 {
		t.Error("a session that does not meet what is asked got a role")
	}
	v.get(page)
	h.Write(func(tx *db.Tx) error { return session.EndAll(tx, amara.UID, "signed out elsewhere") })
	v.submit("/signin/role", "role", "555000200001").isAt("/signin")
	if n := h.Count(`session WHERE role <> ''`); n != 0 {
		t.Error("a session that was over got a role")
	}
	v.toCode(amara).code(amara).isAt("/signin/role")
	h.Clock.Later(time.Hour)
	v.submit("/signin/role", "role", "555000200001")
	if v.Status == http.StatusOK && v.At == ers().ReturnTo {
		t.Error("went on with a session that had ended by itself")
	}
}
