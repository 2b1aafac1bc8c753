package recovery

import (
	"context"
	"errors"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/internal/entry"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/throttle"
)

// TicketLife is how long a code that was checked waits for the end of the
// registration that it has opened: as long as its journey lives.
const TicketLife = 20 * time.Minute

// ticket is what was checked. Only this room can open it.
type ticket struct {
	UID  care.UID         `json:"u"`
	Code string           `json:"c"`
	Who  throttle.Subject `json:"w"`
	At   time.Time        `json:"t"`
}

// CheckFirst is Check at the first page of a journey whose last page needs the
// proof: the ticket travels in between, and Proof turns it into the proof.
// Nothing is spent before that. Faults as Check.
func (r *Recovery) CheckFirst(ctx context.Context, uid care.UID, code string, who throttle.Subject) (string, error) {
	if _, err := r.Check(ctx, uid, code, who); err != nil {
		return "", err
	}
	return keys.SealJSON(r.tickets, nil, ticket{uid, code, counted(uid, who), r.o.DB.Now()})
}

// Proof returns the proof of a ticket. The attempt was counted when the ticket
// was made. Faults: SignInTooOld, RecoveryCodeUsed, WrongRecoveryCode if the
// list was replaced meanwhile, Busy.
func (r *Recovery) Proof(ctx context.Context, sealed string) (credential.Proof, error) {
	t, err := r.open(sealed)
	if err != nil {
		return credential.Proof{}, err
	}
	place, err := r.o.Pool.Enter()
	if err != nil {
		return credential.Proof{}, err
	}
	defer place.Leave()
	var found list
	err = r.o.DB.Read(ctx, func(tx *db.Tx) error {
		var err error
		found, err = read(tx, t.UID)
		return err
	})
	if err != nil {
		return credential.Proof{}, err
	}
	typed, _ := entry.Base32(t.Code, length)
	position, err := r.find(ctx, place, found, typed)
	switch {
	case err != nil:
		return credential.Proof{}, err
	case position < 0:
		return credential.Proof{}, fault.New(fault.WrongRecoveryCode, errors.New("the list was replaced after the code was checked"))
	case found.used[position]:
		return credential.Proof{}, fault.New(fault.RecoveryCodeUsed, nil)
	}
	return r.proof(t.UID, found, position, t.Who, t.At)
}

func (r *Recovery) open(sealed string) (ticket, error) {
	t, err := keys.OpenJSON[ticket](r.tickets, nil, sealed)
	if err == nil && !r.o.DB.Now().Before(t.At.Add(TicketLife)) {
		err = errors.New("the ticket has expired")
	}
	if err != nil {
		return ticket{}, fault.New(fault.SignInTooOld, err)
	}
	return t, nil
}
