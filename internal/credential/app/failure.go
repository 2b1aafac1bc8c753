package app

import (
	"context"
	"fmt"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/throttle"
)

// failed returns the fault of a wrong attempt that was counted, with the tries
// that are left, and disables the authenticator after the last one (N10).
func (a *App) failed(ctx context.Context, found account, address care.Email, reserved throttle.Reservation, kind *fault.Kind) error {
	if err := a.o.Throttle.Failed(ctx, a.o.DB, reserved); err != nil {
		return err
	}
	if reserved.Exhausted && found.authenticator != "" {
		if err := a.disable(ctx, found, address); err != nil {
			return err
		}
	}
	return fault.New(kind, nil).With(reserved.Warning()).After(reserved.Wait)
}

// disable switches an authenticator off and tells its holder, together. The
// password and the app are one record, so both are off (N11).
func (a *App) disable(ctx context.Context, found account, address care.Email) error {
	link, err := a.o.NotMe(found.uid, found.authenticator)
	if err != nil {
		return fmt.Errorf("disabling an authenticator: %w", err)
	}
	notice, err := a.o.Outbox.Mail(address, outbox.AuthenticatorDisabled, outbox.Notice{
		When: a.o.DB.Now(), Authenticator: care.AuthenticatorApp.TypeLabel(), NotMe: link,
	})
	if err != nil {
		return fmt.Errorf("disabling an authenticator: %w", err)
	}
	err = a.o.DB.Write(ctx, func(tx *db.Tx) error {
		done, err := credential.Disable(tx, found.authenticator)
		if err != nil || !done {
			return err
		}
		if err := outbox.Put(tx, notice); err != nil {
			return err
		}
		return audit.Record(tx, audit.Entry{
			Action: "authenticator.disabled", Subject: found.uid, Actor: "system",
			Fields: []audit.Field{
				{Name: "authenticator", Value: found.authenticator}, {Name: "why", Value: "too many wrong tries in a row"},
			},
		})
	})
	if err != nil {
		return fmt.Errorf("disabling an authenticator: %w", err)
	}
	return nil
}
