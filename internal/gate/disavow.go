package gate

import (
	"errors"
	"fmt"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/keys"
)

// disavowLife is how long a "this wasn't me" link works (ten days, as
// login.gov).
const disavowLife = 240 * time.Hour

type disavowal struct {
	UID care.UID `json:"u"`
	// Authenticator is what the notice is about, or "" (recovery codes).
	Authenticator string    `json:"a"`
	Until         time.Time `json:"t"`
}

// concerns reports whether an authenticator is suspended with d: the one that
// the notice is about, and each that was registered since without an RA.
// Whoever got in so far may have set up another, by a recovery code or in place
// of the first; what an RA has bound afterwards is its holder's own.
func (d disavowal) concerns(r credential.Record) bool {
	made := d.Until.Add(-disavowLife)
	return r.ID == d.Authenticator || !r.Introduced && !r.RegisteredAt.Before(made)
}

// NotMe returns the "this wasn't me" link of a notice about an authenticator.
func (g *Gate) NotMe(uid care.UID, authenticator string) (string, error) {
	sealed, err := keys.SealJSON(g.disavow, nil, disavowal{uid, authenticator, g.o.DB.Now().Add(disavowLife)})
	if err != nil {
		return "", fmt.Errorf("making a disavowal link: %w", err)
	}
	return g.o.Link("/not-me?t=" + sealed), nil
}

// CheckDisavowal reports whether a "this wasn't me" link still works, and
// changes nothing. Fault: DisavowalUnreadable.
func (g *Gate) CheckDisavowal(token string) error {
	_, err := g.readDisavowal(token)
	return err
}

// readDisavowal opens a "this wasn't me" link.
func (g *Gate) readDisavowal(token string) (disavowal, error) {
	d, err := keys.OpenJSON[disavowal](g.disavow, nil, token)
	if err != nil {
		return d, fault.New(fault.DisavowalUnreadable, err)
	}
	if !g.o.DB.Now().Before(d.Until) {
		return d, fault.New(fault.DisavowalUnreadable, errors.New("older than ten days"))
	}
	return d, nil
}
