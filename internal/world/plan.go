package world

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/notice"
	"carekey.dev/carekey/internal/organisation"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/relyingparty"
)

// planner compares the world with what is stored.
type planner struct {
	mistakes
	w          *World
	tx         *db.Tx
	o          Options
	enrolments map[care.UID]credential.Enrolment
	made       map[string]string // client id → secret, if the relying party needs one

	changes []Change
	notes   []string
	secrets []Secret
}

// plan returns the changes in the order in which they are to be made. The maps
// are nil for a preview.
func (w *World) plan(tx *db.Tx, o Options, enrolments map[care.UID]credential.Enrolment, made map[string]string) (*planner, error) {
	p := &planner{mistakes: mistakes{doc: w.doc}, w: w, tx: tx, o: o, enrolments: enrolments, made: made}
	for _, step := range []func() error{
		p.references, p.allowList, p.organisations, p.people, p.relyingParties, p.notices,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return p, p.err()
}

func (p *planner) note(format string, args ...any) {
	p.notes = append(p.notes, fmt.Sprintf(format, args...))
}

// compare adds the change from before to after, if there is one.
func (p *planner) compare(c Change, exists bool, before, after []Field) {
	c.Fields = after
	if exists {
		c.Fields = differences(before, after)
	}
	p.add(c, exists)
}

// add adds a change whose fields are known, if it changes any.
func (p *planner) add(c Change, exists bool) {
	c.Verb = Added
	if exists {
		c.Verb = Changed
	}
	if !exists || len(c.Fields) > 0 {
		p.changes = append(p.changes, c)
	}
}

// references checks that every organisation that is named can be found: the
// wire shows each role's organisation by name, and a request to an RA that does
// not exist would reach nobody. An ODS parent may be unknown.
func (p *planner) references() error {
	stored, err := organisation.All(p.tx)
	if err != nil {
		return err
	}
	known := map[care.ODSCode]bool{"": true}
	for _, o := range slices.Concat(stored, p.w.organisations) {
		known[o.Code] = true
	}
	for i, o := range p.w.organisations {
		if !known[o.RA] {
			p.wrong([]any{"organisations", i, "ra"}, "ra: there is no organisation %s", o.RA)
		}
	}
	for i, person := range p.w.people {
		for j, role := range person.roles {
			if !known[role.Org] {
				p.wrong([]any{"people", i, "roles", j, "org"}, "org: there is no organisation %s", role.Org)
			}
		}
	}
	return nil
}

func (p *planner) allowList() error {
	if p.w.allowList == nil {
		return nil
	}
	stored, err := person.AllowList(p.tx)
	if err != nil {
		return err
	}
	p.compare(Change{
		Kind: "email domains", Name: "that are accepted",
		apply: func(tx *db.Tx) error { return person.SetAllowList(tx, p.w.allowList) },
	}, true, []Field{{Name: "list", To: strings.Join(stored, ", ")}}, []Field{{Name: "list", To: strings.Join(p.w.allowList, ", ")}})
	return nil
}

func (p *planner) organisations() error {
	if p.w.organisations == nil {
		return nil
	}
	stored, err := organisation.All(p.tx)
	if err != nil {
		return err
	}
	before := map[care.ODSCode]organisation.Organisation{}
	for _, o := range stored {
		before[o.Code] = o
	}
	wanted := map[care.ODSCode]bool{}
	for _, o := range p.w.organisations {
		wanted[o.Code] = true
		old, exists := before[o.Code]
		p.compare(Change{
			Kind: "organisation", Name: string(o.Code) + " " + o.Name,
			apply: func(tx *db.Tx) error { return organisation.Put(tx, o) },
		}, exists, organisationFields(old), organisationFields(o))
	}
	for _, o := range stored {
		if p.o.Prune && !wanted[o.Code] {
			p.changes = append(p.changes, Change{
				Verb: Removed, Kind: "organisation", Name: string(o.Code) + " " + o.Name,
				apply: func(tx *db.Tx) error { return organisation.Delete(tx, o.Code) },
			})
		}
	}
	return nil
}

func organisationFields(o organisation.Organisation) []Field {
	return []Field{
		{Name: "name", To: o.Name}, {Name: "type", To: o.Type}, {Name: "address", To: strings.Join(o.Address, ", ")},
		{Name: "postcode", To: o.Postcode}, {Name: "phone", To: o.Phone},
		{Name: "parent", To: string(o.Parent)}, {Name: "ra", To: string(o.RA)},
	}
}

func (p *planner) relyingParties() error {
	if p.w.relyingParties == nil {
		return nil
	}
	stored, err := relyingparty.All(p.tx)
	if err != nil {
		return err
	}
	before := map[string]relyingparty.RelyingParty{}
	for _, rp := range stored {
		before[rp.ClientID] = rp
	}
	wanted := map[string]bool{}
	for _, want := range p.w.relyingParties {
		wanted[want.ClientID] = true
		old, exists := before[want.ClientID]
		rp := p.withSecret(want, old)
		p.add(Change{
			Kind: "relying party", Name: rp.ClientID + " " + rp.ShortName, Fields: relyingPartyChanges(old, rp),
			apply: func(tx *db.Tx) error { return relyingparty.Put(tx, rp) },
		}, exists)
	}
	for _, rp := range stored {
		if p.o.Prune && !wanted[rp.ClientID] {
			p.changes = append(p.changes, Change{
				Verb: Removed, Kind: "relying party", Name: rp.ClientID + " " + rp.ShortName,
				apply: func(tx *db.Tx) error { return relyingparty.Delete(tx, rp.ClientID) },
			})
		}
	}
	return nil
}

// withSecret gives a relying party the secret of the file, or the one it has,
// or a new one (decision: client secrets have 256 bits and are generated).
func (p *planner) withSecret(want wantedRelyingParty, old relyingparty.RelyingParty) relyingparty.RelyingParty {
	rp := want.RelyingParty
	switch {
	case !rp.AuthMethod.HasSecret() || want.secret != "":
		return rp
	case len(old.Secrets) > 0:
		rp.Secrets = old.Secrets
	case p.made != nil:
		secret := Secret{ClientID: rp.ClientID, Name: rp.ShortName, Value: p.made[rp.ClientID]}
		p.secrets = append(p.secrets, secret)
		rp.Secrets = [][]byte{keys.Hash(secret.Value)}
	default:
		p.note("a secret will be made for relying party %s %s and shown once", rp.ClientID, rp.ShortName)
	}
	return rp
}

// relyingPartyChanges are the fields in which a registration differs.
func relyingPartyChanges(before, after relyingparty.RelyingParty) []Field {
	var all []Field
	for _, d := range relyingparty.Differences(before, after) {
		all = append(all, Field{Name: d.Field, From: d.From, To: d.To, hidden: d.Hidden})
	}
	return all
}

func (p *planner) notices() error {
	if p.w.notices == nil {
		return nil
	}
	stored, err := notice.All(p.tx)
	if err != nil {
		return err
	}
	before := map[string]notice.Notice{}
	for _, n := range stored {
		before[n.ID] = n
	}
	wanted := map[string]bool{}
	for _, n := range p.w.notices {
		wanted[n.ID] = true
		old, exists := before[n.ID]
		p.compare(Change{
			Kind: "notice", Name: n.ID,
			apply: func(tx *db.Tx) error { return notice.Put(tx, n) },
		}, exists, noticeFields(old), noticeFields(n))
	}
	for _, n := range stored {
		if p.o.Prune && !wanted[n.ID] {
			p.changes = append(p.changes, Change{
				Verb: Removed, Kind: "notice", Name: n.ID,
				apply: func(tx *db.Tx) error { return notice.Delete(tx, n.ID) },
			})
		}
	}
	return nil
}

func noticeFields(n notice.Notice) []Field {
	return []Field{
		{Name: "show", To: window(n.Show)}, {Name: "outage", To: window(n.Outage)},
		{Name: "services", To: strings.Join(n.Services, ", ")}, {Name: "text", To: n.Text},
	}
}

func window(w notice.Window) string {
	if w.From.IsZero() {
		return ""
	}
	return w.From.Format(time.RFC3339) + " to " + w.Until.Format(time.RFC3339)
}
