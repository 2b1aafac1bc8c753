package logout

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/outbox"
)

// State is how far telling a relying party is.
type State string

// The states. What is Retried failed and is tried again; what is GivenUp was
// refused for good, or tried for as long as it makes sense.
const (
	Waiting State = "waiting"
	Retried State = "retried"
	GivenUp State = "given up"
	Told    State = "told"
)

// stateOf names what the outbox says.
func stateOf(state, lastError string) State {
	switch {
	case state == "sent":
		return Told
	case state == "dead":
		return GivenUp
	case lastError != "":
		return Retried
	}
	return Waiting
}

// Delivery is one relying party that is told of the end of one session, as an
// operator sees it.
type Delivery struct {
	ID       string    `json:"id"`
	ClientID string    `json:"client_id"`
	SID      string    `json:"sid"`
	UID      care.UID  `json:"uid"`
	Why      string    `json:"why"`
	State    State     `json:"state"`
	Made     time.Time `json:"made"`
	// Next is when it is tried next, Ended when it was told or given up.
	Next     time.Time `json:"next,omitzero"`
	Ended    time.Time `json:"ended,omitzero"`
	Attempts int64     `json:"attempts"`
	// LastError is why it has not arrived, or "".
	LastError string `json:"last_error,omitempty"`

	message string
}

// Filter says which deliveries are wanted.
type Filter struct {
	// ClientID is the relying party, "" for any.
	ClientID string
	// Told adds those that have arrived: seven days are kept.
	Told bool
	// Most is how many are returned.
	Most int
}

// Deliveries returns them, the newest first.
func Deliveries(tx *db.Tx, f Filter) ([]Delivery, error) {
	told := int64(0)
	if f.Told {
		told = 1
	}
	rows, err := tx.Rows(`SELECT d.id, d.client_id, d.sid, d.uid, d.why, d.made_at, d.message,
			o.state, o.next_at, o.ended_at, o.attempts, o.last_error
		FROM logout_delivery d JOIN outbox_state o ON o.id = d.message
		WHERE ($1 = '' OR d.client_id = $1) AND ($2 = 1 OR o.state <> 'sent')
		ORDER BY d.made_at DESC, d.id LIMIT $3`, f.ClientID, told, int64(f.Most))
	if err != nil {
		return nil, fmt.Errorf("reading who is told: %w", err)
	}
	defer rows.Close()
	var all []Delivery
	for rows.Next() {
		var d Delivery
		var state string
		var made, next, ended int64
		err := rows.Scan(&d.ID, &d.ClientID, &d.SID, &d.UID, &d.Why, &made, &d.message, &state, &next, &ended, &d.Attempts, &d.LastError)
		if err != nil {
			return nil, fmt.Errorf("reading who is told: %w", err)
		}
		d.State, d.Made = stateOf(state, d.LastError), db.Time(made)
		if ended != 0 {
			d.Ended = db.Time(ended)
		} else {
			d.Next = db.Time(next)
		}
		all = append(all, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("reading who is told: %w", err)
	}
	return all, nil
}

// Retry has deliveries that have not arrived tried again now: when a relying
// party was mended. It returns how many there are.
func Retry(tx *db.Tx, all []Delivery, actor string) (int, error) {
	n := 0
	for _, d := range all {
		again, err := outbox.Retry(tx, d.message, Life)
		if err != nil {
			return 0, err
		}
		if !again {
			continue
		}
		n++
		err = audit.Record(tx, audit.Entry{
			Action: "logout.retried", Subject: d.UID, Actor: actor, Session: d.SID,
			Fields: []audit.Field{{Name: "client", Value: d.ClientID}},
		})
		if err != nil {
			return 0, err
		}
	}
	return n, nil
}

// Count is how many deliveries to one relying party are in one state.
type Count struct {
	ClientID string
	State    State
	N        int64
}

// Stand counts what has not arrived, by relying party and state.
func Stand(tx *db.Tx) ([]Count, error) {
	rows, err := tx.Rows(`SELECT d.client_id, o.state, CASE WHEN o.last_error = '' THEN '' ELSE 'failed' END, count(*)
		FROM outbox_state o JOIN logout_delivery d ON d.message = o.id
		WHERE o.state IN ('queued', 'dead') GROUP BY 1, 2, 3`)
	if err != nil {
		return nil, fmt.Errorf("counting who is told: %w", err)
	}
	defer rows.Close()
	sums := map[Count]int64{}
	for rows.Next() {
		var c Count
		var state, failed string
		var n int64
		if err := rows.Scan(&c.ClientID, &state, &failed, &n); err != nil {
			return nil, fmt.Errorf("counting who is told: %w", err)
		}
		c.State = stateOf(state, failed)
		sums[c] += n
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("counting who is told: %w", err)
	}
	var all []Count
	for c, n := range sums {
		c.N = n
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b Count) int {
		return cmp.Or(strings.Compare(a.ClientID, b.ClientID), strings.Compare(string(a.State), string(b.State)))
	})
	return all, nil
}

// keepTold is how long a delivery is listed after it was told, at least. It is
// what the outbox keeps of a message that was sent.
const keepTold = 7 * 24 * time.Hour

// Prune deletes deliveries of which the outbox knows nothing any more.
func Prune(tx *db.Tx) error {
	_, err := tx.Exec(`DELETE FROM logout_delivery WHERE made_at < $1
		AND NOT EXISTS (SELECT 1 FROM outbox_state o WHERE o.id = logout_delivery.message)`, db.Micros(tx.Now().Add(-keepTold)))
	if err != nil {
		return fmt.Errorf("deleting old deliveries: %w", err)
	}
	return nil
}
