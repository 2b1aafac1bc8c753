package db

import "sync/atomic"

type counters struct {
	commits, rollbacks, statements, reads, writes, reruns, busy atomic.Uint64
	pending                                                     atomic.Int64
}

// Counters is what the database has done since it was opened, for metrics and for tests that hold a way to its budget of commits and statements.
type Counters struct {
	Commits    uint64 // write transactions made durable; one may carry many writes
	Rollbacks  uint64 // write transactions given up as a whole
	Statements uint64 // Exec, Row and Rows, in reads and writes; BEGIN, SAVEPOINT and COMMIT are not counted
	Reads      uint64 // calls of Read
	Writes     uint64 // calls of Write
	Reruns     uint64 // functions that were run again
	Busy       uint64 // calls that ended in ErrBusy
	Pending    int64  // writes that wait or run at present
}

// Counters returns the present counts. Each is exact; together they are not one snapshot.
func (d *DB) Counters() Counters {
	c := &d.counts
	return Counters{
		Commits:    c.commits.Load(),
		Rollbacks:  c.rollbacks.Load(),
		Statements: c.statements.Load(),
		Reads:      c.reads.Load(),
		Writes:     c.writes.Load(),
		Reruns:     c.reruns.Load(),
		Busy:       c.busy.Load(),
		Pending:    c.pending.Load(),
	}
}
