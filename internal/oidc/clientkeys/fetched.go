package clientkeys

import (
	"context"
	"fmt"
	"time"
)

// fetched is what is known of one address. Sets.mu guards it.
type fetched struct {
	keys set
	// read is when keys were read, zero if they never were; tried is when the
	// last fetch began, and failure why it brought nothing.
	read, tried time.Time
	failure     error
	// brought counts the fetches that brought keys.
	brought int
	// demanded is when a key that is not in the set last made us fetch it.
	demanded time.Time
	// used is when somebody last asked, to know what can be forgotten.
	used time.Time
	// running is closed when the fetch under way has ended; nil if none is.
	running chan struct{}
}

// current returns the keys at an address: those in memory while they are
// fresh, else fetched ones, else, for a while, the old ones.
func (s *Sets) current(ctx context.Context, uri string) (set, error) {
	s.mu.Lock()
	now := s.Now()
	f := s.known(uri, now)
	if !f.read.IsZero() && now.Sub(f.read) < Fresh {
		defer s.mu.Unlock()
		return f.keys, nil
	}
	if f.running == nil && now.Sub(f.tried) >= Pause {
		s.fetch(ctx, uri, f, now)
	}
	// Whoever signs in while the address is down does not wait for it again:
	// one wait has shown that it is.
	wait := f.running
	if f.failure != nil && f.spare(now) {
		wait = nil
	}
	s.mu.Unlock()
	if wait != nil {
		if err := await(ctx, wait); err != nil {
			return set{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.spare(now) || f.failure == nil && !f.read.IsZero() {
		return f.keys, nil
	}
	return set{}, fmt.Errorf("%w at %s: %w", ErrFetch, uri, f.failure)
}

// spare reports whether old keys may be used still.
func (f *fetched) spare(now time.Time) bool { return !f.read.IsZero() && now.Sub(f.read) < Stale }

// again fetches a set whose keys did not do, at most once a minute, and
// reports whether there are newer keys.
func (s *Sets) again(ctx context.Context, uri string) (set, bool) {
	s.mu.Lock()
	now := s.Now()
	f := s.known(uri, now)
	before := f.brought
	if f.running == nil {
		if now.Sub(f.demanded) < Again || now.Sub(f.tried) < Pause {
			s.mu.Unlock()
			return set{}, false
		}
		f.demanded = now
		s.fetch(ctx, uri, f, now)
	}
	running := f.running
	s.mu.Unlock()
	if await(ctx, running) != nil {
		return set{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return f.keys, f.brought != before
}

// fetch begins to fetch. Requests at the same time wait for the one fetch,
// which goes on if the first of them gives up.
func (s *Sets) fetch(ctx context.Context, uri string, f *fetched, now time.Time) {
	f.tried, f.running = now, make(chan struct{})
	go func() {
		keys, err := s.read(ctx, uri)
		if err != nil {
			s.Log.Warn("the keys of a relying party cannot be read", "jwks_uri", uri, "err", err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if f.failure = err; err == nil {
			f.keys, f.read = keys, s.Now()
			f.brought++
		}
		close(f.running)
		f.running = nil
	}()
}

func await(ctx context.Context, running chan struct{}) error {
	select {
	case <-running:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// known returns what is known of an address. Where there are too many, the one
// that was not asked for the longest is forgotten.
func (s *Sets) known(uri string, now time.Time) *fetched {
	f := s.byURI[uri]
	if f == nil {
		if len(s.byURI) >= mostSets {
			oldest := ""
			for other, o := range s.byURI {
				if oldest == "" || o.used.Before(s.byURI[oldest].used) {
					oldest = other
				}
			}
			delete(s.byURI, oldest)
		}
		f = &fetched{}
		s.byURI[uri] = f
	}
	f.used = now
	return f
}
