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

// Changing asks for a change of a secret. By what right:
//
//   - a fresh Session of the same person;
//   - or a proof of the verified mailbox and a code of the app together, for a
//     forgotten password (ASVS 6.4.3: a reset does not bypass the second factor; N21);
//   - or Journey, the registration journey that bound the authenticator in the
//     last 20 minutes, for its recovery codes.
type Changing struct {
	Change  credential.Change
	Proofs  []credential.Proof
	Session *session.Session
	Journey string
}

// Change makes it, ends the person's other sessions if a password changed, and
// tells the person. Faults: NotAdmitted, NotFresh, LevelTooLow.
func (g *Gate) Change(ctx context.Context, c Changing) error {
	if !c.Change.Valid() {
		return errors.New("a change that no verifier made")
	}
	uid := c.Change.UID()
	mail, err := g.notices(ctx, event{uid: uid, authenticator: c.Change.AuthenticatorID(), template: changeTemplate(c.Change)})
	if err != nil {
		return err
	}
	err = g.o.DB.Write(ctx, func(tx *db.Tx) error {
		if err := open(tx, uid); err != nil {
			return err
		}
		record, err := credential.ByID(tx, c.Change.AuthenticatorID())
		if errors.Is(err, db.ErrNoRows) {
			return fault.New(fault.NotAdmitted, err)
		}
		if err != nil {
			return err
		}
		if record.UID != uid || !record.Usable() {
			return fault.New(fault.NotAdmitted, errors.New("the authenticator is not usable by this person"))
		}
		by, err := g.changeAuthority(tx, c, record)
		if err != nil {
			return err
		}
		if err := c.Change.Store(tx); err != nil {
			return err
		}
		if err := credential.Changed(tx, record.ID); err != nil {
			return err
		}
		if err := g.endOthers(tx, c, uid); err != nil {
			return err
		}
		if err := outbox.PutAll(tx, mail); err != nil {
			return err
		}
		return audit.Record(tx, audit.Entry{
			Action: "authenticator.changed", Subject: uid, Actor: string(uid),
			Fields: []audit.Field{
				{Name: "authenticator", Value: record.ID}, {Name: "what", Value: c.Change.What()}, {Name: "authority", Value: by},
			},
		})
	})
	if err != nil {
		return fmt.Errorf("changing a %s: %w", c.Change.What(), err)
	}
	return nil
}

func (g *Gate) changeAuthority(tx *db.Tx, c Changing, record credential.Record) (string, error) {
	switch {
	case c.Session != nil:
		_, err := sessionAuthority(tx, c.Session, record.UID, record.Method.Highest())
		return "session", err
	case c.Journey != "":
		if c.Change.What() != credential.RecoveryCodes || record.Journey != c.Journey || tx.Now().Sub(record.RegisteredAt) > proofLife {
			return "", fault.New(fault.NotAdmitted, errors.New("this journey did not just register the authenticator, or wants more than its recovery codes"))
		}
		return "registration", nil
	}
	f, err := weigh(c.Proofs)
	if err != nil {
		return "", err
	}
	var mailbox, code bool
	for _, e := range f.evidence {
		mailbox = mailbox || e.Mailbox
		code = code || e.TypedCode
	}
	if f.uid != record.UID || f.authenticator != record.ID || !mailbox || !code {
		return "", fault.New(fault.NotAdmitted, errors.New("a reset needs the mailbox and the app"))
	}
	// Only the verified address: not one that waits for its code, nor one that
	// was theirs when the reset began.
	p, err := person.ByUID(tx, f.uid)
	if err != nil {
		return "", err
	}
	if f.address == "" || p.Email != f.address {
		return "", fault.New(fault.NotAdmitted, errors.New("the proven mailbox is not the person's"))
	}
	return "mailbox and app", use(tx, f)
}

func (g *Gate) endOthers(tx *db.Tx, c Changing, uid care.UID) error {
	if c.Change.What() != credential.Password {
		return nil
	}
	if c.Session == nil {
		return session.EndAll(tx, uid, "password changed")
	}
	return session.EndOthers(tx, uid, c.Session.ID, "password changed")
}

// ProveAddress makes a proven mailbox the person's sign-in address, by a fresh
// session (decision: changing it needs a fresh sign-in). The old and the new
// address are told. Faults: NotAdmitted, NotFresh, AddressTaken.
func (g *Gate) ProveAddress(ctx context.Context, s *session.Session, mailbox credential.Proof) error {
	f, err := weigh([]credential.Proof{mailbox})
	if err != nil {
		return err
	}
	if f.address == "" {
		return fault.New(fault.NotAdmitted, errors.New("no mailbox was proven"))
	}
	mail, err := g.notices(ctx, event{uid: f.uid, authenticator: s.AuthenticatorID, template: outbox.AddressChanged, also: f.address})
	if err != nil {
		return err
	}
	err = g.o.DB.Write(ctx, func(tx *db.Tx) error {
		if err := open(tx, f.uid); err != nil {
			return err
		}
		if err := use(tx, f); err != nil {
			return err
		}
		if _, err := sessionAuthority(tx, s, f.uid, care.AALNone); err != nil {
			return err
		}
		old, err := person.Verify(tx, f.uid, f.address)
		if err != nil {
			return taken(err)
		}
		if err := outbox.PutAll(tx, mail); err != nil {
			return err
		}
		return audit.Record(tx, audit.Entry{
			Action: "address.verified", Subject: f.uid, Actor: string(f.uid), Session: s.SID,
			Fields: []audit.Field{
				{Name: "old", Value: string(old), Personal: true}, {Name: "new", Value: string(f.address), Personal: true},
			},
		})
	})
	if err != nil {
		return fmt.Errorf("proving an address: %w", err)
	}
	return nil
}
