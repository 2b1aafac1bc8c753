// Package recovery verifies saved recovery codes: ten codes that a worker keeps
// on paper for the day when the phone is lost.
//
// A code comes in with a person whose password was right; a ticket and then a
// proof leave. The proof opens a new registration and never a session:
// recovery never raises a level (decision 6). Codes are shown once, when they
// are made, and stored as sums of one salted argon2id set (N20, N24).
package recovery

import (
	"context"
	"embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/internal/argon"
	"carekey.dev/carekey/internal/credential/internal/entry"
	"carekey.dev/carekey/internal/credential/internal/proof"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/throttle"
)

//go:embed schema/*.sql
var schema embed.FS

// Schema holds this room's migrations.
var Schema fs.FS = schema

const (
	// Count is how many codes a set has (decision 6).
	Count = 10
	// Length is the number of characters of a code: 13 of base 32 are 65 bits,
	// where N20 asks for 64.
	Length = 13
	// TicketLife is how long a code that was checked waits for the end of the
	// registration that it opened.
	TicketLife = 20 * time.Minute

	counted = "recovery-code"
)

// Options of the room.
type Options struct {
	DB       *db.DB
	Ring     *keys.Ring
	Throttle *throttle.Throttle
	Random   io.Reader
	Cost     argon.Cost
	// Pool is the pool of the passwords: both together stay within its memory.
	Pool *argon.Pool
}

// Recovery makes and verifies recovery codes.
type Recovery struct {
	o       Options
	hasher  *argon.Hasher
	tickets *keys.Sealer
}

// New returns the room.
func New(o Options) *Recovery {
	return &Recovery{o: o, hasher: argon.New(o.Ring, "recovery", o.Cost, o.Random), tickets: o.Ring.Sealer("recovery/ticket")}
}

// Make returns ten new codes, as they are shown once, and the change that
// stores them in place of the old ones. authenticatorID is the record whose
// holder gets them. Fault: Busy.
func (r *Recovery) Make(ctx context.Context, uid care.UID, authenticatorID string) ([]string, credential.Change, error) {
	none := credential.Change{}
	place, err := r.o.Pool.Enter()
	if err != nil {
		return nil, none, err
	}
	defer place.Leave()
	blank, err := r.hasher.Blank()
	if err != nil {
		return nil, none, err
	}
	var shown []string
	var sums [][]byte
	for range Count {
		code, err := r.draw()
		if err != nil {
			return nil, none, err
		}
		full, err := r.hasher.Fill(ctx, place, blank, code)
		if err != nil {
			return nil, none, fmt.Errorf("hashing a recovery code: %w", err)
		}
		shown = append(shown, code[:4]+"-"+code[4:8]+"-"+code[8:])
		sums = append(sums, full.Sum)
	}
	return shown, proof.NewChange(proof.ChangeFields{
		UID: uid, AuthenticatorID: authenticatorID, What: credential.RecoveryCodes,
		Store: func(tx *db.Tx) error { return store(tx, uid, blank, sums) },
	}), nil
}

// draw returns a new code without its dashes.
func (r *Recovery) draw() (string, error) {
	var b [Length]byte
	if _, err := io.ReadFull(r.o.Random, b[:]); err != nil {
		return "", fmt.Errorf("drawing a recovery code: %w", err)
	}
	for i := range b {
		b[i] = entry.Crockford[int(b[i])%len(entry.Crockford)] // 256 is a multiple of 32: no bias
	}
	return string(b[:]), nil
}

func store(tx *db.Tx, uid care.UID, blank argon.Hash, sums [][]byte) error {
	if _, err := tx.Exec(`DELETE FROM recovery_set WHERE uid = $1`, uid); err != nil {
		return fmt.Errorf("replacing recovery codes: %w", err)
	}
	_, err := tx.Exec(`INSERT INTO recovery_set (uid, blank, made_at) VALUES ($1, $2, $3)`, uid, blank.String(), db.Micros(tx.Now()))
	if err != nil {
		return fmt.Errorf("storing recovery codes: %w", err)
	}
	for i, sum := range sums {
		if _, err := tx.Exec(`INSERT INTO recovery_code (uid, position, sum) VALUES ($1, $2, $3)`, uid, i, sum); err != nil {
			return fmt.Errorf("storing a recovery code: %w", err)
		}
	}
	return nil
}

// Left returns how many codes a person has left.
func Left(tx *db.Tx, uid care.UID) (int, error) {
	var n int
	if err := tx.Row(`SELECT count(*) FROM recovery_code WHERE uid = $1 AND used_at = 0`, uid).Scan(&n); err != nil {
		return 0, fmt.Errorf("counting recovery codes: %w", err)
	}
	return n, nil
}

// ticket is what Check has found out. Only this room can open it.
type ticket struct {
	UID      care.UID  `json:"u"`
	Sum      []byte    `json:"s"` // names the code within its set, whatever set is newest
	Position int       `json:"p"`
	At       time.Time `json:"t"`
}

// Check verifies a code of a person whose password was right, and returns a
// ticket for Proof. The attempt is counted before it is verified. Faults:
// RecoveryCodeMistyped (not counted), WrongRecoveryCode, RecoveryCodeUsed,
// TooManyAttempts, TriesUsedUp, Busy.
func (r *Recovery) Check(ctx context.Context, uid care.UID, typed string, who throttle.Subject) (string, error) {
	code, ok := entry.Base32(typed, Length)
	if !ok {
		return "", fault.New(fault.RecoveryCodeMistyped, nil)
	}
	place, err := r.o.Pool.Enter()
	if err != nil {
		return "", err
	}
	defer place.Leave()
	who.Action, who.Address = counted, string(uid)
	reserved, err := r.o.Throttle.Attempt(ctx, r.o.DB, who)
	if err != nil {
		return "", err
	}
	t, used, err := r.match(ctx, place, uid, code)
	switch {
	case err != nil:
		return "", err
	case t == nil:
		return "", fault.New(fault.WrongRecoveryCode, nil).With(reserved.Warning()).After(reserved.Wait)
	case used:
		return "", fault.New(fault.RecoveryCodeUsed, nil)
	}
	err = r.o.DB.Write(ctx, func(tx *db.Tx) error { return r.o.Throttle.Refund(tx, who) })
	if err != nil {
		return "", fmt.Errorf("counting a right recovery code: %w", err)
	}
	return r.seal(*t)
}

// match compares a code with the person's set, each sum in constant time and
// all of them every time. One hash is computed, set or no set.
func (r *Recovery) match(ctx context.Context, place *argon.Place, uid care.UID, code string) (*ticket, bool, error) {
	blank, codes, err := r.set(ctx, uid)
	if err != nil {
		return nil, false, err
	}
	full, err := r.hasher.Fill(ctx, place, blank, code)
	if err != nil {
		return nil, false, fmt.Errorf("hashing a recovery code: %w", err)
	}
	var found *ticket
	var used bool
	for _, c := range codes {
		if keys.Equal(c.sum, full.Sum) {
			found = &ticket{UID: uid, Sum: c.sum, Position: c.position, At: r.o.DB.Now()}
			used = c.used
		}
	}
	return found, used, nil
}

type stored struct {
	position int
	sum      []byte
	used     bool
}

func (r *Recovery) set(ctx context.Context, uid care.UID) (argon.Hash, []stored, error) {
	blank, err := r.hasher.Blank()
	if err != nil {
		return blank, nil, err
	}
	var codes []stored
	err = r.o.DB.Read(ctx, func(tx *db.Tx) error {
		var text string
		err := tx.Row(`SELECT blank FROM recovery_set WHERE uid = $1`, uid).Scan(&text)
		if errors.Is(err, db.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if blank, err = argon.Parse(text); err != nil {
			return err
		}
		codes, err = readCodes(tx, uid)
		return err
	})
	if err != nil {
		return blank, nil, fmt.Errorf("reading recovery codes: %w", err)
	}
	return blank, codes, nil
}

func readCodes(tx *db.Tx, uid care.UID) ([]stored, error) {
	rows, err := tx.Rows(`SELECT position, sum, used_at FROM recovery_code WHERE uid = $1 ORDER BY position`, uid)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var codes []stored
	for rows.Next() {
		var c stored
		var used int64
		if err := rows.Scan(&c.position, &c.sum, &used); err != nil {
			return nil, err
		}
		c.used = used != 0
		codes = append(codes, c)
	}
	return codes, rows.Err()
}

// Proof returns the proof of a ticket. Its use spends the code; the other nine
// stay good. Faults: SignInTooOld; RecoveryCodeUsed when it is used.
func (r *Recovery) Proof(sealed string) (proof.Proof, error) {
	t, err := r.open(sealed)
	if err != nil {
		return proof.Proof{}, err
	}
	return proof.New(proof.Fields{
		UID: t.UID, At: t.At, Evidence: care.Evidence{RecoveryCode: true},
		Consume: func(tx *db.Tx) error {
			n, err := tx.Exec(`UPDATE recovery_code SET used_at = $1 WHERE uid = $2 AND position = $3 AND sum = $4 AND used_at = 0`,
				db.Micros(tx.Now()), t.UID, t.Position, t.Sum)
			if err != nil {
				return fmt.Errorf("spending a recovery code: %w", err)
			}
			if n != 1 {
				return fault.New(fault.RecoveryCodeUsed, nil)
			}
			return nil
		},
	}), nil
}

func (r *Recovery) seal(t ticket) (string, error) {
	plain, err := json.Marshal(t)
	if err != nil {
		return "", fmt.Errorf("encoding a recovery ticket: %w", err)
	}
	sealed, err := r.tickets.Seal(plain, nil)
	if err != nil {
		return "", fmt.Errorf("sealing a recovery ticket: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

func (r *Recovery) open(sealed string) (ticket, error) {
	var t ticket
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err == nil {
		raw, err = r.tickets.Open(raw, nil)
	}
	if err == nil {
		err = json.Unmarshal(raw, &t)
	}
	if err == nil && !r.o.DB.Now().Before(t.At.Add(TicketLife)) {
		err = errors.New("the ticket has expired")
	}
	if err != nil {
		return ticket{}, fault.New(fault.SignInTooOld, err)
	}
	return t, nil
}
