package server

import (
	"context"
	"time"

	"carekey.dev/carekey/internal/credential/fido"
	"carekey.dev/carekey/internal/credential/link"
	"carekey.dev/carekey/internal/credential/mailcode"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/lease"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/session"
	"carekey.dev/carekey/internal/throttle"
)

const (
	// cleanEach is how often one node deletes what is over, so that tables stay
	// as small as what is alive.
	cleanEach = 10 * time.Minute
	// janitorTTL is how soon another node takes over from one that died.
	janitorTTL = time.Minute
)

// clean deletes what is over in every room, on one node at a time.
func (s *site) clean(ctx context.Context, node string) error {
	return lease.Hold(ctx, s.DB, "janitor", node, janitorTTL, func(ctx context.Context, held lease.Held) error {
		tick := time.NewTicker(cleanEach)
		defer tick.Stop()
		for {
			if err := s.cleanOnce(ctx, held); err != nil {
				return err
			}
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
			}
		}
	})
}

// cleanOnce gives each room a transaction of its own: a long one would keep
// sign-ins waiting.
func (s *site) cleanOnce(ctx context.Context, held lease.Held) error {
	for _, prune := range []func(tx *db.Tx) error{
		session.Prune, throttle.Prune, mailcode.Prune, link.Prune, fido.Prune, outbox.Prune, s.provider.Prune,
	} {
		err := s.DB.Write(ctx, func(tx *db.Tx) error {
			if err := held.Confirm(tx); err != nil {
				return err
			}
			return prune(tx)
		})
		if err != nil {
			return err
		}
	}
	// An HSM that is out of reach is no reason to stop cleaning.
	if err := s.provider.RotateKeys(ctx); err != nil {
		s.Log.Error("the signing keys could not be rotated as the schedule says; the present ones go on", "err", err)
	}
	s.lookAtMetadata(ctx)
	return s.faults.Prune(ctx)
}
