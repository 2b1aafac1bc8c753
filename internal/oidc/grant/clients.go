package grant

import (
	"fmt"

	"carekey.dev/carekey/internal/db"
)

// Clients returns the relying parties that got something from a session, in the
// order of their ids: those to tell of its end. What was revoked counts too:
// the relying party may not know it.
func Clients(tx *db.Tx, sid string) ([]string, error) {
	rows, err := tx.Rows(`SELECT DISTINCT client_id FROM oidc_grant WHERE sid = $1 ORDER BY client_id`, sid)
	if err != nil {
		return nil, fmt.Errorf("reading who relies on a session: %w", err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var client string
		if err := rows.Scan(&client); err != nil {
			return nil, fmt.Errorf("reading who relies on a session: %w", err)
		}
		all = append(all, client)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading who relies on a session: %w", err)
	}
	return all, nil
}
