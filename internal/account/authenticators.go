package account

import (
	"context"
	"net/http"
	"slices"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
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
}

// held is one authenticator as its holder sees it.
type held struct {
	credential.Record
	Type string
	// Here: the person is signed in with it.
	Here bool
	// App: it has a password and recovery codes, and can be replaced here.
	App bool
	// CodesLeft is how many saved recovery codes still work.
	CodesLeft int
}

func (a *Account) authenticators(w http.ResponseWriter, r *http.Request, v visit) error {
	var records []credential.Record
	var left int
	err := a.DB.Read(r.Context(), func(tx *db.Tx) error {
		var err error
		if records, err = credential.Of(tx, v.person.UID); err != nil {
			return err
		}
		left, err = recovery.Left(tx, v.person.UID)
		return err
	})
	if err != nil {
		return err
	}
	return a.ok(w, r, "authenticators", v, page.View{
		Title: "Your authenticators", Back: home, Data: listed(records, v.session.AuthenticatorID, left),
	})
}

// listed makes the list from the records, the one signed in with, and the
// number of recovery codes.
func listed(records []credential.Record, here string, codesLeft int) authenticatorsData {
	var data authenticatorsData
	usable := 0
	for _, record := range records {
		h := held{Record: record, Type: record.Method.TypeLabel(), Here: record.ID == here}
		if record.Method == care.AuthenticatorApp {
			h.App, h.CodesLeft = true, codesLeft
		}
		if record.Usable() {
			usable++
		}
		data.Held = append(data.Held, h)
	}
	data.Only = usable == 1
	return data
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
