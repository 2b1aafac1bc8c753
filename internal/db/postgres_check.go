package db

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// startWithin is how long the questions at start may take at least: a server
// that has just been started, or is under load, answers its first connection
// later than any other, and nobody waits for this one.
const startWithin = 10 * time.Second

// check refuses a server that would not keep what it acknowledges.
func (e *postgresEngine) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, max(e.db.config.Deadline, startWithin))
	defer cancel()
	s, err := e.acquire(ctx)
	if err != nil {
		return err
	}
	defer s.conn.Close()
	const settings = `SELECT current_setting('server_version_num')::bigint, current_setting('server_encoding'), pg_is_in_recovery(),
		current_setting('synchronous_commit'), current_setting('fsync'), current_setting('synchronous_standby_names'),
		(SELECT count(*) FROM pg_replication_slots WHERE slot_type = 'physical' AND NOT temporary)`
	var (
		version, slots                        int64
		encoding, synchronous, fsync, standby string
		recovery                              bool
	)
	err = s.conn.QueryRowContext(ctx, settings).Scan(&version, &encoding, &recovery, &synchronous, &fsync, &standby, &slots)
	if err != nil {
		return fmt.Errorf("asking PostgreSQL for its settings: %w", kindPostgres(err))
	}
	switch {
	case version < 130000:
		return fmt.Errorf("PostgreSQL %d is too old: use 13 or later", version/10000)
	case encoding != "UTF8":
		return fmt.Errorf("the database's encoding is %s: create it with ENCODING 'UTF8'", encoding)
	case recovery:
		return errors.New("this PostgreSQL is a standby: name the primary, or all of them with target_session_attrs=read-write")
	case synchronous != "on" && synchronous != "remote_apply":
		return fmt.Errorf("synchronous_commit is %s: set it to on, or a crash loses what was acknowledged", synchronous)
	case slots > 0 && standby == "" && !e.db.config.AllowAsyncStandbys:
		return errors.New("this PostgreSQL has standbys but synchronous_standby_names is empty: switch synchronous_mode_strict on (Patroni), or a failover loses what was acknowledged")
	}
	if fsync != "on" {
		e.db.config.Log.Warn("PostgreSQL runs with fsync off: a crash of its machine loses or breaks data")
	}
	return e.firstClock(ctx, s)
}
