package gate

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/person"
)

// event is something that a person is told of.
type event struct {
	uid           care.UID
	authenticator string
	template      string
	method        care.Method
	// also is an address that is told beside the verified one, or "".
	also care.Email
}

// notices writes the emails about an event, to the address before and after it
// (N22). It runs before the transaction, because it seals.
func (g *Gate) notices(ctx context.Context, e event) ([]outbox.Message, error) {
	var p person.Person
	err := g.o.DB.Read(ctx, func(tx *db.Tx) error {
		var err error
		p, err = person.ByUID(tx, e.uid)
		if errors.Is(err, db.ErrNoRows) {
			err = nil
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading whom to tell: %w", err)
	}
	now := g.o.DB.Now()
	token, err := g.disavowal(e.uid, e.authenticator, now)
	if err != nil {
		return nil, fmt.Errorf("making a disavowal link: %w", err)
	}
	data := outbox.Notice{
		Name: p.DisplayName(), When: now, Authenticator: e.method.TypeLabel(),
		NotMe: g.o.Link("/not-me?t=" + url.QueryEscape(token)),
	}
	var messages []outbox.Message
	told := map[care.Email]bool{"": true}
	for _, to := range []care.Email{p.Email, e.also} {
		if told[to] {
			continue
		}
		told[to] = true
		message, err := g.o.Outbox.Mail(to, e.template, data)
		if err != nil {
			return nil, fmt.Errorf("writing a notice: %w", err)
		}
		messages = append(messages, message)
	}
	return messages, nil
}

func registrationTemplate(b Binding) string {
	if b.Replaces != "" {
		return outbox.AuthenticatorReplaced
	}
	return outbox.AuthenticatorRegistered
}

func changeTemplate(c credential.Change) string {
	if c.What() == credential.Password {
		return outbox.PasswordChanged
	}
	return outbox.RecoveryCodesMade
}
