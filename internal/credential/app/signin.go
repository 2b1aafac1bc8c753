package app

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/internal/argon"
	"carekey.dev/carekey/internal/credential/internal/entry"
	"carekey.dev/carekey/internal/credential/internal/proof"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/throttle"
)

// What is counted by address (decision 9): each factor by itself.
const (
	countPassword = "password"
	countCode     = "app code"
)

// subject says who tries what, for the throttle: of who, only the browser and
// the network are used.
func subject(action string, address care.Email, who throttle.Subject) throttle.Subject {
	who.Action, who.Address = action, string(address)
	return who
}

// PasswordStep checks an address and a password, and returns a ticket for
// CodeStep. It costs one commit and one hash, whether or not anybody has the
// address (ASVS 6.3.8). Faults: WrongEmailOrPassword; AuthenticatorSuspended,
// to those who know the password alone; TooManyAttempts, TriesUsedUp, Busy.
func (a *App) PasswordStep(ctx context.Context, email care.Email, password string, who throttle.Subject) (string, error) {
	if err := a.pool.Ask(); err != nil {
		return "", err
	}
	s := subject(countPassword, email, who)
	found, reserved, err := a.reserve(ctx, email, s)
	if err != nil {
		return "", err
	}
	// After the attempt was let through: refused guesses take nobody's place.
	place, err := a.pool.Enter()
	if err != nil {
		return "", a.release(ctx, s, err)
	}
	defer place.Leave()
	t, err := a.verify(ctx, place, found, password)
	if err != nil {
		return "", err
	}
	if t == nil {
		return "", a.failed(ctx, found, email, reserved, fault.WrongEmailOrPassword)
	}
	if found.suspended {
		return "", fault.New(fault.AuthenticatorSuspended, nil)
	}
	t.Address, t.At = email, a.o.DB.Now()
	return a.sealTicket(*t)
}

// reserve counts the attempt and reads the account in one statement.
func (a *App) reserve(ctx context.Context, email care.Email, s throttle.Subject) (account, throttle.Reservation, error) {
	var found account
	var reserved throttle.Reservation
	var refused *fault.Error
	err := a.o.DB.Write(ctx, func(tx *db.Tx) error {
		found, refused = account{}, nil
		var err error
		var text string
		reserved, text, err = a.o.Throttle.ReserveBeside(tx, s, byAddress(email))
		if errors.As(err, &refused) {
			return nil // the refusal is counted too
		}
		if err != nil {
			return err
		}
		found, err = knownBy(text)
		return err
	})
	if err != nil {
		return account{}, reserved, fmt.Errorf("counting a password: %w", err)
	}
	if refused != nil {
		return account{}, reserved, refused
	}
	return found, reserved, nil
}

// release takes back an attempt that could not be verified, and returns why.
func (a *App) release(ctx context.Context, s throttle.Subject, why error) error {
	err := a.o.DB.Write(ctx, func(tx *db.Tx) error { return a.o.Throttle.Release(tx, s) })
	if err != nil {
		return fmt.Errorf("releasing an attempt: %w", err)
	}
	return why
}

// verify returns a ticket if the password is that of the account, else nil. It
// computes one hash in every case.
func (a *App) verify(ctx context.Context, place *argon.Place, found account, password string) (*ticket, error) {
	stored, err := a.hasher.Blank()
	if err != nil {
		return nil, err
	}
	if found.hash != "" {
		if stored, err = argon.Parse(found.hash); err != nil {
			return nil, fmt.Errorf("reading the password of authenticator %s: %w", found.authenticator, err)
		}
	}
	prepared, usable := prepare(password)
	right, err := a.hasher.Verify(ctx, place, stored, prepared)
	if err != nil {
		return nil, fmt.Errorf("checking a password: %w", err)
	}
	if !right || !usable || found.hash == "" {
		return nil, nil
	}
	t := &ticket{Name: a.newTicketName(), UID: found.uid, Authenticator: found.authenticator, Version: found.version}
	if a.hasher.Stale(stored) {
		fresh, err := a.hasher.Hash(ctx, place, prepared)
		if err != nil {
			return nil, fmt.Errorf("hashing a password again: %w", err)
		}
		t.Rehash, t.Stale = fresh.String(), found.hash
	}
	return t, nil
}

// CodeStep checks the 6-digit code that follows a right password, unless the
// address or the network has to wait. Use of the returned proof is refused if
// one of them has to wait by then, or if the code was used meanwhile. A right
// code costs no commit of its own. Faults: AppCodeMistyped
// (not counted), WrongAppCode, AppCodeUsed, SignInTooOld, TooManyAttempts,
// TriesUsedUp.
func (a *App) CodeStep(ctx context.Context, sealed, code string, who throttle.Subject) (proof.Proof, error) {
	t, err := a.openTicket(sealed, TicketLife)
	if err != nil {
		return proof.Proof{}, err
	}
	typed, ok := entry.Digits(code, digits)
	if !ok {
		return proof.Proof{}, fault.New(fault.AppCodeMistyped, nil)
	}
	s := subject(countCode, t.Address, who)
	found, err := a.read(ctx, func(tx *db.Tx) (account, error) { return a.byID(tx, t.Authenticator, s) })
	if err != nil {
		return proof.Proof{}, err
	}
	if found.version != t.Version || found.suspended {
		return proof.Proof{}, fault.New(fault.SignInTooOld, errors.New("the authenticator was changed after the password step"))
	}
	if strings.Contains(found.spent, t.Name) {
		return proof.Proof{}, errSpent()
	}
	step, err := a.step(ctx, found, typed, t.Address, s)
	if err != nil {
		return proof.Proof{}, err
	}
	reserved := subject(countPassword, t.Address, who)
	return proof.New(proof.Fields{
		UID: t.UID, AuthenticatorID: t.Authenticator, Version: t.Version,
		Evidence: care.Evidence{Method: care.AuthenticatorApp, Password: true, TypedCode: true},
		At:       a.o.DB.Now(),
		Consume: func(tx *db.Tx) error {
			if err := useStep(tx, t, step); err != nil {
				return err
			}
			return a.o.Throttle.Redeem(tx, reserved, s)
		},
	}), nil
}

// PasswordOnly proves the password of a ticket alone: level 1, which opens
// nothing by itself. It stands beside a recovery code when a phone is lost,
// for RecoveryLife.
func (a *App) PasswordOnly(sealed string) (proof.Proof, error) {
	t, err := a.openTicket(sealed, RecoveryLife)
	if err != nil {
		return proof.Proof{}, err
	}
	return proof.New(proof.Fields{
		UID: t.UID, AuthenticatorID: t.Authenticator, Version: t.Version,
		Evidence: care.Evidence{Method: care.AuthenticatorApp, Password: true},
		At:       t.At,
		Consume: func(tx *db.Tx) error {
			if err := unspent(tx, t); err != nil {
				return err
			}
			return a.o.Throttle.Refund(tx, subject(countPassword, t.Address, throttle.Subject{}))
		},
	}), nil
}

// CheckCode checks a code of the app alone, for a forgotten password; address
// is the one that an emailed code has proven for uid. Faults as CodeStep, and
// WrongAppCode too for somebody who has no app.
func (a *App) CheckCode(ctx context.Context, uid care.UID, address care.Email, code string, who throttle.Subject) (proof.Proof, error) {
	typed, ok := entry.Digits(code, digits)
	if !ok {
		return proof.Proof{}, fault.New(fault.AppCodeMistyped, nil)
	}
	s := subject(countCode, address, who)
	found, err := a.read(ctx, func(tx *db.Tx) (account, error) { return a.byUID(tx, uid, s) })
	if err != nil {
		return proof.Proof{}, err
	}
	step, err := a.step(ctx, found, typed, address, s)
	if err != nil {
		return proof.Proof{}, err
	}
	if found.suspended {
		return proof.Proof{}, fault.New(fault.AuthenticatorSuspended, nil)
	}
	t := ticket{Name: a.newTicketName(), Authenticator: found.authenticator}
	nothing := subject(countPassword, address, throttle.Subject{})
	return proof.New(proof.Fields{
		UID: uid, AuthenticatorID: found.authenticator, Version: found.version,
		Evidence: care.Evidence{Method: care.AuthenticatorApp, TypedCode: true},
		At:       a.o.DB.Now(),
		Consume: func(tx *db.Tx) error {
			if err := useStep(tx, t, step); err != nil {
				return err
			}
			return a.o.Throttle.Redeem(tx, nothing, s)
		},
	}), nil
}

func (a *App) read(ctx context.Context, find func(tx *db.Tx) (account, error)) (account, error) {
	var found account
	err := a.o.DB.Read(ctx, func(tx *db.Tx) error {
		var err error
		found, err = find(tx)
		return err
	})
	return found, err
}

// step returns the step of a right code that was not used before; a wrong one
// is counted. While s has to wait no code is looked at, so that right and wrong
// ones get the same answer after the same work (decision 9); Redeem refuses
// what comes at the same time as the failure that begins the wait.
func (a *App) step(ctx context.Context, found account, typed string, address care.Email, s throttle.Subject) (int64, error) {
	if found.waits {
		if _, err := a.o.Throttle.Attempt(ctx, a.o.DB, s); err != nil {
			return 0, err
		}
		// The wait has ended just now: the code is looked at, and counted then.
		if err := a.release(ctx, s, nil); err != nil {
			return 0, err
		}
	}
	step := int64(0)
	if found.authenticator != "" {
		secret, err := a.secret(found)
		if err != nil {
			return 0, err
		}
		if step, err = match(secret, typed, a.o.DB.Now()); err != nil {
			return 0, err
		}
	}
	if step > found.lastStep {
		return step, nil
	}
	kind := fault.WrongAppCode
	if step > 0 {
		kind = fault.AppCodeUsed
	}
	reserved, err := a.o.Throttle.Attempt(ctx, a.o.DB, s)
	if err != nil {
		return 0, err
	}
	return 0, a.failed(ctx, found, address, reserved, kind)
}

// useStep makes a code used: its step becomes the last one, unless it or a
// later one was accepted already (N16; RFC 6238 section 5.2); and it spends the
// ticket. The conditions are in the statement, so of two nodes one wins.
func useStep(tx *db.Tx, t ticket, step int64) error {
	changed, err := tx.Exec(`UPDATE app_credential
		SET last_step = $1, password_hash = CASE WHEN password_hash = $3 THEN $4 ELSE password_hash END,
			spent = SUBSTR(CAST($5 AS TEXT) || ' ' || spent, 1, $6)
		WHERE authenticator_id = $2 AND last_step < $1 AND spent NOT LIKE '%' || CAST($5 AS TEXT) || '%'`,
		step, t.Authenticator, t.Stale, t.Rehash, t.Name, spentMost)
	if err != nil {
		return fmt.Errorf("using an app code: %w", err)
	}
	if changed == 0 {
		return fault.New(fault.AppCodeUsed, nil)
	}
	return nil
}
