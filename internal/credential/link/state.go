package link

import (
	"errors"
	"fmt"
	"time"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
)

// one reads a link as it stands now. LinkUnknown if there is none.
func one(tx *db.Tx, where string, key any) (Link, error) {
	var l Link
	var made, started, decided int64
	err := tx.Row(`SELECT id, uid, method, made_by, made_at, state, journey, browser, started_at, number, decided_at
		FROM registration_link WHERE `+where, key).
		Scan(&l.ID, &l.UID, &l.Method, &l.By, &made, &l.State, &l.journey, &l.browser, &started, &l.Number, &decided)
	if errors.Is(err, db.ErrNoRows) {
		return Link{}, unknown(err)
	}
	if err != nil {
		return Link{}, fmt.Errorf("reading a registration link: %w", err)
	}
	l.MadeAt, l.StartedAt, l.decidedAt = db.Time(made), db.Time(started), db.Time(decided)
	if l.late(tx.Now()) {
		l.State = Expired
	}
	return l, nil
}

func unknown(cause error) error { return fault.New(fault.LinkUnknown, cause) }

// late reports whether the link's time is over before its end was reached.
func (l Link) late(now time.Time) bool {
	switch l.State {
	case Open:
		return !now.Before(l.MadeAt.Add(Life))
	case Started, Waiting, Confirmed:
		return !now.Before(l.StartedAt.Add(Limit))
	}
	return false
}

// live reports whether a journey is on its way with the link.
func (l Link) live() bool {
	return l.State == Started || l.State == Waiting || l.State == Confirmed
}

// over is the fault of a link that cannot be started (again).
func (l Link) over() error {
	switch l.State {
	case Replaced:
		return fault.New(fault.LinkReplaced, nil)
	case Refused:
		return fault.New(fault.LinkRefused, nil)
	case Expired:
		if l.StartedAt.IsZero() {
			return fault.New(fault.LinkExpired, nil)
		}
		return fault.New(fault.LinkTooLate, nil)
	}
	return fault.New(fault.LinkUsed, nil)
}
