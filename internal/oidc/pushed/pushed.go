// Package pushed keeps the authorization requests that relying parties push
// beforehand (RFC 9126) until their person has signed in.
//
// The endpoints come in with a request and its name, in their own transactions;
// its parameters leave. A request belongs to one relying party, to the first
// browser that brings its name, and to one code: it is used up with the code
// and not with the page, so that a reload harms nobody (FAPI 2.0 section
// 5.3.2.2). This room reads no parameter and judges none.
package pushed

import (
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"strings"
	"time"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/keys"
)

//go:embed schema/*.sql
var schema embed.FS

// Schema holds the migrations of this room's table.
var Schema fs.FS = schema

// Life is how long a browser has to begin: RFC 9126 section 2.2 suggests 5 to
// 600 seconds, and FAPI 2.0 section 5.3.2.2 wants less than 600. From then on
// the person has as long as any sign-in may take.
const Life = 60 * time.Second

// keepOver is how long an old request stays, so that a browser that brings it
// late is told what happened.
const keepOver = time.Hour

// prefix begins the name of a request (RFC 9126 section 2.2).
const prefix = "urn:ietf:params:oauth:request_uri:"

// nameSize is the size of a name in bytes: nobody guesses 256 bits (RFC 9126
// section 7.1).
const nameSize = 32

// NewName returns the name of a new request, which is its request_uri.
func NewName(random io.Reader) string { return prefix + keys.Token(random, nameSize) }

// Named reports whether a request_uri is the name of a request that is kept
// here, or looks like one.
func Named(uri string) bool { return strings.HasPrefix(uri, prefix) }

// Browser is what a browser is known by, as it is stored: never its mark.
type Browser [sha256.Size]byte

// BrowserOf returns the browser with a mark.
func BrowserOf(mark string) Browser { return sha256.Sum256([]byte(mark)) }

// Push keeps a request of a client until a browser brings its name.
func Push(tx *db.Tx, name, clientID string, parameters url.Values) error {
	_, err := tx.Exec(`INSERT INTO oidc_pushed_request
		(name, client_id, parameters, browser, pushed_at, expires_at, used_at) VALUES ($1, $2, $3, $4, $5, $6, 0)`,
		keys.Hash(name), clientID, parameters.Encode(), []byte{}, db.Micros(tx.Now()), db.Micros(tx.Now().Add(Life)))
	if err != nil {
		return fmt.Errorf("keeping an authorization request: %w", err)
	}
	return nil
}

// Why a browser may not go on with a request.
var (
	ErrUnknown   = errors.New("the request_uri is not one that this client was given")
	ErrExpired   = errors.New("the request_uri has expired: it is good for 60 seconds, and then for the sign-in that began with it")
	ErrUsed      = errors.New("the request_uri was used before: each is good for one code")
	ErrElsewhere = errors.New("the request_uri was first used in another browser")
)

// row is a request as far as it decides.
type row struct {
	parameters    string
	browser       []byte
	expires, used int64
}

func read(tx *db.Tx, name, clientID string) (found row, refused, err error) {
	err = tx.Row(`SELECT parameters, browser, expires_at, used_at FROM oidc_pushed_request WHERE name = $1 AND client_id = $2`,
		keys.Hash(name), clientID).Scan(&found.parameters, &found.browser, &found.expires, &found.used)
	if errors.Is(err, db.ErrNoRows) {
		return row{}, ErrUnknown, nil
	}
	if err != nil {
		return row{}, nil, fmt.Errorf("reading an authorization request: %w", err)
	}
	return found, nil, nil
}

// refuses says why browser b may not go on, or nil.
func (r row) refuses(tx *db.Tx, b Browser) error {
	switch {
	case len(r.browser) > 0 && !keys.Equal(r.browser, b[:]):
		return ErrElsewhere
	case r.used != 0:
		return ErrUsed
	case r.expires <= db.Micros(tx.Now()):
		return ErrExpired
	}
	return nil
}

// Read returns the parameters of a client's request for a browser, and whether
// it has begun there already. A refusal is one of the errors above.
func Read(tx *db.Tx, name, clientID string, b Browser) (parameters url.Values, begun bool, refused, err error) {
	found, refused, err := read(tx, name, clientID)
	if refused != nil || err != nil {
		return nil, false, refused, err
	}
	if refused := found.refuses(tx, b); refused != nil {
		return nil, false, refused, nil
	}
	parameters, err = url.ParseQuery(found.parameters)
	if err != nil {
		return nil, false, nil, fmt.Errorf("reading the parameters of an authorization request: %w", err)
	}
	return parameters, len(found.browser) > 0, nil, nil
}

// Begin gives a request to a browser, for as long as its person may take. Of
// several browsers one gets it.
func Begin(tx *db.Tx, name, clientID string, b Browser) (refused, err error) {
	now := tx.Now()
	begun, err := tx.Exec(`UPDATE oidc_pushed_request SET browser = $1, expires_at = $2
		WHERE name = $3 AND client_id = $4 AND browser = $5 AND used_at = 0 AND expires_at > $6`,
		b[:], db.Micros(now.Add(journey.RequirementLife)), keys.Hash(name), clientID, []byte{}, db.Micros(now))
	if err != nil {
		return nil, fmt.Errorf("beginning with an authorization request: %w", err)
	}
	if begun == 1 {
		return nil, nil
	}
	return why(tx, name, clientID, b)
}

// Use uses a request up for the code that is issued with it. Of any number of
// racing uses one succeeds.
func Use(tx *db.Tx, name, clientID string, b Browser) (refused, err error) {
	now := tx.Now()
	used, err := tx.Exec(`UPDATE oidc_pushed_request SET used_at = $1, browser = $2
		WHERE name = $3 AND client_id = $4 AND (browser = $2 OR browser = $5) AND used_at = 0 AND expires_at > $6`,
		db.Micros(now), b[:], keys.Hash(name), clientID, []byte{}, db.Micros(now))
	if err != nil {
		return nil, fmt.Errorf("using an authorization request up: %w", err)
	}
	if used == 1 {
		return nil, nil
	}
	refused, err = why(tx, name, clientID, b)
	if refused == nil && err == nil {
		refused = ErrUsed // by somebody whose commit came between
	}
	return refused, err
}

func why(tx *db.Tx, name, clientID string, b Browser) (refused, err error) {
	found, refused, err := read(tx, name, clientID)
	if refused != nil || err != nil {
		return refused, err
	}
	return found.refuses(tx, b), nil
}

// Prune deletes requests that were over long ago.
func Prune(tx *db.Tx) error {
	_, err := tx.Exec(`DELETE FROM oidc_pushed_request WHERE expires_at < $1`, db.Micros(tx.Now().Add(-keepOver)))
	if err != nil {
		return fmt.Errorf("deleting old authorization requests: %w", err)
	}
	return nil
}
