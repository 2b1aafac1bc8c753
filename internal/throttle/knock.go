package throttle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
)

// Knock counts what a stranger sets off for somebody else, a mail for example.
// Nothing is verified there, so the network alone is counted: NetworkFailures
// of an action within NetworkWindow, apart from all failures. It returns how
// long strangers of that network have to wait, or 0 if this one may go on. A
// browser that signed in before and an exempt network are not counted.
func (t *Throttle) Knock(tx *db.Tx, s Subject) (time.Duration, error) {
	network, ok := t.network(s.Network)
	if !ok || s.known() {
		return 0, nil
	}
	return setOff(tx, t.key("knock", s.Action, network.String()))
}

// KnockBy is Knock for somebody who has shown who they are: they are counted by
// that name, wherever they come from.
func (t *Throttle) KnockBy(tx *db.Tx, action, name string) (time.Duration, error) {
	return setOff(tx, t.key("knock by", action, name))
}

// Bounded is KnockBy in a transaction of its own, before work that takes long: a
// hash of a new password. The error of somebody who has to wait is
// fault.TooManyAttempts.
func (t *Throttle) Bounded(ctx context.Context, d *db.DB, action, name string) error {
	var wait time.Duration
	err := d.Write(ctx, func(tx *db.Tx) (err error) {
		wait, err = t.KnockBy(tx, action, name)
		return err
	})
	if err != nil {
		return fmt.Errorf("counting what somebody sets off: %w", err)
	}
	if wait > 0 {
		return fault.New(fault.TooManyAttempts, errors.New(action)).With("You can try again in " + words(wait) + ".").After(wait)
	}
	return nil
}

func setOff(tx *db.Tx, key []byte) (time.Duration, error) {
	var until int64
	err := tx.Row(`SELECT blocked_until FROM throttle WHERE key = $1 AND blocked_until > $2`, key, db.Micros(tx.Now())).Scan(&until)
	switch {
	case err == nil:
		return db.Time(until).Sub(tx.Now()), nil
	case !errors.Is(err, db.ErrNoRows):
		return 0, fmt.Errorf("reading what somebody has set off: %w", err)
	}
	if err := raise(tx, key); err != nil {
		return 0, fmt.Errorf("counting what somebody has set off: %w", err)
	}
	return 0, nil
}
