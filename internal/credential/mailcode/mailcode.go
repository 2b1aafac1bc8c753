// Package mailcode proves that somebody reads a mailbox, with an 8-digit One
// Time Password (seed 0; decision 5). It proves nothing else: an emailed code
// is never evidence of a level (N17; ASVS 6.3.6).
//
// A way comes in with a journey and an address, later with what was typed; the
// proof of the mailbox leaves. A code belongs to one journey, which may enter
// it again until it expires; no other journey can. For an address that nobody
// has, everything happens but the mail. The room stores no code in the clear.
package mailcode

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net/netip"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/throttle"
)

//go:embed schema/*.sql
var schema embed.FS

// Schema holds this room's migrations.
var Schema fs.FS = schema

// The limits of decision 5.
const (
	// Life of a code (seed 0; N17: at most 10 minutes).
	Life = 10 * time.Minute
	// Tries are the wrong entries after which a code is dead.
	Tries = 5
	// Pause is the time between two codes of one journey.
	Pause = time.Minute
	// Resends of one journey, after its first code.
	Resends = 5
	// Hold is how long a journey can use the proof after it entered the code:
	// as long as a registration journey lives.
	Hold = 20 * time.Minute

	// hourly bounds the codes that one asker gets for one address, whatever the
	// journeys: nobody fills somebody's mailbox, and all tries of an hour
	// together guess one code with a chance of one in a million.
	hourly = 20

	countMail = "mail code"

	digits   = 8
	saltSize = 16
)

// decoy is the kind of message that stands in for a mail to nobody.
const decoy = "no-mail"

// Options of the room.
type Options struct {
	DB       *db.DB
	Ring     *keys.Ring
	Outbox   *outbox.Outbox
	Throttle *throttle.Throttle
	Random   io.Reader
}

// MailCode sends and checks codes.
type MailCode struct {
	o         Options
	codes     *keys.MAC
	addresses *keys.MAC
	sealer    *keys.Sealer
}

// New returns the room. It registers a handler with the outbox.
func New(o Options) *MailCode {
	o.Outbox.Handle(decoy, func(context.Context, []byte) error { return nil })
	return &MailCode{
		o:         o,
		codes:     o.Ring.MAC("mailcode/code"),
		addresses: o.Ring.MAC("mailcode/address"),
		sealer:    o.Ring.Sealer("mailcode/address"),
	}
}

// Request asks for a code.
type Request struct {
	Journey string
	// Purpose completes "Somebody asked for it to …" in the mail: "register
	// Microsoft Authenticator". By is who asked, if that is known and the
	// address is theirs.
	Purpose, By string
	// UID is whose mailbox it is, or "" if nobody has the address.
	UID     care.UID
	Address care.Email
	// Asker is who asks, where something else has shown that: the person of a
	// session or a link, a browser that signed in before. It is "" for anybody
	// else. Strangers share one count of an address, so that they never use up
	// the holder's own (decision 9: throttling is not a weapon); and what they
	// set off is counted by Network.
	Asker   string
	Network netip.Addr
	// Deliver is false for an address that gets no mail. Everything else is
	// the same.
	Deliver bool
}

// Send makes a code for the journey and mails it. An earlier code of the
// journey is dead from then on. Faults: MailCodeTooSoon, MailCodeTooMany,
// MailCodeUsed.
func (m *MailCode) Send(ctx context.Context, r Request) error {
	code, salt, err := m.newCode()
	if err != nil {
		return err
	}
	sealed, err := m.sealer.Seal([]byte(r.Address), []byte(r.Journey))
	if err != nil {
		return fmt.Errorf("sending a mail code: %w", err)
	}
	mail, err := m.mail(r, code)
	if err != nil {
		return fmt.Errorf("sending a mail code: %w", err)
	}
	mac := m.codes.Sum(salt, []byte(r.Journey), []byte(code))
	key := m.addresses.Sum([]byte(r.Asker), []byte(r.Address))
	err = m.o.DB.Write(ctx, func(tx *db.Tx) error {
		now := tx.Now()
		sent, err := tx.Exec(`INSERT INTO mail_code
			(journey, uid, address, address_key, deliver, salt, code, sent_at, expires_at, sends, tries, checked_at, used_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1, 0, 0, 0)
			ON CONFLICT (journey) DO UPDATE SET uid = excluded.uid, address = excluded.address, address_key = excluded.address_key,
				deliver = excluded.deliver, salt = excluded.salt, code = excluded.code, sent_at = excluded.sent_at,
				expires_at = excluded.expires_at, sends = mail_code.sends + 1, tries = 0, checked_at = 0
			WHERE mail_code.used_at = 0 AND mail_code.sends <= $10 AND mail_code.sent_at <= $11`,
			r.Journey, r.UID, sealed, key, r.Deliver, salt, mac, db.Micros(now), db.Micros(now.Add(Life)),
			Resends, db.Micros(now.Add(-Pause)))
		if err != nil {
			return err
		}
		if sent == 0 {
			return m.refusal(tx, r.Journey)
		}
		if err := m.allowed(tx, r, key); err != nil {
			return err
		}
		return outbox.Put(tx, mail)
	})
	if err != nil {
		return fmt.Errorf("sending a mail code: %w", err)
	}
	return nil
}

// newCode returns a code and the salt to store it with.
func (m *MailCode) newCode() (string, []byte, error) {
	n, err := rand.Int(m.o.Random, big.NewInt(100_000_000))
	if err != nil {
		return "", nil, fmt.Errorf("making a mail code: %w", err)
	}
	salt := make([]byte, saltSize)
	if _, err := io.ReadFull(m.o.Random, salt); err != nil {
		return "", nil, fmt.Errorf("making a mail code: %w", err)
	}
	return fmt.Sprintf("%0*d", digits, n), salt, nil
}

// mail returns the mail, or a message of about its size that goes nowhere. The
// work is the same.
func (m *MailCode) mail(r Request, code string) (outbox.Message, error) {
	mail, err := m.o.Outbox.Mail(r.Address, outbox.OneTimePassword,
		outbox.Code{Code: code, Life: Life, For: r.Purpose, By: r.By})
	if err != nil || r.Deliver {
		return mail, err
	}
	return m.o.Outbox.Seal(decoy, make([]byte, 1024), Life)
}

// refusal says why the journey gets no further code.
func (m *MailCode) refusal(tx *db.Tx, journey string) error {
	var sentAt, sends, used int64
	err := tx.Row(`SELECT sent_at, sends, used_at FROM mail_code WHERE journey = $1`, journey).Scan(&sentAt, &sends, &used)
	if err != nil {
		return err
	}
	switch {
	case used != 0:
		return fault.New(fault.MailCodeUsed, nil)
	case sends > Resends:
		return fault.New(fault.MailCodeTooMany, fmt.Errorf("%d codes for one journey", sends))
	}
	return fault.New(fault.MailCodeTooSoon, nil).After(db.Time(sentAt).Add(Pause).Sub(tx.Now()))
}

// allowed counts the request, by asker and address, and by asker alone:
// strangers by their network, others by what they have shown. One that asks for
// a code to each of a thousand addresses is refused (ASVS 2.4.1), a stranger as
// well as somebody who sits down at another's sign-in.
func (m *MailCode) allowed(tx *db.Tx, r Request, key []byte) error {
	if err := withinHour(tx, key); err != nil {
		return err
	}
	var wait time.Duration
	var err error
	if r.Asker == "" {
		wait, err = m.o.Throttle.Knock(tx, throttle.Subject{Action: countMail, Network: r.Network})
	} else {
		wait, err = m.o.Throttle.KnockBy(tx, countMail, r.Asker)
	}
	if err != nil || wait == 0 {
		return err
	}
	return fault.New(fault.MailCodeTooMany, errors.New("too many codes for one asker, or for strangers of one network")).After(wait)
}

func withinHour(tx *db.Tx, key []byte) error {
	var sends int64
	err := tx.Row(`SELECT CAST(COALESCE(SUM(sends), 0) AS BIGINT) FROM mail_code WHERE address_key = $1 AND sent_at > $2`,
		key, db.Micros(tx.Now().Add(-time.Hour))).Scan(&sends)
	if err != nil {
		return err
	}
	if sends > hourly {
		return fault.New(fault.MailCodeTooMany, errors.New("too many codes of one asker for one address within an hour")).After(time.Hour)
	}
	return nil
}

// Prune deletes rows that no journey can use any more. The janitor calls it.
func Prune(tx *db.Tx) error {
	if _, err := tx.Exec(`DELETE FROM mail_code WHERE sent_at < $1`, db.Micros(tx.Now().Add(-24*time.Hour))); err != nil {
		return fmt.Errorf("pruning mail codes: %w", err)
	}
	return nil
}
