// Package proof makes proofs. The compiler lets only rooms below credential
// import it, so no other room can make one: proof is unforgeable by
// construction. A verifier that has checked something returns a Proof; the
// gate alone turns proofs into a session or a credential.
package proof

import (
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
)

// Fields is what a verifier has found out.
type Fields struct {
	// UID is whose proof it is.
	UID care.UID
	// AuthenticatorID is the record proven with, or "" where there is none
	// (a mailbox, an introduction).
	AuthenticatorID string
	// Version is the record's version when it was checked: the gate refuses
	// the proof if the record changed since.
	Version  int64
	Evidence care.Evidence
	// Address is the mailbox that was shown to be the person's, or "".
	Address care.Email
	// At is when the proof was made (the database's clock).
	At time.Time
	// Consume uses up the single-use part (code step, challenge, link, emailed
	// code) and takes back the reserved attempt, in the gate's transaction. It
	// returns a fault if somebody else was faster. It may run more than once,
	// like every function of a transaction. nil: nothing to consume.
	Consume func(tx *db.Tx) error
}

// Proof is one proven fact. The zero Proof proves nothing.
type Proof struct{ f *Fields }

// New returns the proof of f.
func New(f Fields) Proof { return Proof{&f} }

// Valid reports whether a verifier made p.
func (p Proof) Valid() bool { return p.f != nil }

// UID returns whose proof it is.
func (p Proof) UID() care.UID { return p.f.UID }

// AuthenticatorID returns the record proven with, or "".
func (p Proof) AuthenticatorID() string { return p.f.AuthenticatorID }

// Version returns the version of that record when it was checked.
func (p Proof) Version() int64 { return p.f.Version }

// Evidence returns what it shows.
func (p Proof) Evidence() care.Evidence { return p.f.Evidence }

// Address returns the proven mailbox, or "".
func (p Proof) Address() care.Email { return p.f.Address }

// At returns when it was made.
func (p Proof) At() time.Time { return p.f.At }

// Consume uses it up in tx.
func (p Proof) Consume(tx *db.Tx) error {
	if p.f.Consume == nil {
		return nil
	}
	return p.f.Consume(tx)
}

// EnrolmentFields is an authenticator that is ready to be bound: its holder has
// shown that they can use it.
type EnrolmentFields struct {
	UID      care.UID
	Method   care.Method
	Name     string
	Evidence care.Evidence
	// Store writes the method's own rows for the new record, in the gate's
	// transaction. limit is the level of what stands behind the binding: the
	// authenticator must never count for more. It may run more than once.
	Store func(tx *db.Tx, authenticatorID string, limit care.AAL) error
	// Demo marks what comes from a world file and not from a person.
	Demo bool
}

// Enrolment is an authenticator that is ready to be bound.
type Enrolment struct{ f *EnrolmentFields }

// NewEnrolment returns the enrolment of f.
func NewEnrolment(f EnrolmentFields) Enrolment { return Enrolment{&f} }

// Valid reports whether a verifier made e.
func (e Enrolment) Valid() bool { return e.f != nil }

// UID returns whom it is for.
func (e Enrolment) UID() care.UID { return e.f.UID }

// Method returns its type.
func (e Enrolment) Method() care.Method { return e.f.Method }

// Name returns what the holder calls it.
func (e Enrolment) Name() string { return e.f.Name }

// Evidence returns what using it shows.
func (e Enrolment) Evidence() care.Evidence { return e.f.Evidence }

// Demo reports whether it comes from a world file.
func (e Enrolment) Demo() bool { return e.f.Demo }

// Store writes its rows under the new record, which never counts for more than
// limit.
func (e Enrolment) Store(tx *db.Tx, authenticatorID string, limit care.AAL) error {
	return e.f.Store(tx, authenticatorID, limit)
}

// ChangeFields is a change of a secret that is ready to be made.
type ChangeFields struct {
	UID             care.UID
	AuthenticatorID string
	// What is changed, in words for the notice and the audit log: "password",
	// "recovery codes".
	What string
	// Store makes the change in the gate's transaction. It may run more than
	// once.
	Store func(tx *db.Tx) error
}

// Change is a change of a secret that is ready to be made.
type Change struct{ f *ChangeFields }

// NewChange returns the change of f.
func NewChange(f ChangeFields) Change { return Change{&f} }

// Valid reports whether a verifier made c.
func (c Change) Valid() bool { return c.f != nil }

// UID returns whose secret it is.
func (c Change) UID() care.UID { return c.f.UID }

// AuthenticatorID returns the record it belongs to.
func (c Change) AuthenticatorID() string { return c.f.AuthenticatorID }

// What returns what is changed.
func (c Change) What() string { return c.f.What }

// Store makes the change in tx.
func (c Change) Store(tx *db.Tx) error { return c.f.Store(tx) }
