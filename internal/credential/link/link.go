// Package link introduces a worker who is not signed in: a Registration
// Authority (or an operator in its place) makes a link for one person and one
// type of authenticator, hands it over, and confirms at the end that the
// number on the worker's screen is its own (decisions 4 and 5).
//
// Whoever acts for the RA comes in to make, watch and confirm a link; the
// worker's way comes in with the token of the link. The proof of the
// introduction leaves, and only after the confirmation: who has the link and
// the mailbox alone gets nothing. Looking at a link never uses it. The room
// does not know who may make links, nor whether a confirmer is somebody else
// than the worker: callers do.
package link

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"strconv"
	"time"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/person"
)

//go:embed schema/*.sql
var schema embed.FS

// Schema holds this room's migrations.
var Schema fs.FS = schema

const (
	// Life is how long an unstarted link works (seed 0: "The register link
	// will expire after 3 minutes"; decision 5).
	Life = 3 * time.Minute
	// Limit is how long after its start a registration can be confirmed and
	// finished: the 20 minutes of its journey, and time for an RA who is busy.
	Limit = 30 * time.Minute

	tokenSize = 32 // 256 bits
)

// State is how far a link has come.
type State string

// The states, in their order. Refused, Finished, Replaced and Expired are ends.
const (
	Open      State = "open"
	Started   State = "started"
	Waiting   State = "waiting" // the number is on the screens
	Confirmed State = "confirmed"
	Refused   State = "refused"
	Finished  State = "finished"
	Replaced  State = "replaced" // by a newer link
	Expired   State = "expired"  // never stored
)

// Link is a registration link as both sides may see it.
type Link struct {
	ID     string
	UID    care.UID
	Method care.Method
	// By made it.
	By        string
	MadeAt    time.Time
	StartedAt time.Time
	State     State
	// Number is what both screens show while it is Waiting, two digits.
	Number string

	journey   string
	browser   []byte
	decidedAt time.Time
}

// Links makes and follows links.
type Links struct {
	db     *db.DB
	random io.Reader
}

// New returns the room.
func New(d *db.DB, random io.Reader) *Links { return &Links{db: d, random: random} }

// Create makes a link for a person and a type, and returns its token. Earlier
// links of the same person and type are void, however far they came.
func (l *Links) Create(ctx context.Context, uid care.UID, method care.Method, by string) (string, error) {
	token, id := keys.Token(l.random, tokenSize), keys.Token(l.random, 16)
	err := l.db.Write(ctx, func(tx *db.Tx) error {
		// Two links made at once must not both stay open.
		if _, err := person.Lock(tx, uid); err != nil {
			return err
		}
		_, err := tx.Exec(`UPDATE registration_link SET state = $3
			WHERE uid = $1 AND method = $2 AND state IN ($4, $5, $6, $7)`,
			uid, method, Replaced, Open, Started, Waiting, Confirmed)
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO registration_link (id, token_hash, uid, method, made_by, made_at, state)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`, id, keys.Hash(token), uid, method, by, db.Micros(tx.Now()), Open)
		if err != nil {
			return err
		}
		return record(tx, "link.created", Link{ID: id, UID: uid, Method: method}, by)
	})
	if err != nil {
		return "", fmt.Errorf("making a registration link: %w", err)
	}
	return token, nil
}

// Peek returns the link of a token and the fault that Start would meet, if any,
// and changes nothing: mail scanners and previews open links too. The link is
// filled in unless the fault is LinkUnknown.
func (l *Links) Peek(ctx context.Context, token string) (Link, error) {
	var found Link
	err := l.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		found, err = one(tx, `token_hash = $1`, keys.Hash(token))
		return err
	})
	if err != nil {
		return Link{}, err
	}
	if found.State == Open {
		return found, nil
	}
	return found, found.over()
}

// Start uses the link for one journey in one browser. The same journey may
// start it again. Faults: LinkUnknown, LinkExpired, LinkUsed, LinkReplaced,
// LinkRefused, LinkTooLate.
func (l *Links) Start(ctx context.Context, token, journey, browser string) (Link, error) {
	var found Link
	err := l.db.Write(ctx, func(tx *db.Tx) error {
		now := tx.Now()
		started, err := tx.Exec(`UPDATE registration_link SET state = $1, journey = $2, browser = $3, started_at = $4
			WHERE token_hash = $5 AND state = $6 AND made_at > $7`,
			Started, journey, keys.Hash(browser), db.Micros(now), keys.Hash(token), Open, db.Micros(now.Add(-Life)))
		if err != nil {
			return err
		}
		if found, err = one(tx, `token_hash = $1`, keys.Hash(token)); err != nil {
			return err
		}
		if started == 1 {
			return record(tx, "link.started", found, string(found.UID))
		}
		if found.live() && found.journey == journey && keys.Equal(found.browser, keys.Hash(browser)) {
			return nil
		}
		return found.over()
	})
	if err != nil {
		return Link{}, fmt.Errorf("starting a registration link: %w", err)
	}
	return found, nil
}

// Await says that the worker's screens are done and returns the number to
// show, the same each time. Faults: LinkUnknown, LinkUsed, LinkReplaced,
// LinkRefused, LinkTooLate.
func (l *Links) Await(ctx context.Context, journey string) (string, error) {
	found, err := l.Of(ctx, journey)
	if err != nil {
		return "", err
	}
	if found.State == Started {
		if found, err = l.wait(ctx, journey); err != nil {
			return "", err
		}
	}
	if found.State != Waiting && found.State != Confirmed {
		return "", found.over()
	}
	return found.Number, nil
}

// wait gives the started link its number, unless it has one by now.
func (l *Links) wait(ctx context.Context, journey string) (Link, error) {
	n, err := rand.Int(l.random, big.NewInt(90))
	if err != nil {
		return Link{}, fmt.Errorf("making a number to compare: %w", err)
	}
	number := strconv.FormatInt(10+n.Int64(), 10) // 10 to 99: no leading zero to read out
	var found Link
	err = l.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE registration_link SET state = $1, number = $2
			WHERE journey = $3 AND state = $4 AND started_at > $5`,
			Waiting, number, journey, Started, db.Micros(tx.Now().Add(-Limit)))
		if err != nil {
			return err
		}
		found, err = one(tx, `journey = $1`, journey)
		return err
	})
	if err != nil {
		return Link{}, fmt.Errorf("waiting for a confirmation: %w", err)
	}
	return found, nil
}

// Of returns the link that a journey started. Fault: LinkUnknown.
func (l *Links) Of(ctx context.Context, journey string) (Link, error) {
	var found Link
	if journey == "" {
		return found, unknown(errors.New("no journey"))
	}
	err := l.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		found, err = one(tx, `journey = $1`, journey)
		return err
	})
	return found, err
}

// Watch returns a link for the RA's screen. Fault: LinkUnknown.
func (l *Links) Watch(ctx context.Context, id string) (Link, error) {
	var found Link
	err := l.db.Read(ctx, func(tx *db.Tx) error {
		var err error
		found, err = one(tx, `id = $1`, id)
		return err
	})
	return found, err
}

func record(tx *db.Tx, action string, l Link, by string) error {
	return audit.Record(tx, audit.Entry{
		Action: action, Subject: l.UID, Actor: by,
		Fields: []audit.Field{{Name: "link", Value: l.ID}, {Name: "method", Value: string(l.Method)}},
	})
}

// Prune deletes links that are long over. The janitor calls it.
func Prune(tx *db.Tx) error {
	_, err := tx.Exec(`DELETE FROM registration_link WHERE made_at < $1`, db.Micros(tx.Now().Add(-7*24*time.Hour)))
	if err != nil {
		return fmt.Errorf("pruning registration links: %w", err)
	}
	return nil
}
