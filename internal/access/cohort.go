package access

import (
	"fmt"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
)

// Everyone in a list of a cohort stands for everybody.
const Everyone = "all"

// Cohort is whom something in private beta is open to. The zero value is open to
// nobody.
type Cohort struct {
	services, people map[string]bool
}

// NewCohort returns the cohort of the relying parties with these client ids, and
// of the people with these UIDs or with a role at organisations with these ODS
// codes. Everyone in a list opens all of its kind.
func NewCohort(services, people []string) Cohort {
	set := func(list []string) map[string]bool {
		all := map[string]bool{}
		for _, entry := range list {
			all[entry] = true
		}
		return all
	}
	return Cohort{services: set(services), people: set(people)}
}

// Service reports whether it is open to a relying party. "" is Carekey itself,
// where people look after what they use elsewhere: it is open if any is.
func (c Cohort) Service(clientID string) bool {
	return c.services[Everyone] || c.services[clientID] || clientID == "" && len(c.services) > 0
}

// Person reports whether it is open to a person, by themselves or by an
// organisation where they have a role. It reads only where the answer depends
// on the roles.
func (c Cohort) Person(tx *db.Tx, uid care.UID) (bool, error) {
	if c.people[Everyone] || c.people[string(uid)] || len(c.people) == 0 {
		return len(c.people) > 0, nil
	}
	rows, err := tx.Rows(`SELECT DISTINCT org FROM access_role WHERE uid = $1`, uid)
	if err != nil {
		return false, fmt.Errorf("reading where a person works: %w", err)
	}
	defer rows.Close()
	in := false
	for rows.Next() {
		var org string
		if err := rows.Scan(&org); err != nil {
			return false, fmt.Errorf("reading where a person works: %w", err)
		}
		in = in || c.people[org]
	}
	if err := rows.Err(); err != nil {
		return false, fmt.Errorf("reading where a person works: %w", err)
	}
	return in, nil
}
