package oidc

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/oidc/clientauth"
	"carekey.dev/carekey/internal/relyingparty"
)

// authenticate returns the relying party that sends a request. An endpoint that
// writes then calls admit in its transaction.
func (p *Provider) authenticate(r *http.Request, form url.Values) (clientauth.Caller, *refusal) {
	caller, why, err := p.clients.Authenticate(r, form)
	switch {
	case err != nil:
		return clientauth.Caller{}, unavailable(err)
	case why != nil:
		return clientauth.Caller{}, badClient(why)
	}
	return caller, nil
}

// admit uses up what a caller authenticated by, in the transaction of what its
// request achieves and before that. The request goes on if nothing is refused.
func admit(tx *db.Tx, caller clientauth.Caller) (*refusal, error) {
	refused, err := caller.Use(tx)
	if why, ok := refused.(*clientauth.Refused); ok && err == nil {
		return badClient(why), nil
	}
	return nil, err
}

// admitted uses up what a caller authenticated by, for an endpoint that writes
// nothing itself. If it reports false, the request has been answered.
func (p *Provider) admitted(w http.ResponseWriter, r *http.Request, caller clientauth.Caller) bool {
	if !caller.Asserted() {
		return true
	}
	var e *refusal
	err := p.DB.Write(r.Context(), func(tx *db.Tx) (err error) {
		e, err = admit(tx, caller)
		return err
	})
	if err != nil {
		e = unavailable(err)
	}
	if e != nil {
		p.fail(w, r, e, caller.RP.ClientID)
	}
	return e == nil
}

// badClient is the one thing that a caller learns about a failed client
// authentication, in the very words of CIS2 where it sent an assertion (wire
// rule 7). The reason is for the log, and for the relying party's owner.
func badClient(why *clientauth.Refused) *refusal {
	if why.InvalidRequest {
		return badToken("invalid_request", why.Reason)
	}
	told := "client authentication failed"
	if why.Assertion {
		told = "JWT is not valid"
	}
	e := refuse(fault.ClientRefused, "invalid_client", told, why)
	e.client, e.verbatim = why, why.Assertion
	return e
}

// maxClientID is longer than any client_id.
const maxClientID = 255

// possibleID is false for a text that no client_id can be and that the database
// would not take.
func possibleID(clientID string) bool {
	return clientID != "" && len(clientID) <= maxClientID && utf8.ValidString(clientID) && !strings.ContainsRune(clientID, 0)
}

// byID returns the relying party, or db.ErrNoRows: also for a text that no
// client_id can be and that the database would not take.
func (p *Provider) byID(ctx context.Context, clientID string) (relyingparty.RelyingParty, error) {
	if !possibleID(clientID) {
		return relyingparty.RelyingParty{}, db.ErrNoRows
	}
	return p.Directory.ByID(ctx, clientID)
}
