package relyingparty

import (
	"context"
	"slices"
	"sync"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
)

// The directory's bounds. A change is seen by every node after at most Fresh.
const (
	Fresh     = 10 * time.Second
	maxCached = 1000
)

// Directory answers by client id from memory, so that a request costs no
// statement for knowing who asks. Unknown ids are not kept: they are as many
// as a stranger likes.
type Directory struct {
	db *db.DB
	// passkeys says which relying parties may accept passkeys; nil: all.
	passkeys func(clientID string) bool

	mu     sync.Mutex // guards what follows
	byID   map[string]entry
	all    []RelyingParty
	allTil time.Time
}

type entry struct {
	rp    RelyingParty
	until time.Time
}

// NewDirectory returns an empty directory.
func NewDirectory(d *db.DB) *Directory {
	return &Directory{db: d, byID: map[string]entry{}}
}

// Passkeys opens passkeys to the relying parties that may says alone: the others
// are as if they did not accept them, at the login-method page and with the
// session of somebody who used one elsewhere. Call it before the directory is
// used.
func (d *Directory) Passkeys(may func(clientID string) bool) { d.passkeys = may }

// open takes the method away that is not open to a relying party yet.
func (d *Directory) open(rp RelyingParty) RelyingParty {
	if d.passkeys != nil && !d.passkeys(rp.ClientID) {
		rp.Methods = slices.DeleteFunc(rp.Methods, func(m care.Method) bool { return m == care.Passkey })
	}
	return rp
}

// ByID returns the relying party as it was at most ten seconds ago, or
// db.ErrNoRows. Nobody may change what it returns.
func (d *Directory) ByID(ctx context.Context, clientID string) (RelyingParty, error) {
	now := d.db.Now()
	d.mu.Lock()
	e, ok := d.byID[clientID]
	d.mu.Unlock()
	if ok && now.Before(e.until) {
		return e.rp, nil
	}
	var rp RelyingParty
	err := d.db.Read(ctx, func(tx *db.Tx) (err error) {
		rp, err = ByID(tx, clientID)
		return err
	})
	if err != nil {
		return RelyingParty{}, err
	}
	rp = d.open(rp)
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.byID) >= maxCached {
		clear(d.byID)
	}
	d.byID[clientID] = entry{rp, now.Add(Fresh)}
	return rp, nil
}

// ByOrigin returns a relying party that has a redirect address at the origin,
// or db.ErrNoRows.
func (d *Directory) ByOrigin(ctx context.Context, origin string) (RelyingParty, error) {
	all, err := d.everyone(ctx)
	if err != nil {
		return RelyingParty{}, err
	}
	for _, rp := range all {
		if slices.Contains(rp.origins(), origin) {
			return rp, nil
		}
	}
	return RelyingParty{}, db.ErrNoRows
}

func (d *Directory) everyone(ctx context.Context) ([]RelyingParty, error) {
	now := d.db.Now()
	d.mu.Lock()
	all, fresh := d.all, now.Before(d.allTil)
	d.mu.Unlock()
	if fresh {
		return all, nil
	}
	err := d.db.Read(ctx, func(tx *db.Tx) (err error) {
		all, err = All(tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i, rp := range all {
		all[i] = d.open(rp)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all, d.allTil = all, now.Add(Fresh)
	return all, nil
}
