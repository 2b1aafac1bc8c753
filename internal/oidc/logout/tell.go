package logout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/oidc/grant"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/session"
)

const (
	// poll is how often a node looks for sessions that are over without having
	// been woken: those past their absolute limit, and those that another node
	// ended before it died.
	poll = 15 * time.Second
	// batch is how many sessions, and about how many messages, one transaction
	// deals with.
	batch = 32
)

// Run puts into the outbox whom to tell of sessions that are over, until ctx
// ends. Every node may run it.
func (l *Logout) Run(ctx context.Context) error {
	heard, stop := l.DB.Listen(session.OverTopic)
	defer stop()
	for ctx.Err() == nil {
		if err := l.Tell(ctx); err != nil {
			return err
		}
		timer := time.NewTimer(poll)
		select {
		case <-ctx.Done():
		case <-heard:
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

// Tell puts into the outbox whom to tell of the sessions that are over now.
func (l *Logout) Tell(ctx context.Context) error {
	size := batch
	for {
		var any bool
		err := l.DB.Read(ctx, func(tx *db.Tx) (err error) {
			any, err = session.AnyUntold(tx) // so that an idle node never writes
			return err
		})
		if err != nil || !any {
			return err
		}
		envelopes, err := l.envelopes(size)
		if err != nil {
			return err
		}
		var needed int
		err = l.DB.Write(ctx, func(tx *db.Tx) (err error) {
			needed, err = tell(tx, envelopes)
			return err
		})
		if err != nil {
			return fmt.Errorf("telling relying parties of sessions that are over: %w", err)
		}
		size = max(batch, needed)
	}
}

// envelope is a message for the outbox that was sealed before the transaction
// and says nothing but the name of a delivery. Whom it is for is written there.
type envelope struct {
	id      string
	message outbox.Message
}

func (l *Logout) envelopes(n int) ([]envelope, error) {
	all := make([]envelope, n)
	for i := range all {
		id := keys.Token(l.Random, 16)
		message, err := l.Outbox.Seal(kind, []byte(id), Life)
		if err != nil {
			return nil, err
		}
		all[i] = envelope{id, message}
	}
	return all, nil
}

// tell uses up envelopes for sessions that are over, each session with all its
// relying parties or not at all. It returns how many envelopes the first
// session needs that there were too few for, or 0.
func tell(tx *db.Tx, envelopes []envelope) (needed int, err error) {
	over, err := session.Untold(tx, batch)
	if err != nil {
		return 0, err
	}
	known := channels{}
	var told []string
	for _, o := range over {
		clients, err := known.of(tx, o.SID)
		if err != nil {
			return 0, err
		}
		if len(clients) > len(envelopes) {
			needed = len(clients)
			break
		}
		for i, client := range clients {
			if err := put(tx, envelopes[i], client, o); err != nil {
				return 0, err
			}
		}
		envelopes = envelopes[len(clients):]
		told = append(told, o.SID)
	}
	return needed, session.Told(tx, told)
}

// channels remembers during a transaction which relying parties have a back
// channel.
type channels map[string]bool

// of returns those that got something from the session and can be told.
func (c channels) of(tx *db.Tx, sid string) ([]string, error) {
	clients, err := grant.Clients(tx, sid)
	if err != nil {
		return nil, err
	}
	var reachable []string
	for _, client := range clients {
		has, ok := c[client]
		if !ok {
			rp, err := relyingparty.ByID(tx, client)
			if err != nil && !errors.Is(err, db.ErrNoRows) {
				return nil, err
			}
			has = rp.BackchannelLogoutURI != ""
			c[client] = has
		}
		if has {
			reachable = append(reachable, client)
		}
	}
	return reachable, nil
}

func put(tx *db.Tx, e envelope, client string, o session.Over) error {
	_, err := tx.Exec(`INSERT INTO logout_delivery (id, message, client_id, sid, uid, why, made_at) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		e.id, e.message.ID, client, o.SID, o.UID, o.Why, db.Micros(tx.Now()))
	if err != nil {
		return fmt.Errorf("storing whom to tell: %w", err)
	}
	return outbox.Put(tx, e.message)
}
