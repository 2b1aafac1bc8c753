// Package app proves email address, password and the 6-digit code of an
// authenticator app (TOTP, RFC 6238): one authenticator of two factors.
//
// What a person typed comes in from the ways; a proof, an enrolment or a
// change for the gate leaves. Between the password and the code a sealed
// ticket travels with the browser, so nothing is stored for a sign-in that is
// not finished. Answers are the same, and cost the same, for addresses that
// nobody has. The room decides about no session, and it never stores or logs a
// password, a code or a secret in the clear.
package app

import (
	"embed"
	"io"
	"io/fs"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/internal/argon"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/throttle"
)

//go:embed schema/*.sql
var schema embed.FS

// Schema holds this room's migrations. They come after credential's.
var Schema fs.FS = schema

// Cost is what one password hash costs.
type Cost = argon.Cost

// Pool bounds the hashing of passwords and recovery codes on this node.
type Pool = argon.Pool

// Issuer is what authenticator apps show above the code (seed 1).
const Issuer = "Care Identity Authentication"

// Options of the room. Cost, Pool, Issuer and BlockList may be zero.
type Options struct {
	DB       *db.DB
	Ring     *keys.Ring
	Throttle *throttle.Throttle
	Outbox   *outbox.Outbox
	// NotMe makes the "this wasn't me" link for a notice about a person's
	// authenticator.
	NotMe  func(uid care.UID, authenticatorID string) (string, error)
	Random io.Reader
	Cost   Cost
	// Pool is how many hashes are computed at once; memory is Pool times
	// Cost.MemoryKiB. 0: one for each processor.
	Pool   int
	Issuer string
	// BlockList are passwords to refuse beside the embedded words; see
	// ReadBlockList.
	BlockList []string
	// Dev allows FromWorld and DemoCodes.
	Dev bool
}

// App verifies and enrols authenticator apps.
type App struct {
	o       Options
	hasher  *argon.Hasher
	pool    *argon.Pool
	common  *common
	secrets *keys.Sealer
	tickets *keys.Sealer
	pending *keys.Sealer
	proven  *keys.Sealer
}

// New returns the room.
func New(o Options) *App {
	if o.Issuer == "" {
		o.Issuer = Issuer
	}
	return &App{
		o:       o,
		hasher:  argon.New(o.Ring, "password", o.Cost, o.Random),
		pool:    argon.NewPool(o.Pool),
		common:  newCommon(o.BlockList),
		secrets: o.Ring.Sealer("app/secret"),
		tickets: o.Ring.Sealer("app/ticket"),
		pending: o.Ring.Sealer("app/pending"),
		proven:  o.Ring.Sealer("app/proven"),
	}
}

// Pool returns the pool of this node, for the room of the recovery codes.
func (a *App) Pool() *Pool { return a.pool }
