// Package lease lets one node among many do what only one may do at a time:
// sequence the audit log, clean up.
//
// A function comes in with the name of its task; it runs while this node holds
// the lease of that name, with a context that ends when the lease is lost. The
// lease lives in the database and by the database's clock. Time alone proves
// nothing (a paused process believes that it still holds), so a holder has an
// epoch, and confirms it in each transaction that must not be done twice. The
// room keeps no state in the process.
package lease

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"carekey.dev/carekey/internal/db"
)

//go:embed schema/*.sql
var schema embed.FS

// Schema holds the room's migrations.
var Schema fs.FS = schema

// ErrLost is the error of a transaction by a node that no longer holds its
// lease, and the cause of the context that ends then.
var ErrLost = errors.New("the lease is held by another node")

// Held is one node's holding of a lease.
type Held struct {
	Name, Holder string
	// Epoch grows with each new holding: whatever carries a lower one is old.
	Epoch int64
}

// Confirm fails with ErrLost unless the lease is still held. On PostgreSQL it
// locks the lease until the transaction ends, so that nobody can take it over
// in between; call it first.
func (h Held) Confirm(tx *db.Tx) error {
	var until int64
	err := tx.Row(`SELECT until FROM lease WHERE name = $1 AND holder = $2 AND epoch = $3`+tx.ForUpdate(),
		h.Name, h.Holder, h.Epoch).Scan(&until)
	if errors.Is(err, db.ErrNoRows) || err == nil && until <= db.Micros(tx.Now()) {
		return ErrLost
	}
	if err != nil {
		return fmt.Errorf("confirming lease %s: %w", h.Name, err)
	}
	return nil
}

// Hold runs task whenever this node holds the lease, until ctx ends or task
// returns by itself; it returns what task returned last, or nil after ctx has
// ended. node must be unique to a running process: a lease that is still held
// in that name is taken over at once, so that a restarted process need not
// wait for its own lease to expire. The lease is renewed each third of ttl,
// and released at the end.
func Hold(ctx context.Context, d *db.DB, name, node string, ttl time.Duration, task func(context.Context, Held) error) error {
	h := holding{db: d, name: name, node: node, ttl: ttl, after: after}
	return h.run(ctx, task)
}

// holding is one call of Hold. after is passed in by tests.
type holding struct {
	db         *db.DB
	name, node string
	ttl        time.Duration
	after      func(time.Duration) (<-chan time.Time, func())
}

func after(d time.Duration) (<-chan time.Time, func()) {
	timer := time.NewTimer(d)
	return timer.C, func() { timer.Stop() }
}

func (h *holding) run(ctx context.Context, task func(context.Context, Held) error) error {
	for ctx.Err() == nil {
		held, err := h.acquire(ctx)
		if err == nil {
			err = h.hold(ctx, held, task)
			if !errors.Is(err, ErrLost) {
				return err
			}
		}
		// Held by another node, lost, or no database: look again later.
		tick, stop := h.after(h.ttl / 3)
		select {
		case <-ctx.Done():
		case <-tick:
		}
		stop()
	}
	return nil
}

// hold runs task beside the renewals. It returns ErrLost if the lease went
// while task was running, and only after task has returned.
func (h *holding) hold(ctx context.Context, held Held, task func(context.Context, Held) error) error {
	running, end := context.WithCancelCause(ctx)
	defer end(nil)
	done := make(chan error, 1)
	go func() { done <- task(running, held) }()
	expires := h.db.Now().Add(h.ttl)
	for {
		tick, stop := h.after(h.ttl / 3)
		select {
		case err := <-done:
			stop()
			h.release(ctx, held)
			if ctx.Err() != nil && errors.Is(err, context.Canceled) {
				return nil
			}
			return err
		case <-tick:
		}
		now := h.db.Now()
		err := h.renew(running, held)
		switch {
		case err == nil:
			expires = now.Add(h.ttl)
		case errors.Is(err, ErrLost) || !h.db.Now().Before(expires):
			// Lost, or the database has been out of reach for a whole ttl.
			end(ErrLost)
			<-done
			return ErrLost
		}
	}
}

// acquire takes the lease if it is free, expired, or in this node's own name.
func (h *holding) acquire(ctx context.Context) (Held, error) {
	held := Held{Name: h.name, Holder: h.node}
	free := false
	// A look before the write: a waiting node should not write every few
	// seconds.
	err := h.db.Read(ctx, func(tx *db.Tx) error {
		var holder string
		var until int64
		err := tx.Row(`SELECT holder, until FROM lease WHERE name = $1`, h.name).Scan(&holder, &until)
		free = errors.Is(err, db.ErrNoRows) || holder == h.node || until <= db.Micros(tx.Now())
		if errors.Is(err, db.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil {
		return Held{}, fmt.Errorf("looking at lease %s: %w", h.name, err)
	}
	if !free {
		return Held{}, ErrLost
	}
	err = h.db.Write(ctx, func(tx *db.Tx) error {
		now := tx.Now()
		err := tx.Row(`INSERT INTO lease (name, holder, epoch, until) VALUES ($1, $2, 1, $3)
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, epoch = lease.epoch + 1, until = excluded.until
			WHERE lease.until <= $4 OR lease.holder = excluded.holder RETURNING epoch`,
			h.name, h.node, db.Micros(now.Add(h.ttl)), db.Micros(now)).Scan(&held.Epoch)
		if errors.Is(err, db.ErrNoRows) {
			return ErrLost
		}
		return err
	})
	if err != nil {
		return Held{}, fmt.Errorf("acquiring lease %s: %w", h.name, err)
	}
	return held, nil
}

func (h *holding) renew(ctx context.Context, held Held) error {
	return h.db.Write(ctx, func(tx *db.Tx) error {
		rows, err := tx.Exec(`UPDATE lease SET until = $1 WHERE name = $2 AND holder = $3 AND epoch = $4`,
			db.Micros(tx.Now().Add(h.ttl)), held.Name, held.Holder, held.Epoch)
		if err != nil {
			return fmt.Errorf("renewing lease %s: %w", h.name, err)
		}
		if rows == 0 {
			return ErrLost
		}
		return nil
	})
}

// release frees the lease for the others at once. If it fails, it expires.
func (h *holding) release(ctx context.Context, held Held) {
	// An error has nobody to go to: the lease expires by itself.
	_ = h.db.Write(context.WithoutCancel(ctx), func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE lease SET until = 0 WHERE name = $1 AND holder = $2 AND epoch = $3`,
			held.Name, held.Holder, held.Epoch)
		return err
	})
}
