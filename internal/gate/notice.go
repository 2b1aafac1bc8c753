package gate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

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
	// doubted is what "this wasn't me" suspends; "" means authenticator.
	doubted  string
	template string
	// called is how it is told of what is new; "" means as authenticator is.
	called string
	// also is an address that is told beside the verified one, or "".
	also care.Email
}

// notices writes the emails about an event, to the address before and after it
// (N22). It runs before the transaction, because it seals.
func (g *Gate) notices(ctx context.Context, e event) ([]outbox.Message, error) {
	var p person.Person
	called := e.called
	err := g.o.DB.Read(ctx, func(tx *db.Tx) error {
		var err error
		if p, err = person.ByUID(tx, e.uid); err != nil && !errors.Is(err, db.ErrNoRows) {
			return err
		}
		if called != "" {
			return nil
		}
		record, err := credential.ByID(tx, e.authenticator)
		if errors.Is(err, db.ErrNoRows) {
			return nil
		}
		called = record.Called()
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading whom to tell: %w", err)
	}
	notMe, err := g.NotMe(e.uid, cmp.Or(e.doubted, e.authenticator))
	if err != nil {
		return nil, err
	}
	data := outbox.Notice{
		Name: p.DisplayName(), When: g.o.DB.Now(), Authenticator: called,
		Old: p.Email, New: e.also,
		NotMe: notMe,
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
	switch {
	case b.Replaces == "":
		return outbox.AuthenticatorRegistered
	case slices.ContainsFunc(b.Proofs, func(p credential.Proof) bool { return p.Valid() && p.Evidence().RecoveryCode }):
		return outbox.NewPhone
	}
	return outbox.AuthenticatorReplaced
}

func changeTemplate(c credential.Change) string {
	if c.What() == credential.Password {
		return outbox.PasswordChanged
	}
	return outbox.RecoveryCodesMade
}
