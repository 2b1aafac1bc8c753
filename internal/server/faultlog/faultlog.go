// Package faultlog keeps what `carekey explain REF` tells a service desk: which
// fault somebody read out, when and where it happened, and what lay behind it.
//
// Faults come in from the page kit and the provider, at any rate; they are
// written in batches beside the requests, later if the database cannot be
// written now, and what does not fit meanwhile is dropped and counted: telling
// people of a fault must never make the fault worse. An Occurrence leaves. No
// query string, form, cookie or secret is stored: the cause is the text that
// the log has too.
package faultlog

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
)

//go:embed schema/*.sql
var schema embed.FS

// Schema holds this room's migrations.
var Schema fs.FS = schema

// Bounds of what is kept.
const (
	Keep = 30 * 24 * time.Hour
	Most = 100_000

	queue     = 1024
	batch     = 200
	every     = time.Second
	pause     = 5 * time.Second // after a failure
	pruneEach = time.Hour
	// pruneAfter is after how many occurrences the table is cut back without
	// waiting for that: anybody can cause faults, thousands in a second.
	pruneAfter  = Most / 10
	longest     = 1000 // bytes of a cause or a path
	longestVerb = 16
)

// Occurrence is one fault that somebody saw.
type Occurrence struct {
	Ref  string
	Kind int
	At   time.Time
	// Method and Path are the request's; the path has no query.
	Method, Path string
	// Request is its id in the log.
	Request string
	// Client is the relying party and UID the person, where they are known.
	Client string
	UID    care.UID
	// Detail is the sentence about this occurrence that the person could read,
	// Cause what the log says.
	Detail, Cause string
}

// Of returns the occurrence of a fault, to be completed by the caller.
func Of(f *fault.Error) Occurrence {
	return Occurrence{Ref: f.Ref, Kind: f.Kind.Number, Detail: f.Detail, Cause: f.Error()}
}

// Log records occurrences.
type Log struct {
	db      *db.DB
	log     *slog.Logger
	waiting chan Occurrence
	dropped atomic.Uint64

	// Only Run touches these: how many were written since the table was last
	// cut back, and those that were taken and could not be written yet.
	written int
	held    []Occurrence
}

// New returns a log; Run writes what it takes.
func New(d *db.DB, log *slog.Logger) *Log {
	return &Log{db: d, log: log, waiting: make(chan Occurrence, queue)}
}

// Record takes an occurrence and never waits.
func (l *Log) Record(o Occurrence) {
	o.At = l.db.Now()
	o.Method, o.Path = cut(o.Method, longestVerb), cut(o.Path, longest)
	o.Cause, o.Detail = cut(o.Cause, longest), cut(o.Detail, longest)
	select {
	case l.waiting <- o:
	default:
		l.dropped.Add(1)
	}
}

// Dropped is how many occurrences found no room.
func (l *Log) Dropped() uint64 { return l.dropped.Load() }

// cut makes text that the database can hold and that is one line on a terminal,
// of at most most bytes. Anybody chooses a path and may read the reference out:
// the service desk must not see their lines among ours (CWE-150).
func cut(s string, most int) string {
	clean := make([]rune, 0, min(len(s), most))
	size := 0
	for _, r := range s {
		switch {
		case r == '\n': // between the causes of a cause
			r = ' '
		case !unicode.IsPrint(r) || r == utf8.RuneError:
			r = '?'
		}
		if size += utf8.RuneLen(r); size > most {
			break
		}
		clean = append(clean, r)
	}
	return string(clean)
}

// Run writes until ctx ends, and then what still waits.
func (l *Log) Run(ctx context.Context) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var pruned, failed time.Time
	for {
		select {
		case <-ctx.Done():
			l.flush(context.WithoutCancel(ctx))
			l.dropped.Add(uint64(len(l.held)))
			return
		case now := <-tick.C:
			if len(l.waiting)+len(l.held) == 0 || now.Sub(failed) < pause {
				continue
			}
			if !l.flush(ctx) {
				failed = time.Now()
				continue
			}
			if now := l.db.Now(); now.Sub(pruned) >= pruneEach {
				pruned = now
				l.cutBack(ctx)
			}
		}
	}
}

// flush writes what waits, and reports whether nothing had to be held back.
func (l *Log) flush(ctx context.Context) bool {
	for {
		l.take()
		if len(l.held) == 0 {
			return true
		}
		err := l.write(ctx, l.held)
		switch {
		case errors.Is(err, db.ErrBusy) || errors.Is(err, db.ErrFull) || errors.Is(err, db.ErrUnavailable):
			// The very faults that a locked database or a full disk leads to
			// are to be found once it is well again. The log has them now.
			l.log.Warn("faults cannot be kept for explain at the moment", "count", len(l.held), "err", err)
			return false
		case err != nil:
			l.log.Error("faults were not kept for explain", "count", len(l.held), "err", err)
			l.dropped.Add(uint64(len(l.held)))
		default:
			l.written += len(l.held)
		}
		l.held = l.held[:0]
		if l.written >= pruneAfter {
			l.cutBack(ctx)
		}
	}
}

func (l *Log) cutBack(ctx context.Context) {
	l.written = 0
	if err := l.Prune(ctx); err != nil {
		l.log.Warn("old faults were not forgotten", "err", err)
	}
}

// take fills what is held up to a batch.
func (l *Log) take() {
	for len(l.held) < batch {
		select {
		case o := <-l.waiting:
			l.held = append(l.held, o)
		default:
			return
		}
	}
}

func (l *Log) write(ctx context.Context, some []Occurrence) error {
	return l.db.Write(ctx, func(tx *db.Tx) error {
		for _, o := range some {
			_, err := tx.Exec(`
				INSERT INTO fault_log (ref, kind, at, method, path, request, client, uid, detail, cause)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (ref) DO NOTHING`,
				o.Ref, o.Kind, db.Micros(o.At), o.Method, o.Path, o.Request, o.Client, o.UID, o.Detail, o.Cause)
			if err != nil {
				return fmt.Errorf("keeping fault %s: %w", o.Ref, err)
			}
		}
		return nil
	})
}

// Prune forgets what is too old or too much.
func (l *Log) Prune(ctx context.Context) error {
	return l.db.Write(ctx, func(tx *db.Tx) error {
		if _, err := tx.Exec(`DELETE FROM fault_log WHERE at < $1`, db.Micros(tx.Now().Add(-Keep))); err != nil {
			return fmt.Errorf("forgetting old faults: %w", err)
		}
		_, err := tx.Exec(`DELETE FROM fault_log WHERE at <= (SELECT at FROM fault_log ORDER BY at DESC LIMIT 1 OFFSET $1)`, Most)
		if err != nil {
			return fmt.Errorf("forgetting the oldest faults: %w", err)
		}
		return nil
	})
}

// Find returns the occurrence with the reference, or db.ErrNoRows.
func Find(tx *db.Tx, ref string) (Occurrence, error) {
	var o Occurrence
	var at int64
	err := tx.Row(`SELECT ref, kind, at, method, path, request, client, uid, detail, cause FROM fault_log WHERE ref = $1`, ref).
		Scan(&o.Ref, &o.Kind, &at, &o.Method, &o.Path, &o.Request, &o.Client, &o.UID, &o.Detail, &o.Cause)
	if err != nil {
		return Occurrence{}, fmt.Errorf("looking up fault %s: %w", ref, err)
	}
	o.At = db.Time(at)
	return o, nil
}
