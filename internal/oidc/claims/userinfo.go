package claims

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/person"
)

// Userinfo is the answer of the userinfo endpoint (wire, field sets). All
// values are strings; what is empty is absent and never null (wire rule 11).
type Userinfo struct {
	Subject string `json:"sub"`

	// profile
	Name       string `json:"name,omitempty"` // "OSEI Amara Dr"
	GivenName  string `json:"given_name,omitempty"`
	FamilyName string `json:"family_name,omitempty"`
	UID        string `json:"uid,omitempty"`

	// email
	Email string `json:"email,omitempty"`

	// nhsperson
	UserUID          string `json:"nhsid_useruid,omitempty"`
	Title            string `json:"title,omitempty"`
	Initials         string `json:"initials,omitempty"`
	MiddleNames      string `json:"middle_names,omitempty"`
	DisplayName      string `json:"display_name,omitempty"`
	IDAssuranceLevel string `json:"idassurancelevel,omitempty"`

	// nationalrbacaccess, associatedorgs, organisationalmemberships
	Roles         List[Role]         `json:"nhsid_nrbac_roles,omitzero"`
	Organisations List[Organisation] `json:"nhsid_user_orgs,omitzero"`
	OrgRoles      List[OrgPerson]    `json:"nhsid_org_roles,omitzero"`
	Memberships   List[OrgPerson]    `json:"nhsid_org_memberships,omitzero"`
	SelectedRole  string             `json:"selected_roleid,omitempty"`

	ProfessionalBody
}

// SignedUserinfo is Userinfo where it is signed: it then also says who tells
// whom (OpenID Connect Core section 5.3.2).
type SignedUserinfo struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	Userinfo
}

// ProfessionalBody is the scope professionalmemberships.
type ProfessionalBody struct {
	GMC        string `json:"gmc_id,omitempty"`
	GMP        string `json:"gmp_id,omitempty"`
	GDC        string `json:"gdc_id,omitempty"`
	GDP        string `json:"gdp_id,omitempty"`
	GPhC       string `json:"gphc_id,omitempty"`
	NMC        string `json:"nmc_id,omitempty"`
	RCN        string `json:"rcn_id,omitempty"`
	Consultant string `json:"consultant_id,omitempty"`
}

// List is a list of things: always a list, except that one thing alone goes
// without for a relying party that has the switch (domain, 1.6).
type List[T any] struct {
	All            []T
	SingleAsObject bool
}

// IsZero reports whether the list is empty, and so absent.
func (l List[T]) IsZero() bool { return len(l.All) == 0 }

// MarshalJSON writes the list.
func (l List[T]) MarshalJSON() ([]byte, error) {
	if l.SingleAsObject && len(l.All) == 1 {
		return json.Marshal(l.All[0])
	}
	return json.Marshal(l.All)
}

// Role is one role at one organisation. Codes and names stand in lists of
// their own, in the same order.
type Role struct {
	OrgPersonID    string   `json:"person_orgid,omitempty"`
	ID             string   `json:"person_roleid"`
	OrgCode        string   `json:"org_code"`
	Name           string   `json:"role_name"` // three quoted parts joined by ":"
	Code           string   `json:"role_code"`
	Activities     []string `json:"activities,omitempty"`
	ActivityCodes  []string `json:"activity_codes,omitempty"`
	Workgroups     []string `json:"workgroups,omitempty"`
	WorkgroupCodes []string `json:"workgroups_codes,omitempty"`
	Areas          []string `json:"aow,omitempty"`
	AreaCodes      []string `json:"aow_codes,omitempty"`
}

// Organisation is one organisation in which the person has a role.
type Organisation struct {
	Name string `json:"org_name"`
	Code string `json:"org_code"`
}

// OrgPerson is the person as that organisation knows them.
type OrgPerson struct {
	ID   string `json:"person_orgid"`
	Name string `json:"org_name"`
	Code string `json:"org_code"`
}

// ForUserinfo returns what userinfo says about s to whoever has its scopes.
func ForUserinfo(s Subject) Userinfo {
	u := Userinfo{Subject: string(s.Person.UID)}
	if slices.ContainsFunc(s.Roles, func(r access.Role) bool { return r.ID == s.Role }) {
		u.SelectedRole = Selected(s.Scopes, s.Role) // not one that the person has lost since
	}
	for _, scope := range s.Scopes {
		switch scope {
		case "profile":
			u.Name, u.UID = s.Person.Name(), string(s.Person.UID)
			u.GivenName, u.FamilyName = s.Person.GivenName, s.Person.FamilyName
		case "email":
			u.Email = string(s.Person.Email)
		case "nhsperson":
			u.person(s.Person)
		case "professionalmemberships":
			u.ProfessionalBody = professional(s.Person.Memberships)
		case "nationalrbacaccess":
			u.Roles = List[Role]{roles(s.Roles), s.SingleAsObject}
		case "associatedorgs":
			u.Organisations = List[Organisation]{organisations(s.Roles), s.SingleAsObject}
		case "organisationalmemberships":
			// CIS2 tells both, and relying parties read either: the same people at
			// the same organisations. Only a membership can have a professional
			// number beside, gnc, which nothing here holds.
			u.OrgRoles = List[OrgPerson]{orgPeople(s.Roles), s.SingleAsObject}
			u.Memberships = u.OrgRoles
		}
	}
	return u
}

func (u *Userinfo) person(p person.Person) {
	u.UserUID, u.Title, u.Initials, u.MiddleNames = string(p.UID), p.Title, p.Initials(), p.MiddleNames
	u.DisplayName = strings.Join(strings.Fields(p.GivenName+" "+p.MiddleNames+" "+p.FamilyName), " ")
	u.IDAssuranceLevel = strconv.Itoa(p.IDAssuranceLevel)
}

func professional(m map[string]string) ProfessionalBody {
	return ProfessionalBody{
		GMC: m["gmc_id"], GMP: m["gmp_id"], GDC: m["gdc_id"], GDP: m["gdp_id"],
		GPhC: m["gphc_id"], NMC: m["nmc_id"], RCN: m["rcn_id"], Consultant: m["consultant_id"],
	}
}

func roles(held []access.Role) []Role {
	var all []Role
	for _, r := range held {
		role := Role{OrgPersonID: r.OrgPersonID, ID: r.ID, OrgCode: string(r.Org), Name: r.Name, Code: string(r.Code)}
		role.ActivityCodes, role.Activities = split(r.Activities)
		role.WorkgroupCodes, role.Workgroups = split(r.Workgroups)
		role.AreaCodes, role.Areas = split(r.Areas)
		all = append(all, role)
	}
	return all
}

// split returns the codes in a fixed order, and their names in the same one.
func split(named map[string]string) (codes, names []string) {
	for _, code := range access.Codes(named) {
		codes, names = append(codes, code), append(names, named[code])
	}
	return codes, names
}

// organisations returns each organisation once, also one that the directory
// does not name: every role's org_code is present (wire rule 11).
func organisations(held []access.Role) []Organisation {
	var all []Organisation
	seen := map[care.ODSCode]bool{}
	for _, r := range held {
		if !seen[r.Org] {
			seen[r.Org] = true
			all = append(all, Organisation{Name: orgName(r), Code: string(r.Org)})
		}
	}
	return all
}

func orgPeople(held []access.Role) []OrgPerson {
	var all []OrgPerson
	for _, r := range held {
		one := OrgPerson{ID: r.OrgPersonID, Name: orgName(r), Code: string(r.Org)}
		if one.ID != "" && !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	return all
}

func orgName(r access.Role) string { return cmp.Or(r.OrgName, string(r.Org)) }
