package logout

import (
	"sync"
	"time"
)

// silence is how long a relying party that did not answer is left alone by
// this node. While it hangs, what is for others would wait for its time-outs.
const silence = 20 * time.Second

// silences are the relying parties that did not answer just now.
type silences struct {
	now   func() time.Time
	mu    *sync.Mutex
	until map[string]time.Time // guarded by mu
}

func newSilences(now func() time.Time) silences {
	return silences{now: now, mu: &sync.Mutex{}, until: map[string]time.Time{}}
}

// may reports whether a relying party may be called. After its silence one
// caller finds out whether it answers again; the others wait as before.
func (s silences) may(clientID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	until, silent := s.until[clientID]
	if !silent {
		return true
	}
	now := s.now()
	if now.Before(until) {
		return false
	}
	s.until[clientID] = now.Add(silence)
	return true
}

func (s silences) began(clientID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.until[clientID] = s.now().Add(silence)
}

func (s silences) ended(clientID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.until, clientID)
}
