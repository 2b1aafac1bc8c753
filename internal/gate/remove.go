package gate

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/session"
)

// Limit is how many authenticators of a type one person may hold: seed 0's "one
// of each type", unless the operator allows more. An authenticator app is found
// by its holder's address and password, so there is never more than one.
func (g *Gate) Limit(method care.Method) int {
	if method == care.AuthenticatorApp {
		return 1
	}
	return g.o.PerMethod
}

// Usable returns which of a person's authenticators can sign in.
func (g *Gate) Usable(tx *db.Tx, uid care.UID) (func(credential.Record) bool, error) {
	if g.o.Barred == nil {
		return credential.Record.Usable, nil
	}
	barred, err := g.o.Barred(tx, uid)
	if err != nil {
		return nil, fmt.Errorf("reading which authenticators can sign in: %w", err)
	}
	return func(r credential.Record) bool { return r.Usable() && !slices.Contains(barred, r.ID) }, nil
}

// Remove deletes a person's own authenticator, by a session that began a short
// while ago (decision 3; ASVS 7.5.1), ends the sessions that it opened and tells
// the person (N22). It never takes the last one that can sign in: whoever wants
// that asks the Registration Authority. Faults: NotAdmitted, NotFresh,
// NoAuthenticator, LastAuthenticator.
func (g *Gate) Remove(ctx context.Context, s *session.Session, authenticatorID string) error {
	const why = "authenticator removed"
	// If it was not the holder, somebody has what the session was opened with.
	mail, err := g.notices(ctx, event{
		uid: s.UID, authenticator: authenticatorID, doubted: s.AuthenticatorID, template: outbox.AuthenticatorRemoved,
	})
	if err != nil {
		return err
	}
	err = g.o.DB.Write(ctx, func(tx *db.Tx) error {
		if err := open(tx, s.UID); err != nil {
			return err
		}
		if _, err := sessionAuthority(tx, s, s.UID, care.AALNone); err != nil {
			return err
		}
		held, err := credential.Of(tx, s.UID)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(held, func(r credential.Record) bool { return r.ID == authenticatorID })
		if i < 0 {
			return fault.New(fault.NoAuthenticator, nil)
		}
		usable, err := g.Usable(tx, s.UID)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(held, func(r credential.Record) bool { return r.ID != authenticatorID && usable(r) }) {
			return fault.New(fault.LastAuthenticator, nil)
		}
		if err := g.o.Binder.Remove(tx, authenticatorID); err != nil {
			return err
		}
		if err := session.EndOf(tx, s.UID, authenticatorID, why); err != nil {
			return err
		}
		if err := outbox.PutAll(tx, mail); err != nil {
			return err
		}
		return audit.Record(tx, audit.Entry{
			Action: "authenticator.removed", Subject: s.UID, Actor: string(s.UID), Session: s.SID,
			Fields: []audit.Field{
				{Name: "authenticator", Value: authenticatorID}, {Name: "method", Value: string(held[i].Method)},
			},
		})
	})
	if err != nil {
		return fmt.Errorf("removing an authenticator: %w", err)
	}
	return nil
}

// Rename gives a person's own authenticator another name, by a session of any
// age: a name opens nothing. Faults: NotAdmitted, NoAuthenticator.
func (g *Gate) Rename(ctx context.Context, s *session.Session, authenticatorID, name string) error {
	name, err := credential.ParseName(name)
	if err != nil {
		return fmt.Errorf("renaming an authenticator: %w", err)
	}
	err = g.o.DB.Write(ctx, func(tx *db.Tx) error {
		if err := open(tx, s.UID); err != nil {
			return err
		}
		if _, err := alive(tx, s, s.UID); err != nil {
			return err
		}
		record, err := credential.ByID(tx, authenticatorID)
		if errors.Is(err, db.ErrNoRows) || err == nil && record.UID != s.UID {
			return fault.New(fault.NoAuthenticator, err)
		}
		if err != nil || record.Name == name {
			return err
		}
		if err := credential.Rename(tx, authenticatorID, name); err != nil {
			return err
		}
		return audit.Record(tx, audit.Entry{
			Action: "authenticator.renamed", Subject: s.UID, Actor: string(s.UID), Session: s.SID,
			Fields: []audit.Field{
				{Name: "authenticator", Value: authenticatorID},
				{Name: "old", Value: record.Name, Personal: true}, {Name: "new", Value: name, Personal: true},
			},
		})
	})
	if err != nil {
		return fmt.Errorf("renaming an authenticator: %w", err)
	}
	return nil
}
