package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"carekey.dev/carekey/internal/db"
)

// touchWithin is how long a page waits for its reader's activity to be
// recorded.
const touchWithin = time.Second

// touch records activity. A database that can only be read (locked, or on a
// full disk) must not keep people from what they only read: the session then
// counts as idle from the last time that was recorded, so it ends sooner and
// never later. The write goes on beside the page, one for each session.
func (s *Sessions) touch(ctx context.Context, found *Session, now time.Time) error {
	id, idle := string(found.ID), now.Add(s.limits(found.AAL).Idle)
	if _, running := s.touching.LoadOrStore(id, true); running {
		return nil
	}
	recorded := make(chan error, 1)
	go func() {
		err := s.db.Write(ctx, func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE session SET last_seen = $1, idle_until = $2 WHERE id = $3 AND ended_at = 0`,
				db.Micros(now), db.Micros(idle), []byte(id))
			return err
		})
		s.touching.Delete(id) // before the answer: the reader's next page may come at once
		recorded <- err
	}()
	patience := time.NewTimer(s.patience)
	defer patience.Stop()
	select {
	case err := <-recorded:
		switch {
		case err == nil:
			found.LastSeen, found.IdleUntil = now, idle
		case !errors.Is(err, db.ErrBusy) && !errors.Is(err, db.ErrFull) && !errors.Is(err, db.ErrUnavailable):
			return fmt.Errorf("recording activity: %w", err)
		}
	case <-patience.C:
	}
	return nil
}
