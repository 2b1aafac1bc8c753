package world

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/yamldoc"
)

// Options says where a world is applied and how.
type Options struct {
	DB *db.DB
	// Prune removes what is missing from a section that is in the file: people
	// are closed, everything else is deleted.
	Prune  bool
	Random io.Reader
	// Enrol makes the enrolment of an authenticator app that the file chooses,
	// Bind binds it through the gate. Both are needed for a file read in dev
	// mode only.
	Enrol func(ctx context.Context, uid care.UID, password, totpSecret string) (credential.Enrolment, error)
	Bind  func(tx *db.Tx, e credential.Enrolment) (bool, error)
}

// Outcome is what applying a file did, or would do.
type Outcome struct {
	Changes []Change
	// Notes say where the file and the database differ and it stays so.
	Notes []string
	// Secrets are new client secrets, to be shown once.
	Secrets []Secret
}

// Secret is a client secret that was generated.
type Secret struct{ ClientID, Name, Value string }

// errMoved is the error of a database that changed between looking and
// writing.
var errMoved = errors.New("somebody else changed the same people meanwhile; nothing was applied: run it again")

// Preview returns what Apply would do, and changes nothing.
func (w *World) Preview(ctx context.Context, o Options) (Outcome, error) {
	var outcome Outcome
	err := o.DB.Read(ctx, func(tx *db.Tx) error {
		p, err := w.plan(tx, o, nil, nil)
		if err != nil {
			return err
		}
		outcome = Outcome{Changes: p.changes, Notes: p.notes}
		return nil
	})
	return outcome, told("comparing with what is stored", err)
}

// Apply makes the database as the file says, in one transaction. Passwords are
// hashed before it begins.
func (w *World) Apply(ctx context.Context, o Options) (Outcome, error) {
	enrolments, err := w.enrolments(ctx, o)
	if err != nil {
		return Outcome{}, err
	}
	secrets := w.secrets(o)
	var outcome Outcome
	err = o.DB.Write(ctx, func(tx *db.Tx) error {
		outcome = Outcome{}
		p, err := w.plan(tx, o, enrolments, secrets)
		if err != nil {
			return err
		}
		for _, change := range p.changes {
			if err := change.apply(tx); err != nil {
				return fmt.Errorf("%s %s: %w", change.Kind, change.Name, err)
			}
			if err := audit.Record(tx, change.entry()); err != nil {
				return fmt.Errorf("%s %s: %w", change.Kind, change.Name, err)
			}
		}
		outcome = Outcome{Changes: p.changes, Notes: p.notes, Secrets: p.secrets}
		return nil
	})
	return outcome, told("applying, so nothing was changed", err)
}

// told says what was being done, unless the error is a mistake in the file,
// which says everything by itself.
func told(doing string, err error) error {
	if _, mistake := errors.AsType[*yamldoc.Mistake](err); err == nil || mistake {
		return err
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// enrolments makes those that are missing now.
func (w *World) enrolments(ctx context.Context, o Options) (map[care.UID]credential.Enrolment, error) {
	var missing []wantedPerson
	err := o.DB.Read(ctx, func(tx *db.Tx) error {
		missing = nil
		for _, p := range w.people {
			has, err := hasApp(tx, p.UID)
			if err != nil {
				return err
			}
			if p.app != nil && !has {
				missing = append(missing, p)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	made := map[care.UID]credential.Enrolment{}
	for _, p := range missing {
		e, err := o.Enrol(ctx, p.UID, p.app.Password, p.app.TOTPSecret)
		if err != nil {
			i := slices.IndexFunc(w.people, func(other wantedPerson) bool { return other.UID == p.UID })
			return nil, w.doc.Mistake([]any{"people", i, "authenticators", "authenticator_app"}, "authenticator_app: %v", err)
		}
		made[p.UID] = e
	}
	return made, nil
}

// secrets makes one for each relying party that might need it; the plan uses
// those that it does.
func (w *World) secrets(o Options) map[string]string {
	made := map[string]string{}
	for _, rp := range w.relyingParties {
		if rp.AuthMethod.HasSecret() && rp.secret == "" {
			made[rp.ClientID], _ = relyingparty.NewSecret(o.Random)
		}
	}
	return made
}

func hasApp(tx *db.Tx, uid care.UID) (bool, error) {
	held, err := credential.Of(tx, uid)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(held, func(r credential.Record) bool { return r.Method == care.AuthenticatorApp }), nil
}
