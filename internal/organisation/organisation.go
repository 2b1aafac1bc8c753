// Package organisation is the directory of organisations: their ODS code, name
// and address, to which one they belong, and whose Registration Authority
// serves them.
//
// Whoever fills the directory or reads the whole of it comes in; Organisations
// leave. Who works where is a matter of access. An ODS parent may be a code
// that is not in the directory: national codes are more than one installation
// knows.
package organisation

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
)

//go:embed schema/*.sql
var schema embed.FS

// Schema holds the migrations of this room's tables.
var Schema fs.FS = schema

// Organisation is one entry of the directory.
type Organisation struct {
	Code care.ODSCode
	Name string
	// Type is the directory's word: "trust", "gp_practice", "pharmacy" …
	Type            string
	Address         []string
	Postcode, Phone string
	// Parent is the ODS parent, or "".
	Parent care.ODSCode
	// RA is the organisation whose Registration Authority serves this one, or
	// "" for the default queue (decision: every organisation is served by an RA).
	RA care.ODSCode
}

const columns = `code, name, type, address, postcode, phone, parent, ra`

// All returns the whole directory in the order of the codes.
func All(tx *db.Tx) ([]Organisation, error) {
	rows, err := tx.Rows(`SELECT ` + columns + ` FROM organisation ORDER BY code`)
	if err != nil {
		return nil, fmt.Errorf("reading organisations: %w", err)
	}
	defer rows.Close()
	var all []Organisation
	for rows.Next() {
		o, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("reading organisations: %w", err)
		}
		all = append(all, o)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading organisations: %w", err)
	}
	return all, nil
}

func scan(rows *db.Rows) (Organisation, error) {
	var o Organisation
	var address string
	if err := rows.Scan(&o.Code, &o.Name, &o.Type, &address, &o.Postcode, &o.Phone, &o.Parent, &o.RA); err != nil {
		return Organisation{}, err
	}
	if err := json.Unmarshal([]byte(address), &o.Address); err != nil {
		return Organisation{}, fmt.Errorf("reading the address of %s: %w", o.Code, err)
	}
	return o, nil
}

// Put stores o in place of what the directory held under its code.
func Put(tx *db.Tx, o Organisation) error {
	_, err := tx.Exec(`
		INSERT INTO organisation (`+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (code) DO UPDATE SET name = excluded.name, type = excluded.type, address = excluded.address,
		       postcode = excluded.postcode, phone = excluded.phone, parent = excluded.parent, ra = excluded.ra`,
		o.Code, o.Name, o.Type, lines(o.Address), o.Postcode, o.Phone, o.Parent, o.RA)
	if err != nil {
		return fmt.Errorf("storing organisation %s: %w", o.Code, err)
	}
	return nil
}

// Delete takes an organisation out of the directory. Roles there keep its
// code.
func Delete(tx *db.Tx, code care.ODSCode) error {
	if _, err := tx.Exec(`DELETE FROM organisation WHERE code = $1`, code); err != nil {
		return fmt.Errorf("deleting organisation %s: %w", code, err)
	}
	return nil
}

func lines(address []string) string {
	if len(address) == 0 {
		return "[]"
	}
	text, err := json.Marshal(address)
	if err != nil {
		panic(err) // a list of strings always encodes
	}
	return string(text)
}
