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
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/session"
)

// Binding asks for a new authenticator. Who may have one is decided by what
// comes with it:
//
//   - a Session of the same person at AAL2 or higher, fresh when the journey
//     began, with a mailbox proof; the authenticator never counts for more than
//     that session (N6, N23);
//   - or the proof of a link that an RA confirmed, for this person and this
//     type, with a mailbox proof (mailbox and link alone are not enough: the
//     link's proof exists only after the RA has confirmed);
//   - or, to replace an authenticator of the same type that is lost: its
//     password, a saved recovery code, and a mailbox proof (N21).
type Binding struct {
	// Journey is the registration journey, which can be finished once.
	Journey   string
	Enrolment credential.Enrolment
	Proofs    []credential.Proof
	Session   *session.Session
	// Replaces is the record that goes when the new one comes, or "".
	Replaces string
}

// Bind creates the authenticator. The old one is removed, an unverified
// address that was proven becomes verified, everyone concerned is told, all in
// one transaction. Faults: NotAdmitted, NotFresh, AlreadyRegistered,
// JourneyFinished, AddressTaken, and those of the proofs' own use.
func (g *Gate) Bind(ctx context.Context, b Binding) (credential.Record, error) {
	f, err := weigh(b.Proofs)
	if err != nil {
		return credential.Record{}, err
	}
	if !b.Enrolment.Valid() || b.Enrolment.UID() != f.uid || f.address == "" || b.Journey == "" {
		return credential.Record{}, fault.New(fault.NotAdmitted, errors.New("enrolment, person, mailbox and journey do not belong together"))
	}
	id := keys.Token(g.o.Random, 16)
	mail, err := g.notices(ctx, event{
		uid: f.uid, authenticator: id, template: registrationTemplate(b),
		called: credential.Called(b.Enrolment.Method(), b.Enrolment.Name()), also: f.address,
	})
	if err != nil {
		return credential.Record{}, err
	}
	var record credential.Record
	err = g.o.DB.Write(ctx, func(tx *db.Tx) error {
		if err := open(tx, f.uid); err != nil {
			return err
		}
		if err := use(tx, f); err != nil {
			return err
		}
		held, err := credential.Of(tx, f.uid)
		if err != nil {
			return err
		}
		by, limit, err := authority(tx, b, f, held)
		if err != nil {
			return err
		}
		if err := verify(tx, f); err != nil {
			return err
		}
		record, err = g.put(tx, id, b, held, limit)
		if err != nil {
			return err
		}
		if by == byRA {
			if err := credential.Introduce(tx, id); err != nil {
				return err
			}
			record.Introduced = true
		}
		if err := outbox.PutAll(tx, mail); err != nil {
			return err
		}
		return audit.Record(tx, audit.Entry{
			Action: "authenticator.registered", Subject: f.uid, Actor: string(f.uid),
			Fields: []audit.Field{
				{Name: "authenticator", Value: id}, {Name: "method", Value: string(record.Method)},
				{Name: "replaces", Value: b.Replaces}, {Name: "authority", Value: by},
			},
		})
	})
	if err != nil {
		return credential.Record{}, fmt.Errorf("binding an authenticator: %w", err)
	}
	return record, nil
}

// byRA is the right of whom an RA has seen.
const byRA = "registration authority"

// authority says by what right the authenticator is bound, and the most that
// it counts for: its own level, or that of the session if it is lower.
func authority(tx *db.Tx, b Binding, f facts, held []credential.Record) (string, care.AAL, error) {
	method, own := b.Enrolment.Method(), care.Level(b.Enrolment.Evidence())
	if b.Session != nil {
		now, err := sessionAuthority(tx, b.Session, f.uid, care.AAL2)
		if err != nil {
			return "", care.AALNone, err
		}
		return "session", min(now.AAL, own), nil
	}
	replaced := slices.IndexFunc(held, func(r credential.Record) bool { return r.ID == b.Replaces })
	var introduced, password, recovery, mailbox bool
	for _, e := range f.evidence {
		introduced = introduced || e.Introduced && e.Method == method
		password = password || e.Password
		recovery = recovery || e.RecoveryCode
		mailbox = mailbox || e.Mailbox
	}
	switch {
	case introduced && mailbox:
		return byRA, own, nil
	case password && recovery && mailbox && replaced >= 0 && b.Replaces == f.authenticator &&
		held[replaced].Method == method && method.Highest() <= care.AAL2:
		return "recovery code", own, nil
	}
	return "", care.AALNone, fault.New(fault.NotAdmitted, errors.New("neither a session, nor an RA, nor a recovery stands behind this registration"))
}

// sessionAuthority checks a session that is to change something: alive now, of
// this person, at the level at least, and fresh when the journey began (ASVS
// 7.5.1). It returns the session as it is now.
func sessionAuthority(tx *db.Tx, s *session.Session, uid care.UID, least care.AAL) (*session.Session, error) {
	now, err := alive(tx, s, uid)
	switch {
	case err != nil:
		return nil, err
	case now.AAL < least:
		return nil, fault.New(fault.LevelTooLow, fmt.Errorf("a session at %s, want %s", now.AAL, least))
	case !now.Fresh(tx.Now(), Fresh+proofLife):
		return nil, fault.New(fault.NotFresh, nil)
	}
	return now, nil
}

// alive reads a session again. It must be live and this person's.
func alive(tx *db.Tx, s *session.Session, uid care.UID) (*session.Session, error) {
	now, err := session.Live(tx, s.ID)
	if err != nil {
		return nil, err
	}
	if now == nil || now.UID != uid {
		return nil, fault.New(fault.NotAdmitted, errors.New("the session is over or another person's"))
	}
	return now, nil
}

// verify makes sure that the proven mailbox is the person's sign-in address. For
// who has none yet, the pending address becomes it (decision 5); a change of
// address is ProveAddress's business.
func verify(tx *db.Tx, f facts) error {
	p, err := person.ByUID(tx, f.uid)
	if err != nil {
		return err
	}
	switch {
	case p.Email == f.address:
		return nil
	case p.Email != "" || p.Pending != f.address:
		return fault.New(fault.NotAdmitted, errors.New("the proven mailbox is not the person's"))
	}
	if _, err := person.Verify(tx, f.uid, f.address); err != nil {
		return taken(err)
	}
	return nil
}

func taken(err error) error {
	if db.IsUnique(err) || errors.Is(err, person.ErrAddressTaken) {
		return fault.New(fault.AddressTaken, err)
	}
	return err
}

// put creates the record, within the limit for its type, and removes the one
// that it replaces.
func (g *Gate) put(tx *db.Tx, id string, b Binding, held []credential.Record, limit care.AAL) (credential.Record, error) {
	method, same := b.Enrolment.Method(), 0
	for _, r := range held {
		if r.Journey == b.Journey {
			return credential.Record{}, fault.New(fault.JourneyFinished, nil)
		}
		if r.Method == method && r.ID != b.Replaces {
			same++
		}
	}
	if same >= g.Limit(method) {
		return credential.Record{}, fault.New(fault.AlreadyRegistered, nil)
	}
	record, err := g.o.Binder.Bind(tx, id, b.Journey, b.Enrolment, limit)
	if errors.Is(err, credential.ErrJourneyFinished) {
		return record, fault.New(fault.JourneyFinished, err)
	}
	if err != nil || b.Replaces == "" {
		return record, err
	}
	if !slices.ContainsFunc(held, func(r credential.Record) bool { return r.ID == b.Replaces && r.Method == method }) {
		return record, fault.New(fault.NotAdmitted, errors.New("what is to be replaced is not there"))
	}
	if b.Session != nil && b.Session.AuthenticatorID == b.Replaces {
		if err := g.o.Opener.Rebind(tx, b.Session.ID, id); err != nil {
			return record, err
		}
	}
	if err := g.o.Binder.Remove(tx, b.Replaces); err != nil {
		return record, err
	}
	return record, session.EndOf(tx, record.UID, b.Replaces, "authenticator replaced")
}

// BindDemo binds an authenticator of a world file, in dev mode only and only
// for a person who has none of its type. It reports whether it did.
func (g *Gate) BindDemo(tx *db.Tx, e credential.Enrolment) (bool, error) {
	if !g.o.Demo || !e.Valid() || !e.Demo() {
		return false, errors.New("authenticators come from a world file in dev mode only")
	}
	held, err := credential.Of(tx, e.UID())
	if err != nil {
		return false, err
	}
	if slices.ContainsFunc(held, func(r credential.Record) bool { return r.Method == e.Method() }) {
		return false, nil
	}
	name := "world/" + string(e.UID()) + "/" + string(e.Method())
	if _, err := g.o.Binder.Bind(tx, name, name, e, care.Level(e.Evidence())); err != nil {
		return false, err
	}
	return true, audit.Record(tx, audit.Entry{
		Action: "authenticator.registered", Subject: e.UID(), Actor: "world file",
		Fields: []audit.Field{{Name: "method", Value: string(e.Method())}, {Name: "authority", Value: "demo"}},
	})
}
