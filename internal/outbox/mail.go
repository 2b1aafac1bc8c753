package outbox

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/keys"
)

//go:embed letters/*.txt
var letterFiles embed.FS

// Templates of Mail. OneTimePassword takes a Code, the others a Notice.
const (
	OneTimePassword         = "one-time-password"
	AddressChanged          = "address-changed"
	AuthenticatorRegistered = "authenticator-registered"
	AuthenticatorReplaced   = "authenticator-replaced"
	AuthenticatorRemoved    = "authenticator-removed"
	AuthenticatorSuspended  = "authenticator-suspended"
	AuthenticatorDisabled   = "authenticator-disabled"
	AuthenticatorRefused    = "authenticator-refused"
	PasswordChanged         = "password-changed"
	RecoveryCodesMade       = "recovery-codes-made"
	RecoveryCodeUsed        = "recovery-code-used"
	NewPhone                = "new-phone"
)

const mailKind = "mail"

// Code is what the mail with a One Time Password says.
type Code struct {
	// Code is the 8 digits, Life how long they can be used. The mail is not
	// sent any more after that.
	Code string
	Life time.Duration
	// When it was asked for; the database's time if zero.
	When time.Time
	// For completes "Somebody asked for it to …": "register Microsoft
	// Authenticator". By is who asked, if that is known and the address is
	// theirs.
	For, By string
}

// Notice tells a person what happened to their identity (N22: NIST SP
// 800-63B-4, 4.2).
type Notice struct {
	// Name is how the person is addressed.
	Name string
	// When it happened.
	When time.Time
	// Authenticator is its type or name: "Microsoft Authenticator".
	Authenticator string
	// Model and Because say for AuthenticatorRefused which model it is and why
	// it is refused; each may be "".
	Model, Because string
	// Old and New are the addresses of AddressChanged, each may be "".
	Old, New care.Email
	// Left is how many recovery codes are left, for RecoveryCodeUsed.
	Left int
	// NotMe is the link for "this wasn't me". It is never missing.
	NotMe string
}

// Mail is a rendered mail.
type Mail struct {
	// ID is the Message-ID without its brackets: the same in every attempt,
	// so that a mailbox can recognise a second delivery.
	ID string
	// From is Service and address, To one person.
	FromName string
	From, To care.Email
	Subject  string
	Text     string // lines end in \n
	Date     time.Time
	// Template is the name of what was rendered.
	Template string
}

// letter is what the templates see.
type letter struct {
	Service, Operator, Desk string
	When                    string
	Minutes                 int
	Code                    Code
	Notice                  Notice
}

// Mail renders a template for one address and seals it. data is a Code or a
// Notice. Text that comes from people is kept to one line each, and cannot
// become a header.
func (o *Outbox) Mail(to care.Email, template string, data any) (Message, error) {
	address, err := care.ParseEmail(string(to))
	if err != nil {
		return Message{}, fmt.Errorf("addressing a mail: %w", err)
	}
	now := o.db.Now()
	l := letter{Service: o.options.Service, Operator: o.options.Operator, Desk: o.options.Desk}
	var life time.Duration
	switch data := data.(type) {
	case Code:
		if data.Code == "" || data.Life < time.Minute || template != OneTimePassword {
			return Message{}, fmt.Errorf("mail %s: a code needs its digits, a life and its own template", template)
		}
		life, l.Minutes = data.Life, int(data.Life/time.Minute)
		l.When = o.say(data.When, now)
		data.Code, data.For, data.By = oneLine(data.Code), oneLine(data.For), oneLine(data.By)
		l.Code = data
	case Notice:
		if data.NotMe == "" || template == OneTimePassword {
			return Message{}, fmt.Errorf("mail %s: a notice needs its own template and a link for those whom it surprises", template)
		}
		l.When = o.say(data.When, now)
		data.Name, data.Authenticator, data.NotMe = oneLine(data.Name), oneLine(data.Authenticator), oneLine(data.NotMe)
		data.Model, data.Because = oneLine(data.Model), oneLine(data.Because)
		data.Old, data.New = care.Email(oneLine(string(data.Old))), care.Email(oneLine(string(data.New)))
		l.Notice = data
	default:
		return Message{}, fmt.Errorf("mail %s cannot say a %T", template, data)
	}
	m, err := o.render(template, l)
	if err != nil {
		return Message{}, err
	}
	id := keys.Token(o.options.Random, 16)
	m.ID = id + "@" + o.options.From.Domain()
	m.FromName, m.From, m.To, m.Date = o.options.Service, o.options.From, address, now
	payload, err := json.Marshal(m)
	if err != nil {
		return Message{}, fmt.Errorf("writing a mail: %w", err)
	}
	return o.seal(id, mailKind, payload, life)
}

// render fills in a template: its first line is the subject, then an empty
// line, then the text.
func (o *Outbox) render(template string, l letter) (Mail, error) {
	var text strings.Builder
	if err := o.letters.ExecuteTemplate(&text, template+".txt", l); err != nil {
		return Mail{}, fmt.Errorf("rendering mail %s: %w", template, err)
	}
	first, rest, ok := strings.Cut(text.String(), "\n\n")
	subject, named := strings.CutPrefix(first, "Subject: ")
	if !ok || !named || strings.ContainsFunc(subject, control) {
		return Mail{}, fmt.Errorf("mail %s must begin with a line for its subject", template)
	}
	return Mail{Subject: subject, Text: strings.TrimSpace(rest) + "\n", Template: template}, nil
}

// say is a time as a person reads it, in the operator's zone.
func (o *Outbox) say(when, now time.Time) string {
	if when.IsZero() {
		when = now
	}
	return when.In(o.options.Zone).Format("15:04 on Monday 2 January 2006")
}

// oneLine keeps s from adding lines of its own to a mail.
func oneLine(s string) string {
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "\uFFFD"), control), " ")
}

func (o *Outbox) deliverMail(ctx context.Context, payload []byte) error {
	var m Mail
	if err := json.Unmarshal(payload, &m); err != nil {
		return Permanent("the stored mail cannot be read", err)
	}
	if o.options.Send == nil {
		return Temporary("no way to send mail has been set", errors.ErrUnsupported)
	}
	return o.options.Send(ctx, m)
}
