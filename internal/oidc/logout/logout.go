// Package logout tells relying parties that a person is signed out.
//
// Sessions that are over come in from the session room, by whatever trigger
// (decision 7); for each relying party that got something from one, a message
// for the outbox leaves, and from there, on any node, a logout token for its
// back channel. The provider's pages ask here what an id_token_hint is worth
// and which addresses to open in frames (the front channel), an operator how
// far the messages are.
//
// This room never ends a session by itself, never signs a token before it is
// sent (it would be too old by then), and calls relying parties through the
// guarded client alone (decision 13). What a relying party answers goes no
// further than its status and its error code.
package logout

import (
	"embed"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/relyingparty"
)

//go:embed schema/*.sql
var schema embed.FS

// Schema holds the migrations of this room's tables. Its queries read the view
// outbox_state too.
var Schema fs.FS = schema

// Templates are the pages of signing out.
//
//go:embed templates/*.html
var Templates embed.FS

// kind is that of this room's messages in the outbox.
const kind = "logout"

// Life is how long telling a relying party is tried: as long as the longest
// session, after which its own has ended too.
const Life = 24 * time.Hour

// Options is what the room needs.
type Options struct {
	DB        *db.DB
	Outbox    *outbox.Outbox
	Directory *relyingparty.Directory
	// Fetch is the guarded client (decision 13).
	Fetch  *http.Client
	Issuer string
	// Sign signs claims for a relying party, with the algorithm that it knows
	// from its ID tokens and the typ given.
	Sign   func(rp relyingparty.RelyingParty, typ string, claims any) (string, error)
	Random io.Reader
	Log    *slog.Logger
}

// Logout is the room.
type Logout struct {
	Options
	client *http.Client
	silent silences
}

// New returns the room, and makes it the outbox's handler of its messages.
func New(o Options) *Logout {
	// A redirect would turn the POST into a GET without the token, whose 200
	// means nothing.
	client := *o.Fetch
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	l := &Logout{Options: o, client: &client, silent: newSilences(o.DB.Now)}
	o.Outbox.Handle(kind, l.deliverNamed)
	return l
}
