package account

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/organisation"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/person"
)

func TestProfileShowsWhoIsSignedInAndTheirRoles(t *testing.T) {
	h := newHouse(t)
	h.browser().get("/cim/profile").sees(http.StatusOK, "You have no role yet")
	h.Write(func(tx *db.Tx) error {
		if err := organisation.Put(tx, organisation.Organisation{Code: "Z84001", Name: "HARBOUR STREET SURGERY", Type: "gp_practice"}); err != nil {
			return err
		}
		return access.Put(tx, access.Role{
			ID: "555000200101", OrgPersonID: "555000300101", UID: amara, Org: "Z84001", Code: "S0010:G0020:R0260",
			Name:       `"Clinical":"Clinical Provision":"General Medical Practitioner"`,
			Activities: map[string]string{"B0825": "Amend Patient Demographics", "B0401": "View Patient Medication"},
			Areas:      map[string]string{"P0020:Q0300:T0640": `"Pathology":"Pathology":"Phlebotomy"`},
		})
	})
	h.browser().get("/cim/profile").sees(http.StatusOK,
		"Dr Amara OSEI", "Care identity number 555000100101", "amara.osei@nhs.net", "Verified", "Level 3: a trained checker met you",
		"General Medical Council (GMC) number 7654321", "1 registered",
		"General Medical Practitioner", "HARBOUR STREET SURGERY (Z84001)", "Amend Patient Demographics", "View Patient Medication", "Phlebotomy")
}

func TestProfileSaysWhatCanBeDoneWithAnAddress(t *testing.T) {
	for _, test := range []struct {
		name           string
		email, pending care.Email
		want           string
	}{
		{"none", "", "", "Email address: You have no email address saved: Add"},
		{"unverified", "", "a@nhs.net", "Email address: a@nhs.net, Not verified: we do not use it yet: Verify Change"},
		{"verified", "a@nhs.net", "", "Email address: a@nhs.net, Verified: Change"},
		{"both", "a@nhs.net", "b@nhs.net", "Email address: a@nhs.net, Verified: Change | New email address: b@nhs.net, Not verified: we do not use it yet: Verify"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := told(addresses(person.Person{Email: test.email, Pending: test.pending})); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// told writes rows in one line.
func told(rows []page.Row) string {
	var lines []string
	for _, row := range rows {
		var values, actions []string
		for _, value := range row.Lines() {
			values = append(values, value.(string))
		}
		for _, action := range row.Actions {
			actions = append(actions, action.Text)
		}
		lines = append(lines, row.Key+": "+strings.Join(values, ", ")+": "+strings.Join(actions, " "))
	}
	return strings.Join(lines, " | ")
}

func TestMembershipsAreAllNamed(t *testing.T) {
	for _, claim := range person.Memberships() {
		if membership[claim] == "" {
			t.Errorf("%s has no name", claim)
		}
	}
}

func TestLevelsAreSaidInWords(t *testing.T) {
	for n := range 4 {
		if words := level(n); !strings.Contains(words, ": ") {
			t.Errorf("level(%d) = %q", n, words)
		}
	}
	if level(9) != "Level 9" {
		t.Errorf("level(9) = %q", level(9))
	}
}

func TestNewAddressRules(t *testing.T) {
	list := care.AllowList{"nhs.net", ".nhs.uk", "gmail.com"}
	for _, test := range []struct {
		typed string
		want  care.Email
		says  string
	}{
		{" New.Name@GMAIL.com ", "new.name@gmail.com", ""},
		{"x@trust.nhs.uk", "x@trust.nhs.uk", ""},
		{"", "", "Enter your email address"},
		{"   ", "", "Enter your email address"},
		{"nobody", "", "correct format"},
		{"a b@nhs.net", "", "correct format"},
		{"old@nhs.net", "", "your verified email address already"},
		{"x@example.com", "", "example.com is not an accepted email domain. Accepted email domains include nhs.net, gmail"},
		{"x@evilnhs.net", "", "evilnhs.net is not an accepted email domain"},
		{"x@nhs.net.example.com", "", "not an accepted email domain"},
	} {
		got, says := newAddress(test.typed, person.Person{Email: "old@nhs.net"}, list)
		if got != test.want || !strings.Contains(says, test.says) || (says == "") != (test.says == "") {
			t.Errorf("newAddress(%q) = %q, %q; want %q, %q", test.typed, got, says, test.want, test.says)
		}
	}
}

func TestAcceptedDomainsAreThoseOfTheList(t *testing.T) {
	full := care.AllowList{"nhs.net", "nhs.uk", "gov.uk", "ac.uk", "gmail.com", "hotmail.com", "yahoo.com", "live.com", "outlook.com"}
	for _, test := range []struct {
		list care.AllowList
		want string
	}{
		{full, "nhs.net, gov.uk, ac.uk, gmail, hotmail, yahoo, live, outlook etc."},
		{care.AllowList{"nhs.net"}, "nhs.net."},
		{care.AllowList{".gov.uk", ".trust.example"}, "gov.uk etc."},
		{care.AllowList{".trust.example", "b.example"}, "trust.example, b.example."},
	} {
		if got := accepted(test.list); got != test.want {
			t.Errorf("accepted(%q) = %q, want %q", test.list, got, test.want)
		}
	}
}

func TestFullNameHasTheMiddleNames(t *testing.T) {
	got := fullName(person.Person{Title: "Ms", GivenName: "Priya", MiddleNames: "Lakshmi", FamilyName: "RAMAN"})
	if want := "Ms Priya Lakshmi RAMAN"; got != want {
		t.Errorf("fullName = %q, want %q", got, want)
	}
	if got := names(map[string]string{"B2": "Beta", "B1": "Zeta"}); !reflect.DeepEqual(got, []string{"Beta", "Zeta"}) {
		t.Errorf("names = %q", got)
	}
}
