// Package fido proves public keys by Web Authentication (W3C, level 3): security
// keys, Windows Hello and passkeys, three methods with one verifier.
//
// A way asks for a ceremony and gets the options for the browser, and a sealed
// text that travels with the journey; what the browser answered comes back with
// it, and a proof or an enrolment for the gate leaves. Nothing is stored for a
// ceremony that is not finished. What a key is worth is decided here once, when
// it is registered, and judged again at each sign-in; what that makes of a
// session is care's and the gate's business. The room trusts no word of a key
// about itself: only an attestation that chains to a trusted root shows a model
// or a device, and a key that may be synced is never bound to one (N8).
package fido

import (
	"context"
	"crypto/x509"
	"embed"
	"io"
	"io/fs"
	"time"

	"github.com/google/uuid"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/fido/metadata"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/keys"
)

//go:embed schema/*.sql
var schema embed.FS

// Schema holds this room's migrations. They come after credential's.
var Schema fs.FS = schema

// Life is how long a ceremony may take: the time that the browser gives to the
// person, and the life of its challenge.
const Life = 5 * time.Minute

// Methods are the three that this room verifies.
func Methods() []care.Method {
	return []care.Method{care.WindowsHello, care.SecurityKey, care.Passkey}
}

// AAGUID is what a key says about its model.
type AAGUID = uuid.UUID

// Policy is which keys may be registered for a method.
type Policy string

// The policies. A key without attestation, or with one that it made itself,
// satisfies Any alone.
const (
	Any      Policy = "any"
	Attested Policy = "attested" // the attestation chains to a trusted root
	Listed   Policy = "listed"   // and shows one of the allowed models
)

// Options of the room. Models, Roots, Policies, Allowed and Refused may be nil.
type Options struct {
	DB     *db.DB
	Ring   *keys.Ring
	Random io.Reader
	// RPID is the domain that keys are bound to, Origins the origins where they
	// may be used, RPName what the browser shows.
	RPID    string
	RPName  string
	Origins []string
	// Models are the known models; nil means the FIDO metadata that the operator
	// has imported. Roots are further roots that the operator trusts.
	Models metadata.Source
	Roots  []*x509.Certificate
	// Policies are by method; Any is the default.
	Policies map[care.Method]Policy
	// Allowed are the models that satisfy Listed; Refused are never accepted.
	// Both are judged only where attestation shows the model: everybody can
	// claim an AAGUID.
	Allowed, Refused []string
	// PerMethod is how many keys of a type a person may hold; 0 is one.
	PerMethod int
	// Suspend suspends an authenticator that has shown itself to be copied, ends
	// its sessions and tells its holder: the gate does.
	Suspend func(ctx context.Context, uid care.UID, authenticatorID, why string) error
}

// FIDO verifies and enrols keys.
type FIDO struct {
	o        Options
	models   *metadata.Store
	creating *keys.Sealer
	getting  *keys.Sealer
	proven   *keys.Sealer
	decoys   *keys.MAC
}

// New returns the room.
func New(o Options) *FIDO {
	return &FIDO{
		o: o,
		models: metadata.New(metadata.Options{
			DB: o.DB, Source: o.Models, Roots: o.Roots, Allowed: o.Allowed, Refused: o.Refused,
		}),
		creating: o.Ring.Sealer("fido/create"),
		getting:  o.Ring.Sealer("fido/get"),
		proven:   o.Ring.Sealer("fido/proven"),
		decoys:   o.Ring.MAC("fido/decoy"),
	}
}
