// Package link verifies that a Registration Authority introduced a person: by
// a registration link, and by the two-digit number that both of them saw.
//
// An RA (or the operator who stands for one) makes a link for one person and
// one type of authenticator. The worker's journey starts it, waits at its end,
// and goes on when the RA has confirmed the number. Only then does a proof
// leave this room: a link, and a mailbox with it, are never enough.
package link

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"strconv"
	"time"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/internal/proof"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/keys"
)

//go:embed schema/*.sql
var schema embed.FS

// Schema holds this room's migrations.
var Schema fs.FS = schema

const (
	// StartWithin is how long after its making a link can be started (seed 0:
	// "The register link will expire after 3 minutes"; decision 5).
	StartWithin = 3 * time.Minute
	// ConfirmWithin is how long after its start a registration can be
	// confirmed.
	ConfirmWithin = 30 * time.Minute
	// keep is how long a link stays readable for the service desk.
	keep = 30 * 24 * time.Hour
	// tokenSize is in bytes.
	tokenSize = 32
)

// State is how far a link has come.
type State string

// The states, in their order.
const (
	Open      State = "open"      // made, not started
	Started   State = "started"   // a journey has consumed it
	Waiting   State = "waiting"   // the number is shown, the RA has to answer
	Confirmed State = "confirmed" // the RA has seen the same number
	Finished  State = "finished"  // the authenticator is bound
	Refused   State = "refused"   // the RA has seen another number, or none
	Void      State = "void"      // a newer link has taken its place
)

// Link is one registration link. Its token is known to whoever holds it alone.
type Link struct {
	ID        string
	UID       care.UID
	Method    care.Method
	MadeBy    string
	MadeAt    time.Time
	Journey   string
	StartedAt time.Time
	Number    string
	State     State

	browser []byte
}

// Started reports whether a journey has consumed the link.
func (l Link) Started() bool { return !l.StartedAt.IsZero() }

// StartedBy reports whether that journey is one of this browser.
func (l Link) StartedBy(browser string) bool {
	return l.Started() && keys.Equal(l.browser, keys.Hash(browser))
}

// Options of the room.
type Options struct {
	DB     *db.DB
	Random io.Reader
}

// Links makes and verifies registration links.
type Links struct{ o Options }

// New returns the room.
func New(o Options) *Links { return &Links{o} }

// Create makes a link for one person and one type, and returns its token,
// which is told once. Open links of the same person and type end. by is who
// makes it: "operator", or the UID of an RA.
func (s *Links) Create(ctx context.Context, uid care.UID, method care.Method, by string) (token string, l Link, err error) {
	token = keys.Token(s.o.Random, tokenSize)
	l = Link{ID: keys.Token(s.o.Random, 12), UID: uid, Method: method, MadeBy: by, State: Open}
	err = s.o.DB.Write(ctx, func(tx *db.Tx) error {
		l.MadeAt = tx.Now()
		_, err := tx.Exec(`UPDATE registration_link SET void_at = $1
			WHERE uid = $2 AND method = $3 AND finished_at = 0 AND void_at = 0`, db.Micros(l.MadeAt), uid, method)
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO registration_link (id, token_hash, uid, method, made_by, made_at) VALUES ($1, $2, $3, $4, $5, $6)`,
			l.ID, keys.Hash(token), uid, method, by, db.Micros(l.MadeAt))
		if err != nil {
			return err
		}
		return record(tx, "made", l, by)
	})
	if err != nil {
		return "", Link{}, fmt.Errorf("making a registration link: %w", err)
	}
	return token, l, nil
}

func record(tx *db.Tx, what string, l Link, actor string) error {
	return audit.Record(tx, audit.Entry{
		Action: "registration_link." + what, Subject: l.UID, Actor: actor,
		Fields: []audit.Field{{Name: "link", Value: l.ID}, {Name: "method", Value: string(l.Method)}},
	})
}

const selectLink = `SELECT id, uid, method, made_by, made_at, COALESCE(journey, ''), browser, started_at, number, answer, finished_at, void_at
	FROM registration_link WHERE `

// find is read for a change: it locks the row.
func find(tx *db.Tx, where string, arg any) (Link, error) { return read(tx, where+tx.ForUpdate(), arg) }

func read(tx *db.Tx, where string, arg any) (Link, error) {
	var l Link
	var made, started, finished, void int64
	var answer string
	err := tx.Row(selectLink+where, arg).Scan(&l.ID, &l.UID, &l.Method, &l.MadeBy, &made, &l.Journey, &l.browser,
		&started, &l.Number, &answer, &finished, &void)
	if errors.Is(err, db.ErrNoRows) {
		return l, fault.New(fault.LinkUnknown, err)
	}
	if err != nil {
		return l, fmt.Errorf("reading a registration link: %w", err)
	}
	l.MadeAt, l.StartedAt = db.Time(made), db.Time(started)
	switch {
	case finished != 0:
		l.State = Finished
	case void != 0:
		l.State = Void
	case answer != "":
		l.State = State(answer)
	case l.Number != "":
		l.State = Waiting
	case started != 0:
		l.State = Started
	default:
		l.State = Open
	}
	return l, nil
}

// Peek returns the link of a token and changes nothing: GET never consumes
// (decision 5). Faults: LinkUnknown, LinkReplaced; LinkExpired if nobody
// started it in time.
func (s *Links) Peek(ctx context.Context, token string) (Link, error) {
	var l Link
	err := s.o.DB.Read(ctx, func(tx *db.Tx) error {
		var err error
		if l, err = read(tx, `token_hash = $1`, keys.Hash(token)); err != nil {
			return err
		}
		return usable(tx, l)
	})
	return l, err
}

// ByID returns a link for whoever made it. Fault: LinkUnknown.
func (s *Links) ByID(ctx context.Context, id string) (Link, error) {
	var l Link
	err := s.o.DB.Read(ctx, func(tx *db.Tx) error {
		var err error
		l, err = read(tx, `id = $1`, id)
		return err
	})
	return l, err
}

// usable says why a link cannot be started, if it cannot.
func usable(tx *db.Tx, l Link) error {
	switch {
	case l.State == Void:
		return fault.New(fault.LinkReplaced, nil)
	case !l.Started() && !tx.Now().Before(l.MadeAt.Add(StartWithin)):
		return fault.New(fault.LinkExpired, nil)
	}
	return nil
}

// Start consumes the link for one journey of one browser. In the same browser
// it can be called again and returns the link as that first journey has it; the
// caller goes on with l.Journey. Faults: those of Peek, and LinkUsed.
func (s *Links) Start(ctx context.Context, token, journey, browser string) (Link, error) {
	var l Link
	err := s.o.DB.Write(ctx, func(tx *db.Tx) error {
		var err error
		if l, err = find(tx, `token_hash = $1`, keys.Hash(token)); err != nil {
			return err
		}
		if err := usable(tx, l); err != nil {
			return err
		}
		if l.Started() {
			if !l.StartedBy(browser) {
				return fault.New(fault.LinkUsed, nil)
			}
			return nil
		}
		l.Journey, l.StartedAt, l.browser, l.State = journey, tx.Now(), keys.Hash(browser), Started
		_, err = tx.Exec(`UPDATE registration_link SET journey = $1, browser = $2, started_at = $3 WHERE id = $4`,
			journey, l.browser, db.Micros(l.StartedAt), l.ID)
		if err != nil {
			return err
		}
		return record(tx, "started", l, string(l.UID))
	})
	if err != nil {
		return Link{}, fmt.Errorf("starting a registration link: %w", err)
	}
	return l, nil
}

// Await is called when the worker's screens are done. It returns the two-digit
// number to show, the same each time, and "" once the RA has confirmed it.
// Faults: LinkUnknown, LinkReplaced, LinkRefused, LinkTooLate.
func (s *Links) Await(ctx context.Context, journey string) (number string, err error) {
	err = s.o.DB.Write(ctx, func(tx *db.Tx) error {
		l, err := find(tx, `journey = $1`, journey)
		if err != nil {
			return err
		}
		switch l.State {
		case Confirmed, Finished:
			number = ""
			return nil
		case Refused:
			return fault.New(fault.LinkRefused, nil)
		case Void:
			return fault.New(fault.LinkReplaced, nil)
		}
		if late(tx, l) {
			return fault.New(fault.LinkTooLate, nil)
		}
		number = l.Number
		if number != "" {
			return nil
		}
		// The number is compared by two people and guards nothing by itself.
		number = strconv.Itoa(10 + rand.IntN(90))
		_, err = tx.Exec(`UPDATE registration_link SET number = $1 WHERE id = $2`, number, l.ID)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("waiting for a confirmation: %w", err)
	}
	return number, nil
}

func late(tx *db.Tx, l Link) bool { return !tx.Now().Before(l.StartedAt.Add(ConfirmWithin)) }

// Confirm is the RA's word that the worker's screen shows the same number.
// Faults: LinkUnknown, LinkReplaced, LinkNotWaiting, LinkTooLate.
func (s *Links) Confirm(ctx context.Context, id, by string) error {
	return s.answer(ctx, id, by, Confirmed)
}

// Refuse is the RA's word that it does not. Faults as Confirm.
func (s *Links) Refuse(ctx context.Context, id, by string) error {
	return s.answer(ctx, id, by, Refused)
}

func (s *Links) answer(ctx context.Context, id, by string, answer State) error {
	err := s.o.DB.Write(ctx, func(tx *db.Tx) error {
		l, err := find(tx, `id = $1`, id)
		if err != nil {
			return err
		}
		switch {
		case l.State == Void:
			return fault.New(fault.LinkReplaced, nil)
		case l.State != Waiting:
			return fault.New(fault.LinkNotWaiting, nil)
		case late(tx, l):
			return fault.New(fault.LinkTooLate, nil)
		}
		_, err = tx.Exec(`UPDATE registration_link SET answer = $1, answered_by = $2, answered_at = $3 WHERE id = $4`,
			answer, by, db.Micros(tx.Now()), id)
		if err != nil {
			return err
		}
		return record(tx, string(answer), l, by)
	})
	if err != nil {
		return fmt.Errorf("answering for a registration: %w", err)
	}
	return nil
}

// Proof returns the introduction of a journey's person, once the RA has
// confirmed it (decision 4: mailbox and link alone are not enough). Its use
// finishes the link. Faults: LinkUnknown, LinkNotConfirmed, LinkRefused,
// LinkReplaced, LinkTooLate, JourneyFinished.
func (s *Links) Proof(ctx context.Context, journey string) (proof.Proof, error) {
	var l Link
	var now time.Time
	err := s.o.DB.Read(ctx, func(tx *db.Tx) error {
		var err error
		if l, err = read(tx, `journey = $1`, journey); err != nil {
			return err
		}
		now = tx.Now()
		return confirmed(tx, l)
	})
	if err != nil {
		return proof.Proof{}, err
	}
	return proof.New(proof.Fields{
		UID: l.UID, At: now,
		Evidence: care.Evidence{Method: l.Method, Introduced: true},
		Consume:  func(tx *db.Tx) error { return finish(tx, l) },
	}), nil
}

func confirmed(tx *db.Tx, l Link) error {
	switch {
	case l.State == Finished:
		return fault.New(fault.JourneyFinished, nil)
	case l.State == Refused:
		return fault.New(fault.LinkRefused, nil)
	case l.State == Void:
		return fault.New(fault.LinkReplaced, nil)
	case l.State != Confirmed:
		return fault.New(fault.LinkNotConfirmed, nil)
	case late(tx, l):
		return fault.New(fault.LinkTooLate, nil)
	}
	return nil
}

// finish reads the link again in the gate's transaction and ends it.
func finish(tx *db.Tx, l Link) error {
	now, err := find(tx, `id = $1`, l.ID)
	if err != nil {
		return err
	}
	if err := confirmed(tx, now); err != nil {
		return err
	}
	if _, err := tx.Exec(`UPDATE registration_link SET finished_at = $1 WHERE id = $2`, db.Micros(tx.Now()), l.ID); err != nil {
		return fmt.Errorf("finishing a registration link: %w", err)
	}
	return nil
}

// Prune deletes links that nobody can ask about any more.
func Prune(tx *db.Tx) error {
	if _, err := tx.Exec(`DELETE FROM registration_link WHERE made_at < $1`, db.Micros(tx.Now().Add(-keep))); err != nil {
		return fmt.Errorf("deleting old registration links: %w", err)
	}
	return nil
}
