package mailcode

import (
	"context"
	"errors"
	"fmt"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/internal/entry"
	"carekey.dev/carekey/internal/credential/internal/proof"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
)

// row is the newest code of a journey.
type row struct {
	journey          string
	uid              care.UID
	address          []byte
	deliver          bool
	salt, code       []byte
	expires, checked time.Time
	used             bool
	tries            int64
}

func read(tx *db.Tx, journey string) (row, error) {
	r := row{journey: journey}
	var deliver, expires, checked, used int64
	err := tx.Row(`SELECT uid, address, deliver, salt, code, expires_at, checked_at, used_at, tries
		FROM mail_code WHERE journey = $1`, journey).
		Scan(&r.uid, &r.address, &deliver, &r.salt, &r.code, &expires, &checked, &used, &r.tries)
	if errors.Is(err, db.ErrNoRows) {
		return row{}, fault.New(fault.MailCodeMissing, err)
	}
	if err != nil {
		return row{}, fmt.Errorf("reading a mail code: %w", err)
	}
	r.deliver, r.used = deliver == 1, used != 0
	r.expires, r.checked = db.Time(expires), db.Time(checked)
	return r, nil
}

func (m *MailCode) of(ctx context.Context, journey string) (row, error) {
	var r row
	err := m.o.DB.Read(ctx, func(tx *db.Tx) error {
		var err error
		r, err = read(tx, journey)
		return err
	})
	return r, err
}

// dead says why no entry for r can be right any more, or nil.
func (r row) dead(now time.Time) error {
	switch {
	case r.used:
		return fault.New(fault.MailCodeUsed, nil)
	case r.tries >= Tries:
		return fault.New(fault.MailCodeSpent, nil)
	case !now.Before(r.expires):
		return fault.New(fault.MailCodeExpired, nil)
	}
	return nil
}

// Check checks what was entered for the code of the journey. A right code is
// the journey's from then on: see Proof. Faults: MailCodeMistyped (not
// counted), WrongMailCode, MailCodeSpent, MailCodeExpired, MailCodeUsed,
// MailCodeMissing.
func (m *MailCode) Check(ctx context.Context, journey, code string) (credential.Proof, error) {
	typed, ok := entry.Digits(code, digits)
	if !ok {
		return credential.Proof{}, fault.New(fault.MailCodeMistyped, nil)
	}
	r, err := m.of(ctx, journey)
	if err != nil {
		return credential.Proof{}, err
	}
	right := m.codes.Verify(r.code, r.salt, []byte(journey), []byte(typed)) && r.deliver
	err = m.o.DB.Write(ctx, func(tx *db.Tx) error { return r.settle(tx, right) })
	if err != nil {
		return credential.Proof{}, fmt.Errorf("checking a mail code: %w", err)
	}
	if !right {
		return credential.Proof{}, m.wrong(ctx, journey)
	}
	return m.Proof(ctx, journey)
}

// settle counts a wrong entry or notes a right one, if the code is still the
// one that was compared and still alive: the statement decides, so a thousand
// entries at once are decided one after the other.
func (r row) settle(tx *db.Tx, right bool) error {
	now := db.Micros(tx.Now())
	changed, err := tx.Exec(`UPDATE mail_code SET
			tries = CASE WHEN $4 = 1 THEN tries ELSE tries + 1 END,
			checked_at = CASE WHEN $4 = 1 AND checked_at = 0 THEN $3 ELSE checked_at END
		WHERE journey = $1 AND salt = $2 AND used_at = 0 AND tries < $5 AND expires_at > $3`,
		r.journey, r.salt, now, right, Tries)
	if err != nil || changed == 1 {
		return err
	}
	newest, err := read(tx, r.journey)
	if err != nil {
		return err
	}
	if err := newest.dead(tx.Now()); err != nil {
		return err
	}
	return fault.New(fault.WrongMailCode, errors.New("a newer code was sent meanwhile"))
}

// wrong is the fault after a counted wrong entry.
func (m *MailCode) wrong(ctx context.Context, journey string) error {
	r, err := m.of(ctx, journey)
	if err != nil {
		return err
	}
	switch left := Tries - r.tries; {
	case left <= 0:
		return fault.New(fault.MailCodeSpent, nil)
	case left == 1:
		return fault.New(fault.WrongMailCode, nil).With("You have 1 try left.")
	default:
		return fault.New(fault.WrongMailCode, nil).With(fmt.Sprintf("You have %d tries left.", left))
	}
}

// Proof returns the proof of the mailbox once more, for the last step of the
// journey that entered the code: for Hold after that, until the gate has used
// it. Faults: MailCodeMissing, MailCodeExpired, MailCodeUsed.
func (m *MailCode) Proof(ctx context.Context, journey string) (credential.Proof, error) {
	r, err := m.of(ctx, journey)
	if err != nil {
		return credential.Proof{}, err
	}
	switch {
	case r.used:
		return credential.Proof{}, fault.New(fault.MailCodeUsed, nil)
	case r.checked.IsZero():
		return credential.Proof{}, fault.New(fault.MailCodeMissing, errors.New("the journey's code was not entered yet"))
	case !m.o.DB.Now().Before(r.checked.Add(Hold)):
		return credential.Proof{}, fault.New(fault.MailCodeExpired, errors.New("the journey took too long after its code"))
	}
	address, err := m.address(r)
	if err != nil {
		return credential.Proof{}, err
	}
	return proof.New(proof.Fields{
		UID: r.uid, Evidence: care.Evidence{Mailbox: true}, Address: address, At: r.checked,
		Consume: func(tx *db.Tx) error { return r.use(tx) },
	}), nil
}

// use makes the proof used. Another journey's, an older code's or a second use
// is refused by the statement.
func (r row) use(tx *db.Tx) error {
	now := tx.Now()
	changed, err := tx.Exec(`UPDATE mail_code SET used_at = $1
		WHERE journey = $2 AND salt = $3 AND used_at = 0 AND checked_at > $4`,
		db.Micros(now), r.journey, r.salt, db.Micros(now.Add(-Hold)))
	if err != nil {
		return fmt.Errorf("using a mail code: %w", err)
	}
	if changed == 0 {
		return fault.New(fault.MailCodeUsed, nil)
	}
	return nil
}

// Address returns where the journey's newest code was sent. Fault:
// MailCodeMissing.
func (m *MailCode) Address(ctx context.Context, journey string) (care.Email, error) {
	r, err := m.of(ctx, journey)
	if err != nil {
		return "", err
	}
	return m.address(r)
}

func (m *MailCode) address(r row) (care.Email, error) {
	address, err := m.sealer.Open(r.address, []byte(r.journey))
	if err != nil {
		return "", fmt.Errorf("opening the address of a mail code: %w", err)
	}
	return care.Email(address), nil
}
