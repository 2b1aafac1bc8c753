package outbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"carekey.dev/carekey/internal/db"
)

// How long a message is listed after its end. A sent one is only its name and
// times by then.
const (
	sentMemory = 7 * 24 * time.Hour
	deadMemory = 30 * 24 * time.Hour
)

// Standing is how many messages have not reached anybody, for whoever watches.
type Standing struct {
	// Waiting have not been tried yet or are on their way, Retried have failed
	// and are tried again, GivenUp never arrived (those of the last 30 days).
	Waiting, Retried, GivenUp int64
}

// Stand counts them.
func Stand(tx *db.Tx) (Standing, error) {
	var s Standing
	rows, err := tx.Rows(`SELECT state, CASE WHEN last_error = '' THEN 0 ELSE 1 END AS failed, count(*) FROM outbox
		WHERE state IN ('queued', 'dead') GROUP BY 1, 2`)
	if err != nil {
		return s, fmt.Errorf("counting messages: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var state string
		var failed, n int64
		if err := rows.Scan(&state, &failed, &n); err != nil {
			return s, fmt.Errorf("counting messages: %w", err)
		}
		switch {
		case state == "dead":
			s.GivenUp += n
		case failed == 1:
			s.Retried = n
		default:
			s.Waiting = n
		}
	}
	return s, rows.Close()
}

// Retry has a message that has not arrived tried again now, and for life from
// now on, or Life if that is shorter. It reports whether there was one: a
// message that was sent is never sent again.
func Retry(tx *db.Tx, id string, life time.Duration) (bool, error) {
	if life <= 0 || life > Life {
		life = Life
	}
	now := tx.Now()
	again, err := tx.Exec(`UPDATE outbox SET state = 'queued', next_at = $1, expires_at = $2, ended_at = 0 WHERE id = $3 AND state <> 'sent'`,
		db.Micros(now), db.Micros(now.Add(life)), id)
	if err != nil {
		return false, fmt.Errorf("trying a message again: %w", err)
	}
	tx.Wake(topic)
	return again > 0, nil
}

// Prune deletes what ended long ago. The janitor calls it.
func Prune(tx *db.Tx) error {
	_, err := tx.Exec(`DELETE FROM outbox WHERE state = 'sent' AND ended_at <= $1 OR state = 'dead' AND ended_at <= $2`,
		db.Micros(tx.Now().Add(-sentMemory)), db.Micros(tx.Now().Add(-deadMemory)))
	if err != nil {
		return fmt.Errorf("pruning the outbox: %w", err)
	}
	return nil
}

// safeText says what kind of error it was, without its words: they may name an
// address.
func safeText(err error) string {
	var timeout net.Error
	var name *net.DNSError
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timed out"
	case errors.As(err, &name):
		return "the server's name does not resolve"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "the server refused the connection"
	default:
		return fmt.Sprintf("failed (%T)", err)
	}
}
