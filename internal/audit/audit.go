// Package audit is the log that nobody can quietly change (decision 19).
//
// A room that changes something calls Record in the same transaction: the
// change and its entry commit together, or neither does. Afterwards a
// sequencer (Log.Run, on one node at a time) gives each committed entry its
// place in a Merkle tree and signs a checkpoint of it about every second.
// Entries, leaf hashes and signed checkpoints leave; docs/audit-leaf.md says
// how to verify them with any language.
//
// Personal values are committed to by a salted hash, so that value and salt
// can be erased and the proof stays. No entry ever holds a secret, a code, a
// token or a link: a session is named by its public id.
package audit

import (
	"crypto/rand"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
)

//go:embed schema/*.sql
var schema embed.FS

// Schema holds the room's migrations.
var Schema fs.FS = schema

// Entry is something that was done, or refused.
type Entry struct {
	// Action names it, "authenticator.registered": lower case, the thing
	// first. It must not be empty.
	Action string
	// Subject is whose identity it concerns. Personal.
	Subject care.UID
	// Actor is who did it: a UID, "operator", "system". Personal.
	Actor string
	// Session is the public id of the session in which it was done.
	Session string
	// Reference is the fault's reference that the person was shown, or that
	// of a request.
	Reference string
	// Result is "" for success, or says why it was refused.
	Result string
	// Fields are further facts, each name once.
	Fields []Field
}

// Field is one fact of an entry.
type Field struct {
	Name, Value string
	// Personal values can be erased later: names, addresses, anything that a
	// person wrote.
	Personal bool
}

// ErrEntry is the error of an entry that a program built wrongly.
var ErrEntry = errors.New("an audit entry needs an action, and field names that are neither empty nor repeated")

// topic wakes the sequencer after the commit.
const topic = "audit"

// Record writes the entry in the caller's transaction, at the database's time,
// with one statement.
func Record(tx *db.Tx, e Entry) error {
	return record(tx, e, rand.Reader)
}

func record(tx *db.Tx, e Entry, random io.Reader) error {
	s, err := store(e, tx.Now(), random)
	if err != nil {
		return err
	}
	leaf, err := s.Leaf()
	if err != nil {
		return err
	}
	fields, err := json.Marshal(s.Fields)
	if err != nil {
		return fmt.Errorf("writing the fields of %s: %w", e.Action, err)
	}
	_, err = tx.Exec(`INSERT INTO audit_entry (id, version, at, action, session, reference, result, subject, subject_salt, subject_commitment,
		actor, actor_salt, actor_commitment, fields, leaf) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
		s.ID[:], s.Version, db.Micros(s.At), s.Action, s.Session, s.Reference, s.Result,
		s.Subject.Value, s.Subject.Salt, s.Subject.Commitment, s.Actor.Value, s.Actor.Salt, s.Actor.Commitment, string(fields), leaf[:])
	if err != nil {
		return fmt.Errorf("recording %s: %w", e.Action, err)
	}
	tx.Wake(topic)
	return nil
}

// store turns an entry into what is kept: named, dated, salted, and in text
// that both engines can hold.
func store(e Entry, at time.Time, random io.Reader) (Stored, error) {
	s := Stored{
		Version: leafVersion, At: at,
		Action: text(e.Action), Session: text(e.Session), Reference: text(e.Reference), Result: text(e.Result),
	}
	if s.Action == "" {
		return Stored{}, ErrEntry
	}
	if _, err := io.ReadFull(random, s.ID[:]); err != nil {
		return Stored{}, fmt.Errorf("naming an audit entry: %w", err)
	}
	var err error
	if s.Subject, err = commit("subject", string(e.Subject), random); err != nil {
		return Stored{}, err
	}
	if s.Actor, err = commit("actor", e.Actor, random); err != nil {
		return Stored{}, err
	}
	for _, f := range e.Fields {
		value := text(f.Value)
		stored := StoredField{Name: text(f.Name), Value: &value}
		if f.Personal {
			if stored, err = commit(stored.Name, value, random); err != nil {
				return Stored{}, err
			}
		}
		s.Fields = append(s.Fields, stored)
	}
	slices.SortFunc(s.Fields, func(a, b StoredField) int { return strings.Compare(a.Name, b.Name) })
	for i, f := range s.Fields {
		if f.Name == "" || i > 0 && f.Name == s.Fields[i-1].Name {
			return Stored{}, ErrEntry
		}
	}
	return s, nil
}

// text makes s storable: what a person typed may hold anything, and that must
// not keep an entry from being written.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
