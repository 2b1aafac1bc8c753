package audit

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/keys"
)

// The encoding of a leaf is fixed: docs/audit-leaf.md. A change needs a new
// version beside this one, for entries are never encoded again.
const (
	leafVersion      = 1
	leafPrefix       = "carekey-audit-leaf/1\n"
	commitmentPrefix = "carekey-audit-commitment/1\n"
	saltSize         = 16

	plain     byte = 1
	committed byte = 2
)

// ErrChanged is the error of a stored entry that is not what was recorded.
var ErrChanged = errors.New("the audit entry was changed after it was recorded")

// Stored is an entry as it is kept.
type Stored struct {
	ID      [16]byte
	Version int64
	At      time.Time
	// Action and the next three are as in Entry.
	Action, Session, Reference, Result string
	Subject, Actor                     StoredField
	Fields                             []StoredField // sorted by name
}

// StoredField is a field as it is kept. A personal one has a commitment; once
// it is erased, nothing else.
type StoredField struct {
	Name       string  `json:"name"`
	Value      *string `json:"value,omitempty"`
	Salt       []byte  `json:"salt,omitempty"`
	Commitment []byte  `json:"commitment,omitempty"`
}

// commit returns a personal field with a new salt.
func commit(name, value string, random io.Reader) (StoredField, error) {
	value = text(value)
	salt := make([]byte, saltSize)
	if _, err := io.ReadFull(random, salt); err != nil {
		return StoredField{}, fmt.Errorf("salting a personal field: %w", err)
	}
	return StoredField{Name: name, Value: &value, Salt: salt, Commitment: commitment(name, value, salt)}, nil
}

// commitment hides value as long as salt is unknown, and binds both to name.
func commitment(name, value string, salt []byte) []byte {
	text := append([]byte(commitmentPrefix), salt...)
	text = appendSized(text, name)
	text = append(text, value...)
	digest := sha256.Sum256(text)
	return digest[:]
}

// Leaf returns the entry's hash in the tree, from its fields. ErrChanged: a
// personal value is not the one that was committed to.
func (s Stored) Leaf() (tlog.Hash, error) {
	encoded, err := s.encode()
	if err != nil {
		return tlog.Hash{}, err
	}
	return tlog.RecordHash(encoded), nil // RFC 6962 section 2.1: SHA-256(0x00 || data)
}

func (s Stored) encode() ([]byte, error) {
	if s.Version != leafVersion {
		return nil, fmt.Errorf("audit leaf version %d is not known", s.Version)
	}
	b := []byte(leafPrefix)
	for _, f := range [][2]string{
		{"id", hex.EncodeToString(s.ID[:])},
		{"at", strconv.FormatInt(db.Micros(s.At), 10)},
		{"action", s.Action},
		{"session", s.Session},
		{"reference", s.Reference},
		{"result", s.Result},
	} {
		b = append(b, plain)
		b = appendSized(b, f[0])
		b = appendSized(b, f[1])
	}
	for _, f := range append([]StoredField{s.Subject, s.Actor}, s.Fields...) {
		var err error
		if b, err = f.append(b); err != nil {
			return nil, fmt.Errorf("field %q: %w", f.Name, err)
		}
	}
	return b, nil
}

func (f StoredField) append(b []byte) ([]byte, error) {
	switch {
	case f.Commitment == nil && f.Value != nil && f.Salt == nil:
		b = append(b, plain)
		b = appendSized(b, f.Name)
		return appendSized(b, *f.Value), nil
	case len(f.Commitment) != sha256.Size, (f.Value == nil) != (f.Salt == nil):
		return nil, ErrChanged
	case f.Value != nil && !keys.Equal(f.Commitment, commitment(f.Name, *f.Value, f.Salt)):
		return nil, ErrChanged
	}
	b = append(b, committed)
	b = appendSized(b, f.Name)
	return appendSized(b, string(f.Commitment)), nil
}

// appendSized appends the length of s as four bytes, the highest first, and s.
func appendSized(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}
