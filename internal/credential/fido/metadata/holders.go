package metadata

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/person"
)

// concerned is somebody to tell.
type concerned struct {
	Holder
	status Status
	person person.Person
	record credential.Record
}

// TellHolders writes to everybody whose model is refused now and who has not
// been told yet (N22), and returns how many that were. It may run on several
// nodes at once, after an import and from time to time: a report may come into
// force later. Sign-ins are refused whether or not it ran.
func (s *Store) TellHolders(ctx context.Context) (int, error) {
	var all []concerned
	err := s.o.DB.Read(ctx, func(tx *db.Tx) (err error) {
		all, err = s.untold(tx)
		return err
	})
	if err != nil {
		return 0, err
	}
	told := 0
	for _, c := range all {
		done, err := s.tell(ctx, c)
		if err != nil {
			return told, err
		}
		if done {
			told++
		}
	}
	return told, nil
}

// untold returns the holders of refused models whom nobody has told.
func (s *Store) untold(tx *db.Tx) ([]concerned, error) {
	models, err := Models(tx)
	if err != nil {
		return nil, err
	}
	known := map[string]Model{}
	for _, m := range models {
		known[m.Name] = m
	}
	holders, err := s.o.Holders(tx)
	if err != nil {
		return nil, fmt.Errorf("reading who holds which model: %w", err)
	}
	told, err := alreadyTold(tx)
	if err != nil {
		return nil, err
	}
	var all []concerned
	for _, h := range holders {
		m, ok := known[h.Provenance.Model]
		if !ok {
			m = Model{Name: h.Provenance.Model}
		}
		status := s.judgeModel(m, h.Provenance, tx.Now())
		if m.Name == "" || status.Good() || told[h.AuthenticatorID] {
			continue
		}
		c := concerned{Holder: h, status: status}
		if c.record, err = credential.ByID(tx, h.AuthenticatorID); err == nil {
			c.person, err = person.ByUID(tx, h.UID)
		}
		if errors.Is(err, db.ErrNoRows) {
			continue // removed a moment ago
		}
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

func alreadyTold(tx *db.Tx) (map[string]bool, error) {
	rows, err := tx.Rows(`SELECT authenticator_id FROM fido_model_told`)
	if err != nil {
		return nil, fmt.Errorf("reading who has been told: %w", err)
	}
	defer rows.Close()
	told := map[string]bool{}
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("reading who has been told: %w", err)
		}
		told[id] = true
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading who has been told: %w", err)
	}
	return told, nil
}

// tell tells one holder, and reports false if somebody else was faster.
func (s *Store) tell(ctx context.Context, c concerned) (bool, error) {
	var mail []outbox.Message
	if c.person.Email != "" {
		notMe, err := s.o.NotMe(c.UID, c.AuthenticatorID)
		if err != nil {
			return false, err
		}
		m, err := s.o.Outbox.Mail(c.person.Email, outbox.AuthenticatorRefused, outbox.Notice{
			Name: c.person.DisplayName(), When: s.o.DB.Now(), Authenticator: c.record.Method.TypeLabel(),
			Model: c.status.Description, Because: c.status.Reason, NotMe: notMe,
		})
		if err != nil {
			return false, fmt.Errorf("writing to a holder: %w", err)
		}
		mail = append(mail, m)
	}
	var first bool
	err := s.o.DB.Write(ctx, func(tx *db.Tx) error {
		first = false
		if _, err := credential.ByID(tx, c.AuthenticatorID); err != nil {
			if errors.Is(err, db.ErrNoRows) {
				return nil
			}
			return err
		}
		n, err := tx.Exec(`INSERT INTO fido_model_told (authenticator_id, told_at) VALUES ($1, $2) ON CONFLICT DO NOTHING`,
			c.AuthenticatorID, db.Micros(tx.Now()))
		if err != nil {
			return fmt.Errorf("noting who has been told: %w", err)
		}
		if first = n == 1; !first {
			return nil
		}
		if err := outbox.PutAll(tx, mail); err != nil {
			return err
		}
		return audit.Record(tx, audit.Entry{
			Action: "authenticator.model_refused", Subject: c.UID, Actor: "system", Fields: []audit.Field{
				{Name: "authenticator", Value: c.AuthenticatorID}, {Name: "model", Value: c.Provenance.Model},
				{Name: "description", Value: strings.TrimSpace(c.status.Description)}, {Name: "why", Value: c.status.Reason},
			},
		})
	})
	if err != nil {
		return false, fmt.Errorf("telling the holder of a refused model: %w", err)
	}
	return first, nil
}
