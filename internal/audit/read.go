package audit

import (
	"encoding/json"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"carekey.dev/carekey/internal/db"
)

// At returns the entry at an index of the tree and the leaf hash that was
// recorded with it; db.ErrNoRows if the tree has no such entry.
func At(tx *db.Tx, index int64) (Stored, tlog.Hash, error) {
	var (
		s                Stored
		at               int64
		id, leaf, fields []byte
	)
	s.Subject.Name, s.Actor.Name = "subject", "actor"
	err := tx.Row(`SELECT id, version, at, action, session, reference, result, subject, subject_salt, subject_commitment,
		actor, actor_salt, actor_commitment, fields, leaf FROM audit_entry WHERE idx = $1`, index).
		Scan(&id, &s.Version, &at, &s.Action, &s.Session, &s.Reference, &s.Result, &s.Subject.Value, &s.Subject.Salt, &s.Subject.Commitment,
			&s.Actor.Value, &s.Actor.Salt, &s.Actor.Commitment, &fields, &leaf)
	if err != nil {
		return Stored{}, tlog.Hash{}, fmt.Errorf("reading audit entry %d: %w", index, err)
	}
	if len(id) != len(s.ID) || len(leaf) != tlog.HashSize {
		return Stored{}, tlog.Hash{}, fmt.Errorf("reading audit entry %d: %w", index, ErrChanged)
	}
	if err := json.Unmarshal(fields, &s.Fields); err != nil {
		return Stored{}, tlog.Hash{}, fmt.Errorf("reading the fields of audit entry %d: %w", index, err)
	}
	s.ID, s.At = [16]byte(id), db.Time(at)
	return s, tlog.Hash(leaf), nil
}
