package metadata

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"carekey.dev/carekey/internal/db"
)

// Model is a kind of authenticator of which the FIDO Alliance publishes
// something.
type Model struct {
	// Name is its AAGUID, or the key identifier of its certificates.
	Name string `json:"name"`
	// Description is what its maker calls it: "YubiKey 5 Series".
	Description string `json:"description"`
	// Hardware: it keeps keys where they cannot be copied from, and no key of
	// it can be synchronised by design of the model.
	Hardware bool `json:"hardware"`
	// Anchors are what attestations of it chain to.
	Anchors []Anchor `json:"-"`
	// Reports are what the FIDO Alliance has said of it, the oldest first.
	Reports []Report `json:"reports"`
}

// Anchor is a certificate that attests a model.
type Anchor struct {
	DER []byte `json:"der"`
	// Shared: it attests other models too, so that a packed attestation has to
	// name the model in its certificate (WebAuthn section 8.2.1).
	Shared bool `json:"shared,omitempty"`
	// of is its name and key, while a file is read.
	of string
}

// Report is something that the FIDO Alliance says of a model.
type Report struct {
	Status string `json:"status"`
	// From and Until bound the time for which it holds; zero: no bound.
	From  time.Time `json:"from,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// Batch holds the SHA-256 sum of the attestation certificates that it is
	// about; empty: all keys of the model.
	Batch []string `json:"batch,omitempty"`
}

// refusing are the reports after which a model is not accepted any more, with
// what they mean (MDS3 section 3.1.4).
var refusing = map[string]string{
	"REVOKED":                      "the FIDO Alliance has withdrawn this model",
	"USER_VERIFICATION_BYPASS":     "the PIN or fingerprint of this model can be got round",
	"ATTESTATION_KEY_COMPROMISE":   "the maker's keys that vouch for this model have become known to others",
	"USER_KEY_REMOTE_COMPROMISE":   "keys can be stolen from this model over the network",
	"USER_KEY_PHYSICAL_COMPROMISE": "keys can be stolen from this model by whoever holds it",
}

// Status is how a model stands now.
type Status struct {
	// Description is the model's name, "" if nothing is known of it.
	Description string
	// Revoked: the FIDO Alliance says that it is unsafe.
	Revoked bool
	// Refused: the operator does not accept it.
	Refused bool
	// Listed: the operator names it as allowed.
	Listed bool
	// Reason says in words why it is revoked or refused.
	Reason string
}

// Good reports whether keys of the model may be used.
func (s Status) Good() bool { return !s.Revoked && !s.Refused }

// Status returns how the model of an attested key stands at tx's time. Nothing
// is known of a key that was not attested, and nothing is held against it: its
// AAGUID is a claim that anybody can make. One statement, or none.
func (s *Store) Status(tx *db.Tx, p Provenance) (Status, error) {
	if !p.Attested() || p.Model == "" {
		return Status{}, nil
	}
	m, known, err := s.o.Source.Lookup(tx, p.Model)
	if err != nil {
		return Status{}, err
	}
	if !known {
		m = Model{Name: p.Model}
	}
	return s.judgeModel(m, p, tx.Now()), nil
}

// Of returns how a model stands as far as all its keys are concerned.
func (s *Store) Of(m Model, now time.Time) Status { return s.judgeModel(m, Provenance{}, now) }

// judgeModel is Status without the database.
func (s *Store) judgeModel(m Model, p Provenance, now time.Time) Status {
	st := Status{Description: m.Description, Listed: slices.Contains(s.o.Allowed, m.Name)}
	if slices.Contains(s.o.Refused, m.Name) {
		st.Refused, st.Reason = true, "your organisation does not accept this model"
	}
	if report, bad := m.revoked(p.Path, now); bad {
		st.Revoked, st.Reason = true, refusing[report.Status]
	}
	return st
}

// revoked returns the first report in force that ends the use of a key whose
// attestation came by path. A later, better report takes nothing back: the
// end of a finding is its sunset date.
func (m Model) revoked(path []string, now time.Time) (Report, bool) {
	for _, r := range m.Reports {
		if refusing[r.Status] != "" && r.holds(now) && r.concerns(path) {
			return r, true
		}
	}
	return Report{}, false
}

func (r Report) holds(now time.Time) bool {
	return !r.From.After(now) && (r.Until.IsZero() || r.Until.After(now))
}

func (r Report) concerns(path []string) bool {
	return len(r.Batch) == 0 || slices.ContainsFunc(r.Batch, func(sum string) bool { return slices.Contains(path, sum) })
}

// tables is the source that imports fill.
type tables struct{}

// Lookup implements Source.
func (tables) Lookup(tx *db.Tx, name string) (Model, bool, error) { return Lookup(tx, name) }

// Lookup returns a model by its name, and whether anything is known of it.
func Lookup(tx *db.Tx, name string) (Model, bool, error) {
	m, err := scanModel(tx.Row(`SELECT name, description, hardware, anchors, reports FROM fido_model WHERE name = $1`, name))
	if errors.Is(err, db.ErrNoRows) {
		return Model{}, false, nil
	}
	if err != nil {
		return Model{}, false, fmt.Errorf("reading a model of authenticators: %w", err)
	}
	return m, true, nil
}

// Models returns every model, by name.
func Models(tx *db.Tx) ([]Model, error) {
	rows, err := tx.Rows(`SELECT name, description, hardware, anchors, reports FROM fido_model ORDER BY description, name`)
	if err != nil {
		return nil, fmt.Errorf("reading the models of authenticators: %w", err)
	}
	defer rows.Close()
	var all []Model
	for rows.Next() {
		m, err := scanModel(rows)
		if err != nil {
			return nil, fmt.Errorf("reading the models of authenticators: %w", err)
		}
		all = append(all, m)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading the models of authenticators: %w", err)
	}
	return all, nil
}

func scanModel(row interface{ Scan(dest ...any) error }) (Model, error) {
	var m Model
	var hardware int64
	var anchors, reports string
	if err := row.Scan(&m.Name, &m.Description, &hardware, &anchors, &reports); err != nil {
		return Model{}, err
	}
	m.Hardware = hardware != 0
	if err := json.Unmarshal([]byte(anchors), &m.Anchors); err != nil {
		return Model{}, fmt.Errorf("the certificates of %s: %w", m.Name, err)
	}
	if err := json.Unmarshal([]byte(reports), &m.Reports); err != nil {
		return Model{}, fmt.Errorf("the reports on %s: %w", m.Name, err)
	}
	return m, nil
}

// certificates returns the anchors ready for use, and those of them that attest
// other models too.
func (m Model) certificates() (all, shared []*x509.Certificate, err error) {
	for _, a := range m.Anchors {
		certificate, err := x509.ParseCertificate(a.DER)
		if err != nil {
			return nil, nil, fmt.Errorf("a certificate of %s: %w", m.Name, err)
		}
		all = append(all, certificate)
		if a.Shared {
			shared = append(shared, certificate)
		}
	}
	return all, shared, nil
}
