package recovery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/internal/argon"
	"carekey.dev/carekey/internal/credential/internal/entry"
	"carekey.dev/carekey/internal/credential/internal/proof"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/throttle"
)

// list is what is stored of a person's codes. A person without one has the
// zero list.
type list struct {
	scheme string
	sums   [][]byte
	used   []bool
	// address is where the person is told.
	address care.Email
}

func (l list) left() int {
	n := 0
	for _, used := range l.used {
		if !used {
			n++
		}
	}
	return n
}

// Check checks a recovery code of a person whose password is known to be
// right. It is counted before it is verified. Use of the returned proof spends
// the code and tells the person. Faults: RecoveryCodeMistyped (not counted),
// WrongRecoveryCode, RecoveryCodeUsed, TooManyAttempts, TriesUsedUp, Busy.
func (r *Recovery) Check(ctx context.Context, uid care.UID, code string, who throttle.Subject) (credential.Proof, error) {
	typed, ok := entry.Base32(code, length)
	if !ok {
		return credential.Proof{}, fault.New(fault.RecoveryCodeMistyped, nil)
	}
	place, err := r.o.Pool.Enter()
	if err != nil {
		return credential.Proof{}, err
	}
	defer place.Leave()
	who = counted(uid, who)
	found, reserved, err := r.reserve(ctx, uid, who)
	if err != nil {
		return credential.Proof{}, err
	}
	position, err := r.find(ctx, place, found, typed)
	if err != nil {
		return credential.Proof{}, err
	}
	switch {
	case position < 0:
		return credential.Proof{}, r.failed(ctx, uid, found, reserved, fault.WrongRecoveryCode)
	case found.used[position]:
		return credential.Proof{}, r.failed(ctx, uid, found, reserved, fault.RecoveryCodeUsed)
	}
	return r.proof(uid, found, position, who, r.o.DB.Now())
}

// proof is the proof of an unused code of a list.
func (r *Recovery) proof(uid care.UID, found list, position int, who throttle.Subject, at time.Time) (credential.Proof, error) {
	notice, err := r.notice(uid, found, outbox.RecoveryCodeUsed, found.left()-1)
	if err != nil {
		return credential.Proof{}, fmt.Errorf("checking a recovery code: %w", err)
	}
	sum := found.sums[position]
	return proof.New(proof.Fields{
		UID: uid, Evidence: care.Evidence{RecoveryCode: true}, At: at,
		Consume: func(tx *db.Tx) error {
			if err := use(tx, uid, position, sum); err != nil {
				return err
			}
			if err := outbox.PutAll(tx, notice); err != nil {
				return err
			}
			return r.o.Throttle.Refund(tx, who)
		},
	}), nil
}

// counted says what is counted: the codes of a person.
func counted(uid care.UID, who throttle.Subject) throttle.Subject {
	who.Action, who.Address = countRecovery, string(uid)
	return who
}

// reserve counts the attempt and reads the list in one transaction.
func (r *Recovery) reserve(ctx context.Context, uid care.UID, who throttle.Subject) (list, throttle.Reservation, error) {
	var found list
	var reserved throttle.Reservation
	var refused *fault.Error
	err := r.o.DB.Write(ctx, func(tx *db.Tx) error {
		found, refused = list{}, nil
		var err error
		reserved, err = r.o.Throttle.Reserve(tx, who)
		if errors.As(err, &refused) {
			return nil // the refusal is counted too
		}
		if err != nil {
			return err
		}
		found, err = read(tx, uid)
		return err
	})
	if err != nil {
		return list{}, reserved, fmt.Errorf("counting a recovery code: %w", err)
	}
	if refused != nil {
		return list{}, reserved, refused
	}
	return found, reserved, nil
}

func read(tx *db.Tx, uid care.UID) (list, error) {
	rows, err := tx.Rows(`SELECT s.scheme, c.sum, c.used_at, COALESCE(p.address, '')
		FROM recovery_set s
		JOIN recovery_code c ON c.uid = s.uid
		LEFT JOIN person_sign_in p ON p.uid = s.uid
		WHERE s.uid = $1 ORDER BY c.position`, uid)
	if err != nil {
		return list{}, fmt.Errorf("reading recovery codes: %w", err)
	}
	defer rows.Close()
	var l list
	for rows.Next() {
		var sum []byte
		var used int64
		if err := rows.Scan(&l.scheme, &sum, &used, &l.address); err != nil {
			return list{}, fmt.Errorf("reading recovery codes: %w", err)
		}
		l.sums, l.used = append(l.sums, sum), append(l.used, used != 0)
	}
	if err := rows.Err(); err != nil {
		return list{}, fmt.Errorf("reading recovery codes: %w", err)
	}
	return l, nil
}

// find returns the position of the code, or -1. It computes one hash and
// compares with every code, whoever asks.
func (r *Recovery) find(ctx context.Context, place *argon.Place, l list, typed string) (int, error) {
	scheme, err := r.hasher.Blank()
	if err != nil {
		return -1, err
	}
	if l.scheme != "" {
		if scheme, err = argon.Parse(l.scheme); err != nil {
			return -1, fmt.Errorf("reading recovery codes: %w", err)
		}
	}
	full, err := r.hasher.Fill(ctx, place, scheme, typed)
	if err != nil {
		return -1, fmt.Errorf("checking a recovery code: %w", err)
	}
	position := -1
	for i, sum := range l.sums {
		if keys.Equal(sum, full.Sum) {
			position = i
		}
	}
	return position, nil
}

// use spends a code. The sum is that of the list that was read, so a newer
// list's code at the same position is never spent instead.
func use(tx *db.Tx, uid care.UID, position int, sum []byte) error {
	changed, err := tx.Exec(`UPDATE recovery_code SET used_at = $1 WHERE uid = $2 AND position = $3 AND sum = $4 AND used_at = 0`,
		db.Micros(tx.Now()), uid, position, sum)
	if err != nil {
		return fmt.Errorf("using a recovery code: %w", err)
	}
	if changed == 0 {
		return fault.New(fault.RecoveryCodeUsed, nil)
	}
	return nil
}

// failed returns the fault of a counted wrong attempt. The last one ends the
// list (N10).
func (r *Recovery) failed(ctx context.Context, uid care.UID, l list, reserved throttle.Reservation, kind *fault.Kind) error {
	if err := r.o.Throttle.Failed(ctx, r.o.DB, reserved); err != nil {
		return err
	}
	if reserved.Exhausted && l.scheme != "" {
		if err := r.end(ctx, uid, l); err != nil {
			return err
		}
	}
	return fault.New(kind, nil).With(reserved.Warning()).After(reserved.Wait)
}

func (r *Recovery) end(ctx context.Context, uid care.UID, l list) error {
	notice, err := r.notice(uid, l, outbox.AuthenticatorDisabled, 0)
	if err != nil {
		return fmt.Errorf("ending a list of recovery codes: %w", err)
	}
	err = r.o.DB.Write(ctx, func(tx *db.Tx) error {
		if err := drop(tx, uid); err != nil {
			return err
		}
		if err := outbox.PutAll(tx, notice); err != nil {
			return err
		}
		return audit.Record(tx, audit.Entry{
			Action: "recovery_codes.disabled", Subject: uid, Actor: "system",
			Fields: []audit.Field{{Name: "why", Value: "too many wrong tries in a row"}},
		})
	})
	if err != nil {
		return fmt.Errorf("ending a list of recovery codes: %w", err)
	}
	return nil
}

// notice is the mail about an event, if the person has a verified address.
func (r *Recovery) notice(uid care.UID, l list, template string, left int) ([]outbox.Message, error) {
	if l.address == "" {
		return nil, nil
	}
	link, err := r.o.NotMe(uid, "")
	if err != nil {
		return nil, err
	}
	mail, err := r.o.Outbox.Mail(l.address, template, outbox.Notice{
		When: r.o.DB.Now(), Authenticator: "Your list of recovery codes", Left: left, NotMe: link,
	})
	if err != nil {
		return nil, err
	}
	return []outbox.Message{mail}, nil
}
