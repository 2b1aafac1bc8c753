package oidc

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/relyingparty"
)

// badClient is the one thing that a caller learns about a failed client
// authentication. cause is for the log, and for the relying party's owner who
// reads it there.
func badClient(cause string) *refusal {
	return refuse(fault.ClientRefused, "invalid_client", "client authentication failed", errors.New(cause))
}

// presented is how a caller says who it is.
type presented struct {
	clientID string
	// secrets are the readings of what was sent, the right one first.
	secrets []string
}

// authenticate returns the relying party that sends a request. It may send its
// secret in the body or by Basic, without having been told which (wire rule 3).
func (p *Provider) authenticate(r *http.Request, form url.Values) (relyingparty.RelyingParty, *refusal) {
	var none relyingparty.RelyingParty
	who, e := present(r, form)
	if e != nil {
		return none, e
	}
	rp, err := p.byID(r.Context(), who.clientID)
	switch {
	case errors.Is(err, db.ErrNoRows):
		return none, badClient("the client is not registered")
	case err != nil:
		return none, unavailable(err)
	case form.Has("client_assertion"):
		return none, badClient("the client sent an assertion: private_key_jwt is not available in this version")
	case rp.AuthMethod != relyingparty.ClientSecret:
		return none, badClient("the client is registered for " + string(rp.AuthMethod) + ", which is not available in this version")
	case len(who.secrets) == 0:
		return none, badClient("no client secret was sent")
	}
	for _, secret := range who.secrets {
		if rp.CheckSecret(secret) {
			return rp, nil
		}
	}
	return none, badClient("the client secret is wrong")
}

// maxClientID is longer than any client_id.
const maxClientID = 255

// byID returns the relying party, or db.ErrNoRows: also for a text that no
// client_id can be and that the database would not take.
func (p *Provider) byID(ctx context.Context, clientID string) (relyingparty.RelyingParty, error) {
	if clientID == "" || len(clientID) > maxClientID || !utf8.ValidString(clientID) || strings.ContainsRune(clientID, 0) {
		return relyingparty.RelyingParty{}, db.ErrNoRows
	}
	return p.Directory.ByID(ctx, clientID)
}

// present reads who the caller says it is.
func present(r *http.Request, form url.Values) (presented, *refusal) {
	inBody := form.Get("client_id")
	if r.Header.Get("Authorization") == "" {
		who := presented{clientID: inBody}
		if form.Has("client_secret") {
			who.secrets = []string{form.Get("client_secret")}
		}
		return who, nil
	}
	id, secret, ok := r.BasicAuth()
	if !ok {
		return presented{}, badClient("the Authorization header is not Basic credentials")
	}
	if form.Has("client_secret") || form.Has("client_assertion") {
		return presented{}, badToken("invalid_request", "more than one way of client authentication was used") // RFC 6749 section 2.3
	}
	who := presented{clientID: unescape(id), secrets: []string{unescape(secret), secret}}
	if inBody != "" && inBody != who.clientID {
		return presented{}, badToken("invalid_request", "client_id differs from the one in the Authorization header")
	}
	return who, nil
}

// claimed is the client_id that a caller names, for the log alone.
func claimed(r *http.Request, form url.Values) string {
	if id, _, ok := r.BasicAuth(); ok {
		return unescape(id)
	}
	return form.Get("client_id")
}

// unescape undoes the form encoding of Basic credentials (RFC 6749 section
// 2.3.1; wire rule 4). Clients that do not encode are understood too, as long
// as what they send is no encoding of something else.
func unescape(text string) string {
	plain, err := url.QueryUnescape(text)
	if err != nil {
		return text
	}
	return plain
}
