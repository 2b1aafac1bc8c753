package db

import (
	"sync"
	"sync/atomic"
	"time"
)

// Micros is how a time is stored: microseconds since 1970 in a BIGINT. The zero time is 0.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Time is the reverse of Micros, in UTC.
func Time(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// clock is this node's view of the database's clock. It may be off by half a round trip, so the views of two nodes differ; but no node's own view goes
// back by what a better measurement corrects: what a request did later never stands before what it did earlier.
type clock struct {
	given  func() time.Time
	offset atomic.Int64 // nanoseconds to add to the machine's clock
	latest atomic.Int64 // the last time that was told, in microseconds

	mu     sync.Mutex
	taken  time.Time     // when the offset was measured, or zero
	unsure time.Duration // how far it could be off then
}

func newClock(given func() time.Time) *clock { return &clock{given: given} }

func (c *clock) now() time.Time {
	if c.given != nil {
		return c.given().UTC().Truncate(time.Microsecond)
	}
	now := time.Now().Add(c.skew()).UnixMicro()
	for {
		latest := c.latest.Load()
		if back := latest - now; back > 0 && back <= slowest.Microseconds() {
			return time.UnixMicro(latest).UTC() // a clock that was set back by more is followed
		}
		if c.latest.CompareAndSwap(latest, now) {
			return time.UnixMicro(now).UTC()
		}
	}
}

func (c *clock) skew() time.Duration { return time.Duration(c.offset.Load()) }

const (
	// slowest is the longest round trip that tells enough of the database's time.
	slowest = time.Second
	// drift is by how much two clocks part, at most, in a second: machines that are set right all the time, and quartz that is not, stay well below.
	drift = 500 * time.Microsecond
)

// measure takes the database's time, which was read somewhere between sent and received; the middle is off by half the round trip at most. It is
// believed if it is not less sure than the last one has become meanwhile, or if the two cannot both be true, because a clock has been set.
func (c *clock) measure(database, sent, received time.Time) {
	trip := received.Sub(sent)
	if c.given != nil || trip > slowest {
		return
	}
	offset, unsure := database.Sub(sent.Add(trip/2)), trip/2
	c.mu.Lock()
	defer c.mu.Unlock()
	grown := c.unsure + time.Duration(received.Sub(c.taken).Seconds()*float64(drift))
	if !c.taken.IsZero() && unsure > grown && (offset-c.skew()).Abs() <= unsure+grown {
		return
	}
	c.taken, c.unsure = received, unsure
	c.offset.Store(int64(offset))
}

// measured reports whether the offset is known, and to what.
func (c *clock) measured() (bool, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.taken.IsZero(), c.unsure
}
