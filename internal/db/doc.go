// Package db is the one way to the database, for both engines: SQLite inside the process (the default) and PostgreSQL (several nodes).
//
// Who comes in: every room that owns tables, with SQL of its own and a function that runs in a transaction. What leaves: rows, or one of
// few errors (ErrNoRows, IsUnique, ErrBusy, ErrFull, ErrUnavailable). What it will never do: know what a table means, build SQL,
// retry something whose outcome it does not know, or tell of success before the engine has made it durable (decision 17).
//
// Two functions are enough for most rooms:
//
//	err := d.Read(ctx, func(tx *db.Tx) error { … })   // one consistent snapshot, nothing can be written
//	err := d.Write(ctx, func(tx *db.Tx) error { … })  // committed as a whole, or not at all
//
// A function that is given to Write may run more than once: its neighbour's failure, a serialization failure or a lost connection
// makes it run again. So it has no effect outside the transaction, sets (not adds to) what it captures, and does no hashing, signing
// or network.
//
// A statement that fails ends its transaction, on both engines: later statements return the same error, and so does Write, even when
// the function swallowed it. Expect a conflict with ON CONFLICT, not by catching it.
//
// SQL is one text for both engines where that is natural: placeholders $1…$n; column types TEXT, BIGINT and BYTEA; booleans are 0 and 1,
// times are microseconds (Micros, Time). Text is UTF-8 without NUL (PostgreSQL cannot hold one), on both.
// NULL and an empty BYTEA may both be read as a nil slice.
package db
