package argon

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"carekey.dev/carekey/internal/fault"
)

// RetryAfter is what somebody is told whom a full pool turned away.
const RetryAfter = 2 * time.Second

// queuePerWorker bounds the wait: at the default cost a worker does this many
// hashes in about a second.
const queuePerWorker = 32

// quiet is after how long without a hash the system gets its memory back. The
// collector alone would keep what a busy morning took for many minutes.
const quiet = 10 * time.Second

// Pool bounds how many hashes are computed at once, and how many wait. Its
// memory in use is size times the cost of one hash, however many people sign
// in.
type Pool struct {
	places  chan struct{} // everybody inside: working or waiting
	workers chan struct{} // those who are working
	rest    *time.Timer
}

// NewPool returns a pool of size workers; 0 takes one for each processor.
func NewPool(size int) *Pool {
	if size <= 0 {
		size = runtime.GOMAXPROCS(0)
	}
	p := &Pool{
		places:  make(chan struct{}, size*(1+queuePerWorker)),
		workers: make(chan struct{}, size),
		rest:    time.AfterFunc(quiet, debug.FreeOSMemory),
	}
	p.rest.Stop() // nothing was used yet
	return p
}

// Place is a place in the pool.
type Place struct {
	pool  *Pool
	leave sync.Once
}

// Enter takes a place without waiting, or returns fault.Busy. The caller
// leaves it.
func (p *Pool) Enter() (*Place, error) {
	select {
	case p.places <- struct{}{}:
		return &Place{pool: p}, nil
	default:
		return nil, p.busy()
	}
}

// Ask returns fault.Busy if the pool is full now, so that nothing is begun that
// has no chance.
func (p *Pool) Ask() error {
	if len(p.places) == cap(p.places) {
		return p.busy()
	}
	return nil
}

func (p *Pool) busy() error {
	return fault.New(fault.Busy, fmt.Errorf("all %d places of the password pool are taken", cap(p.places))).After(RetryAfter)
}

// Leave gives the place back; doing it again does nothing.
func (p *Place) Leave() {
	p.leave.Do(func() { <-p.pool.places })
}

// run waits for a worker and runs work on it.
func (p *Place) run(ctx context.Context, work func()) error {
	select {
	case p.pool.workers <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("waiting for a password worker: %w", context.Cause(ctx))
	}
	defer func() {
		<-p.pool.workers
		p.pool.rest.Reset(quiet)
	}()
	work()
	return nil
}
