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
	crowdUntil   time.Time // the network's block, zero if it has none
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
	"CLASS", fmt.Sprint(ruleClass), "ACCOUNT", fmt.Sprint(ruleAccount),
	"CONSECUTIVE", fmt.Sprint(MaxConsecutive-1),
	"WAIT", waits(),
).Replace(` ON CONFLICT (key) DO UPDATE SET
	failures = CASE WHEN BLOCKED THEN throttle.failures WHEN FORGOTTEN THEN 1 ELSE throttle.failures + 1 END,
	refused = CASE WHEN BLOCKED THEN throttle.refused + 1 WHEN FORGOTTEN THEN 0 ELSE throttle.refused END,
	last_refused = CASE WHEN BLOCKED THEN 1 ELSE 0 END,
	blocked_until = CASE WHEN BLOCKED THEN throttle.blocked_until WHEN FORGOTTEN THEN 0
		WHEN throttle.rule = CLASS THEN WAIT
		WHEN throttle.rule = ACCOUNT AND throttle.failures >= CONSECUTIVE THEN excluded.forget_at
		ELSE 0 END,
	forget_at = CASE WHEN BLOCKED THEN throttle.forget_at ELSE excluded.forget_at END,
	forget_before = throttle.forget_at
	RETURNING key, rule, failures, last_refused, blocked_until`)

// crowdUntil is the end of the network's block: read beside the others, and
// not locked, because many share it.
const crowdUntil = `COALESCE((SELECT crowd.blocked_until FROM throttle AS crowd WHERE crowd.key = %s AND crowd.blocked_until > $1), 0)`

// raiseRule counts a failure of a network, within a window that begins with
// its first. $1 is now.
var raiseRule = strings.NewReplacer(
	"FORGOTTEN", "throttle.forget_at <= $1", "LAST", fmt.Sprint(NetworkFailures-1),
).Replace(` ON CONFLICT (key) DO UPDATE SET
	failures = CASE WHEN FORGOTTEN THEN 1 ELSE throttle.failures + 1 END,
	blocked_until = CASE WHEN FORGOTTEN THEN 0 WHEN throttle.failures >= LAST THEN throttle.forget_at ELSE 0 END,
	forget_at = CASE WHEN FORGOTTEN THEN excluded.forget_at ELSE throttle.forget_at END`)

// refundRule: the address begins again.
const refundRule = ` ON CONFLICT (key) DO UPDATE SET failures = 0, refused = 0, blocked_until = 0, forget_at = $1`

// releaseRule: both rows lose one failure. A browser class that had to wait
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

func reserve(tx *db.Tx, list []counter, crowd []byte, beside Beside, now time.Time) (rows []row, read string, err error) {
	sql, args := upsert(list, 1, now, false)
	args = append(args, crowd)
	sql += reserveRule + ", " + fmt.Sprintf(crowdUntil, fmt.Sprintf("$%d", len(args)))
	var also []any
	if beside != nil {
		column, more := beside(len(args) + 1)
		sql, args, also = sql+", "+column, append(args, more...), []any{&read}
	}
	rows, err = scan(tx, sql, args, also...)
	if err != nil {
		return nil, "", fmt.Errorf("reserving an attempt: %w", err)
	}
	return rows, read, nil
}

func raise(tx *db.Tx, crowd []byte) error {
	sql, args := upsert([]counter{{crowd, ruleNetwork, NetworkWindow}}, 1, tx.Now(), false)
	_, err := tx.Exec(sql+raiseRule, args...)
	return err
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
			forget_at = CASE WHEN forget_before > $2 THEN forget_before ELSE $3 END WHERE key = $1`,
			r.key, db.Micros(now), db.Micros(now.Add(refusedMemory)))
		if err != nil {
			return fmt.Errorf("taking back a refused attempt: %w", err)
		}
	}
	return nil
}

// read returns the rows as an attempt would find them.
func read(tx *db.Tx, list []counter, crowd []byte, now time.Time) ([]row, error) {
	var in strings.Builder
	args := []any{db.Micros(now)}
	for _, c := range list {
		args = append(args, c.key)
		fmt.Fprintf(&in, "$%d, ", len(args))
	}
	args = append(args, crowd)
	fmt.Fprintf(&in, "$%d", len(args))
	rows, err := scan(tx, `SELECT key, rule, failures, CASE WHEN blocked_until > $1 THEN 1 ELSE 0 END,
		CASE WHEN rule = `+fmt.Sprint(ruleNetwork)+` THEN 0 ELSE blocked_until END,
		CASE WHEN rule = `+fmt.Sprint(ruleNetwork)+` THEN blocked_until ELSE 0 END
		FROM throttle WHERE forget_at > $1 AND key IN (`+in.String()+`)`, args)
	if err != nil {
		return nil, fmt.Errorf("reading counted attempts: %w", err)
	}
	return rows, nil
}

// scan reads rows with six columns, and what stands beside them in each.
func scan(tx *db.Tx, sql string, args []any, also ...any) ([]row, error) {
	found, err := tx.Rows(sql, args...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var rows []row
	for found.Next() {
		var r row
		var refused, until, crowd int64
		into := append([]any{&r.key, &r.rule, &r.failures, &refused, &until, &crowd}, also...)
		if err := found.Scan(into...); err != nil {
			return nil, err
		}
		r.refused, r.blockedUntil, r.crowdUntil = refused == 1, db.Time(until), db.Time(crowd)
		rows = append(rows, r)
	}
	return rows, found.Close()
}
