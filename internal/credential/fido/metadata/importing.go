package metadata

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/db"
)

// ErrOlder is the error of a file that is not newer than the one that is there.
// Somebody who replays an old one would hide what was revoked since (MDS3
// section 3.2, step 6).
var ErrOlder = errors.New("the file is not newer than the one that was imported before")

// Import stores a verified file, for all nodes at once, and the audit entry
// with it. It reports false if this very file is there already. Numbers are
// compared within the files of one publisher.
func Import(ctx context.Context, d *db.DB, b Blob, actor string) (bool, error) {
	var stored bool
	err := d.Write(ctx, func(tx *db.Tx) error {
		var err error
		if stored, err = store(tx, b); err != nil || !stored {
			return err
		}
		return audit.Record(tx, audit.Entry{Action: "fido_metadata.imported", Actor: actor, Fields: []audit.Field{
			{Name: "no", Value: strconv.FormatInt(b.No, 10)}, {Name: "next_update", Value: b.NextUpdate.Format(time.DateOnly)},
			{Name: "sum", Value: b.Sum}, {Name: "signer", Value: b.Signer}, {Name: "models", Value: strconv.Itoa(len(b.Models))},
			{Name: "revocation_checked", Value: strconv.FormatBool(b.RevocationChecked)},
		}})
	})
	if err != nil {
		return false, fmt.Errorf("importing FIDO metadata: %w", err)
	}
	return stored, nil
}

// store replaces everything by b. Of two that come at once, the row of the
// table with one row lets the newer win.
func store(tx *db.Tx, b Blob) (bool, error) {
	unread, err := json.Marshal(append([]string{}, b.Unread...)) // [] and not null
	if err != nil {
		return false, fmt.Errorf("writing what could not be read: %w", err)
	}
	n, err := tx.Exec(`INSERT INTO fido_metadata (one, no, next_update, imported_at, sum, anchor, signer, checked, others, unread)
		VALUES (1, $1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (one) DO UPDATE SET no = excluded.no, next_update = excluded.next_update, imported_at = excluded.imported_at,
			sum = excluded.sum, anchor = excluded.anchor, signer = excluded.signer, checked = excluded.checked,
			others = excluded.others, unread = excluded.unread
		WHERE fido_metadata.anchor <> excluded.anchor OR fido_metadata.no < excluded.no`,
		b.No, db.Micros(b.NextUpdate), db.Micros(tx.Now()), b.Sum, b.Anchor, b.Signer, number(b.RevocationChecked), b.Others, string(unread))
	if err != nil {
		return false, fmt.Errorf("replacing the FIDO metadata: %w", err)
	}
	if n == 0 {
		return false, sameFile(tx, b)
	}
	if _, err := tx.Exec(`DELETE FROM fido_model`); err != nil {
		return false, fmt.Errorf("replacing the models: %w", err)
	}
	for _, m := range b.Models {
		if err := insert(tx, m); err != nil {
			return false, err
		}
	}
	return true, nil
}

// sameFile is nil if b is what is there.
func sameFile(tx *db.Tx, b Blob) error {
	now, err := Stand(tx)
	if err == nil && now.Sum != b.Sum {
		err = fmt.Errorf("%w: number %d is there, and this is number %d", ErrOlder, now.No, b.No)
	}
	return err
}

func insert(tx *db.Tx, m Model) error {
	anchors, err := json.Marshal(m.Anchors)
	if err != nil {
		return fmt.Errorf("writing the certificates of %s: %w", m.Name, err)
	}
	reports, err := json.Marshal(m.Reports)
	if err != nil {
		return fmt.Errorf("writing the reports on %s: %w", m.Name, err)
	}
	_, err = tx.Exec(`INSERT INTO fido_model (name, description, hardware, anchors, reports) VALUES ($1, $2, $3, $4, $5)`,
		m.Name, m.Description, number(m.Hardware), string(anchors), string(reports))
	if err != nil {
		return fmt.Errorf("storing the model %s: %w", m.Name, err)
	}
	return nil
}

func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// Standing is what was imported last.
type Standing struct {
	// No is the number of the file, 0 if there is none.
	No         int64     `json:"no"`
	NextUpdate time.Time `json:"next_update,omitzero"`
	ImportedAt time.Time `json:"imported_at,omitzero"`
	Signer     string    `json:"signer,omitempty"`
	Sum        string    `json:"sha256,omitempty"`
	// RevocationChecked: no certificate of the signature was on a list.
	RevocationChecked bool     `json:"revocation_checked"`
	Models            int64    `json:"models"`
	Others            int64    `json:"others"`
	Unread            []string `json:"unread,omitempty"`
}

// Overdue is for how long a newer file should have been there; 0 or less if
// this one is the newest, or none is there.
func (s Standing) Overdue(now time.Time) time.Duration {
	if s.No == 0 {
		return 0
	}
	return now.Sub(s.NextUpdate.AddDate(0, 0, 1))
}

// Stand returns what was imported last; the zero value: nothing.
func Stand(tx *db.Tx) (Standing, error) {
	var s Standing
	var next, imported, checked int64
	var unread string
	err := tx.Row(`SELECT no, next_update, imported_at, sum, signer, checked, others, unread, (SELECT COUNT(*) FROM fido_model)
		FROM fido_metadata WHERE one = 1`).
		Scan(&s.No, &next, &imported, &s.Sum, &s.Signer, &checked, &s.Others, &unread, &s.Models)
	if errors.Is(err, db.ErrNoRows) {
		return Standing{}, nil
	}
	if err != nil {
		return Standing{}, fmt.Errorf("reading the state of the FIDO metadata: %w", err)
	}
	s.NextUpdate, s.ImportedAt, s.RevocationChecked = db.Time(next), db.Time(imported), checked != 0
	if err := json.Unmarshal([]byte(unread), &s.Unread); err != nil {
		return Standing{}, fmt.Errorf("reading what could not be read: %w", err)
	}
	return s, nil
}
