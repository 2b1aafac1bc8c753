package app

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/db"
)

// errNotDev guards everything in this file: passwords and secrets from a file,
// and codes on a page, are for development only (decision 15).
var errNotDev = errors.New("authenticator apps of a world file work in dev mode only")

// FromAWorld is how many apps came from a world file: anybody who has the file
// can sign in with them.
func FromAWorld(tx *db.Tx) (int64, error) {
	var n int64
	if err := tx.Row(`SELECT count(*) FROM app_credential WHERE demo = 1`).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting the apps of a world file: %w", err)
	}
	return n, nil
}

// FromWorld returns the enrolment of an app whose password and base-32 secret
// stand in a world file. The password needs the right length; the block-list
// does not apply, because nobody chose it.
func (a *App) FromWorld(ctx context.Context, uid care.UID, password, secret string) (credential.Enrolment, error) {
	if !a.o.Dev {
		return credential.Enrolment{}, errNotDev
	}
	key, err := base32Secret.DecodeString(strings.TrimRight(strings.ToUpper(strings.ReplaceAll(secret, " ", "")), "="))
	if err != nil || len(key) < secretLeast {
		return credential.Enrolment{}, fmt.Errorf("totp_secret must be base 32 of %d bytes at least (N16)", secretLeast)
	}
	prepared, err := measured(password)
	if err != nil {
		return credential.Enrolment{}, fmt.Errorf("checking the password of %s: %w", uid, err)
	}
	hash, err := a.hash(ctx, prepared)
	if err != nil {
		return credential.Enrolment{}, err
	}
	return a.enrolment(setup{UID: uid, Secret: key, Hash: hash}, 0, true)
}

// DemoCode is what somebody's phone shows now.
type DemoCode struct {
	UID  care.UID
	Code string
	// Left is how long the code is shown.
	Left time.Duration
	// Used: this code was accepted already, so the next one has to be awaited.
	Used bool
	// FromWorld is false for an app that somebody registered by themselves.
	FromWorld bool
}

// DemoCodes returns the present code of every usable app, for the demo phone
// of dev mode.
func (a *App) DemoCodes(ctx context.Context) ([]DemoCode, error) {
	if !a.o.Dev {
		return nil, errNotDev
	}
	var codes []DemoCode
	err := a.o.DB.Read(ctx, func(tx *db.Tx) error {
		codes = nil
		rows, err := tx.Rows(`SELECT c.uid, c.authenticator_id, c.secret, c.last_step, c.demo
			FROM app_credential c JOIN authenticator_state a ON a.id = c.authenticator_id
			WHERE a.suspended_at = 0 AND a.disabled_at = 0 ORDER BY c.uid`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			code, err := a.demoCode(rows, tx.Now())
			if err != nil {
				return err
			}
			codes = append(codes, code)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("reading demo codes: %w", err)
	}
	return codes, nil
}

func (a *App) demoCode(row interface{ Scan(dest ...any) error }, now time.Time) (DemoCode, error) {
	var of account
	var demo int64
	if err := row.Scan(&of.uid, &of.authenticator, &of.sealed, &of.lastStep, &demo); err != nil {
		return DemoCode{}, err
	}
	secret, err := a.secret(of)
	if err != nil {
		return DemoCode{}, err
	}
	step := stepAt(now)
	code, err := codeAt(secret, step)
	if err != nil {
		return DemoCode{}, err
	}
	return DemoCode{
		UID: of.uid, Code: code, Left: time.Unix((step+1)*stepSeconds, 0).Sub(now),
		Used: step <= of.lastStep, FromWorld: demo == 1,
	}, nil
}
