package app

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/keys"
)

const (
	// TicketLife is how long a right password waits for its code.
	TicketLife = 10 * time.Minute
	// RecoveryLife is how long it waits for the end of the registration that
	// it and a recovery code have opened.
	RecoveryLife = 20 * time.Minute

	// ticketName is the size of a ticket's name in bytes, of which base64 makes
	// a third more.
	ticketName = 9
	// spentMost is how much is kept of the names of spent tickets, each with a
	// space. An account accepts one code in 30 seconds, so none is forgotten
	// in its life.
	spentMost = (ticketName*4/3 + 1) * (int(RecoveryLife/time.Second)/stepSeconds + 4)
)

// ticket is what the password step has found out. Only this room can open it.
type ticket struct {
	// Name is the ticket's own: it is good for one sign-in.
	Name          string     `json:"n"`
	UID           care.UID   `json:"u"`
	Authenticator string     `json:"a"`
	Version       int64      `json:"v"`
	Address       care.Email `json:"e"`
	At            time.Time  `json:"t"`
	// Rehash replaces the stored hash, whose cost or pepper is old, when the
	// sign-in succeeds: so a change of settings costs no commit.
	Rehash string `json:"h,omitempty"`
	Stale  string `json:"s,omitempty"`
}

func (a *App) sealTicket(t ticket) (string, error) {
	return keys.SealJSON(a.tickets, nil, t)
}

func (a *App) openTicket(sealed string, life time.Duration) (ticket, error) {
	t, err := keys.OpenJSON[ticket](a.tickets, nil, sealed)
	if err != nil {
		return t, fault.New(fault.SignInTooOld, err)
	}
	if !a.o.DB.Now().Before(t.At.Add(life)) {
		return t, fault.New(fault.SignInTooOld, errors.New("the ticket has expired"))
	}
	return t, nil
}

func (a *App) newTicketName() string { return keys.Token(a.o.Random, ticketName) }

// errSpent is the fault of a password that has signed somebody in already. Else
// whoever goes back to the page of the code at a shared computer, after a
// sign-out, would need no password (decision 8; ASVS 7.4.1).
func errSpent() error {
	return fault.New(fault.SignInTooOld, errors.New("the password has signed somebody in already"))
}

// unspent checks that a ticket has signed nobody in.
func unspent(tx *db.Tx, t ticket) error {
	var spent string
	err := tx.Row(`SELECT spent FROM app_credential WHERE authenticator_id = $1`, t.Authenticator).Scan(&spent)
	switch {
	case errors.Is(err, db.ErrNoRows):
		return nil // removed meanwhile: the gate will not find its record
	case err != nil:
		return fmt.Errorf("reading the spent passwords: %w", err)
	case strings.Contains(spent, t.Name):
		return errSpent()
	}
	return nil
}
