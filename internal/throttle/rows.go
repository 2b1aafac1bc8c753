package throttle

import (
	"fmt"
	"strings"
	"time"

	"carekey.dev/carekey/internal/db"
)

// row is a counter as it stands after a statement.
type row struct {
	key          []byte
	rule         int64
	failures     int64
	refused      bool
	blockedUntil time.Time
}

// reserveRule decides for each row by itself. The row is locked by the UPSERT,
// so attempts at the same time are decided one after the other. $1 is now.
//
// blocked: refused, and nothing but the refusal is counted. Forgotten: begins
// again. Otherwise one failure more, and the block that it brings until a
// refund: so the next attempt waits although this one is still being verified.
var reserveRule = strings.NewReplacer(
	"BLOCKED", "throttle.blocked_until > $1",
	"FORGOTTEN", "throttle.forget_at <= $1",
	"CLASS", fmt.Sprint(ruleClass), "ACCOUNT", fmt.Sprint(ruleAccount), "NETWORK", fmt.Sprint(ruleNetwork),
	"CONSECUTIVE", fmt.Sprint(MaxConsecutive-1), "CROWD", fmt.Sprint(NetworkFailures-1),
	"WAIT", waits(),
).Replace(` ON CONFLICT (key) DO UPDATE SET
	failures = CASE WHEN BLOCKED THEN throttle.failures WHEN FORGOTTEN THEN 1 ELSE throttle.failures + 1 END,
	refused = CASE WHEN BLOCKED THEN throttle.refused + 1 WHEN FORGOTTEN THEN 0 ELSE throttle.refused END,
	last_refused = CASE WHEN BLOCKED THEN 1 ELSE 0 END,
	blocked_until = CASE WHEN BLOCKED THEN throttle.blocked_until WHEN FORGOTTEN THEN 0
		WHEN throttle.rule = CLASS THEN WAIT
		WHEN throttle.rule = ACCOUNT AND throttle.failures >= CONSECUTIVE THEN excluded.forget_at
		WHEN throttle.rule = NETWORK AND throttle.failures >= CROWD THEN throttle.forget_at
		ELSE 0 END,
	forget_at = CASE WHEN BLOCKED THEN throttle.forget_at
		WHEN throttle.rule = NETWORK AND NOT FORGOTTEN THEN throttle.forget_at
		ELSE excluded.forget_at END,
	forget_before = throttle.forget_at
	RETURNING key, rule, failures, last_refused, blocked_until`)

// refundRule: the address begins again, the network loses one failure.
var refundRule = strings.NewReplacer("NETWORK", fmt.Sprint(ruleNetwork)).Replace(` ON CONFLICT (key) DO UPDATE SET
	failures = CASE WHEN throttle.rule = NETWORK AND throttle.failures > 0 THEN throttle.failures - 1 ELSE 0 END,
	refused = CASE WHEN throttle.rule = NETWORK THEN throttle.refused ELSE 0 END,
	blocked_until = 0,
	forget_at = CASE WHEN throttle.rule = NETWORK THEN throttle.forget_at ELSE $1 END`)

// releaseRule: every row loses one failure. A browser class that had to wait
// already keeps waiting: else a flood that fills all workers would free it.
var releaseRule = strings.NewReplacer("CLASS", fmt.Sprint(ruleClass), "FREE", fmt.Sprint(FreeFailures)).Replace(` ON CONFLICT (key) DO UPDATE SET
	failures = CASE WHEN throttle.forget_at > $1 AND throttle.failures > 0 THEN throttle.failures - 1 ELSE 0 END,
	blocked_until = CASE WHEN throttle.rule = CLASS AND throttle.failures > FREE THEN throttle.blocked_until ELSE 0 END`)

// waits is the SQL for the end of the wait that one failure more brings to a
// browser class.
func waits() string {
	var sql strings.Builder
	fmt.Fprintf(&sql, "CASE WHEN throttle.failures < %d THEN 0", FreeFailures-1)
	for n := FreeFailures; n < LongFailures; n++ {
		fmt.Fprintf(&sql, " WHEN throttle.failures = %d THEN $1 + %d", n-1, (FirstWait << (n - FreeFailures)).Microseconds())
	}
	fmt.Fprintf(&sql, " ELSE $1 + %d END", LongWait.Microseconds())
	return sql.String()
}

// upsert begins a statement that writes all rows at once, each with the given
// number of failures if it is new.
func upsert(list []counter, failures int, now time.Time, forgetNow bool) (string, []any) {
	args := []any{db.Micros(now)}
	var sql strings.Builder
	sql.WriteString(`INSERT INTO throttle (key, rule, failures, refused, last_refused, blocked_until, forget_at, forget_before) VALUES `)
	for i, c := range list {
		if i > 0 {
			sql.WriteString(", ")
		}
		forget := now.Add(c.memory)
		if forgetNow {
			forget = now
		}
		n := len(args)
		fmt.Fprintf(&sql, "($%d, $%d, %d, 0, 0, 0, $%d, 0)", n+1, n+2, failures, n+3)
		args = append(args, c.key, c.rule, db.Micros(forget))
	}
	return sql.String(), args
}

func reserve(tx *db.Tx, list []counter, now time.Time) ([]row, error) {
	sql, args := upsert(list, 1, now, false)
	rows, err := scan(tx, sql+reserveRule, args)
	if err != nil {
		return nil, fmt.Errorf("reserving an attempt: %w", err)
	}
	return rows, nil
}

// settle writes all rows after the outcome. It inserts a row that the janitor
// has taken away meanwhile, rather than locking rows in another order.
func settle(tx *db.Tx, list []counter, rule string) error {
	sql, args := upsert(list, 0, tx.Now(), true)
	if _, err := tx.Exec(sql+rule, args...); err != nil {
		return fmt.Errorf("settling an attempt: %w", err)
	}
	return nil
}

// takeBack turns the failure that a row counted into a refusal, because
// another row refused the attempt: it will not be verified, and it changes
// nothing but the count of refusals.
func takeBack(tx *db.Tx, rows []row, now time.Time) error {
	for _, r := range rows {
		if r.refused {
			continue
		}
		_, err := tx.Exec(`UPDATE throttle SET failures = failures - 1, refused = refused + 1, last_refused = 1, blocked_until = 0,
			forget_at = CASE WHEN forget_before > $2 THEN forget_before WHEN rule = $4 THEN $2 ELSE $3 END WHERE key = $1`,
			r.key, db.Micros(now), db.Micros(now.Add(refusedMemory)), ruleNetwork)
		if err != nil {
			return fmt.Errorf("taking back a refused attempt: %w", err)
		}
	}
	return nil
}

// read returns the rows as an attempt would find them.
func read(tx *db.Tx, list []counter, now time.Time) ([]row, error) {
	var in strings.Builder
	args := []any{db.Micros(now)}
	for i, c := range list {
		if i > 0 {
			in.WriteString(", ")
		}
		args = append(args, c.key)
		fmt.Fprintf(&in, "$%d", len(args))
	}
	rows, err := scan(tx, `SELECT key, rule, failures, CASE WHEN blocked_until > $1 THEN 1 ELSE 0 END, blocked_until
		FROM throttle WHERE forget_at > $1 AND key IN (`+in.String()+`)`, args)
	if err != nil {
		return nil, fmt.Errorf("reading counted attempts: %w", err)
	}
	return rows, nil
}

func scan(tx *db.Tx, sql string, args []any) ([]row, error) {
	found, err := tx.Rows(sql, args...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var rows []row
	for found.Next() {
		var r row
		var refused, until int64
		if err := found.Scan(&r.key, &r.rule, &r.failures, &refused, &until); err != nil {
			return nil, err
		}
		r.refused, r.blockedUntil = refused == 1, db.Time(until)
		rows = append(rows, r)
	}
	return rows, found.Close()
}
