package world

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/session"
)

func (p *planner) people() error {
	if p.w.people == nil {
		return nil
	}
	stored, err := person.All(p.tx)
	if err != nil {
		return err
	}
	before := map[care.UID]person.Person{}
	for _, old := range stored {
		before[old.UID] = old
	}
	domains, err := p.domains()
	if err != nil {
		return err
	}
	wanted := map[care.UID]bool{}
	for i, want := range p.w.people {
		wanted[want.UID] = true
		old, exists := before[want.UID]
		if err := p.person(i, want, old, exists, domains); err != nil {
			return err
		}
	}
	for _, old := range stored {
		if p.o.Prune && !wanted[old.UID] && old.Closed == nil {
			p.close(old, person.Closure{Reason: "Not in the world file any more", At: p.tx.Now()})
		}
	}
	return nil
}

// domains is the allow-list as it will be.
func (p *planner) domains() (care.AllowList, error) {
	if p.w.allowList != nil {
		return p.w.allowList, nil
	}
	return person.AllowList(p.tx)
}

func named(p person.Person) string { return string(p.UID) + " " + p.DisplayName() }

func (p *planner) person(i int, want wantedPerson, old person.Person, exists bool, domains care.AllowList) error {
	created := want.Person
	p.compare(Change{
		Kind: "person", Name: named(created), subject: want.UID,
		apply: func(tx *db.Tx) error {
			if exists {
				return person.Update(tx, created)
			}
			return person.Create(tx, created)
		},
	}, exists, personFields(old), personFields(created))
	if exists {
		p.closing(want.Person, old)
	}
	if err := p.address(i, want.Person, old, exists, domains); err != nil {
		return err
	}
	if err := p.roles(want); err != nil {
		return err
	}
	return p.authenticators(want)
}

func personFields(p person.Person) []Field {
	members, err := json.Marshal(p.Memberships)
	if err != nil {
		panic(err) // a map of strings always encodes
	}
	text := string(members)
	if len(p.Memberships) == 0 {
		text = ""
	}
	return []Field{
		{Name: "title", To: p.Title}, {Name: "given_name", To: p.GivenName}, {Name: "middle_names", To: p.MiddleNames},
		{Name: "family_name", To: p.FamilyName}, {Name: "id_assurance_level", To: strconv.Itoa(p.IDAssuranceLevel)},
		{Name: "memberships", To: text},
	}
}

// closing is managed: the file closes a person and reopens one.
func (p *planner) closing(want, old person.Person) {
	switch {
	case want.Closed == nil && old.Closed != nil:
		p.changes = append(p.changes, Change{
			Verb: Changed, Kind: "person", Name: named(want), subject: want.UID,
			Fields: []Field{{Name: "closed", From: old.Closed.Reason}},
			apply:  func(tx *db.Tx) error { return person.Reopen(tx, want.UID) },
		})
	case want.Closed != nil && (old.Closed == nil || old.Closed.Reason != want.Closed.Reason || !old.Closed.At.Equal(want.Closed.At)):
		p.close(want, *want.Closed)
	}
}

// close ends an identity, and with it every session of the person.
func (p *planner) close(who person.Person, c person.Closure) {
	p.changes = append(p.changes, Change{
		Verb: Closed, Kind: "person", Name: named(who), subject: who.UID,
		Fields: []Field{{Name: "reason", To: c.Reason}},
		apply: func(tx *db.Tx) error {
			if err := person.Close(tx, who.UID, c); err != nil {
				return err
			}
			return session.EndAll(tx, who.UID, "identity closed")
		},
	})
}

// address is created once: a person who has one keeps it.
func (p *planner) address(i int, want, old person.Person, exists bool, domains care.AllowList) error {
	address := want.Login()
	if address == "" {
		return nil
	}
	if exists && old.Login() != "" {
		if old.Email != want.Email || old.Pending != want.Pending {
			p.note("the email address of %s stays as it is: it is created once, and the person can change it", named(want))
		}
		return nil
	}
	path := []any{"people", i, "email", "address"}
	if !domains.Accepts(address) {
		p.wrong(path, "email.address: the domain %s is not on the email allow list", address.Domain())
	}
	other, err := person.ByEmail(p.tx, want.Email)
	if err != nil && !errors.Is(err, db.ErrNoRows) {
		return err
	}
	if err == nil {
		p.wrong(path, "email.address: person %s signs in with it already", other.UID)
	}
	if !exists {
		return nil // created with the person
	}
	p.changes = append(p.changes, Change{
		Verb: Changed, Kind: "person", Name: named(want), subject: want.UID,
		Fields: []Field{{Name: "email", To: string(address)}},
		apply: func(tx *db.Tx) error {
			if err := person.SetPending(tx, want.UID, address); err != nil || want.Email == "" {
				return err
			}
			_, err := person.Verify(tx, want.UID, address)
			return err
		},
	})
	return nil
}

func (p *planner) roles(want wantedPerson) error {
	if want.roles == nil {
		return nil
	}
	stored, err := access.Roles(p.tx, want.UID)
	if err != nil {
		return err
	}
	before := map[string]access.Role{}
	for _, r := range stored {
		before[r.ID] = r
	}
	wanted := map[string]bool{}
	for _, r := range want.roles {
		wanted[r.ID] = true
		old, exists := before[r.ID]
		p.compare(Change{
			Kind: "role", Name: roleNamed(r), subject: want.UID,
			apply: func(tx *db.Tx) error { return access.Put(tx, r) },
		}, exists, roleFields(old), roleFields(r))
	}
	for _, r := range stored {
		if p.o.Prune && !wanted[r.ID] {
			p.changes = append(p.changes, Change{
				Verb: Removed, Kind: "role", Name: roleNamed(r), subject: want.UID,
				apply: func(tx *db.Tx) error { return access.Delete(tx, r.ID) },
			})
		}
	}
	return nil
}

func roleNamed(r access.Role) string {
	return fmt.Sprintf("%s %s at %s of %s", r.ID, r.Label(), r.Org, r.UID)
}

func roleFields(r access.Role) []Field {
	return []Field{
		{Name: "org_person_id", To: r.OrgPersonID}, {Name: "org", To: string(r.Org)}, {Name: "role", To: string(r.Code)},
		{Name: "name", To: r.Name}, {Name: "activities", To: pairs(r.Activities)},
		{Name: "workgroups", To: pairs(r.Workgroups)}, {Name: "areas", To: pairs(r.Areas)},
		{Name: "position", To: strconv.Itoa(r.Position + 1)},
	}
}

func pairs(named map[string]string) string {
	text := ""
	for i, code := range access.Codes(named) {
		if i > 0 {
			text += ", "
		}
		text += code + " " + named[code]
	}
	return text
}

// authenticators are created once, through the gate.
func (p *planner) authenticators(want wantedPerson) error {
	if want.app == nil {
		return nil
	}
	has, err := hasApp(p.tx, want.UID)
	if err != nil || has {
		return err
	}
	p.changes = append(p.changes, Change{
		Verb: Added, Kind: "authenticator", Name: string(care.AuthenticatorApp) + " of " + named(want.Person), subject: want.UID,
		apply: func(tx *db.Tx) error {
			enrolment, ok := p.enrolments[want.UID]
			if !ok {
				return errMoved
			}
			bound, err := p.o.Bind(tx, enrolment)
			if err == nil && !bound {
				err = errMoved
			}
			return err
		},
	})
	return nil
}
