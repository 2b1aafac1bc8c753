// Package access knows what people may do where: the roles of a person at
// organisations, each with its activities, workgroups and areas of work.
//
// The sign-in's role page, the provider's userinfo and a person's profile come
// in; roles leave. It never decides whether someone is who they say they are,
// and it has no role for somebody whom it does not know: no roles is an
// ordinary answer.
package access

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
)

//go:embed schema/*.sql
var schema embed.FS

// Schema holds the migrations of this room's tables. Its queries read the view
// organisation_directory too.
var Schema fs.FS = schema

// Role is one role of a person at one organisation.
type Role struct {
	// ID is the person_roleid of the wire, OrgPersonID its person_orgid.
	ID          string
	OrgPersonID string
	UID         care.UID
	Org         care.ODSCode
	// OrgName is "" if the organisation is not in the directory.
	OrgName string
	Code    care.RoleCode
	// Name is the three quoted parts of the wire:
	// "Clinical":"Clinical Provision":"Nurse Access Role".
	Name string
	// Activities, Workgroups and Areas map a code to its name.
	Activities, Workgroups, Areas map[string]string
	Position                      int
}

// Label is the part of the name that people use: "Nurse Access Role".
func (r Role) Label() string {
	if i := strings.LastIndex(r.Name, `":"`); i >= 0 {
		return strings.Trim(r.Name[i+3:], `"`)
	}
	return strings.Trim(r.Name, `"`)
}

// Codes returns the codes of activities, workgroups or areas in a fixed order:
// on the wire, codes and names are lists of their own that belong together.
func Codes(named map[string]string) []string { return slices.Sorted(maps.Keys(named)) }

const selectRole = `
SELECT r.id, r.org_person_id, r.uid, r.org, COALESCE(o.name, ''), r.code, r.name,
       r.activities, r.workgroups, r.areas, r.position
FROM access_role r
LEFT JOIN organisation_directory o ON o.code = r.org`

// Roles returns the person's roles in their order; none is no error.
func Roles(tx *db.Tx, uid care.UID) ([]Role, error) {
	rows, err := tx.Rows(selectRole+` WHERE r.uid = $1 ORDER BY r.position, r.id`, uid)
	if err != nil {
		return nil, fmt.Errorf("reading the roles of %s: %w", uid, err)
	}
	defer rows.Close()
	var all []Role
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("reading the roles of %s: %w", uid, err)
		}
		all = append(all, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading the roles of %s: %w", uid, err)
	}
	return all, nil
}

// Holds is an SQL condition: the person whose number one expression gives holds
// the role whose id another gives.
func Holds(uid, role string) string {
	return `EXISTS (SELECT 1 FROM access_role r WHERE r.uid = ` + uid + ` AND r.id = ` + role + `)`
}

// Held reports whether the person holds the role.
func Held(tx *db.Tx, uid care.UID, id string) (held bool, err error) {
	if err := tx.Row(`SELECT CASE WHEN `+Holds("$1", "$2")+` THEN 1 ELSE 0 END`, uid, id).Scan(&held); err != nil {
		return false, fmt.Errorf("looking for role %s of %s: %w", id, uid, err)
	}
	return held, nil
}

// RolesOf is an SQL expression for a text that ReadRoles reads: the roles of the
// person whose number another expression gives. Whoever reads a row that leads
// to a person has their roles by it in the same statement.
func RolesOf(tx *db.Tx, uid string) string {
	array, all := tx.JSONArrays()
	return `COALESCE((SELECT CAST(` + all + `(` + array + `(r.id, r.org_person_id, r.uid, r.org, COALESCE(o.name, ''), r.code, r.name,
		r.activities, r.workgroups, r.areas, r.position) ORDER BY r.position, r.id) AS TEXT)
		FROM access_role r LEFT JOIN organisation_directory o ON o.code = r.org WHERE r.uid = ` + uid + `), '[]')`
}

// ReadRoles returns the roles of a text that RolesOf has made.
func ReadRoles(text string) ([]Role, error) {
	var rows []fields
	if err := json.Unmarshal([]byte(text), &rows); err != nil {
		return nil, fmt.Errorf("reading roles: %w", err)
	}
	var all []Role
	for _, row := range rows {
		r, err := scan(row)
		if err != nil {
			return nil, fmt.Errorf("reading roles: %w", err)
		}
		all = append(all, r)
	}
	return all, nil
}

// fields are the columns of one row in an array.
type fields []json.RawMessage

func (f fields) Scan(into ...any) error {
	if len(f) != len(into) {
		return fmt.Errorf("%d fields, want %d", len(f), len(into))
	}
	for i, field := range f {
		if err := json.Unmarshal(field, into[i]); err != nil {
			return err
		}
	}
	return nil
}

type scanner interface{ Scan(dest ...any) error }

func scan(row scanner) (Role, error) {
	var r Role
	var activities, workgroups, areas string
	err := row.Scan(&r.ID, &r.OrgPersonID, &r.UID, &r.Org, &r.OrgName, &r.Code, &r.Name,
		&activities, &workgroups, &areas, &r.Position)
	if err != nil {
		return Role{}, err
	}
	for text, into := range map[*string]*map[string]string{
		&activities: &r.Activities, &workgroups: &r.Workgroups, &areas: &r.Areas,
	} {
		if err := json.Unmarshal([]byte(*text), into); err != nil {
			return Role{}, fmt.Errorf("reading role %s: %w", r.ID, err)
		}
	}
	return r, nil
}

// Put stores r in place of what the table held under its ID.
func Put(tx *db.Tx, r Role) error {
	_, err := tx.Exec(`
		INSERT INTO access_role (id, uid, org_person_id, org, code, name, activities, workgroups, areas, position)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (id) DO UPDATE SET uid = excluded.uid, org_person_id = excluded.org_person_id, org = excluded.org,
		       code = excluded.code, name = excluded.name, activities = excluded.activities,
		       workgroups = excluded.workgroups, areas = excluded.areas, position = excluded.position`,
		r.ID, r.UID, r.OrgPersonID, r.Org, r.Code, r.Name,
		object(r.Activities), object(r.Workgroups), object(r.Areas), r.Position)
	if err != nil {
		return fmt.Errorf("storing role %s: %w", r.ID, err)
	}
	return nil
}

// Delete takes a role away.
func Delete(tx *db.Tx, id string) error {
	if _, err := tx.Exec(`DELETE FROM access_role WHERE id = $1`, id); err != nil {
		return fmt.Errorf("deleting role %s: %w", id, err)
	}
	return nil
}

func object(named map[string]string) string {
	if len(named) == 0 {
		return "{}"
	}
	text, err := json.Marshal(named)
	if err != nil {
		panic(err) // a map of strings always encodes
	}
	return string(text)
}
