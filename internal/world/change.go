package world

import (
	"fmt"
	"strings"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
)

// Verb is what happens to something.
type Verb string

// The verbs.
const (
	Added   Verb = "added"
	Changed Verb = "changed"
	Removed Verb = "removed"
	Closed  Verb = "closed"
)

// Change is one difference between the file and what is stored.
type Change struct {
	Verb Verb
	// Kind is what changes ("organisation"), Name which one, for people.
	Kind, Name string
	Fields     []Field

	subject care.UID
	apply   func(tx *db.Tx) error
}

// Field is one field of a Change; From is "" for something new. A hidden field
// shows neither value.
type Field struct {
	Name, From, To string
	hidden         bool
}

// String is the change as --dry-run shows it.
func (c Change) String() string {
	var b strings.Builder
	sign := map[Verb]string{Added: "+", Changed: "~", Removed: "-", Closed: "-"}[c.Verb]
	fmt.Fprintf(&b, "%s %s %s", sign, c.Kind, c.Name)
	if c.Verb == Closed {
		b.WriteString(": closed")
	}
	if c.Verb != Changed {
		return b.String()
	}
	for _, f := range c.Fields {
		if f.hidden {
			fmt.Fprintf(&b, "\n    %s: changes", f.Name)
			continue
		}
		fmt.Fprintf(&b, "\n    %s: %s → %s", f.Name, shown(f.From), shown(f.To))
	}
	return b.String()
}

func shown(value string) string {
	if value == "" {
		return "(nothing)"
	}
	return value
}

// entry is the change for the audit log. What names a person is personal.
func (c Change) entry() audit.Entry {
	e := audit.Entry{
		Action: strings.ReplaceAll(c.Kind, " ", "_") + "." + string(c.Verb), Subject: c.subject, Actor: "world file",
		Fields: []audit.Field{{Name: "which", Value: c.Name, Personal: c.subject != ""}},
	}
	for _, f := range c.Fields {
		field := audit.Field{Name: f.Name, Value: f.To, Personal: c.subject != ""}
		if f.hidden {
			field.Value = "(hidden)"
		}
		e.Fields = append(e.Fields, field)
	}
	return e
}

// differences returns the fields of after that are not as they were before;
// both lists have the same fields in the same order.
func differences(before, after []Field) []Field {
	var changed []Field
	for i, f := range after {
		if before[i].To != f.To {
			f.From = before[i].To
			changed = append(changed, f)
		}
	}
	return changed
}
