package throttle

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"carekey.dev/carekey/internal/db"
)

// redeemRule is refundRule for rows of which some are checked first. CHECKED
// lists their keys.
const redeemRule = ` ON CONFLICT (key) DO UPDATE SET
	failures = CASE WHEN throttle.rule = NETWORK AND throttle.failures > 0 THEN throttle.failures - 1 ELSE 0 END,
	refused = CASE WHEN throttle.rule = NETWORK THEN throttle.refused ELSE 0 END,
	last_refused = CASE WHEN throttle.key IN (CHECKED) AND throttle.blocked_until > $1 THEN 1 ELSE 0 END,
	blocked_until = CASE WHEN throttle.key IN (CHECKED) AND throttle.blocked_until > $1 THEN throttle.blocked_until ELSE 0 END,
	forget_at = CASE WHEN throttle.rule = NETWORK THEN throttle.forget_at ELSE $1 END
	RETURNING key, rule, failures, last_refused, blocked_until`

// Redeem ends a way of two steps, of which the first was reserved and the
// second, checked, was verified right without being counted first. It is
// refused if checked has to wait; otherwise both count as a success. So a right
// guess among a thousand wrong ones waits like the others, in the order of the
// database, and a good sign-in needs no commit for its second step.
//
// It is one statement. A refusal has to fail the caller's transaction, which
// undoes it. Call it late: the network's row is shared by many.
func (t *Throttle) Redeem(tx *db.Tx, reserved, checked Subject) error {
	now := tx.Now()
	list := t.counters(reserved)
	var second []counter
	for _, c := range t.counters(checked) {
		if c.rule != ruleNetwork { // counted with the first step, once
			second = append(second, c)
		}
	}
	list = append(list, second...)
	slices.SortFunc(list, func(a, b counter) int { return cmp.Compare(string(a.key), string(b.key)) })
	sql, args := upsert(list, 0, now, true)
	var in []string
	for _, c := range second {
		args = append(args, c.key)
		in = append(in, fmt.Sprintf("$%d", len(args)))
	}
	rule := strings.NewReplacer("NETWORK", fmt.Sprint(ruleNetwork), "CHECKED", strings.Join(in, ", ")).Replace(redeemRule)
	rows, err := scan(tx, sql+rule, args)
	if err != nil {
		return fmt.Errorf("redeeming an attempt: %w", err)
	}
	if refusal := refusal(rows, now); refusal != nil {
		return refusal
	}
	return nil
}
