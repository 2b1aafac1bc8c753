package clientauth

import (
	"cmp"
	"context"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"carekey.dev/carekey/internal/db"
)

//go:embed schema/*.sql
var schema embed.FS

// Schema holds the migrations of this room's table.
var Schema fs.FS = schema

const (
	// keepFailures is how long a failure that did not come again is kept.
	keepFailures = 90 * 24 * time.Hour
	// writeEach is how often what failed is written, in one commit: anybody can
	// make an authentication fail, thousands of times in a second.
	writeEach = time.Second
	// longestReason is in bytes.
	longestReason = 600
)

// Failure is what is known of the failures of a relying party for one cause.
type Failure struct {
	ClientID string
	Cause    Cause
	// Reason, Ref (the reference that the caller was told), Path and Network
	// are those of the last.
	Reason, Ref, Path, Network string
	// Times is how many there were since First.
	Times       int
	First, Last time.Time
}

// Failures takes down why relying parties were not authenticated. Run writes
// it, beside the requests.
type Failures struct {
	db  *db.DB
	log *slog.Logger

	mu      sync.Mutex // guards what follows
	waiting map[failureKey]Failure
}

type failureKey struct {
	clientID string
	cause    Cause
}

// NewFailures returns an empty list.
func NewFailures(d *db.DB, log *slog.Logger) *Failures {
	return &Failures{db: d, log: log, waiting: map[failureKey]Failure{}}
}

// Take takes a refusal down, and never waits. One that names no registered
// relying party has no owner to be told: it is in the log alone.
func (f *Failures) Take(why *Refused, ref, path, network string) {
	if why.ClientID == "" {
		return
	}
	now := f.db.Now()
	f.merge(Failure{
		ClientID: why.ClientID, Cause: why.Cause, Reason: printable(why.Reason), Ref: ref, Path: path, Network: network,
		Times: 1, First: now, Last: now,
	})
}

func (f *Failures) merge(one Failure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := failureKey{one.ClientID, one.Cause}
	if held, ok := f.waiting[key]; ok {
		one.Times += held.Times
		one.First = held.First
	}
	f.waiting[key] = one
}

// printable makes a text that the database can hold and a terminal can show.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > longestReason {
		text = strings.ToValidUTF8(text[:longestReason], "") + "…"
	}
	return text
}

// Run writes until ctx ends, and then what still waits.
func (f *Failures) Run(ctx context.Context) {
	tick := time.NewTicker(writeEach)
	defer tick.Stop()
	for over := false; !over; {
		select {
		case <-ctx.Done():
			over = true
		case <-tick.C:
		}
		if err := f.Write(context.WithoutCancel(ctx)); err != nil {
			f.log.Warn("failed client authentications cannot be kept for their owners at the moment", "err", err)
		}
	}
}

// Write writes what waits. What cannot be written waits on: there is one entry
// for each cause, however long it takes.
func (f *Failures) Write(ctx context.Context) error {
	f.mu.Lock()
	taken := f.waiting
	f.waiting = map[failureKey]Failure{}
	f.mu.Unlock()
	if len(taken) == 0 {
		return nil
	}
	// Always in the same order: two nodes would wait for each other's rows.
	all := slices.SortedFunc(maps.Values(taken), func(a, b Failure) int {
		return cmp.Or(cmp.Compare(a.ClientID, b.ClientID), cmp.Compare(a.Cause, b.Cause))
	})
	err := f.db.Write(ctx, func(tx *db.Tx) error {
		for _, one := range all {
			if err := one.put(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		f.mu.Lock()
		newer := f.waiting
		f.waiting = taken
		f.mu.Unlock()
		for _, one := range newer {
			f.merge(one)
		}
	}
	return err
}

func (f Failure) put(tx *db.Tx) error {
	_, err := tx.Exec(`
		INSERT INTO client_auth_failure (client_id, cause, reason, ref, path, network, times, first_at, last_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (client_id, cause) DO UPDATE SET reason = excluded.reason, ref = excluded.ref, path = excluded.path,
		       network = excluded.network, times = client_auth_failure.times + excluded.times, last_at = excluded.last_at`,
		f.ClientID, f.Cause, f.Reason, f.Ref, f.Path, f.Network, f.Times, db.Micros(f.First), db.Micros(f.Last))
	if err != nil {
		return fmt.Errorf("keeping a failed client authentication: %w", err)
	}
	return nil
}

// Recent returns the failures of a relying party, the last one first.
func Recent(tx *db.Tx, clientID string) ([]Failure, error) {
	rows, err := tx.Rows(`
		SELECT client_id, cause, reason, ref, path, network, times, first_at, last_at
		FROM client_auth_failure WHERE client_id = $1 ORDER BY last_at DESC, cause`, clientID)
	if err != nil {
		return nil, fmt.Errorf("reading failed client authentications: %w", err)
	}
	defer rows.Close()
	var all []Failure
	for rows.Next() {
		var f Failure
		var first, last int64
		if err := rows.Scan(&f.ClientID, &f.Cause, &f.Reason, &f.Ref, &f.Path, &f.Network, &f.Times, &first, &last); err != nil {
			return nil, fmt.Errorf("reading failed client authentications: %w", err)
		}
		f.First, f.Last = db.Time(first), db.Time(last)
		all = append(all, f)
	}
	return all, rows.Err()
}

// Prune forgets failures that did not come again for long.
func Prune(tx *db.Tx) error {
	_, err := tx.Exec(`DELETE FROM client_auth_failure WHERE last_at < $1`, db.Micros(tx.Now().Add(-keepFailures)))
	if err != nil {
		return fmt.Errorf("forgetting failed client authentications: %w", err)
	}
	return nil
}
