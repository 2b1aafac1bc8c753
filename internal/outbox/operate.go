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

// Letter is what an operator sees of a message: never to whom, never what.
type Letter struct {
	ID, Kind, State string
	Created, Ended  time.Time
	Next            time.Time // when it is tried again, if it is queued
	Attempts        int64
	LastError       string
}

// Unsent returns the messages that were given up, and those that have failed
// at least once and are tried again; the newest first, at most limit.
func Unsent(tx *db.Tx, limit int) ([]Letter, error) {
	rows, err := tx.Rows(`SELECT id, kind, state, created_at, ended_at, next_at, attempts, last_error FROM outbox
		WHERE state = 'dead' OR state = 'queued' AND last_error <> '' ORDER BY created_at DESC, id LIMIT $1`, limit)
	if err != nil {
		return nil, fmt.Errorf("reading unsent messages: %w", err)
	}
	defer rows.Close()
	var list []Letter
	for rows.Next() {
		var l Letter
		var created, ended, next int64
		if err := rows.Scan(&l.ID, &l.Kind, &l.State, &created, &ended, &next, &l.Attempts, &l.LastError); err != nil {
			return nil, fmt.Errorf("reading an unsent message: %w", err)
		}
		l.Created, l.Ended, l.Next = db.Time(created), db.Time(ended), db.Time(next)
		list = append(list, l)
	}
	return list, rows.Close()
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
