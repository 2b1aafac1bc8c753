// Package gate is the only place where proof becomes a session or a
// credential.
//
// Ways come in with proofs, which only verifiers can make. In one transaction
// the gate uses up each proof's single-use part, reads the person and the
// authenticator again, decides, makes the change and writes the audit entry.
// It decides about nothing else: what a page asks next is the way's business.
package gate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"time"

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

// Fresh is how long ago a sign-in may be for changes of authenticators and
// address to begin (ASVS 7.5.1 asks for a full sign-in first).
const Fresh = 10 * time.Minute

// proofLife is how long a proof may wait for the gate: a registration journey
// lives 20 minutes.
const proofLife = 20 * time.Minute

// Options of the gate.
type Options struct {
	DB     *db.DB
	Ring   *keys.Ring
	Opener session.Opener
	Binder credential.Binder
	Outbox *outbox.Outbox
	// Link returns the absolute address of a path, for emails.
	Link func(path string) string
	// PerMethod is how many authenticators of one type a person may hold
	// (seed 0: one of each type).
	PerMethod int
	// Barred returns those of a person's authenticators that can sign in no more
	// although nobody suspended them; nil: there are none such.
	Barred func(tx *db.Tx, uid care.UID) ([]string, error)
	// Demo allows authenticators from a world file (dev mode only).
	Demo   bool
	Random io.Reader
	Log    *slog.Logger
}

// Gate is the gate.
type Gate struct {
	o       Options
	disavow *keys.Sealer
}

// New returns the gate.
func New(o Options) *Gate {
	if o.PerMethod == 0 {
		o.PerMethod = 1
	}
	return &Gate{o: o, disavow: o.Ring.Sealer("gate/disavow")}
}

// Admission asks for a session.
type Admission struct {
	Proofs      []credential.Proof
	Requirement care.Requirement
	// Terms is the version of the terms on the page where the person went on.
	Terms string
	// Previous is the session token that the browser held, or "": after a new
	// sign-in it is worth nothing (ASVS 7.2.4).
	Previous string
	// Browser is session.BrowserName of the browser; Shared says that its
	// computer is one that people share (decision 8).
	Browser string
	Shared  bool
}

// Admitted is the session that was opened, and the secret for its cookie.
type Admitted struct {
	Token   string
	Session session.Session
}

// SignIn opens a session if the proofs reach what is required, by a method that
// is accepted. Faults: NotAdmitted, LevelTooLow, FIDONotVerified, PasskeyNotOpen, JourneyExpired,
// and those of the proofs' own use.
func (g *Gate) SignIn(ctx context.Context, a Admission) (Admitted, error) {
	facts, err := weigh(a.Proofs)
	if err != nil {
		return Admitted{}, err
	}
	level := care.Level(facts.evidence...)
	if !a.Requirement.Reaches(facts.method, level) {
		if unverified(facts.evidence) {
			return Admitted{}, fault.New(fault.FIDONotVerified, fmt.Errorf("%s without its user verified reached %s", facts.method, level))
		}
		return Admitted{}, fault.New(fault.LevelTooLow, fmt.Errorf("%s reached %s, want %s", facts.method, level, a.Requirement.ACR))
	}
	if !slices.Contains(a.Requirement.Methods, facts.method) {
		if synced(facts.evidence) {
			return Admitted{}, fault.New(fault.PasskeyNotOpen, fmt.Errorf("%q does not accept passkeys", a.Requirement.ClientID))
		}
		return Admitted{}, fault.New(fault.NotAdmitted, fmt.Errorf("%q does not accept %s", a.Requirement.ClientID, facts.method))
	}
	token, sid := g.o.Opener.NewToken()
	var opened *session.Session
	err = g.o.DB.Write(ctx, func(tx *db.Tx) error {
		if err := enter(tx, facts); err != nil {
			return err
		}
		var err error
		opened, err = g.o.Opener.Open(tx, session.Opening{
			Token: token, SID: sid, Previous: a.Previous, UID: facts.uid, AAL: level, Method: facts.method,
			AuthenticatorID: facts.authenticator, Terms: a.Terms,
			Browser: a.Browser, Client: a.Requirement.ClientID, Shared: a.Shared,
		})
		if err != nil {
			return err
		}
		return audit.Record(tx, audit.Entry{
			Action: "session.opened", Subject: facts.uid, Actor: string(facts.uid), Session: opened.SID,
			Fields: []audit.Field{
				{Name: "method", Value: string(facts.method)}, {Name: "aal", Value: level.String()},
				{Name: "client", Value: a.Requirement.ClientID}, {Name: "terms", Value: a.Terms},
			},
		})
	})
	if err != nil {
		return Admitted{}, fmt.Errorf("signing in: %w", err)
	}
	return Admitted{Token: token, Session: *opened}, nil
}

// unverified reports whether a key signed without verifying its user: a single
// factor, for which there is a better answer than a level.
func unverified(evidence []care.Evidence) bool {
	return slices.ContainsFunc(evidence, func(e care.Evidence) bool { return e.Key && !e.UserVerified })
}

// synced reports whether one of the proofs is by a key that may be copied.
func synced(evidence []care.Evidence) bool {
	return slices.ContainsFunc(evidence, func(e care.Evidence) bool { return e.Synced })
}

// facts is what a set of proofs says together.
type facts struct {
	uid           care.UID
	method        care.Method
	authenticator string
	version       int64 // of the authenticator
	address       care.Email
	evidence      []care.Evidence
	oldest        time.Time
	proofs        []credential.Proof
}

// weigh adds up proofs. They must all be real, of one person, and of one
// authenticator at most: what a session is worth is what its own authenticator
// has shown (N6).
func weigh(proofs []credential.Proof) (facts, error) {
	f := facts{proofs: proofs}
	for _, p := range proofs {
		if !p.Valid() {
			return f, errors.New("a proof that no verifier made")
		}
		id := p.AuthenticatorID()
		switch {
		case p.UID() == "":
			return f, fault.New(fault.NotAdmitted, errors.New("a proof of nobody"))
		case f.uid != "" && p.UID() != f.uid:
			return f, fault.New(fault.NotAdmitted, errors.New("proofs of two people"))
		case id != "" && f.authenticator != "" && id != f.authenticator:
			return f, fault.New(fault.NotAdmitted, errors.New("proofs of two authenticators"))
		}
		f.uid = p.UID()
		if id != "" {
			f.authenticator, f.version, f.method = id, p.Version(), p.Evidence().CountsAs()
		}
		if p.Address() != "" {
			f.address = p.Address()
		}
		if f.oldest.IsZero() || p.At().Before(f.oldest) {
			f.oldest = p.At()
		}
		f.evidence = append(f.evidence, p.Evidence())
	}
	if f.uid == "" {
		return f, fault.New(fault.NotAdmitted, errors.New("nothing was proven"))
	}
	return f, nil
}

// use consumes every proof and checks that its authenticator is still what it
// was when it was verified.
func use(tx *db.Tx, f facts) error {
	if err := consume(tx, f); err != nil || f.authenticator == "" {
		return err
	}
	ok, err := credential.Touch(tx, f.authenticator, f.version)
	if err != nil {
		return err
	}
	if !ok {
		return errChanged()
	}
	return nil
}

// consume uses up what of each proof is for one use.
func consume(tx *db.Tx, f facts) error {
	if tx.Now().Sub(f.oldest) > proofLife {
		return fault.New(fault.JourneyExpired, errors.New("a proof waited too long"))
	}
	for _, p := range f.proofs {
		if err := p.Consume(tx); err != nil {
			return err
		}
	}
	return nil
}

func errChanged() error {
	return fault.New(fault.NotAdmitted, errors.New("the authenticator was changed, suspended or removed meanwhile"))
}

// enter is open and use for a sign-in, which is counted in statements: one
// keeps the person as they are and touches the authenticator.
func enter(tx *db.Tx, f facts) error {
	if f.authenticator == "" {
		if err := open(tx, f.uid); err != nil {
			return err
		}
		return consume(tx, f)
	}
	ok, err := credential.TouchOf(tx, f.uid, f.authenticator, f.version)
	if err != nil {
		return err
	}
	if ok {
		return consume(tx, f)
	}
	if err := open(tx, f.uid); err != nil {
		return err // that is why
	}
	return errChanged()
}

// open checks that the person's identity is open, and keeps it so until the
// transaction ends. It comes first in each of the gate's transactions: two that
// concern one person run one after the other, so that a closing, a suspension
// or a second tab never slips in between a check and what follows from it.
func open(tx *db.Tx, uid care.UID) error {
	p, err := person.Lock(tx, uid)
	if errors.Is(err, db.ErrNoRows) {
		return fault.New(fault.NotAdmitted, err)
	}
	if err != nil {
		return err
	}
	if p.Closed != nil {
		return fault.New(fault.NotAdmitted, errors.New("the identity is closed"))
	}
	return nil
}
