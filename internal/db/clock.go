package db

import (
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

// clock is this node's view of the database's clock.
type clock struct {
	given  func() time.Time
	offset atomic.Int64 // nanoseconds to add to the machine's clock
}

func newClock(given func() time.Time) *clock { return &clock{given: given} }

func (c *clock) now() time.Time {
	if c.given != nil {
		return c.given().UTC().Truncate(time.Microsecond)
	}
	return time.Now().Add(c.skew()).UTC().Truncate(time.Microsecond)
}

func (c *clock) skew() time.Duration { return time.Duration(c.offset.Load()) }

// measure takes the database's time, which was read somewhere between sent and received; the middle is off by half the round trip at most.
// A slow round trip tells too little to be believed over an earlier one.
func (c *clock) measure(database, sent, received time.Time) {
	if c.given != nil || received.Sub(sent) > time.Second {
		return
	}
	middle := sent.Add(received.Sub(sent) / 2)
	c.offset.Store(int64(database.Sub(middle)))
}
