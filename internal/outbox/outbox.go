// Package outbox sends what has been promised in a transaction: emails, and
// whatever else must reach somebody outside (logout tokens).
//
// A room makes a Message before its transaction (Mail, or Seal for another
// kind) and puts it in the outbox with its change: both are committed or
// neither. Any node's worker (Run) then hands it to the handler of its kind,
// at least once, again with growing pauses while that fails, across restarts,
// and gives up after three days at most, which the log says.
//
// A message lies here sealed and is erased once it is sent. The room never
// logs an address, a code or a link, and never stores one in the clear.
package outbox

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/mail"
	"strings"
	"text/template"
	"time"
	_ "time/tzdata" // notices say the local time, also where the system has no time zones

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/keys"
)

//go:embed schema/*.sql
var schema embed.FS

// Schema holds the room's migrations.
var Schema fs.FS = schema

// Life is how long delivery is tried before a message is given up.
const Life = 72 * time.Hour

// Options of an outbox. Service, From and Send are needed for mail.
type Options struct {
	// Service and Operator are named in every mail ("Care Identity",
	// "Northgate Hospitals NHS Trust").
	Service, Operator string
	// Desk says how to reach the service desk ("call 0300 000 0000"), or "".
	Desk string
	// From is the address that mail comes from.
	From care.Email
	// Send delivers a mail: SMTP, or a development inbox.
	Send func(context.Context, Mail) error
	// Zone is the time zone of times in mails; nil means Europe/London.
	Zone *time.Location
	// Leave is how long a delivery in progress may take when Run is to end: ten
	// seconds if it is 0. Then it is given up and left to another node.
	Leave time.Duration
	// Random is the system's if nil.
	Random io.Reader
	Log    *slog.Logger
}

// Outbox holds the handlers and templates. Its messages are in the database.
type Outbox struct {
	db       *db.DB
	sealer   *keys.Sealer
	options  Options
	letters  *template.Template
	handlers map[string]Handler
}

// Handler delivers the payload of a message. It may be called more than once
// for one message. An error made by Permanent gives the message up; any other
// error means to try again later.
type Handler func(ctx context.Context, payload []byte) error

// New returns an outbox with a handler for mail.
func New(d *db.DB, ring *keys.Ring, o Options) (*Outbox, error) {
	// "=?" begins an encoded word (RFC 2047): a mailbox would show other text
	// than we wrote.
	if names := o.Service + o.Operator + o.Desk; strings.ContainsFunc(names, control) || strings.Contains(names, "=?") {
		return nil, errors.New(`the names of the service, its operator and the service desk must each be one line, without "=?"`)
	}
	if _, err := mail.ParseAddress(string(o.From)); err != nil {
		return nil, fmt.Errorf("%q cannot be the address that mail comes from: %w", o.From, err)
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Leave <= 0 {
		o.Leave = leave
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Zone == nil {
		zone, err := time.LoadLocation("Europe/London")
		if err != nil {
			return nil, fmt.Errorf("loading the time zone of mails: %w", err)
		}
		o.Zone = zone
	}
	letters, err := template.New("").Option("missingkey=error").ParseFS(letterFiles, "letters/*.txt")
	if err != nil {
		return nil, fmt.Errorf("reading the texts of mails: %w", err)
	}
	box := &Outbox{db: d, sealer: ring.Sealer("outbox"), options: o, letters: letters, handlers: map[string]Handler{}}
	box.Handle(mailKind, box.deliverMail)
	return box, nil
}

// Handle sets the handler of a kind. All handlers are set before Run.
func (o *Outbox) Handle(kind string, h Handler) { o.handlers[kind] = h }

// Message is something to deliver, sealed. Make it before the transaction:
// sealing has no place inside one.
type Message struct {
	ID, Kind string
	payload  []byte
	life     time.Duration
}

// Seal returns a message of a kind that is tried for life, or Life if that is
// shorter or life is zero.
func (o *Outbox) Seal(kind string, payload []byte, life time.Duration) (Message, error) {
	return o.seal(keys.Token(o.options.Random, 16), kind, payload, life)
}

func (o *Outbox) seal(id, kind string, payload []byte, life time.Duration) (Message, error) {
	if life <= 0 || life > Life {
		life = Life
	}
	sealed, err := o.sealer.Seal(payload, bound(id, kind))
	if err != nil {
		return Message{}, fmt.Errorf("sealing a message: %w", err)
	}
	return Message{ID: id, Kind: kind, payload: sealed, life: life}, nil
}

// bound is what a sealed payload is bound to, so that it cannot be moved to
// another message.
func bound(id, kind string) []byte { return []byte(kind + " " + id) }

const topic = "outbox"

// Put stores the message in the caller's transaction. It is sent after the
// commit.
func Put(tx *db.Tx, m Message) error {
	now := tx.Now()
	_, err := tx.Exec(`INSERT INTO outbox (id, kind, payload, state, created_at, expires_at, next_at, attempts, ended_at, last_error)
		VALUES ($1, $2, $3, 'queued', $4, $5, $4, 0, 0, '')`,
		m.ID, m.Kind, m.payload, db.Micros(now), db.Micros(now.Add(m.life)))
	if err != nil {
		return fmt.Errorf("putting a message in the outbox: %w", err)
	}
	tx.Wake(topic)
	return nil
}

// PutAll stores several messages.
func PutAll(tx *db.Tx, messages []Message) error {
	for _, m := range messages {
		if err := Put(tx, m); err != nil {
			return err
		}
	}
	return nil
}

func control(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' }
