package audit

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
)

// hexText is bytes in the golden file.
type hexText []byte

func (h *hexText) UnmarshalText(text []byte) error {
	var err error
	*h, err = hex.DecodeString(string(text))
	return err
}

type goldenField struct {
	Name       string
	Value      *string
	Salt       hexText
	Commitment hexText
}

func (f goldenField) stored() StoredField {
	return StoredField{Name: f.Name, Value: f.Value, Salt: f.Salt, Commitment: f.Commitment}
}

// TestLeavesAreThoseOfTheDocument reads the vectors of docs/audit-leaf.md,
// which a program in another language made. They never change: entries of
// years ago have to be verified.
func TestLeavesAreThoseOfTheDocument(t *testing.T) {
	text, err := os.ReadFile("testdata/leaves.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Comment                            string
		ID                                 hexText
		At                                 int64
		Action, Session, Reference, Result string
		Subject, Actor                     goldenField
		Fields                             []goldenField
		Encoded, Leaf                      hexText
	}
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		s := Stored{
			ID: [16]byte(v.ID), Version: 1, At: db.Time(v.At), Action: v.Action, Session: v.Session, Reference: v.Reference, Result: v.Result,
			Subject: v.Subject.stored(), Actor: v.Actor.stored(),
		}
		for _, f := range v.Fields {
			s.Fields = append(s.Fields, f.stored())
		}
		encoded, err := s.encode()
		if err != nil || !bytes.Equal(encoded, v.Encoded) {
			t.Errorf("%s: encoded as %x, %v", v.Comment, encoded, err)
		}
		if leaf, err := s.Leaf(); err != nil || !bytes.Equal(leaf[:], v.Leaf) {
			t.Errorf("%s: leaf %x, %v", v.Comment, leaf, err)
		}
	}
}

// recorded writes an entry, sequences it and reads it back.
func recorded(t *testing.T, d *db.DB, e Entry) (Stored, tlog.Hash) {
	t.Helper()
	if err := d.Write(t.Context(), func(tx *db.Tx) error { return Record(tx, e) }); err != nil {
		t.Fatal(err)
	}
	l, held := openLog(t, d, "a")
	if _, err := l.round(t.Context(), held); err != nil {
		t.Fatal(err)
	}
	var s Stored
	var leaf tlog.Hash
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		var size int64
		if err := tx.Row(`SELECT size FROM audit_tree`).Scan(&size); err != nil {
			return err
		}
		var err error
		s, leaf, err = At(tx, size-1)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, leaf
}

var signIn = Entry{
	Action: "session.opened", Subject: "555254242102", Actor: "555254242102", Session: "s-1", Reference: "r", Result: "",
	Fields: []Field{
		{Name: "method", Value: "authenticator_app"},
		{Name: "address", Value: "amara.osei@northgate.example.nhs.uk", Personal: true},
		{Name: "empty", Personal: true},
	},
}

func TestStoredEntryHasTheLeafThatWasRecorded(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		s, leaf := recorded(t, d, signIn)
		if again, err := s.Leaf(); err != nil || again != leaf {
			t.Fatalf("leaf %v, %v; recorded %v", again, err, leaf)
		}
		if *s.Subject.Value != "555254242102" || *s.Fields[0].Value != signIn.Fields[1].Value || s.Action != signIn.Action {
			t.Errorf("read %+v", s)
		}
	})
}

func TestErasingPersonalFieldsKeepsTheLeaf(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		s, leaf := recorded(t, d, signIn)
		for i := range s.Fields {
			if s.Fields[i].Commitment != nil {
				s.Fields[i].Value, s.Fields[i].Salt = nil, nil
			}
		}
		fields, err := json.Marshal(s.Fields)
		if err != nil {
			t.Fatal(err)
		}
		err = d.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE audit_entry SET subject = NULL, subject_salt = NULL, actor = NULL, actor_salt = NULL, fields = $1`, string(fields))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		err = d.Read(t.Context(), func(tx *db.Tx) error {
			erased, _, err := At(tx, 0)
			if err != nil {
				return err
			}
			if again, err := erased.Leaf(); err != nil || again != leaf {
				t.Errorf("leaf %v, %v; recorded %v", again, err, leaf)
			}
			text, err := json.Marshal(erased)
			if bytes.Contains(text, []byte("555254242102")) || bytes.Contains(text, []byte("amara")) {
				t.Errorf("something personal is left: %s", text)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestRewritingAnyFieldBreaksTheLeaf(t *testing.T) {
	d := dbtest.Open(t, schemas...)
	s, leaf := recorded(t, d, signIn)
	forged := "999999999999"
	for name, change := range map[string]func(*Stored){
		"id":        func(s *Stored) { s.ID[0]++ },
		"at":        func(s *Stored) { s.At = s.At.Add(time.Microsecond) },
		"version":   func(s *Stored) { s.Version++ },
		"action":    func(s *Stored) { s.Action = "session.ended" },
		"session":   func(s *Stored) { s.Session = "s-2" },
		"reference": func(s *Stored) { s.Reference = "" },
		"result":    func(s *Stored) { s.Result = "refused" },

		"subject": func(s *Stored) { s.Subject.Value = &forged },
		"subject with commitment": func(s *Stored) {
			s.Subject.Value, s.Subject.Commitment = &forged, commitment("subject", forged, s.Subject.Salt)
		},
		"subject's salt":      func(s *Stored) { s.Subject.Salt = make([]byte, saltSize) },
		"subject half erased": func(s *Stored) { s.Subject.Salt = nil },
		"subject made plain":  func(s *Stored) { s.Subject.Commitment, s.Subject.Salt = nil, nil },
		"actor for subject":   func(s *Stored) { s.Subject, s.Actor = s.Actor, s.Subject },
		"actor":               func(s *Stored) { s.Actor.Value = &forged },

		"a field's name":       func(s *Stored) { s.Fields[0].Name = "adress" },
		"a personal value":     func(s *Stored) { s.Fields[0].Value = &forged },
		"a plain value":        func(s *Stored) { s.Fields[2].Value = &forged },
		"a plain value erased": func(s *Stored) { s.Fields[2].Value = nil },
		"a field less":         func(s *Stored) { s.Fields = s.Fields[:2] },
		"a field more":         func(s *Stored) { s.Fields = append(s.Fields, StoredField{Name: "z", Value: &forged}) },
		"the order":            func(s *Stored) { s.Fields[0], s.Fields[2] = s.Fields[2], s.Fields[0] },
	} {
		changed := s
		changed.Fields = append([]StoredField{}, s.Fields...)
		change(&changed)
		if again, err := changed.Leaf(); err == nil && again == leaf {
			t.Errorf("changing %s keeps the leaf", name)
		}
	}
}

func TestEntriesThatAreBuiltWronglyAreRefused(t *testing.T) {
	d := dbtest.Open(t, schemas...)
	for name, e := range map[string]Entry{
		"no action":      {},
		"no field name":  {Action: "a", Fields: []Field{{Value: "v"}}},
		"repeated field": {Action: "a", Fields: []Field{{Name: "f"}, {Name: "g"}, {Name: "f"}}},
	} {
		err := d.Write(t.Context(), func(tx *db.Tx) error { return Record(tx, e) })
		if !errors.Is(err, ErrEntry) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever a person typed, the entry is written, and both engines give back
// what its leaf was made of.
func TestAnyTextCanBeRecorded(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		rapid.Check(t, func(rt *rapid.T) {
			anything := rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })
			e := Entry{Action: "a" + anything.Draw(rt, "action"), Actor: anything.Draw(rt, "actor"), Fields: []Field{
				{Name: "plain", Value: anything.Draw(rt, "plain")},
				{Name: "personal", Value: anything.Draw(rt, "personal"), Personal: true},
			}}
			s, leaf := recorded(t, d, e)
			if again, err := s.Leaf(); err != nil || again != leaf {
				rt.Fatalf("leaf %v, %v; recorded %v", again, err, leaf)
			}
		})
	})
}
