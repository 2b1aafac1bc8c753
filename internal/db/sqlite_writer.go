package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of one group: what waits longer than a COMMIT takes goes into the next one.
const (
	groupSize = 256
	groupTime = 20 * time.Millisecond
)

// writer is the only one in this process that writes to the SQLite file. Functions that wait at the same time share a transaction and its
// one COMMIT; each is in a savepoint of its own.
//
// Each function runs in the goroutine that called Write: the writer's goroutine hands it the transaction and takes it back. So a panic,
// or a test's FailNow, unwinds in its caller with its own stack, and the writer cannot be taken down by it.
type writer struct {
	db    *DB
	queue chan *write
	pool  *sql.DB
	s     *session // nil after a failure that makes the connection doubtful

	mu      sync.RWMutex // held for reading while a write is being queued
	closed  bool
	stopped chan struct{}
}

// write is one call of Write, from the queue to its outcome.
type write struct {
	ctx   context.Context
	taken atomic.Bool // by the writer, or by its caller who has waited long enough
	turn  chan *Tx    // writer to caller: run your function with this
	ran   chan error  // caller to writer: it has returned
	told  chan error  // writer to caller: the outcome
	err   error       // what the function returned; told after COMMIT, because it may rest on what a neighbour wrote
	spent bool        // the function ran until its deadline
}

// take settles who has the write: the first who asks.
func (m *write) take() bool { return m.taken.CompareAndSwap(false, true) }

// errUnwinding is what a function that panicked or exited reports. It is never told: its caller is already on the way out.
var errUnwinding = errors.New("db: the function did not return")

func newWriter(ctx context.Context, d *DB, path string) (*writer, error) {
	pool, err := openSQLitePool(path, d.config.Deadline)
	if err != nil {
		return nil, err
	}
	w := &writer{db: d, pool: pool, queue: make(chan *write, d.config.Queue), stopped: make(chan struct{})}
	if w.s, err = openSQLiteSession(ctx, pool); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	var mode string
	if err := w.s.conn.QueryRowContext(ctx, "PRAGMA journal_mode").Scan(&mode); err != nil {
		return nil, errors.Join(kindSQLite(err), pool.Close())
	}
	if mode != "wal" {
		return nil, errors.Join(fmt.Errorf("%s is on a file system that cannot do write-ahead logging (journal mode %s): use a local disk", path, mode), pool.Close())
	}
	go w.run()
	return w, nil
}

func (w *writer) write(ctx context.Context, fn func(*Tx) error) error {
	m := &write{ctx: ctx, turn: make(chan *Tx), ran: make(chan error), told: make(chan error, 1)}
	if err := w.enqueue(m); err != nil {
		return err
	}
	w.db.counts.pending.Add(1)
	defer w.db.counts.pending.Add(-1)
	patience := time.NewTimer(w.patience())
	defer patience.Stop()
	for {
		select {
		case tx := <-m.turn:
			m.run(tx, fn)
		case err := <-m.told:
			return err
		case <-patience.C:
			if m.take() {
				return fmt.Errorf("%w: waited %s for a turn to write", ErrBusy, w.patience())
			}
		}
	}
}

// patience is how long a write waits for its turn: longer than one slow neighbour may take.
func (w *writer) patience() time.Duration { return 2 * w.db.config.Deadline }

func (w *writer) enqueue(m *write) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return errClosed
	}
	select {
	case w.queue <- m:
		return nil
	default:
		return fmt.Errorf("%w: %d writes are waiting", ErrBusy, cap(w.queue))
	}
}

// run runs in the caller's goroutine.
func (m *write) run(tx *Tx, fn func(*Tx) error) {
	err := errUnwinding
	defer func() {
		m.ran <- tx.finish(err)
		if err == errUnwinding {
			<-m.told // rolled back before the panic goes on
		}
	}()
	err = fn(tx)
}

func (w *writer) run() {
	defer close(w.stopped)
	for m := range w.queue {
		w.group(m)
	}
}

func (w *writer) close() error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		<-w.stopped
		return nil
	}
	w.closed = true
	close(w.queue)
	w.mu.Unlock()
	<-w.stopped
	var err error
	if w.s != nil {
		err = w.s.close()
	}
	return errors.Join(err, w.pool.Close())
}

// group runs first and those who wait behind it in one transaction.
func (w *writer) group(first *write) {
	if !first.take() {
		return
	}
	if err := w.begin(); err != nil {
		w.refuse(first, err)
		return
	}
	if err := w.turn(first); err != nil {
		w.rollback()
		first.told <- err
		return
	}
	members, ok := w.join([]*write{first})
	if ok {
		if err := w.commit(); err == nil {
			for _, m := range members {
				m.told <- m.err
			}
			return
		} else if len(members) == 1 {
			w.rollback()
			first.told <- err
			return
		}
	}
	w.rollback()
	for _, m := range members {
		if m.spent && m.err != nil { // it has had its time, and its neighbours wait for theirs
			m.told <- m.err
		} else {
			w.alone(m)
		}
	}
}

// join lets waiting writes into the transaction, until nobody waits or it is large enough. false: the transaction has been aborted.
func (w *writer) join(members []*write) ([]*write, bool) {
	until := time.Now().Add(groupTime)
	for len(members) < groupSize && time.Now().Before(until) {
		var m *write
		select {
		case m = <-w.queue:
		default:
		}
		if m == nil { // nobody waits, or the queue has been closed
			break
		}
		if !m.take() {
			continue
		}
		if _, err := w.exec("SAVEPOINT member"); err != nil {
			return append(members, m), false
		}
		m.err = w.turn(m)
		alive := w.settle(m.err)
		if m.err == errUnwinding {
			m.told <- m.err
		} else {
			members = append(members, m)
		}
		if !alive {
			return members, false
		}
	}
	return members, true
}

// settle keeps or undoes what one member did. false: the transaction is no longer there, the engine has aborted it as a whole.
func (w *writer) settle(err error) bool {
	if err != nil {
		if _, err := w.exec("ROLLBACK TO member"); err != nil {
			return false
		}
	}
	_, err = w.exec("RELEASE member")
	return err == nil
}

// alone runs a member of an aborted group again, in a transaction of its own; this outcome is final.
func (w *writer) alone(m *write) {
	w.db.counts.reruns.Add(1)
	if err := w.begin(); err != nil {
		m.told <- err
		return
	}
	err := w.turn(m)
	if err == nil {
		err = w.commit()
	}
	if err != nil {
		w.rollback()
	}
	m.told <- err
}

// turn lets the caller run its function in the open transaction.
func (w *writer) turn(m *write) error {
	ctx, cancel := context.WithTimeout(m.ctx, w.db.config.Deadline)
	defer cancel()
	start := time.Now()
	m.turn <- w.db.begin(ctx, w.s, false)
	err := <-m.ran
	m.spent = ctx.Err() != nil
	if held := time.Since(start); held > time.Second {
		w.db.config.Log.Warn("a write held the database", "for", held)
	}
	return err
}

// refuse tells first, and those who wait behind it, that no transaction could be begun: each would wait for the same lock in vain.
func (w *writer) refuse(first *write, err error) {
	first.told <- err
	for range len(w.queue) {
		m := <-w.queue
		if m == nil {
			return
		}
		m.told <- err
	}
}

func (w *writer) begin() error {
	if w.s == nil {
		s, err := openSQLiteSession(context.Background(), w.pool)
		if err != nil {
			return err
		}
		w.s = s
	}
	// IMMEDIATE: the lock that another process may hold is waited for here, once, and never in the middle of a member.
	_, err := w.exec("BEGIN IMMEDIATE")
	if err != nil && !errors.Is(err, ErrBusy) {
		w.s.release(false)
		w.s = nil
	}
	return err
}

func (w *writer) commit() error {
	_, err := w.exec("COMMIT")
	if err == nil {
		w.db.counts.commits.Add(1)
	}
	return err
}

// rollback ends the transaction, whether or not the engine has ended it already. A connection that cannot is not used again.
func (w *writer) rollback() {
	w.db.counts.rollbacks.Add(1)
	if _, err := w.exec("ROLLBACK"); err == nil {
		return
	}
	w.s.release(false)
	w.s = nil
}

// exec runs a transaction statement: without a deadline, because none of them may be given up half-way.
func (w *writer) exec(statement string) (sql.Result, error) {
	result, err := w.s.exec(context.Background(), statement, nil)
	return result, kindSQLite(err)
}
