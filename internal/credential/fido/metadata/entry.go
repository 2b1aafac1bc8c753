package metadata

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
)

// writtenEntry is what is read of an entry of a file (MDS3 section 3.1.1, FIDO
// Metadata Statement section 3), and no more: makers make mistakes in the rest.
type writtenEntry struct {
	AAGUID    string   `json:"aaguid"`
	Keys      []string `json:"attestationCertificateKeyIdentifiers"`
	Statement struct {
		Description string   `json:"description"`
		Attested    []string `json:"attestationTypes"`
		Protection  []string `json:"keyProtection"`
		Roots       []string `json:"attestationRootCertificates"`
	} `json:"metadataStatement"`
	Reports []writtenReport `json:"statusReports"`
}

// writtenReport is what is read of a report (MDS3 section 3.1.3).
type writtenReport struct {
	Status string `json:"status"`
	From   string `json:"effectiveDate"`
	Until  string `json:"sunsetDate"`
	Root   string `json:"certificate"`
	Batch  string `json:"batchCertificate"`
}

// certified are the attestations that end at the roots of a model.
var certified = []string{"basic_full", "attca", "anonca"}

// readEntry returns the models of an entry: one by its AAGUID, or one for each
// key identifier, and none for what no browser can use. The error says what of
// them could not be read: a certificate or a picture must not hide what has been
// reported of a model.
func readEntry(raw []byte) ([]Model, error) {
	var written writtenEntry
	var mistyped *json.UnmarshalTypeError
	err := json.Unmarshal(raw, &written)
	if err != nil && !errors.As(err, &mistyped) { // a field of another type is left out, and all others are read
		return nil, err
	}
	mistakes := []error{err}
	m := Model{Description: describe(written.Statement.Description), Hardware: err == nil && inHardware(written.Statement.Protection), Anchors: []Anchor{}, Reports: []Report{}}
	if slices.ContainsFunc(written.Statement.Attested, func(how string) bool { return slices.Contains(certified, how) }) {
		for i, root := range written.Statement.Roots {
			anchor, err := readAnchor(root)
			if err != nil {
				mistakes = append(mistakes, fmt.Errorf("root certificate %d of %q: %w", i+1, m.Description, err))
				continue
			}
			m.Anchors = append(m.Anchors, anchor)
		}
	}
	for i, r := range written.Reports {
		read, err := r.read()
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("report %d on %q: %w", i+1, m.Description, err))
		}
		m.Reports = append(m.Reports, read)
	}
	return m.named(written, mistakes)
}

// named returns m once for each name that an entry gives it.
func (m Model) named(written writtenEntry, mistakes []error) ([]Model, error) {
	var models []Model
	id, err := uuid.Parse(written.AAGUID)
	switch {
	case written.AAGUID != "" && err != nil:
		mistakes = append(mistakes, fmt.Errorf("the AAGUID of %q: %w", m.Description, err))
	case id != uuid.Nil:
		m.Name = id.String()
		models = append(models, m)
	default:
		for _, key := range written.Keys {
			m.Name = strings.ToLower(key)
			models = append(models, m)
		}
	}
	return models, errors.Join(mistakes...)
}

// read reads a report. One whose dates cannot be read holds at once and for
// good, and one whose batch cannot be read is about all keys of the model.
func (r writtenReport) read() (Report, error) {
	out := Report{Status: r.Status}
	var mistakes []error
	for _, day := range []struct {
		text string
		to   *time.Time
	}{{r.From, &out.From}, {r.Until, &out.Until}} {
		if day.text == "" {
			continue
		}
		parsed, err := time.Parse(time.DateOnly, day.text)
		if err != nil {
			mistakes = append(mistakes, err)
			continue
		}
		*day.to = parsed
	}
	for _, text := range []string{r.Root, r.Batch} {
		if text == "" {
			continue
		}
		der, err := readCertificate(text)
		if err != nil {
			mistakes = append(mistakes, err)
			continue
		}
		out.Batch = append(out.Batch, sumOf(der))
	}
	return out, errors.Join(mistakes...)
}

// readCertificate decodes a certificate as files have it.
func readCertificate(text string) ([]byte, error) {
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		return nil, fmt.Errorf("decoding a certificate: %w", err)
	}
	return der, nil
}

func readAnchor(text string) (Anchor, error) {
	der, err := readCertificate(text)
	if err != nil {
		return Anchor{}, err
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return Anchor{}, err
	}
	return Anchor{DER: der, of: string(c.RawSubject) + string(c.RawSubjectPublicKeyInfo)}, nil
}

// describe keeps a maker's text to one short line that can be printed: it is
// shown to people, stands in mails, and on the terminals of operators.
func describe(text string) string { return line(text, 100) }

func line(text string, most int) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "\uFFFD")), " ")
	text = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return -1
		}
		return c
	}, text)
	if r := []rune(text); len(r) > most {
		text = string(r[:most]) + "…"
	}
	return text
}

// inHardware reports whether a model says that it keeps keys where they cannot
// be copied from, and synchronises none (N8).
func inHardware(protection []string) bool {
	kept := func(where string) bool { return slices.Contains(protection, where) }
	return (kept("hardware") || kept("tee") || kept("secure_element")) && !kept("software")
}

// share marks the anchors that stand behind several models: an anchor is a name
// and a key (RFC 5280 section 6.1.1), which makers put into several certificates.
func share(models []Model) {
	behind := map[string]map[string]bool{}
	for _, m := range models {
		for _, a := range m.Anchors {
			if behind[a.of] == nil {
				behind[a.of] = map[string]bool{}
			}
			behind[a.of][m.Name] = true
		}
	}
	for _, m := range models {
		for i, a := range m.Anchors {
			m.Anchors[i].Shared = len(behind[a.of]) > 1
		}
	}
}

func sumOf(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}
