package account

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/fido"
	"carekey.dev/carekey/internal/credential/recovery"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/page"
)

// authenticatorsData is what the list shows.
type authenticatorsData struct {
	Held []held
	// Only: one usable authenticator is left, which its holder cannot remove.
	Only bool
	// Changed says what was just done, or is "".
	Changed string
}

// held is one authenticator as its holder sees it.
type held struct {
	credential.Record
	Type string
	// Noun is what people call it in a sentence.
	Noun string
	// Here: the person is signed in with it.
	Here bool
	// App: it has a password and recovery codes. Key: it has a name and a level
	// of its own. Both can be replaced here.
	App, Key bool
	// Barred: its model is not accepted now.
	Barred bool
	// Last: no other can sign in, so its holder cannot remove it.
	Last bool
	Rows []page.Row

	known fido.Key
}

func (a *Account) authenticators(w http.ResponseWriter, r *http.Request, v visit) error {
	data, err := a.listOf(r.Context(), v)
	if err != nil {
		return err
	}
	if trip, err := open[farewell](r, a.farewells, stepChanged); err == nil && token(r) != "" {
		data.Changed = trip.State.Name
	}
	return a.ok(w, r, "authenticators", v, page.View{Title: "Your authenticators", Back: home, Data: data})
}

// listOf reads what the visitor holds.
func (a *Account) listOf(ctx context.Context, v visit) (authenticatorsData, error) {
	var records []credential.Record
	var keys []fido.Key
	var left int
	var usable func(credential.Record) bool
	err := a.DB.Read(ctx, func(tx *db.Tx) error {
		var err error
		if records, err = credential.Of(tx, v.person.UID); err != nil {
			return err
		}
		if keys, err = fido.Of(tx, v.person.UID); err != nil {
			return err
		}
		if usable, err = a.Gate.Usable(tx, v.person.UID); err != nil {
			return err
		}
		left, err = recovery.Left(tx, v.person.UID)
		return err
	})
	if err != nil {
		return authenticatorsData{}, err
	}
	data := listed(records, v.session.AuthenticatorID, usable)
	for i, h := range data.Held {
		if n := slices.IndexFunc(keys, func(k fido.Key) bool { return k.AuthenticatorID == h.ID }); n >= 0 {
			h.known = keys[n]
		}
		data.Held[i].Rows = a.rows(h, left)
	}
	return data, nil
}

// listed makes the list from the records, the one signed in with, and which can
// sign in.
func listed(records []credential.Record, here string, usable func(credential.Record) bool) authenticatorsData {
	var data authenticatorsData
	left := 0
	for _, record := range records {
		if usable(record) {
			left++
		}
	}
	for _, record := range records {
		h := held{
			Record: record, Type: record.Method.TypeLabel(), Noun: nouns[record.Method], Here: record.ID == here,
			App: record.Method == care.AuthenticatorApp, Key: key(record.Method),
		}
		h.Last = left == 0 || left == 1 && usable(record)
		h.Barred = record.Usable() && !usable(record)
		data.Held = append(data.Held, h)
	}
	data.Only = left == 1
	return data
}

// key reports whether a method is one of the three that are a key in a device.
func key(m care.Method) bool {
	return m == care.SecurityKey || m == care.WindowsHello || m == care.Passkey
}

// rows make an authenticator readable; left is how many saved recovery codes
// still work.
func (a *Account) rows(h held, left int) []page.Row {
	change := func(text, what, href string) []page.Action {
		return []page.Action{{Text: text, Hidden: what, Href: href}}
	}
	var rows []page.Row
	if h.Key {
		rows = append(rows, page.Row{Key: "Name", Value: h.Name, Actions: change("Change", "name of "+h.Called(), pathAuthenticators+"/rename?id="+url.QueryEscape(h.ID))})
	}
	if h.known.Model != "" {
		rows = append(rows, page.Row{Key: "Model", Value: h.known.Model})
	}
	if level := h.level(); level != care.AALNone {
		rows = append(rows, page.Row{Key: "Counts as", Value: level.String()})
	}
	used := "Not used yet"
	if !h.LastUsed.IsZero() {
		used = a.Kit.DateTime(h.LastUsed)
	}
	rows = append(rows,
		page.Row{Key: "Registered", Value: a.Kit.DateTime(h.RegisteredAt)},
		page.Row{Key: "Last used", Value: used},
		page.Row{Key: "State", Value: a.condition(h)})
	if h.App && h.Usable() {
		rows = append(rows,
			page.Row{Key: "Password", Value: "Set", Actions: change("Change", "password", "/cim/password")},
			page.Row{Key: "Recovery codes", Value: fmt.Sprintf("%d left", left), Actions: change("Make new", "recovery codes", "/cim/recovery-codes")})
	}
	return rows
}

// level is the most that a sign-in with it can reach; none for a method of which
// this house does not know more.
func (h held) level() care.AAL {
	if h.App {
		return h.Method.Highest()
	}
	return h.known.Level
}

// condition says whether an authenticator can be used, and why not.
func (a *Account) condition(h held) string {
	switch {
	case !h.SuspendedAt.IsZero():
		return fmt.Sprintf("Suspended on %s: nobody can sign in with it", a.Kit.DateTime(h.SuspendedAt))
	case !h.DisabledAt.IsZero():
		return fmt.Sprintf("Switched off on %s after too many wrong tries", a.Kit.DateTime(h.DisabledAt))
	case h.Barred:
		return "Its model is no longer accepted: nobody can sign in with it. Ask your Registration Authority for another one"
	case h.Here:
		return "Ready to use. You are signed in with it now"
	}
	return "Ready to use"
}

// own returns the visitor's authenticator with this name. Another person's is
// not there for them.
func (a *Account) own(ctx context.Context, uid care.UID, which func(credential.Record) bool) (credential.Record, error) {
	var records []credential.Record
	err := a.DB.Read(ctx, func(tx *db.Tx) error {
		var err error
		records, err = credential.Of(tx, uid)
		return err
	})
	if err != nil {
		return credential.Record{}, err
	}
	i := slices.IndexFunc(records, which)
	if i < 0 {
		return credential.Record{}, fault.New(fault.NoAuthenticator, nil)
	}
	return records[i], nil
}

// usableApp is the authenticator whose password and codes can be changed.
func usableApp(r credential.Record) bool { return r.Method == care.AuthenticatorApp && r.Usable() }
