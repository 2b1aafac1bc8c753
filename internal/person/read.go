package person

import (
	"encoding/json"
	"fmt"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
)

// One statement reads a person with both addresses: sign-in is counted in
// statements.
const selectPerson = `
SELECT p.uid, p.title, p.given_name, p.middle_names, p.family_name, p.id_assurance_level,
       p.memberships, p.closed_at, p.closed_reason, p.version,
       COALESCE(v.address, ''), COALESCE(v.verified_at, 0), COALESCE(w.address, '')
FROM person p
LEFT JOIN person_email v ON v.uid = p.uid AND v.verified = 1
LEFT JOIN person_email w ON w.uid = p.uid AND w.verified = 0`

type scanner interface{ Scan(dest ...any) error }

func scan(row scanner) (Person, error) {
	var p Person
	var memberships, reason string
	var closed, since int64
	err := row.Scan(&p.UID, &p.Title, &p.GivenName, &p.MiddleNames, &p.FamilyName, &p.IDAssuranceLevel,
		&memberships, &closed, &reason, &p.Version, &p.Email, &since, &p.Pending)
	if err != nil {
		return Person{}, err
	}
	if err := json.Unmarshal([]byte(memberships), &p.Memberships); err != nil {
		return Person{}, fmt.Errorf("reading the memberships of %s: %w", p.UID, err)
	}
	p.EmailSince = db.Time(since)
	if closed != 0 {
		p.Closed = &Closure{Reason: reason, At: db.Time(closed)}
	}
	return p, nil
}

// ByUID returns the person with the number, or db.ErrNoRows.
func ByUID(tx *db.Tx, uid care.UID) (Person, error) {
	p, err := scan(tx.Row(selectPerson+` WHERE p.uid = $1`, uid))
	if err != nil {
		return Person{}, fmt.Errorf("reading person %s: %w", uid, err)
	}
	return p, nil
}

// Shown is what pages say of the person who is signed in.
type Shown struct {
	name  string
	Login care.Email
}

// DisplayName is Person.DisplayName.
func (s Shown) DisplayName() string { return joined(s.name) }

// ShownOf is SQL expressions for two columns, which into names: what pages say
// of the person whose number another expression gives. Whoever reads a row that
// leads to a person has it in the same statement.
func ShownOf(uid string, into *Shown) (columns string, dest []any) {
	return `COALESCE((SELECT h.title || ' ' || h.given_name || ' ' || h.family_name FROM person h WHERE h.uid = ` + uid + `), ''),
		COALESCE((SELECT e.address FROM person_email e WHERE e.uid = ` + uid + ` ORDER BY e.verified DESC LIMIT 1), '')`, []any{&into.name, &into.Login}
}

// Lock is ByUID for a transaction that decides by what it reads: until its end,
// nobody else who locks or changes the person goes on. Other rows of theirs
// (addresses, authenticators, sessions) are read after it.
func Lock(tx *db.Tx, uid care.UID) (Person, error) {
	lock := tx.ForUpdate()
	if lock != "" {
		lock += " OF p" // PostgreSQL cannot lock what an outer join adds
	}
	p, err := scan(tx.Row(selectPerson+` WHERE p.uid = $1`+lock, uid))
	if err != nil {
		return Person{}, fmt.Errorf("locking person %s: %w", uid, err)
	}
	return p, nil
}

// ByEmail returns the person who verified the address, or db.ErrNoRows. The
// address is not in the error: it may be a stranger's.
func ByEmail(tx *db.Tx, email care.Email) (Person, error) {
	p, err := scan(tx.Row(selectPerson+` WHERE v.address = $1`, email))
	if err != nil {
		return Person{}, fmt.Errorf("reading a person by address: %w", err)
	}
	return p, nil
}

// All returns everybody in the order of their numbers.
func All(tx *db.Tx) ([]Person, error) {
	rows, err := tx.Rows(selectPerson + ` ORDER BY p.uid`)
	if err != nil {
		return nil, fmt.Errorf("reading everybody: %w", err)
	}
	defer rows.Close()
	var all []Person
	for rows.Next() {
		p, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("reading everybody: %w", err)
		}
		all = append(all, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading everybody: %w", err)
	}
	return all, nil
}

// AllowList returns the domains that an address may have (seed 0, step 3).
func AllowList(tx *db.Tx) (care.AllowList, error) {
	rows, err := tx.Rows(`SELECT entry FROM person_email_domain ORDER BY position`)
	if err != nil {
		return nil, fmt.Errorf("reading the email domains: %w", err)
	}
	defer rows.Close()
	var list care.AllowList
	for rows.Next() {
		var entry string
		if err := rows.Scan(&entry); err != nil {
			return nil, fmt.Errorf("reading the email domains: %w", err)
		}
		list = append(list, entry)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading the email domains: %w", err)
	}
	return list, nil
}
