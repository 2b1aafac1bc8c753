package db

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// clockEvery is how often the offset between this node's clock and the database's is measured.
const clockEvery = 10 * time.Second

// A server under load may answer the first question late. So a node that starts asks a few times, until an answer comes quickly enough.
const (
	clockLooks = 5
	clockSure  = 5 * time.Millisecond
)

// firstClock measures the database's clock before anything is judged by it.
func (e *postgresEngine) firstClock(ctx context.Context, s *session) error {
	for range clockLooks {
		if err := e.measureClock(ctx, s); err != nil {
			return err
		}
		if known, unsure := e.db.clock.measured(); known && unsure <= clockSure {
			break
		}
	}
	return nil
}

// watchClock measures the database's clock until ctx ends.
func (e *postgresEngine) watchClock(ctx context.Context) {
	defer close(e.clocks)
	tick := time.NewTicker(clockEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := e.sampleClock(ctx); err != nil && ctx.Err() == nil {
			e.db.config.Log.Warn("measuring the database's clock failed", "error", err)
		}
	}
}

func (e *postgresEngine) sampleClock(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, clockEvery)
	defer cancel()
	s, err := e.acquire(ctx)
	if err != nil {
		return err
	}
	defer s.conn.Close()
	return e.measureClock(ctx, s)
}

func (e *postgresEngine) measureClock(ctx context.Context, s *session) error {
	sent := time.Now()
	answer, err := s.simple(ctx, "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
	received := time.Now()
	if err != nil {
		return kindPostgres(err)
	}
	micros, err := strconv.ParseInt(strings.Join(answer.columns, ""), 10, 64)
	if err != nil {
		return fmt.Errorf("reading the database's clock: %w", err)
	}
	e.db.clock.measure(time.UnixMicro(micros), sent, received)
	return nil
}
