package relyingparty

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/db"
)

// ErrTaken is the error of a client id that another relying party has.
var ErrTaken = errors.New("there is a relying party with this client_id already")

// NewClientID returns a client id in the form that CIS2's have:
// "123456789012.apps.national". It is no secret.
func NewClientID(random io.Reader) string {
	var b [8]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		panic(fmt.Sprintf("reading randomness: %v", err)) // no safe way to go on
	}
	return fmt.Sprintf("%d.apps.national", 100_000_000_000+binary.BigEndian.Uint64(b[:])%900_000_000_000)
}

// Add stores a relying party that was not there before, or returns ErrTaken.
// actor is who did it, for the audit log.
func Add(tx *db.Tx, actor string, rp RelyingParty) error {
	// The row is claimed first: of two that come at the same time one waits.
	n, err := tx.Exec(`
		INSERT INTO relying_party (`+columns+`)
		VALUES ($1, '', '', '', '', '', '', '', '[]', '[]', '', '[]', '[]', '', '[]', '{}')
		ON CONFLICT (client_id) DO NOTHING`, rp.ClientID)
	if err != nil {
		return fmt.Errorf("adding relying party %s: %w", rp.ClientID, err)
	}
	if n == 0 {
		return ErrTaken
	}
	if err := Put(tx, rp); err != nil {
		return err
	}
	return record(tx, "added", actor, rp, Differences(RelyingParty{}, rp))
}

// Locked is ByID for a transaction that goes on to change the relying party:
// until its end nobody else does.
func Locked(tx *db.Tx, clientID string) (RelyingParty, error) {
	rp, err := scan(tx.Row(`SELECT `+columns+` FROM relying_party WHERE client_id = $1`+tx.ForUpdate(), clientID))
	if err != nil {
		return RelyingParty{}, fmt.Errorf("reading relying party %q: %w", clientID, err)
	}
	return rp, nil
}

// Replace stores after in place of before, which Locked has returned, and
// says what that changed. Without a difference nothing is written.
func Replace(tx *db.Tx, actor string, before, after RelyingParty) ([]Difference, error) {
	changed := Differences(before, after)
	if len(changed) == 0 {
		return nil, nil
	}
	if err := Put(tx, after); err != nil {
		return nil, err
	}
	return changed, record(tx, "changed", actor, after, changed)
}

// Remove takes a relying party away, which Locked has returned: nobody signs
// in to it any more.
func Remove(tx *db.Tx, actor string, rp RelyingParty) error {
	if err := Delete(tx, rp.ClientID); err != nil {
		return err
	}
	return record(tx, "removed", actor, rp, nil)
}

// Difference is one field that differs between two registrations; a text of
// several values has them apart by commas. Hidden fields have no values.
type Difference struct {
	Field, From, To string
	Hidden          bool
}

// String is the difference as a person reads it.
func (d Difference) String() string {
	if d.Hidden {
		return d.Field + ": changes"
	}
	return fmt.Sprintf("%s: %s → %s", d.Field, shown(d.From), shown(d.To))
}

func shown(value string) string {
	if value == "" {
		return "(nothing)"
	}
	return value
}

// Differences returns the fields in which after is not as before, in the order
// of Fields.
func Differences(before, after RelyingParty) []Difference {
	was, is := values(before), values(after)
	var all []Difference
	for _, field := range Fields() {
		if was[field] != is[field] {
			all = append(all, Difference{Field: field, From: was[field], To: is[field]})
		}
	}
	if list(before.Secrets) != list(after.Secrets) {
		all = append(all, Difference{Field: "secret", Hidden: true})
	}
	return all
}

// values are the fields of a document that are not empty, each as text.
func values(rp RelyingParty) map[string]string {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(encoded(rp.Document())), &fields); err != nil {
		panic(err) // it was encoded a moment ago
	}
	all := map[string]string{}
	for name, value := range fields {
		var text string
		var several []string
		switch {
		case json.Unmarshal(value, &text) == nil:
		case json.Unmarshal(value, &several) == nil:
			text = strings.Join(several, ", ")
		default:
			text = canonical(value)
		}
		all[name] = text
	}
	return all
}

// canonical writes a value with the fields of objects in the order of their
// names, so that nobody sees a difference where there is none.
func canonical(value json.RawMessage) string {
	var v any
	decoder := json.NewDecoder(bytes.NewReader(value))
	decoder.UseNumber()
	if err := decoder.Decode(&v); err != nil {
		panic(err) // it was encoded a moment ago
	}
	return encoded(v)
}

func record(tx *db.Tx, what, actor string, rp RelyingParty, changed []Difference) error {
	e := audit.Entry{
		Action: "relying_party." + what, Actor: actor,
		Fields: []audit.Field{{Name: "which", Value: rp.ClientID + " " + rp.ShortName}},
	}
	for _, d := range changed {
		if d.Hidden {
			d.To = "(hidden)"
		}
		e.Fields = append(e.Fields, audit.Field{Name: d.Field, Value: d.To})
	}
	return audit.Record(tx, e)
}
