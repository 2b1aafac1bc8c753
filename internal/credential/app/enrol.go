package app

import (
	"context"
	"errors"
	"fmt"
	"io"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/internal/entry"
	"carekey.dev/carekey/internal/credential/internal/proof"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/keys"
)

// Pending is an authenticator app that is being set up. It travels in the
// registration journey; only this room can open it.
type Pending struct {
	Sealed string `json:"p"`
}

type setup struct {
	UID    care.UID   `json:"u"`
	Email  care.Email `json:"e"`
	Secret []byte     `json:"s"`
	Hash   string     `json:"h,omitempty"`
}

// Begin makes a new secret for a person and their address, which the app will
// show.
func (a *App) Begin(uid care.UID, email care.Email) (Pending, error) {
	secret := make([]byte, secretSize)
	if _, err := io.ReadFull(a.o.Random, secret); err != nil {
		return Pending{}, fmt.Errorf("making an app secret: %w", err)
	}
	return a.sealSetup(setup{UID: uid, Email: email, Secret: secret})
}

// SetPassword adds the password that was chosen. Faults: those of
// CheckPassword that concern the password alone, Busy and TooManyAttempts.
func (a *App) SetPassword(ctx context.Context, p Pending, password string) (Pending, error) {
	s, err := a.openSetup(p)
	if err != nil {
		return Pending{}, err
	}
	if s.Hash, err = a.newPassword(ctx, s.UID, password); err != nil {
		return Pending{}, err
	}
	return a.sealSetup(s)
}

// Card returns what the person scans or types into their app.
func (a *App) Card(p Pending) (Card, error) {
	s, err := a.openSetup(p)
	if err != nil {
		return Card{}, err
	}
	return newCard(a.o.Issuer, s.Email, s.Secret), nil
}

// Proven is an app that has shown its first code. It travels like Pending,
// where somebody else has to confirm before the gate opens.
type Proven struct {
	Sealed string `json:"p"`
}

type proven struct {
	Setup setup `json:"s"`
	Step  int64 `json:"t"`
}

// Prove checks the first code of the new app. Wrong ones are not counted:
// whoever types them has just seen the secret. The code is used by this and
// cannot sign in. Faults: AppCodeMistyped, WrongAppCode, PasswordMissing.
func (a *App) Prove(p Pending, code string) (Proven, error) {
	s, err := a.openSetup(p)
	if err != nil {
		return Proven{}, err
	}
	if s.Hash == "" {
		return Proven{}, fault.New(fault.PasswordMissing, nil)
	}
	typed, ok := entry.Digits(code, digits)
	if !ok {
		return Proven{}, fault.New(fault.AppCodeMistyped, nil)
	}
	step, err := match(s.Secret, typed, a.o.DB.Now())
	if err != nil {
		return Proven{}, err
	}
	if step == 0 {
		return Proven{}, fault.New(fault.WrongAppCode, nil)
	}
	sealed, err := keys.SealJSON(a.proven, nil, proven{s, step})
	return Proven{sealed}, err
}

// Enrolment returns the proven app for the gate.
func (a *App) Enrolment(p Proven) (credential.Enrolment, error) {
	opened, err := keys.OpenJSON[proven](a.proven, nil, p.Sealed)
	if err != nil {
		return credential.Enrolment{}, fault.New(fault.JourneyTampered, err)
	}
	if opened.Setup.UID == "" || opened.Step == 0 {
		return credential.Enrolment{}, fault.New(fault.JourneyTampered, errors.New("a proven app without a person or a code"))
	}
	return a.enrolment(opened.Setup, opened.Step, false)
}

// Finish is Prove and Enrolment where nothing lies between them.
func (a *App) Finish(p Pending, code string) (credential.Enrolment, error) {
	shown, err := a.Prove(p, code)
	if err != nil {
		return credential.Enrolment{}, err
	}
	return a.Enrolment(shown)
}

func (a *App) enrolment(s setup, step int64, demo bool) (credential.Enrolment, error) {
	sealed, err := a.secrets.Seal(s.Secret, []byte(s.UID))
	if err != nil {
		return credential.Enrolment{}, fmt.Errorf("sealing an app secret: %w", err)
	}
	return proof.NewEnrolment(proof.EnrolmentFields{
		UID: s.UID, Method: care.AuthenticatorApp, Name: care.AuthenticatorApp.TypeLabel(),
		Evidence: care.Evidence{Method: care.AuthenticatorApp, Password: true, TypedCode: true},
		Demo:     demo,
		// An app reaches AAL2, and nothing that reaches less can bind it.
		Store: func(tx *db.Tx, authenticatorID string, _ care.AAL) error {
			_, err := tx.Exec(`INSERT INTO app_credential (authenticator_id, uid, password_hash, password_at, secret, last_step, demo)
				VALUES ($1, $2, $3, $4, $5, $6, $7)`,
				authenticatorID, s.UID, s.Hash, db.Micros(tx.Now()), sealed, step, demo)
			if err != nil {
				return fmt.Errorf("storing an authenticator app: %w", err)
			}
			return a.forget(tx, s.Email)
		},
	}), nil
}

// forget resets what was counted against an authenticator that a new one
// replaces (N10: only binding again helps).
func (a *App) forget(tx *db.Tx, address care.Email) error {
	if address == "" {
		return nil
	}
	for _, action := range []string{countPassword, countCode} {
		if err := a.o.Throttle.Forget(tx, action, string(address)); err != nil {
			return err
		}
	}
	return nil
}

// ChangePassword returns the change to a new password, for the gate. Faults as
// SetPassword.
func (a *App) ChangePassword(ctx context.Context, uid care.UID, authenticatorID, password string) (credential.Change, error) {
	hash, err := a.newPassword(ctx, uid, password)
	if err != nil {
		return credential.Change{}, err
	}
	return proof.NewChange(proof.ChangeFields{
		UID: uid, AuthenticatorID: authenticatorID, What: credential.Password,
		Store: func(tx *db.Tx) error {
			changed, err := tx.Exec(`UPDATE app_credential SET password_hash = $1, password_at = $2
				WHERE authenticator_id = $3 AND uid = $4`, hash, db.Micros(tx.Now()), authenticatorID, uid)
			if err != nil {
				return fmt.Errorf("changing a password: %w", err)
			}
			if changed != 1 {
				return fmt.Errorf("changing a password: %w", db.ErrNoRows)
			}
			return nil
		},
	}), nil
}

// newPassword checks and hashes a password that somebody has chosen. One person
// must not keep all workers busy with it: nobody else could sign in.
func (a *App) newPassword(ctx context.Context, uid care.UID, password string) (string, error) {
	prepared, err := a.acceptable(password)
	if err != nil {
		return "", err
	}
	if err := a.pool.Ask(); err != nil {
		return "", err
	}
	if err := a.o.Throttle.Bounded(ctx, a.o.DB, "new password", string(uid)); err != nil {
		return "", err
	}
	return a.hash(ctx, prepared)
}

func (a *App) hash(ctx context.Context, prepared string) (string, error) {
	place, err := a.pool.Enter()
	if err != nil {
		return "", err
	}
	defer place.Leave()
	hash, err := a.hasher.Hash(ctx, place, prepared)
	if err != nil {
		return "", fmt.Errorf("hashing a new password: %w", err)
	}
	return hash.String(), nil
}

func (a *App) sealSetup(s setup) (Pending, error) {
	sealed, err := keys.SealJSON(a.pending, nil, s)
	return Pending{sealed}, err
}

func (a *App) openSetup(p Pending) (setup, error) {
	s, err := keys.OpenJSON[setup](a.pending, nil, p.Sealed)
	if err != nil {
		return s, fault.New(fault.JourneyTampered, err)
	}
	if s.UID == "" || len(s.Secret) == 0 {
		return s, fault.New(fault.JourneyTampered, errors.New("an app set-up without a person or a secret"))
	}
	return s, nil
}
