package throttle

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
)

// Reservation is an attempt that has been counted and may now be verified. Tell
// the outcome: Refund or Redeem in the transaction of a success, Failed after a
// failure, Release if it was not verified.
type Reservation struct {
	// TriesLeft is how many more tries, after this one, come before the first
	// wait.
	TriesLeft int
	// Wait is how long this browser has to wait if this attempt fails.
	Wait time.Duration
	// Exhausted says that this attempt is the last one: if it fails, the
	// caller disables the authenticator and tells the person (N10). Further
	// attempts are refused in any case.
	Exhausted bool

	crowd []byte // the network's row, for Failed
}

// Attempt counts an attempt in a transaction of its own and returns after its
// commit: call it right before verifying. The error of a refused attempt is
// fault.TooManyAttempts, or fault.TriesUsedUp after 100 failures in a row.
func (t *Throttle) Attempt(ctx context.Context, d *db.DB, s Subject) (Reservation, error) {
	var made Reservation
	var refused *fault.Error
	err := d.Write(ctx, func(tx *db.Tx) error {
		var err error
		made, err = t.Reserve(tx, s)
		// The refusal is no error of the transaction: it has to be counted.
		refused = nil
		if errors.As(err, &refused) {
			return nil
		}
		return err
	})
	if err != nil {
		return Reservation{}, fmt.Errorf("counting an attempt: %w", err)
	}
	if refused != nil {
		return Reservation{}, refused
	}
	return made, nil
}

// Reserve counts an attempt as part of a larger transaction, with one
// statement (two if it is refused). The attempt may be verified only after the
// commit. A caller that lets the transaction fail with a refusal loses the
// count of that refusal and nothing else; Attempt keeps it.
func (t *Throttle) Reserve(tx *db.Tx, s Subject) (Reservation, error) {
	made, _, err := t.ReserveBeside(tx, s, nil)
	return made, err
}

// Beside is an SQL expression for a text that a verifier reads in the statement
// that reserves, and its arguments, which are numbered from first on. So what
// the attempt will be verified by costs no statement of its own.
type Beside func(first int) (string, []any)

// ReserveBeside is Reserve that reads a text of the verifier's beside.
func (t *Throttle) ReserveBeside(tx *db.Tx, s Subject, beside Beside) (made Reservation, read string, err error) {
	now := tx.Now()
	crowd := t.crowd(s)
	rows, read, err := reserve(tx, t.counters(s), crowd, beside, now)
	if err != nil {
		return Reservation{}, "", err
	}
	if refusal := refusal(rows, now); refusal != nil {
		if err := takeBack(tx, rows, now); err != nil {
			return Reservation{}, "", err
		}
		return Reservation{}, "", refusal
	}
	return reservation(rows, crowd, now), read, nil
}

// Failed tells that a reserved attempt turned out wrong, which its network
// then counts, in a transaction of its own. Call it before the person is told.
func (t *Throttle) Failed(ctx context.Context, d *db.DB, r Reservation) error {
	if r.crowd == nil {
		return nil
	}
	err := d.Write(ctx, func(tx *db.Tx) error { return raise(tx, r.crowd) })
	if err != nil {
		return fmt.Errorf("counting a failure of a network: %w", err)
	}
	return nil
}

// Refund takes back a reserved attempt that turned out right, and resets what
// was counted for the address: the success ends the row of failures (N10).
func (t *Throttle) Refund(tx *db.Tx, s Subject) error {
	return settle(tx, t.counters(s), refundRule)
}

// Release takes back a reserved attempt that could not be verified, because
// all workers were busy for example. It resets nothing.
func (t *Throttle) Release(tx *db.Tx, s Subject) error {
	return settle(tx, t.counters(s), releaseRule)
}

// Forget resets the counts of an address for an action after its authenticator
// was registered again.
func (t *Throttle) Forget(tx *db.Tx, action, address string) error {
	for _, c := range t.counters(Subject{Action: action, Address: address}) {
		if _, err := tx.Exec(`DELETE FROM throttle WHERE key = $1`, c.key); err != nil {
			return fmt.Errorf("forgetting attempts: %w", err)
		}
	}
	return nil
}

// Peek returns, without counting anything, what a page can say before the next
// attempt; the error is the refusal that it would meet.
func (t *Throttle) Peek(tx *db.Tx, s Subject) (Reservation, error) {
	now := tx.Now()
	crowd := t.crowd(s)
	rows, err := read(tx, t.counters(s), crowd, now)
	if err != nil {
		return Reservation{}, err
	}
	if refusal := refusal(rows, now); refusal != nil {
		return Reservation{}, refusal
	}
	return reservation(rows, crowd, now), nil
}

// Waiting returns an SQL expression for a verifier's own SELECT, 1 while an
// attempt of s would be refused and else 0, and its arguments, which are
// numbered from first on. So what has to wait costs no statement of its own.
func (t *Throttle) Waiting(s Subject, now time.Time, first int) (string, []any) {
	args := []any{db.Micros(now)}
	var in []string
	add := func(key []byte) {
		args = append(args, key)
		in = append(in, fmt.Sprintf("$%d", first+len(args)-1))
	}
	for _, c := range t.counters(s) {
		add(c.key)
	}
	if crowd := t.crowd(s); crowd != nil {
		add(crowd)
	}
	return fmt.Sprintf("CASE WHEN EXISTS (SELECT 1 FROM throttle WHERE key IN (%s) AND blocked_until > $%d) THEN 1 ELSE 0 END",
		strings.Join(in, ", "), first), args
}

// Prune deletes the rows that mean nothing any more. The janitor calls it.
func Prune(tx *db.Tx) error {
	if _, err := tx.Exec(`DELETE FROM throttle WHERE forget_at <= $1`, db.Micros(tx.Now())); err != nil {
		return fmt.Errorf("pruning counted attempts: %w", err)
	}
	return nil
}

// refusal returns the fault if one of the rows refused the attempt, with the
// longest of the waits.
func refusal(rows []row, now time.Time) *fault.Error {
	var until time.Time
	usedUp := false
	for _, r := range rows {
		if r.crowdUntil.After(until) {
			until = r.crowdUntil
		}
		if !r.refused {
			continue
		}
		usedUp = usedUp || r.rule == ruleAccount
		if r.blockedUntil.After(until) {
			until = r.blockedUntil
		}
	}
	switch {
	case usedUp:
		return fault.New(fault.TriesUsedUp, nil)
	case until.IsZero():
		return nil
	}
	wait := until.Sub(now)
	return fault.New(fault.TooManyAttempts, nil).With("You can try again in " + words(wait) + ".").After(wait)
}

func reservation(rows []row, crowd []byte, now time.Time) Reservation {
	r := Reservation{TriesLeft: FreeFailures, crowd: crowd}
	for _, row := range rows {
		switch row.rule {
		case ruleClass:
			r.TriesLeft = max(0, FreeFailures-int(row.failures))
			r.Wait = max(0, row.blockedUntil.Sub(now))
		case ruleAccount:
			r.Exhausted = row.failures >= MaxConsecutive
		}
	}
	return r
}

// Warning is the sentence for a person whose attempt was wrong, or "" if there
// are tries enough left (peer limits: docs/sources.md).
func (r Reservation) Warning() string {
	switch {
	case r.Exhausted:
		return "This was the last try."
	case r.Wait > 0:
		return "You can try again in " + words(r.Wait) + "."
	case r.TriesLeft == 1:
		return "You have 1 try left before you have to wait."
	case r.TriesLeft == 2:
		return "You have 2 tries left before you have to wait."
	default:
		return ""
	}
}

// words says a wait in minutes and seconds, rounded up to a second so that
// nobody comes back too early.
func words(wait time.Duration) string {
	seconds := int((wait + time.Second - 1) / time.Second)
	minutes := seconds / 60
	seconds %= 60
	switch {
	case minutes == 0:
		return count(seconds, "second")
	case seconds == 0:
		return count(minutes, "minute")
	default:
		return count(minutes, "minute") + " and " + count(seconds, "second")
	}
}

func count(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}
