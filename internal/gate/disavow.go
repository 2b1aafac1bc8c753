package gate

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/session"
)

// disavowLife is how long a "this wasn't me" link works (ten days, as
// login.gov).
const disavowLife = 240 * time.Hour

type disavowal struct {
	UID           care.UID  `json:"u"`
	Authenticator string    `json:"a"`
	Until         time.Time `json:"t"`
}

// NotMe returns the "this wasn't me" link of a notice about an authenticator.
func (g *Gate) NotMe(uid care.UID, authenticator string) (string, error) {
	plain, err := json.Marshal(disavowal{uid, authenticator, g.o.DB.Now().Add(disavowLife)})
	if err != nil {
		return "", fmt.Errorf("making a disavowal link: %w", err)
	}
	sealed, err := g.disavow.Seal(plain, nil)
	if err != nil {
		return "", fmt.Errorf("making a disavowal link: %w", err)
	}
	return g.o.Link("/not-me?t=" + base64.RawURLEncoding.EncodeToString(sealed)), nil
}

// CheckDisavowal reports whether a "this wasn't me" link still works, and
// changes nothing. Fault: DisavowalUnreadable.
func (g *Gate) CheckDisavowal(token string) error {
	_, err := g.readDisavowal(token)
	return err
}

// Disavow is "this wasn't me": it ends every session of the person and
// suspends the authenticator that the notice was about. Nobody needs to be
// signed in. Doing it twice changes nothing more. Fault: DisavowalUnreadable.
func (g *Gate) Disavow(ctx context.Context, token string) error {
	d, err := g.readDisavowal(token)
	if err != nil {
		return err
	}
	err = g.suspend(ctx, d.UID, d.Authenticator, "holder said: this was not me", "holder said: this was not me")
	if !fault.Has(err, fault.NoAuthenticator) {
		return err
	}
	// It was replaced or removed meanwhile; the sessions still have to end.
	return g.o.DB.Write(ctx, func(tx *db.Tx) error {
		return session.EndAll(tx, d.UID, "holder said: this was not me")
	})
}

func (g *Gate) readDisavowal(token string) (disavowal, error) {
	var d disavowal
	sealed, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return d, fault.New(fault.DisavowalUnreadable, err)
	}
	plain, err := g.disavow.Open(sealed, nil)
	if err != nil {
		return d, fault.New(fault.DisavowalUnreadable, err)
	}
	if err := json.Unmarshal(plain, &d); err != nil {
		return d, fault.New(fault.DisavowalUnreadable, err)
	}
	if !g.o.DB.Now().Before(d.Until) {
		return d, fault.New(fault.DisavowalUnreadable, errors.New("older than ten days"))
	}
	return d, nil
}
