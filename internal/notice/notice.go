// Package notice keeps what people are told about planned work: the words, when
// they are shown, and what is planned to be out.
//
// Pages that show notices come in; the notices of the moment leave. When one
// is shown and when something is out are two windows (decision: status counts
// only the outage); this room never measures whether anything is really out.
package notice

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"time"

	"carekey.dev/carekey/internal/db"
)

//go:embed schema/*.sql
var schema embed.FS

// Schema holds the migrations of this room's tables.
var Schema fs.FS = schema

// Window is a time from (included) until (excluded).
type Window struct {
	From, Until time.Time
}

// Notice is one announcement.
type Notice struct {
	ID string
	// Show is when it is seen, Outage when the services are planned to be out.
	Show, Outage Window
	Services     []string
	Text         string
}

// Dismissal is what a browser remembers when someone has dismissed the notice.
// A notice whose words changed is shown again.
func (n Notice) Dismissal() string {
	digest := sha256.Sum256([]byte(n.ID + "\x00" + n.Text))
	return hex.EncodeToString(digest[:8])
}

const selectNotice = `SELECT id, show_from, show_until, outage_from, outage_until, services, body FROM notice`

// Showing returns the notices that are to be seen at now, the first shown first.
func Showing(tx *db.Tx, now time.Time) ([]Notice, error) {
	return list(tx, selectNotice+` WHERE show_from <= $1 AND show_until > $1 ORDER BY show_from, id`, db.Micros(now))
}

// All returns every notice, past ones too.
func All(tx *db.Tx) ([]Notice, error) {
	return list(tx, selectNotice+` ORDER BY show_from, id`)
}

func list(tx *db.Tx, query string, args ...any) ([]Notice, error) {
	rows, err := tx.Rows(query, args...)
	if err != nil {
		return nil, fmt.Errorf("reading notices: %w", err)
	}
	defer rows.Close()
	var all []Notice
	for rows.Next() {
		var n Notice
		var show, shown, out, back int64
		var services string
		if err := rows.Scan(&n.ID, &show, &shown, &out, &back, &services, &n.Text); err != nil {
			return nil, fmt.Errorf("reading notices: %w", err)
		}
		if err := json.Unmarshal([]byte(services), &n.Services); err != nil {
			return nil, fmt.Errorf("reading the services of notice %s: %w", n.ID, err)
		}
		n.Show = Window{db.Time(show), db.Time(shown)}
		n.Outage = Window{db.Time(out), db.Time(back)}
		all = append(all, n)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading notices: %w", err)
	}
	return all, nil
}

// Put stores n in place of what the table held under its ID.
func Put(tx *db.Tx, n Notice) error {
	services := []byte("[]")
	if len(n.Services) > 0 {
		var err error
		if services, err = json.Marshal(n.Services); err != nil {
			return fmt.Errorf("encoding the services of notice %s: %w", n.ID, err)
		}
	}
	_, err := tx.Exec(`
		INSERT INTO notice (id, show_from, show_until, outage_from, outage_until, services, body)
		VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (id) DO UPDATE SET show_from = excluded.show_from, show_until = excluded.show_until,
		       outage_from = excluded.outage_from, outage_until = excluded.outage_until,
		       services = excluded.services, body = excluded.body`,
		n.ID, db.Micros(n.Show.From), db.Micros(n.Show.Until), db.Micros(n.Outage.From), db.Micros(n.Outage.Until),
		string(services), n.Text)
	if err != nil {
		return fmt.Errorf("storing notice %s: %w", n.ID, err)
	}
	return nil
}

// Delete takes a notice away.
func Delete(tx *db.Tx, id string) error {
	if _, err := tx.Exec(`DELETE FROM notice WHERE id = $1`, id); err != nil {
		return fmt.Errorf("deleting notice %s: %w", id, err)
	}
	return nil
}
