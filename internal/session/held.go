package session

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/keys"
)

// Serves reports whether the session counts for a relying party, or for
// Carekey's own pages (""). On a shared computer it counts for the one that it
// was opened for, until that has been told of it (decision 8).
func (s *Session) Serves(clientID string) bool {
	return !s.Shared || s.Client == clientID && !s.Spent
}

// Spend uses up a sign-in on a shared computer for the relying party that is
// about to be told of it, and reports whether it was good still.
func Spend(tx *db.Tx, id []byte) (bool, error) {
	n, err := tx.Exec(`UPDATE session SET spent = 1 WHERE id = $1 AND spent = 0 AND ended_at = 0`, id)
	if err != nil {
		return false, fmt.Errorf("using up a sign-in on a shared computer: %w", err)
	}
	return n == 1, nil
}

// Idle reports whether single sign-on has quietly ended: the next request is
// asked for a sign-in. Services that were opened from it may still be in use
// (decision 7).
func (s *Session) Idle(now time.Time) bool { return !s.IdleUntil.After(now) }

// Own is Current for Carekey's own pages: a sign-in for a relying party on a
// shared computer is none here.
func (s *Sessions) Own(ctx context.Context, r *http.Request) (*Session, error) {
	found, err := s.Current(ctx, r)
	if err != nil || found == nil || !found.Serves("") {
		return nil, err
	}
	return found, nil
}

// Glance is Current without counting as activity.
func (s *Sessions) Glance(ctx context.Context, r *http.Request) (*Session, error) {
	return s.look(ctx, r, Live)
}

// GlanceBeside is CurrentBeside without counting as activity.
func (s *Sessions) GlanceBeside(ctx context.Context, r *http.Request, beside Beside) (*Session, error) {
	return s.look(ctx, r, func(tx *db.Tx, id []byte) (*Session, error) { return liveBeside(tx, id, beside) })
}

// Kept returns the session of a request although it may be idle: a sign-out
// ends it and reaches relying parties all the same. It is nil once the session
// is over.
func (s *Sessions) Kept(ctx context.Context, r *http.Request) (*Session, error) {
	return s.look(ctx, r, Standing)
}

func (s *Sessions) look(ctx context.Context, r *http.Request, by func(*db.Tx, []byte) (*Session, error)) (*Session, error) {
	token := Token(r)
	if token == "" {
		return nil, nil
	}
	var found *Session
	err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
		found, err = by(tx, keys.Hash(token))
		return err
	})
	return found, err
}

// Extend counts as activity at once, where Current waits for a minute to go by,
// and returns the session as it is then; nil if it is not alive.
func (s *Sessions) Extend(ctx context.Context, r *http.Request) (*Session, error) {
	token := Token(r)
	if token == "" {
		return nil, nil
	}
	var found *Session
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		found, err = Live(tx, keys.Hash(token))
		if err != nil || found == nil {
			return err
		}
		found.LastSeen = tx.Now()
		found.IdleUntil = found.LastSeen.Add(s.limits(found.AAL).Idle)
		_, err = tx.Exec(`UPDATE session SET last_seen = $1, idle_until = $2 WHERE id = $3 AND ended_at = 0`,
			db.Micros(found.LastSeen), db.Micros(found.IdleUntil), found.ID)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("putting the end of a session off: %w", err)
	}
	return found, nil
}

// Of returns a person's sessions that are not over, the last used first. Idle
// ones are among them: what was opened from them may still be in use.
func Of(tx *db.Tx, uid care.UID) ([]*Session, error) {
	rows, err := tx.Rows(`SELECT `+columns+` FROM session WHERE uid = $1 AND ended_at = 0 AND until > $2
		ORDER BY last_seen DESC, auth_time DESC, sid`, uid, db.Micros(tx.Now()))
	if err != nil {
		return nil, fmt.Errorf("reading a person's sessions: %w", err)
	}
	defer rows.Close()
	var all []*Session
	for rows.Next() {
		s, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("reading a person's sessions: %w", err)
		}
		all = append(all, s)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading a person's sessions: %w", err)
	}
	return all, nil
}
