package account

import (
	"fmt"
	"net/http"
	"slices"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/session"
)

// profileData is what the profile page shows beside the identity itself.
type profileData struct {
	Identity []page.Row
	Roles    []roleCard
}

// roleCard is one role at one organisation, to be read by its holder.
type roleCard struct {
	Label string
	Rows  []page.Row
}

func (a *Account) profile(w http.ResponseWriter, r *http.Request, v visit) error {
	var roles []access.Role
	var held []credential.Record
	var signIns []*session.Session
	err := a.DB.Read(r.Context(), func(tx *db.Tx) error {
		var err error
		if roles, err = access.Roles(tx, v.person.UID); err != nil {
			return err
		}
		if held, err = credential.Of(tx, v.person.UID); err != nil {
			return err
		}
		signIns, err = session.Of(tx, v.person.UID)
		return err
	})
	if err != nil {
		return err
	}
	data := profileData{Identity: append(identity(v.person, held), whereabouts(len(signIns)))}
	for _, role := range roles {
		data.Roles = append(data.Roles, card(role))
	}
	return a.ok(w, r, "profile", v, page.View{Title: "Your profile", Back: home, Data: data})
}

// identity is who a person is, and the one thing about it that they can change
// themselves: the address (seed 0, step 3).
func identity(p person.Person, held []credential.Record) []page.Row {
	rows := []page.Row{
		{Key: "Name", Value: fullName(p)},
		{Key: "Care identity number", Value: string(p.UID)},
	}
	rows = append(rows, addresses(p)...)
	rows = append(rows, page.Row{Key: "How well your identity is proven", Value: level(p.IDAssuranceLevel)})
	for _, claim := range person.Memberships() {
		if number := p.Memberships[claim]; number != "" {
			rows = append(rows, page.Row{Key: membership[claim], Value: number})
		}
	}
	return append(rows, page.Row{
		Key: "Authenticators", Value: counted(len(held)),
		Actions: []page.Action{{Text: "View", Hidden: "your authenticators", Href: "/cim/authenticators"}},
	})
}

// whereabouts leads to the list of sign-ins; n counts them, this browser's among
// them.
func whereabouts(n int) page.Row {
	where := "In this browser only"
	switch {
	case n == 2:
		where = "In this browser and 1 other"
	case n > 2:
		where = fmt.Sprintf("In this browser and %d others", n-1)
	}
	return page.Row{
		Key: "Signed in", Value: where,
		Actions: []page.Action{{Text: "View", Hidden: "where you are signed in", Href: pathSignIns}},
	}
}

func fullName(p person.Person) string {
	full := p
	full.GivenName += " " + p.MiddleNames
	return full.DisplayName()
}

// addresses are the verified address and the one that waits for its code.
func addresses(p person.Person) []page.Row {
	const key = "Email address"
	change := page.Action{Text: "Change", Hidden: "email address", Href: "/cim/profile/email"}
	verify := page.Action{Text: "Verify", Hidden: "email address", Href: "/cim/profile/email/verify"}
	switch {
	case p.Email == "" && p.Pending == "":
		return []page.Row{{
			Key: key, Value: "You have no email address saved",
			Actions: []page.Action{{Text: "Add", Hidden: "an email address", Href: "/cim/profile/email"}},
		}}
	case p.Email == "":
		return []page.Row{{
			Key: key, Value: []string{string(p.Pending), "Not verified: we do not use it yet"},
			Actions: []page.Action{verify, change},
		}}
	}
	rows := []page.Row{{Key: key, Value: []string{string(p.Email), "Verified"}, Actions: []page.Action{change}}}
	if p.Pending == "" {
		return rows
	}
	return append(rows, page.Row{
		Key: "New email address", Value: []string{string(p.Pending), "Not verified: we do not use it yet"},
		Actions: []page.Action{{Text: "Verify", Hidden: "new email address", Href: verify.Href}},
	})
}

// level says in words what an identity assurance level means (domain, 3.3).
func level(n int) string {
	words := []string{
		"nobody has checked your identity yet",
		"you told us who you are, and nobody has checked it",
		"evidence of who you are was checked",
		"a trained checker met you and checked your documents",
	}
	if n < 0 || n >= len(words) {
		return fmt.Sprintf("Level %d", n)
	}
	return fmt.Sprintf("Level %d: %s", n, words[n])
}

// membership names the professional bodies of the membership claims.
var membership = map[string]string{
	"gmc_id":        "General Medical Council (GMC) number",
	"gmp_id":        "General medical practitioner (GMP) code",
	"gdc_id":        "General Dental Council (GDC) number",
	"gdp_id":        "General dental practitioner (GDP) code",
	"gphc_id":       "General Pharmaceutical Council (GPhC) number",
	"nmc_id":        "Nursing and Midwifery Council (NMC) number",
	"rcn_id":        "Royal College of Nursing (RCN) number",
	"consultant_id": "Consultant code",
}

func counted(n int) string {
	switch n {
	case 0:
		return "None registered"
	case 1:
		return "1 registered"
	}
	return fmt.Sprintf("%d registered", n)
}

// card makes a role readable: names first, codes for whoever rings a desk.
func card(role access.Role) roleCard {
	organisation := string(role.Org)
	if role.OrgName != "" {
		organisation = fmt.Sprintf("%s (%s)", role.OrgName, role.Org)
	}
	rows := []page.Row{{Key: "Organisation", Value: organisation}}
	for _, list := range []struct {
		key   string
		named map[string]string
	}{{"Activities", role.Activities}, {"Workgroups", role.Workgroups}, {"Areas of work", role.Areas}} {
		if len(list.named) > 0 {
			rows = append(rows, page.Row{Key: list.key, Value: names(list.named)})
		}
	}
	return roleCard{Label: role.Label(), Rows: append(rows, page.Row{Key: "Role code", Value: string(role.Code)})}
}

// names are the last parts of the names, in alphabetical order: an area of work
// is named with three quoted parts, as a role is.
func names(named map[string]string) []string {
	var list []string
	for _, code := range access.Codes(named) {
		list = append(list, access.Role{Name: named[code]}.Label())
	}
	slices.Sort(list)
	return list
}
