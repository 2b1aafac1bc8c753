package gate

import (
	"context"
	"errors"
	"fmt"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/session"
)

// ReportLost suspends a person's authenticator by a session of any level and
// age, ends the sessions that it opened, and tells the person. Doing it twice
// changes nothing more. Faults: NotAdmitted, NoAuthenticator.
func (g *Gate) ReportLost(ctx context.Context, s *session.Session, authenticatorID string) error {
	const why = "reported lost"
	mail, err := g.notices(ctx, event{uid: s.UID, authenticator: authenticatorID, template: outbox.AuthenticatorSuspended})
	if err != nil {
		return err
	}
	err = g.o.DB.Write(ctx, func(tx *db.Tx) error {
		if err := open(tx, s.UID); err != nil {
			return err
		}
		if _, err := alive(tx, s, s.UID); err != nil {
			return err
		}
		if err := suspend(tx, s.UID, string(s.UID), authenticatorID, why, mail); err != nil {
			return err
		}
		return session.EndOf(tx, s.UID, authenticatorID, why)
	})
	if err != nil {
		return fmt.Errorf("reporting an authenticator as lost: %w", err)
	}
	return nil
}

// Doubt suspends an authenticator that its verifier has found to be untrustworthy,
// ends the sessions that it opened, and tells its holder. Nobody needs to be
// signed in. Doing it twice changes nothing more. Faults: NoAuthenticator.
func (g *Gate) Doubt(ctx context.Context, uid care.UID, authenticatorID, why string) error {
	mail, err := g.notices(ctx, event{uid: uid, authenticator: authenticatorID, template: outbox.AuthenticatorSuspended})
	if err != nil {
		return err
	}
	err = g.o.DB.Write(ctx, func(tx *db.Tx) error {
		if _, err := person.Lock(tx, uid); err != nil && !errors.Is(err, db.ErrNoRows) {
			return err
		}
		if err := suspend(tx, uid, "system", authenticatorID, why, mail); err != nil {
			return err
		}
		return session.EndOf(tx, uid, authenticatorID, why)
	})
	if err != nil {
		return fmt.Errorf("suspending a doubtful authenticator: %w", err)
	}
	return nil
}

// Disavow is "this wasn't me": it ends every session of the person and
// suspends the authenticator that the notice was about, and those that were
// registered since without an RA. Nobody needs to be signed in. Doing it twice
// changes nothing more. Fault: DisavowalUnreadable.
func (g *Gate) Disavow(ctx context.Context, token string) error {
	const why = "holder said: this was not me"
	d, err := g.readDisavowal(token)
	if err != nil {
		return err
	}
	mail, err := g.notices(ctx, event{uid: d.UID, authenticator: d.Authenticator, template: outbox.AuthenticatorSuspended})
	if err != nil {
		return err
	}
	err = g.o.DB.Write(ctx, func(tx *db.Tx) error {
		// A closed identity can be disavowed too: only wait for who is busy with it.
		if _, err := person.Lock(tx, d.UID); err != nil && !errors.Is(err, db.ErrNoRows) {
			return err
		}
		if err := disavow(tx, d, why, mail); err != nil {
			return err
		}
		return session.EndAll(tx, d.UID, why)
	})
	if err != nil {
		return fmt.Errorf("disavowing: %w", err)
	}
	return nil
}

// disavow suspends what d concerns. One mail tells of all of them.
func disavow(tx *db.Tx, d disavowal, why string, mail []outbox.Message) error {
	held, err := credential.Of(tx, d.UID)
	if err != nil {
		return err
	}
	found := false
	for _, r := range held {
		if !d.concerns(r) {
			continue
		}
		if err := suspend(tx, d.UID, string(d.UID), r.ID, why, mail); err != nil {
			return err
		}
		found = true
		if r.SuspendedAt.IsZero() {
			mail = nil
		}
	}
	if found {
		return nil
	}
	return audit.Record(tx, audit.Entry{ // replaced or removed meanwhile
		Action: "sessions.ended", Subject: d.UID, Actor: string(d.UID), Fields: []audit.Field{{Name: "why", Value: why}},
	})
}

// suspend suspends a person's authenticator, tells them and writes the audit
// entry with who did it, unless it is suspended already. The caller ends sessions afterwards: a
// sign-in that was faster has committed its session by then.
func suspend(tx *db.Tx, uid care.UID, by, id, why string, mail []outbox.Message) error {
	record, err := credential.ByID(tx, id)
	if errors.Is(err, db.ErrNoRows) || err == nil && record.UID != uid {
		return fault.New(fault.NoAuthenticator, err)
	}
	if err != nil || !record.SuspendedAt.IsZero() {
		return err
	}
	if err := credential.Suspend(tx, id, why); err != nil {
		return err
	}
	if err := outbox.PutAll(tx, mail); err != nil {
		return err
	}
	return audit.Record(tx, audit.Entry{
		Action: "authenticator.suspended", Subject: uid, Actor: by,
		Fields: []audit.Field{{Name: "authenticator", Value: id}, {Name: "why", Value: why}},
	})
}
