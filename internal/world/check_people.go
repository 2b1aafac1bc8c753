package world

import (
	"regexp"
	"slices"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/person"
)

var (
	digitsForm   = regexp.MustCompile(`^[0-9]{1,20}$`)
	roleNameForm = regexp.MustCompile(`^"[^"]+":"[^"]+":"[^"]+"$`)
)

func (c *checker) people(entries []personEntry) []wantedPerson {
	if entries == nil {
		return nil
	}
	all := []wantedPerson{}
	uids, addresses, roles := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for i, e := range entries {
		path := []any{"people", i}
		w := wantedPerson{Person: c.person(path, e), roles: c.roles(path, e, roles)}
		c.once(uids, at(path, "uid"), "person", e.UID)
		c.once(addresses, at(path, "email", "address"), "the verified address", string(w.Email))
		w.app = c.app(path, e.Authenticators)
		all = append(all, w)
	}
	return all
}

func (c *checker) person(path []any, e personEntry) person.Person {
	uid, err := care.ParseUID(e.UID)
	if err != nil {
		c.wrong(at(path, "uid"), "uid: %v", err)
	}
	p := person.Person{
		UID: uid, Title: e.Title, GivenName: e.GivenName, MiddleNames: e.MiddleNames, FamilyName: e.FamilyName,
		IDAssuranceLevel: e.IDAssuranceLevel, Memberships: e.Memberships,
	}
	c.needed(path, "given_name", e.GivenName)
	c.needed(path, "family_name", e.FamilyName)
	if e.IDAssuranceLevel < 0 || e.IDAssuranceLevel > 3 {
		c.wrong(at(path, "id_assurance_level"), "id_assurance_level is 0, 1, 2 or 3")
	}
	for name := range e.Memberships {
		if !slices.Contains(person.Memberships(), name) {
			c.wrong(at(path, "memberships", name), "%q is no membership: use one of %v", name, person.Memberships())
		}
	}
	if e.Email != nil {
		c.email(path, *e.Email, &p)
	}
	if e.Closed != nil {
		c.needed(at(path, "closed"), "closed.reason", e.Closed.Reason)
		day, err := date(e.Closed.Date)
		if err != nil {
			c.wrong(at(path, "closed", "date"), "closed.date: %v", err)
		}
		p.Closed = &person.Closure{Reason: e.Closed.Reason, At: day}
	}
	return p
}

func (c *checker) email(path []any, e emailEntry, p *person.Person) {
	address, err := care.ParseEmail(e.Address)
	if err != nil {
		c.wrong(at(path, "email", "address"), "email.address: %v", err)
		return
	}
	if e.Verified {
		p.Email = address
	} else {
		p.Pending = address
	}
}

func (c *checker) roles(person []any, e personEntry, seen map[string]bool) []access.Role {
	if e.Roles == nil {
		return nil
	}
	all := []access.Role{}
	for i, r := range e.Roles {
		path := at(person, "roles", i)
		c.once(seen, at(path, "id"), "role", r.ID)
		for field, value := range map[string]string{"id": r.ID, "org_person_id": r.OrgPersonID} {
			if !digitsForm.MatchString(value) {
				c.wrong(at(path, field), "%s: a number is wanted, not %q", field, value)
			}
		}
		code, err := care.ParseRoleCode(r.Role)
		if err != nil {
			c.wrong(at(path, "role"), "role: %v", err)
		}
		if !roleNameForm.MatchString(r.Name) {
			c.wrong(at(path, "name"), `name: a role's name has three quoted parts, '"Clinical":"Clinical Provision":"Nurse Access Role"'`)
		}
		all = append(all, access.Role{
			ID: r.ID, OrgPersonID: r.OrgPersonID, UID: care.UID(e.UID), Org: c.ods(path, "org", r.Org), Code: code,
			Name: r.Name, Activities: r.Activities, Workgroups: r.Workgroups, Areas: r.Areas, Position: i,
		})
	}
	return all
}

func (c *checker) app(person []any, e *authenticatorsEntry) *appEntry {
	if e == nil || e.App == nil {
		return nil
	}
	path := at(person, "authenticators", "authenticator_app")
	if c.mode != Dev {
		c.wrong(path, "passwords and authenticators come from a file in dev mode only: people register their own")
		return nil
	}
	c.needed(path, "password", e.App.Password)
	c.needed(path, "totp_secret", e.App.TOTPSecret)
	return e.App
}
