package outbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"carekey.dev/carekey/internal/db"
)

const (
	// poll is how often a node looks without having been woken: for messages
	// that another node put there before it died.
	poll = 15 * time.Second
	// delivery bounds one call of a handler.
	delivery = time.Minute
	// claim is how long a message belongs to the node that took it; after
	// that the node counts as dead. It is longer than a delivery and the write
	// that follows it, and no longer than that needs: an emailed code waits for
	// it, and lives for ten minutes. A claim that was too short costs a second
	// delivery, and never a message.
	claim = 2 * delivery
	// leave is how long a delivery may take once the node is to stop: less than
	// its supervisor waits before it kills, and then nobody would give the
	// message back.
	leave = 10 * time.Second
	// The pause after the first failure doubles up to the longest.
	firstPause   = 5 * time.Second
	longestPause = time.Hour
)

// lane is a queue of its own, with workers of its own: a relying party that
// does not answer holds a worker until it times out, and a code by mail must
// not wait for that.
type lane struct {
	// where is the condition of its messages, in SQL.
	where string
	// workers is how many of them a node delivers at the same time.
	workers int
}

// lanes are those for letters and for everything else.
var lanes = []lane{{"kind = '" + mailKind + "'", 4}, {"kind <> '" + mailKind + "'", 8}}

// Failure is why a message could not be delivered. Its text is stored and
// shown to the operator: it holds no address, code or link.
type Failure struct {
	Text string
	// Final means that trying again cannot help.
	Final bool
	cause error
	// left: it was this node that gave up, so another one tries at once.
	left bool
}

// Permanent returns the failure of a message that will never be accepted.
func Permanent(text string, cause error) error {
	return &Failure{Text: text, Final: true, cause: cause}
}

// Temporary returns the failure of a message that may be accepted later.
func Temporary(text string, cause error) error { return &Failure{Text: text, cause: cause} }

// Error is the safe text.
func (f *Failure) Error() string { return f.Text }

// Unwrap returns the cause, which may name an address.
func (f *Failure) Unwrap() error { return f.cause }

// item is a message that this node has claimed.
type item struct {
	id, kind         string
	payload          []byte
	attempts         int64
	created, expires time.Time
}

// Run delivers messages until ctx ends, and returns when the deliveries in
// progress have ended, by themselves or by Options.Leave. Every node may run it.
func (o *Outbox) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, l := range lanes {
		all.Go(func() { o.run(ctx, l) })
	}
	all.Wait()
}

func (o *Outbox) run(ctx context.Context, l lane) {
	heard, stop := o.db.Listen(topic)
	defer stop()
	going, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(o.options.Leave, cut) })()
	var deliveries sync.WaitGroup
	defer deliveries.Wait()
	slots := make(chan struct{}, l.workers)
	for {
		select {
		case <-ctx.Done():
			return
		case slots <- struct{}{}:
		}
		found, wait, err := o.next(ctx, l)
		if found != nil {
			deliveries.Go(func() {
				defer func() { <-slots }()
				o.handle(going, found)
			})
			continue
		}
		<-slots
		if err != nil && ctx.Err() == nil {
			o.options.Log.Warn("the outbox cannot be read", "error", err)
		}
		timer := time.NewTimer(min(wait, poll))
		select {
		case <-ctx.Done():
		case <-heard:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// next claims the message of a lane that is due first. Without one it returns
// how long it is until one is due.
func (o *Outbox) next(ctx context.Context, l lane) (*item, time.Duration, error) {
	// A look before the write, so that an idle node never writes.
	var due *int64
	var now time.Time
	err := o.db.Read(ctx, func(tx *db.Tx) error {
		now = tx.Now()
		return tx.Row(`SELECT MIN(next_at) FROM outbox WHERE state = 'queued' AND ` + l.where).Scan(&due)
	})
	if err != nil || due == nil {
		return nil, poll, err
	}
	if wait := db.Time(*due).Sub(now); wait > 0 {
		return nil, wait, nil
	}
	var claimed *item
	err = o.db.Write(ctx, func(tx *db.Tx) error {
		claimed = nil
		found := &item{}
		var created, expires int64
		// The condition stands twice: PostgreSQL checks the outer one again
		// after waiting for another node that claims the same row.
		err := tx.Row(`UPDATE outbox SET attempts = attempts + 1, next_at = $2 WHERE state = 'queued' AND next_at <= $1 AND id =
			(SELECT id FROM outbox WHERE state = 'queued' AND next_at <= $1 AND `+l.where+` ORDER BY next_at LIMIT 1)
			RETURNING id, kind, payload, attempts, created_at, expires_at`,
			db.Micros(tx.Now()), db.Micros(tx.Now().Add(claim))).
			Scan(&found.id, &found.kind, &found.payload, &found.attempts, &created, &expires)
		if errors.Is(err, db.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		found.created, found.expires = db.Time(created), db.Time(expires)
		claimed = found
		return nil
	})
	if err != nil {
		return nil, poll, fmt.Errorf("claiming a message: %w", err)
	}
	return claimed, 0, nil // nil: another node was quicker; look again at once
}

// handle delivers one message and stores the outcome.
func (o *Outbox) handle(ctx context.Context, m *item) {
	failure := o.deliver(ctx, m)
	log := o.options.Log.With("message", m.id, "kind", m.kind, "attempt", m.attempts)
	err := o.db.Write(ctx, func(tx *db.Tx) error { return settle(tx, m, failure) })
	switch {
	case err != nil:
		// It stays claimed and is delivered again after that: at least once.
		log.Error("the outcome of a delivery could not be stored", "error", err)
	case failure == nil:
		log.Debug("delivered")
	default:
		log.Warn("not delivered", "reason", failure.Text, "final", failure.Final)
	}
}

func (o *Outbox) deliver(ctx context.Context, m *item) (failure *Failure) {
	if !m.expires.After(o.db.Now()) {
		return &Failure{Text: "expired before it could be delivered", Final: true}
	}
	handler := o.handlers[m.kind]
	if handler == nil {
		return &Failure{Text: "this node has no handler for " + m.kind}
	}
	payload, err := o.sealer.Open(m.payload, bound(m.id, m.kind))
	if err != nil {
		return &Failure{Text: "the message does not open with the root keys of this node", cause: err}
	}
	defer func() {
		// A handler's mistake must not take the node down, and with it all
		// other messages.
		if r := recover(); r != nil {
			failure = &Failure{Text: "the handler panicked", cause: fmt.Errorf("panic: %v", r)}
			o.options.Log.Error("a handler panicked", "kind", m.kind)
		}
	}()
	leaving := ctx
	ctx, cancel := context.WithTimeout(ctx, delivery)
	defer cancel()
	err = handler(ctx, payload)
	switch {
	case err == nil:
		return nil
	case errors.As(err, &failure) && (failure.Final || leaving.Err() == nil):
		return failure
	case leaving.Err() != nil:
		return &Failure{Text: "the node stopped in the middle", cause: err, left: true}
	default:
		return &Failure{Text: safeText(err), cause: err}
	}
}

// settle stores the outcome of an attempt. A delivery that is known to have
// succeeded counts even if the claim has passed on meanwhile; a failure does
// not undo another node's claim.
func settle(tx *db.Tx, m *item, failure *Failure) error {
	now := tx.Now()
	var err error
	if failure == nil {
		_, err = tx.Exec(`UPDATE outbox SET state = 'sent', payload = NULL, ended_at = $1, last_error = '' WHERE id = $2 AND state = 'queued'`,
			db.Micros(now), m.id)
	} else if again := now.Add(wait(m, failure)); failure.Final || !again.Before(m.expires) {
		_, err = tx.Exec(`UPDATE outbox SET state = 'dead', ended_at = $1, last_error = $2 WHERE id = $3 AND attempts = $4 AND state = 'queued'`,
			db.Micros(now), failure.Text, m.id, m.attempts)
	} else {
		_, err = tx.Exec(`UPDATE outbox SET next_at = $1, last_error = $2 WHERE id = $3 AND attempts = $4 AND state = 'queued'`,
			db.Micros(again), failure.Text, m.id, m.attempts)
		tx.Wake(topic) // or it would wait for the next poll, which is longer than the first pause
	}
	if err != nil {
		return fmt.Errorf("storing the outcome of a delivery: %w", err)
	}
	return nil
}

// wait is how long to wait before the next attempt.
func wait(m *item, failure *Failure) time.Duration {
	if failure.left {
		return 0
	}
	return pause(m.attempts)
}

// pause is how long to wait after the given number of attempts: doubling, and
// a fifth more or less, so that what failed together does not come together.
func pause(attempts int64) time.Duration {
	wait := longestPause
	if attempts < 12 {
		wait = min(longestPause, firstPause<<(attempts-1))
	}
	return wait*4/5 + rand.N(wait*2/5)
}
