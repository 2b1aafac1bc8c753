package app

import (
	"errors"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/keys"
)

const (
	// TicketLife is how long a right password waits for its code.
	TicketLife = 10 * time.Minute
	// RecoveryLife is how long it waits for the end of the registration that
	// it and a recovery code have opened.
	RecoveryLife = 20 * time.Minute
)

// ticket is what the password step has found out. Only this room can open it.
type ticket struct {
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
