// Package clientauth finds out which relying party sends a request: by its
// secret, by an assertion that it signed (RFC 7523), or by its certificate (RFC
// 8705).
//
// A request comes in; a Caller leaves, or a Refused that says precisely why.
// That is for the relying party's owner, who finds it among the Failures: the
// caller learns one sentence, the same for every reason. To authenticate writes
// nothing: an assertion is used up in the transaction of what it achieves, by
// Caller.Use, so that a request that achieves nothing costs nothing and burns
// nothing (wire rule 3).
package clientauth

import (
	"context"
	"crypto/x509"
	"errors"
	"net/http"
	"net/url"
	"time"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/oidc/clientkeys"
	"carekey.dev/carekey/internal/oidc/once"
	"carekey.dev/carekey/internal/relyingparty"
)

// Options is what the room needs.
type Options struct {
	// ByID finds a relying party, or returns db.ErrNoRows.
	ByID func(ctx context.Context, clientID string) (relyingparty.RelyingParty, error)
	Keys *clientkeys.Sets
	// Issuer is as tokens name it, TokenEndpoint as discovery does.
	Issuer, TokenEndpoint string
	// Origins are where endpoints are reached: ours and, if there is one, that
	// of the mTLS host.
	Origins []string
	// Authorities returns those of client certificates as they are now; nil if
	// tls_client_auth is not offered.
	Authorities func() *x509.CertPool
	Now         func() time.Time
}

// Authenticator authenticates relying parties. It is safe for concurrent use.
type Authenticator struct{ Options }

// New returns the room.
func New(o Options) *Authenticator { return &Authenticator{o} }

// Caller is a relying party that has proved to be itself.
type Caller struct {
	RP relyingparty.RelyingParty
	// Certificate is the one that it showed in the TLS handshake, whose private
	// key it therefore holds; nil if it showed none. Access tokens can be bound
	// to it, whatever the way of authentication (RFC 8705 section 3).
	Certificate *x509.Certificate

	// jti names its assertion, which nobody accepts any more at until; "" if
	// it used none.
	jti   string
	until time.Time
}

// assertionKind keeps the names of assertions apart from others.
const assertionKind = "client_assertion"

// Asserted reports whether the caller sent an assertion, which Use uses up.
func (c Caller) Asserted() bool { return c.jti != "" }

// Use uses the caller's assertion up. An endpoint calls it in the transaction
// of what the request achieves, first, and goes on only if refused is nil: a
// *Refused says that the assertion was used before (RFC 7523 section 3, OpenID
// Connect Core section 9: jti). A refusal has written nothing.
func (c Caller) Use(tx *db.Tx) (refused, err error) {
	if !c.Asserted() {
		return nil, nil
	}
	fresh, err := once.Use(tx, assertionKind, c.RP.ClientID, c.jti, c.until)
	if err != nil || fresh {
		return nil, err
	}
	return &Refused{ClientID: c.RP.ClientID, Cause: Replayed, Assertion: true, Reason: "the assertion was used before: each needs a jti of its own"}, nil
}

// Authenticate returns the relying party that sends a request, whose form has
// been read. err is a failure of ours; of the others one is set.
func (a *Authenticator) Authenticate(r *http.Request, form url.Values) (caller Caller, refused *Refused, err error) {
	who, refused := present(r, form)
	if refused != nil {
		return Caller{}, refused, nil
	}
	rp, err := a.ByID(r.Context(), who.clientID)
	if errors.Is(err, db.ErrNoRows) {
		refused := refuse(Unknown, "the client %.64q is not registered", who.clientID)
		if who.clientID == "" {
			refused.Reason = "the request names no client"
		}
		refused.Assertion = who.assertion != ""
		return Caller{}, refused, nil
	}
	if err != nil {
		return Caller{}, nil, err
	}
	caller = Caller{RP: rp, Certificate: who.certificate}
	refused, err = a.prove(r, &caller, who)
	if refused != nil {
		refused.ClientID, refused.Assertion = rp.ClientID, who.assertion != ""
	}
	if refused != nil || err != nil {
		return Caller{}, refused, err
	}
	return caller, nil, nil
}

// prove checks what the caller presents by the way that it is registered for.
// No other will do: an attacker would choose the weakest.
func (a *Authenticator) prove(r *http.Request, c *Caller, who presented) (*Refused, error) {
	method := c.RP.AuthMethod
	switch {
	case method.HasSecret() && c.RP.Profile == relyingparty.Strict:
		// FAPI 2.0 section 5.3.2.1: private_key_jwt or mTLS.
		return refuse(WrongMethod, "the profile strict needs private_key_jwt or TLS client authentication, and the client is registered for %s", method), nil
	case method.HasSecret():
		return secret(c.RP, who), nil
	case method == relyingparty.PrivateKeyJWT:
		return a.assertion(r, c, who)
	case method == relyingparty.TLSClientAuth || method == relyingparty.SelfSignedTLS:
		return a.certificate(r.Context(), c.RP, who)
	}
	return refuse(WrongMethod, "the client is registered for %s, which Carekey does not offer", method), nil
}

func secret(rp relyingparty.RelyingParty, who presented) *Refused {
	switch {
	case who.assertion != "":
		return refuse(WrongMethod, "the client sent an assertion, and is registered for %s", rp.AuthMethod)
	case len(who.secrets) == 0:
		return refuse(NoSecret, "no client secret was sent")
	}
	for _, one := range who.secrets {
		if rp.CheckSecret(one) {
			return nil
		}
	}
	return refuse(WrongSecret, "the client secret is wrong")
}
