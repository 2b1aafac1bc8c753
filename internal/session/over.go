package session

import (
	"fmt"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
)

// OverTopic is woken when sessions have ended.
const OverTopic = "session-over"

// AbsoluteLimit is why a session ended that nobody ended.
const AbsoluteLimit = "absolute limit"

// Over is a session that has ended: signed out, ended by the worker, the RA or
// an operator, by a lost, suspended or removed authenticator, or by its
// absolute limit. One that is only idle is not over: Carekey cannot see its
// holder at work in a relying party (decision 7).
type Over struct {
	SID string
	UID care.UID
	Why string
}

// AnyUntold reports whether Untold would return something, for a node that has
// nothing else to write.
func AnyUntold(tx *db.Tx) (bool, error) {
	var any bool
	err := tx.Row(`SELECT EXISTS (SELECT 1 FROM session WHERE untold = 1) OR EXISTS (SELECT 1 FROM session WHERE ended_at = 0 AND until <= $1)`,
		db.Micros(tx.Now())).Scan(&any)
	if err != nil {
		return false, fmt.Errorf("looking for sessions that are over: %w", err)
	}
	return any, nil
}

// Untold returns sessions of which nobody has been told that they are over, up
// to limit of them. It first ends those past their absolute limit. Whoever
// calls it marks them with Told in the same transaction; of several nodes that
// ask at once, each gets its own.
func Untold(tx *db.Tx, limit int) ([]Over, error) {
	_, err := tx.Exec(`UPDATE session SET ended_at = until, ended_why = $1, untold = 1 WHERE ended_at = 0 AND until <= $2`,
		AbsoluteLimit, db.Micros(tx.Now()))
	if err != nil {
		return nil, fmt.Errorf("ending sessions at their absolute limit: %w", err)
	}
	rows, err := tx.Rows(`SELECT sid, uid, ended_why FROM session WHERE untold = 1 ORDER BY ended_at LIMIT $1`+tx.ForUpdate(), int64(limit))
	if err != nil {
		return nil, fmt.Errorf("reading sessions that are over: %w", err)
	}
	defer rows.Close()
	var all []Over
	for rows.Next() {
		var o Over
		if err := rows.Scan(&o.SID, &o.UID, &o.Why); err != nil {
			return nil, fmt.Errorf("reading sessions that are over: %w", err)
		}
		all = append(all, o)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading sessions that are over: %w", err)
	}
	return all, nil
}

// Told marks sessions whose end has been told, or put where it will be.
func Told(tx *db.Tx, sids []string) error {
	for _, sid := range sids {
		if _, err := tx.Exec(`UPDATE session SET untold = 0 WHERE sid = $1`, sid); err != nil {
			return fmt.Errorf("marking a session whose end was told: %w", err)
		}
	}
	return nil
}
