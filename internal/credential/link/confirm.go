package link

import (
	"context"
	"fmt"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/internal/proof"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
)

// Confirm says that the worker's screen shows the link's number (decision 4).
// The caller makes sure that by may do it and is not the worker. Confirming
// twice changes nothing. Faults: LinkUnknown, LinkNotWaiting, LinkTooLate.
func (l *Links) Confirm(ctx context.Context, id, by string) error {
	return l.decide(ctx, id, by, Confirmed, "link.confirmed")
}

// Refuse says that it does not, and ends the registration. Faults as Confirm.
func (l *Links) Refuse(ctx context.Context, id, by string) error {
	return l.decide(ctx, id, by, Refused, "link.refused")
}

func (l *Links) decide(ctx context.Context, id, by string, decision State, action string) error {
	err := l.db.Write(ctx, func(tx *db.Tx) error {
		now := tx.Now()
		changed, err := tx.Exec(`UPDATE registration_link SET state = $1, decided_by = $2, decided_at = $3
			WHERE id = $4 AND state = $5 AND started_at > $6`,
			decision, by, db.Micros(now), id, Waiting, db.Micros(now.Add(-Limit)))
		if err != nil {
			return err
		}
		found, err := one(tx, `id = $1`, id)
		if err != nil {
			return err
		}
		switch {
		case changed == 1:
			return record(tx, action, found, by)
		case found.State == decision:
			return nil
		case found.State == Expired && !found.StartedAt.IsZero():
			return fault.New(fault.LinkTooLate, nil)
		}
		return fault.New(fault.LinkNotWaiting, fmt.Errorf("the link is %s", found.State))
	})
	if err != nil {
		return fmt.Errorf("deciding about a registration link: %w", err)
	}
	return nil
}

// Proof returns the proof of the introduction once it is confirmed; the gate's
// use of it finishes the link. Faults: LinkNotConfirmed before that, LinkRefused,
// LinkTooLate, LinkReplaced, LinkUsed, LinkUnknown.
func (l *Links) Proof(ctx context.Context, journey string) (credential.Proof, error) {
	found, err := l.Of(ctx, journey)
	if err != nil {
		return credential.Proof{}, err
	}
	switch found.State {
	case Started, Waiting:
		return credential.Proof{}, fault.New(fault.LinkNotConfirmed, nil)
	case Confirmed:
		return proof.New(proof.Fields{
			UID: found.UID, Evidence: care.Evidence{Method: found.Method, Introduced: true}, At: found.decidedAt,
			Consume: func(tx *db.Tx) error { return finish(tx, found.ID) },
		}), nil
	}
	return credential.Proof{}, found.over()
}

func finish(tx *db.Tx, id string) error {
	changed, err := tx.Exec(`UPDATE registration_link SET state = $1 WHERE id = $2 AND state = $3 AND started_at > $4`,
		Finished, id, Confirmed, db.Micros(tx.Now().Add(-Limit)))
	if err != nil {
		return fmt.Errorf("finishing a registration link: %w", err)
	}
	if changed == 1 {
		return nil
	}
	found, err := one(tx, `id = $1`, id)
	if err != nil {
		return err
	}
	return found.over()
}
