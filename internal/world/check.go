package world

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/notice"
	"carekey.dev/carekey/internal/organisation"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/yamldoc"
)

// Mode is where a file is applied. Chosen passwords and client secrets are
// accepted in Dev only (decision: client secrets are generated).
type Mode bool

// The modes.
const (
	Serve Mode = false
	Dev   Mode = true
)

// World is a file without mistakes. A nil list is a section that is absent.
type World struct {
	doc            *yamldoc.Document
	allowList      care.AllowList
	organisations  []organisation.Organisation
	people         []wantedPerson
	relyingParties []wantedRelyingParty
	notices        []notice.Notice
}

type wantedPerson struct {
	person.Person
	roles []access.Role
	app   *appEntry
}

type wantedRelyingParty struct {
	relyingparty.RelyingParty
	secret string
}

// mistakes collects what has to be mended in the file.
type mistakes struct {
	doc  *yamldoc.Document
	list []*yamldoc.Mistake
}

func (m *mistakes) wrong(path []any, format string, args ...any) {
	m.list = append(m.list, m.doc.Mistake(path, format, args...))
}

// err returns the mistakes in the order of their lines.
func (m *mistakes) err() error {
	slices.SortStableFunc(m.list, func(a, b *yamldoc.Mistake) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Reason, b.Reason))
	})
	var all []error
	for _, mistake := range m.list {
		all = append(all, mistake)
	}
	return errors.Join(all...)
}

// checker turns what is written into what is meant.
type checker struct {
	mistakes
	mode Mode
}

// at returns the path of a place below path.
func at(path []any, steps ...any) []any {
	return append(path[:len(path):len(path)], steps...)
}

// needed reports a field that has to be there.
func (c *checker) needed(path []any, field, value string) {
	if value == "" {
		c.wrong(path, "%s is missing", field)
	}
}

// once reports a second use of what has to be unique.
func (c *checker) once(seen map[string]bool, path []any, what, value string) {
	if value == "" {
		return
	}
	if seen[value] {
		c.wrong(path, "%s %s is in the file twice", what, value)
	}
	seen[value] = true
}

func (c *checker) world(f file) *World {
	w := &World{doc: c.doc}
	if f.EmailAllowList != nil {
		w.allowList = care.AllowList{}
		seen := map[string]bool{}
		for i, entry := range f.EmailAllowList {
			path := []any{"email_allow_list", i}
			list, err := care.ParseAllowList([]string{entry})
			if err != nil {
				c.wrong(path, "%v", err)
				continue
			}
			c.once(seen, path, "the email domain", list[0])
			w.allowList = append(w.allowList, list...)
		}
	}
	w.organisations = c.organisations(f.Organisations)
	w.people = c.people(f.People)
	w.relyingParties = c.relyingParties(f.RelyingParties)
	w.notices = c.notices(f.Notices)
	return w
}

func (c *checker) organisations(entries []organisationEntry) []organisation.Organisation {
	if entries == nil {
		return nil
	}
	all := []organisation.Organisation{}
	seen := map[string]bool{}
	for i, e := range entries {
		path := []any{"organisations", i}
		o := organisation.Organisation{
			Code: c.ods(path, "code", e.Code), Name: e.Name, Type: e.Type, Address: e.Address,
			Postcode: e.Postcode, Phone: e.Phone,
		}
		c.needed(path, "name", e.Name)
		c.once(seen, at(path, "code"), "organisation", e.Code)
		if e.Parent != "" {
			o.Parent = c.ods(path, "parent", e.Parent)
		}
		if e.RA != "" {
			o.RA = c.ods(path, "ra", e.RA)
		}
		all = append(all, o)
	}
	return all
}

func (c *checker) ods(path []any, field, value string) care.ODSCode {
	code, err := care.ParseODSCode(value)
	if err != nil {
		c.wrong(at(path, field), "%s: %v", field, err)
	}
	return code
}

var serviceForm = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

func (c *checker) notices(entries []noticeEntry) []notice.Notice {
	if entries == nil {
		return nil
	}
	all := []notice.Notice{}
	seen := map[string]bool{}
	for i, e := range entries {
		path := []any{"notices", i}
		n := notice.Notice{ID: e.ID, Services: e.Services, Text: e.Text}
		c.needed(path, "text", e.Text)
		n.Show = c.window(at(path, "show"), "show", e.Show)
		if e.Outage != nil {
			n.Outage = c.window(at(path, "outage"), "outage", *e.Outage)
		}
		for j, service := range e.Services {
			if !serviceForm.MatchString(service) {
				c.wrong(at(path, "services", j), "a service looks like smartcard_unlock, not %q", service)
			}
		}
		if n.ID == "" {
			n.ID = noticeID(n)
		}
		if seen[n.ID] {
			c.wrong(path, "another notice begins at the same time for the same services: give each an id")
		}
		seen[n.ID] = true
		all = append(all, n)
	}
	return all
}

// noticeID names a notice that has no id by what stays the same when its words
// are corrected: when it is first shown, and for which services.
func noticeID(n notice.Notice) string {
	id := n.Show.From.UTC().Format("20060102T1504Z")
	for _, service := range n.Services {
		id += "-" + service
	}
	return id
}

func (c *checker) window(path []any, field string, e windowEntry) notice.Window {
	w := notice.Window{From: c.moment(path, field+".from", "from", e.From), Until: c.moment(path, field+".until", "until", e.Until)}
	if !w.From.IsZero() && !w.Until.IsZero() && !w.Until.After(w.From) {
		c.wrong(at(path, "until"), "%s ends before it begins", field)
	}
	return w
}

func (c *checker) moment(path []any, name, field, value string) time.Time {
	if value == "" {
		c.wrong(path, "%s is missing", name)
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, value)
	if err != nil {
		c.wrong(at(path, field), "%s: a time looks like 2027-01-02T09:00:00Z, not %q", name, value)
	}
	return t.UTC()
}

// date reads a day; the moment meant is its beginning, in UTC.
func date(value string) (time.Time, error) {
	t, err := time.Parse(time.DateOnly, value)
	if err != nil {
		return t, fmt.Errorf("a date looks like 2026-03-31, not %q", value)
	}
	return t, nil
}
