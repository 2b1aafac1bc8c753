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
const redeemRule = ` ON CONFLICT (key) DO UPDATE SET failures = 0, refused = 0,
	last_refused = CASE WHEN throttle.key IN (CHECKED) AND throttle.blocked_until > $1 THEN 1 ELSE 0 END,
	blocked_until = CASE WHEN throttle.key IN (CHECKED) AND throttle.blocked_until > $1 THEN throttle.blocked_until ELSE 0 END,
	forget_at = $1
	RETURNING key, rule, failures, last_refused, blocked_until, `

// Redeem ends a way of two steps, of which the first was reserved and the
// second, checked, was verified right without being counted first. It is
// refused if checked or its network has to wait; otherwise both count as a
// success. So a right guess among a thousand wrong ones waits like the others,
// in the order of the database, and a good sign-in needs no commit for its
// second step.
//
// The network counts here because it refuses wrong guesses uncounted: a right
// one that passed would make guessing free for whoever has used up their
// network's failures.
//
// It is one statement. A refusal has to fail the caller's transaction, which
// undoes it.
func (t *Throttle) Redeem(tx *db.Tx, reserved, checked Subject) error {
	now := tx.Now()
	second := t.counters(checked)
	list := append(t.counters(reserved), second...)
	slices.SortFunc(list, func(a, b counter) int { return cmp.Compare(string(a.key), string(b.key)) })
	sql, args := upsert(list, 0, now, true)
	var in []string
	for _, c := range second {
		args = append(args, c.key)
		in = append(in, fmt.Sprintf("$%d", len(args)))
	}
	args = append(args, t.crowd(checked))
	rule := strings.ReplaceAll(redeemRule, "CHECKED", strings.Join(in, ", ")) + fmt.Sprintf(crowdUntil, fmt.Sprintf("$%d", len(args)))
	rows, err := scan(tx, sql+rule, args)
	if err != nil {
		return fmt.Errorf("redeeming an attempt: %w", err)
	}
	if refusal := refusal(rows, now); refusal != nil {
		return refusal
	}
	return nil
}
