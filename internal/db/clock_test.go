package db

import (
	"testing"
	"time"
)

// A session whose sign-in seems older than the request that asked for it would be asked for again.
func TestACorrectedClockDoesNotGoBack(t *testing.T) {
	c := newClock(nil)
	sent := time.Now()
	c.measure(sent.Add(900*time.Millisecond), sent, sent.Add(900*time.Millisecond)) // ahead by 450 ms, or by anything up to 900
	first := c.now()
	c.measure(sent.Add(time.Second), sent.Add(time.Second), sent.Add(time.Second)) // not ahead at all
	if c.skew() != 0 {
		t.Fatalf("the better measurement was not believed: %s", c.skew())
	}
	if second := c.now(); second.Before(first) {
		t.Errorf("after %v it was %v", first, second)
	}
	c.measure(sent.Add(-time.Hour), sent, sent)
	if c.now().After(first.Add(-time.Minute)) {
		t.Error("a database whose clock was set back by an hour is not followed")
	}
}

func TestAQuickAnswerIsBelievedOverASlowOne(t *testing.T) {
	start := time.Now()
	for name, step := range map[string]struct {
		after, trip, ahead time.Duration // the second look at the clock, and by how much the database's then seems to be ahead
		want               time.Duration
	}{
		"another quick one":                         {10 * time.Second, 2 * time.Millisecond, time.Millisecond, time.Millisecond},
		"a slow one soon after":                     {10 * time.Second, 400 * time.Millisecond, 150 * time.Millisecond, 0},
		"a slow one when the quick one is old":      {time.Hour, 400 * time.Millisecond, 150 * time.Millisecond, 150 * time.Millisecond},
		"a slow one after the clock has been set":   {10 * time.Second, 400 * time.Millisecond, time.Minute, time.Minute},
		"one that took too long to tell anything":   {time.Hour, 1001 * time.Millisecond, 100 * time.Millisecond, 0},
		"a slow one after it has been set a little": {10 * time.Second, 400 * time.Millisecond, 300 * time.Millisecond, 300 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClock(nil)
			c.measure(start, start, start)
			sent := start.Add(step.after)
			c.measure(sent.Add(step.trip/2+step.ahead), sent, sent.Add(step.trip))
			if c.skew() != step.want {
				t.Errorf("the clock is corrected by %s, want %s", c.skew(), step.want)
			}
		})
	}
}
