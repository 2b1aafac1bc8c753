package register

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/relyingparty"
)

// Allowance is what an operator gives out.
type Allowance struct {
	Policy
	// For how long, and for how many relying parties.
	For  time.Duration
	Uses int64
	// Actor is who gives it out, for the audit log.
	Actor string
}

// The most of an Allowance: a token that leaks is of no use for long.
const (
	MostFor  = 30 * 24 * time.Hour
	MostUses = 10_000
)

// Allow makes an initial access token, to be shown once.
func Allow(ctx context.Context, d *db.DB, random io.Reader, a Allowance) (token string, err error) {
	if a.For <= 0 || a.For > MostFor || a.Uses <= 0 || a.Uses > MostUses {
		return "", fmt.Errorf("a registration token is good for more than no time and at most %d days, and registers 1 to %d relying parties",
			int(MostFor.Hours())/24, MostUses)
	}
	if len(a.Scopes) == 0 {
		a.Scopes = nil
	}
	if err := a.check(); err != nil {
		return "", err
	}
	token = keys.Token(random, tokenSize)
	name := keys.Token(random, 6)
	err = d.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO registration_token (token, name, policy, expires_at, uses_left) VALUES ($1, $2, $3, $4, $5)`,
			keys.Hash(token), name, encode(a.Policy), db.Micros(tx.Now().Add(a.For)), a.Uses)
		if err != nil {
			return fmt.Errorf("keeping a registration token: %w", err)
		}
		return audit.Record(tx, audit.Entry{Action: "registration_token.made", Actor: a.Actor, Fields: []audit.Field{
			{Name: "token", Value: name}, {Name: "policy", Value: encode(a.Policy)},
			{Name: "for", Value: a.For.String()}, {Name: "uses", Value: fmt.Sprint(a.Uses)},
		}})
	})
	if err != nil {
		return "", err
	}
	return token, nil
}

// initialToken is a live initial access token.
type initialToken struct {
	name   string
	policy Policy
}

func readInitial(tx *db.Tx, token string) (initialToken, error) {
	var t initialToken
	var policy string
	err := tx.Row(`SELECT name, policy FROM registration_token WHERE token = $1 AND expires_at > $2 AND uses_left > 0`,
		keys.Hash(token), db.Micros(tx.Now())).Scan(&t.name, &policy)
	if errors.Is(err, db.ErrNoRows) {
		return t, noToken()
	}
	if err == nil {
		err = json.Unmarshal([]byte(policy), &t.policy)
	}
	if err != nil {
		return t, fmt.Errorf("reading a registration token: %w", err)
	}
	return t, nil
}

// useInitial counts one registration. Of several at once no more go through
// than were allowed.
func useInitial(tx *db.Tx, token string) error {
	n, err := tx.Exec(`UPDATE registration_token SET uses_left = uses_left - 1 WHERE token = $1 AND expires_at > $2 AND uses_left > 0`,
		keys.Hash(token), db.Micros(tx.Now()))
	if err != nil {
		return fmt.Errorf("using a registration token: %w", err)
	}
	if n == 0 {
		return noToken()
	}
	return nil
}

// client is a relying party that a program registered, with the policy for its
// updates.
type client struct {
	rp     relyingparty.RelyingParty
	policy Policy
	issued time.Time
}

// readClient returns the relying party that a registration access token is for.
func readClient(tx *db.Tx, clientID, token string) (client, error) {
	var c client
	var good []byte
	var policy, left string
	var issued int64
	err := tx.Row(`SELECT token, policy, given, issued_at FROM registered_client WHERE client_id = $1`, clientID).Scan(&good, &policy, &left, &issued)
	if errors.Is(err, db.ErrNoRows) || err == nil && !keys.Equal(good, keys.Hash(token)) {
		return c, noToken()
	}
	if err == nil {
		err = json.Unmarshal([]byte(policy), &c.policy)
	}
	if err != nil {
		return c, fmt.Errorf("reading a registration: %w", err)
	}
	c.issued = db.Time(issued)
	c.rp, err = relyingparty.ByID(tx, clientID)
	if errors.Is(err, db.ErrNoRows) { // an operator took it away at this moment
		return c, noToken()
	}
	if err != nil || left == "" { // registered before this was written down
		return c, err
	}
	var was Policy
	if err := json.Unmarshal([]byte(left), &was); err != nil {
		return c, fmt.Errorf("reading a registration: %w", err)
	}
	c.policy = c.policy.since(was, c.rp)
	return c, nil
}

// leave writes down what an update leaves a relying party with, and the policy
// that it was held to.
func leave(tx *db.Tx, rp relyingparty.RelyingParty, policy Policy) error {
	_, err := tx.Exec(`UPDATE registered_client SET policy = $1, given = $2 WHERE client_id = $3`, encode(policy), encode(given(rp)), rp.ClientID)
	if err != nil {
		return fmt.Errorf("keeping what a registration was given: %w", err)
	}
	return nil
}

// Prune deletes initial access tokens that expired or are used up. The token of
// a relying party goes with it.
func Prune(tx *db.Tx) error {
	_, err := tx.Exec(`DELETE FROM registration_token WHERE expires_at <= $1 OR uses_left = 0`, db.Micros(tx.Now()))
	if err != nil {
		return fmt.Errorf("deleting old registration tokens: %w", err)
	}
	return nil
}

func encode(p Policy) string {
	text, err := json.Marshal(p)
	if err != nil {
		panic(err) // texts always encode
	}
	return string(text)
}
