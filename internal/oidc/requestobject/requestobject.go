// Package requestobject opens authorization requests that relying parties signed
// (RFC 9101; OpenID Connect Core section 6): what they sent, or what lies at an
// address that they registered.
//
// The provider comes in with a text and its relying party; the request's
// parameters leave, or a Refused. Nothing unsigned or encrypted is opened, and
// nothing is fetched but from a registered address, by the guarded client
// (decision 13). Whether the parameters make sense is for the provider to judge.
package requestobject

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"carekey.dev/carekey/internal/oidc/clientkeys"
	"carekey.dev/carekey/internal/relyingparty"
)

const (
	// tolerance is how far a relying party's clock may be off.
	tolerance = 30 * time.Second
	// longestLife is how far nbf may lie back, and exp after it, in the profile
	// strict (FAPI 2.0 Message Signing section 5.3.1).
	longestLife = time.Hour
	// Most is the largest request object that is read, in bytes.
	Most = 8 << 10
)

// Options is what the room needs.
type Options struct {
	Keys *clientkeys.Sets
	// Client is the guarded client.
	Client *http.Client
	// Issuer is us, as discovery says.
	Issuer string
	Now    func() time.Time
}

// Reader opens request objects. It is safe for concurrent use.
type Reader struct {
	Options
	fetching chan struct{}

	mu     sync.Mutex // guards what follows
	places map[string]chan struct{}
}

// New returns the room.
func New(o Options) *Reader {
	return &Reader{Options: o, fetching: make(chan struct{}, mostFetches), places: map[string]chan struct{}{}}
}

// The OAuth errors of a Refused (OpenID Connect Core section 3.1.2.6).
const (
	InvalidObject   = "invalid_request_object"
	InvalidURI      = "invalid_request_uri"
	NotSupported    = "request_not_supported"
	URINotSupported = "request_uri_not_supported"
	Unavailable     = "temporarily_unavailable"
)

// Refused says why a request object is not taken.
type Refused struct {
	// Code is the OAuth error, Reason a sentence for the relying party's
	// developer. Cause is for the log alone, or nil.
	Code, Reason string
	Cause        error
}

func (r *Refused) Error() string { return r.Reason }

func bad(format string, args ...any) *Refused {
	return &Refused{Code: InvalidObject, Reason: fmt.Sprintf(format, args...)}
}

// Open returns the parameters in a request object. The error is a *Refused, or
// that of ctx.
func (o *Reader) Open(ctx context.Context, rp relyingparty.RelyingParty, text string) (url.Values, error) {
	if len(text) > Most {
		return nil, bad("the request object is larger than %d bytes", Most)
	}
	if strings.Count(text, ".") == 4 {
		return nil, &Refused{Code: NotSupported, Reason: "encrypted request objects are not supported"}
	}
	header, _, err := clientkeys.Read(text)
	if err != nil {
		return nil, bad("the request object is not a signed JWT")
	}
	if header.Algorithm == "none" {
		// As if it were not supported at all, which is true of this kind.
		return nil, &Refused{Code: NotSupported, Reason: "unsigned request objects are not supported"}
	}
	if !typed(header.Type) {
		return nil, bad("the typ of the request object must be oauth-authz-req+jwt or JWT")
	}
	payload, err := o.Keys.Verify(ctx, rp, text, algorithms(rp))
	if err != nil {
		return nil, o.unverified(ctx, err)
	}
	members, c, refused := read(payload)
	if refused == nil {
		refused = c.check(rp, o.Issuer, o.Now())
	}
	if refused != nil {
		return nil, refused
	}
	return parameters(members), nil
}

// typed reports whether a JWT may be a request object: one that says that it is
// something else, an assertion or a proof, is not taken for one (RFC 9101
// section 10.8; RFC 8725 section 3.11).
func typed(typ string) bool {
	typ = strings.TrimPrefix(strings.ToLower(typ), "application/")
	return typ == "" || typ == "jwt" || typ == "oauth-authz-req+jwt"
}

// algorithms are those with which a relying party may sign.
func algorithms(rp relyingparty.RelyingParty) []string {
	switch {
	case rp.RequestObjectAlg != "":
		return []string{rp.RequestObjectAlg}
	case rp.Profile == relyingparty.Strict:
		return []string{"PS256", "ES256"} // FAPI 2.0 section 5.4.1
	}
	return relyingparty.AssertionAlgorithms()
}

func (o *Reader) unverified(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("verifying a request object: %w", err)
	}
	reason := "the signature of the request object is by none of the client's keys"
	switch {
	case errors.Is(err, clientkeys.ErrAlgorithm):
		reason = "the request object is signed with an algorithm that is not accepted from this client"
	case errors.Is(err, clientkeys.ErrFetch):
		reason = "the client's keys cannot be read, so its request object cannot be verified"
	case errors.Is(err, clientkeys.ErrNoKey):
		reason = "the client has no key for its request object"
	}
	return &Refused{Code: InvalidObject, Reason: reason, Cause: err}
}

// claims are those that say whose the object is and when it is good (RFC 9101
// section 4). Times may have a fraction (RFC 7519 section 2).
type claims struct {
	Issuer    *string  `json:"iss"`
	Subject   string   `json:"sub"`
	Audience  audience `json:"aud"`
	Expires   *float64 `json:"exp"`
	NotBefore *float64 `json:"nbf"`
	IssuedAt  *float64 `json:"iat"`
	ClientID  string   `json:"client_id"`
}

// audience is one text, or a list of them.
type audience []string

// UnmarshalJSON reads either form.
func (a *audience) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(a))
}

func read(payload []byte) (map[string]json.RawMessage, claims, *Refused) {
	var members map[string]json.RawMessage
	var c claims
	if err := json.Unmarshal(payload, &members); err != nil || members == nil {
		return nil, c, bad("the request object is not a JSON object")
	}
	if err := json.Unmarshal(payload, &c); err != nil {
		return nil, c, bad("iss, sub, aud, exp, nbf, iat or client_id of the request object has the wrong type")
	}
	for _, name := range []string{"request", "request_uri"} {
		if _, there := members[name]; there {
			return nil, c, bad("the request object must not contain %s", name) // RFC 9101 section 4
		}
	}
	return members, c, nil
}

// check holds the claims to their rules. What is there must be right in either
// profile; what may be missing in cis2 must be there in strict.
func (c claims) check(rp relyingparty.RelyingParty, issuer string, now time.Time) *Refused {
	strict := rp.Profile == relyingparty.Strict
	switch {
	case c.ClientID != "" && c.ClientID != rp.ClientID:
		return bad("client_id of the request object is another") // RFC 9101 section 5
	case c.Issuer != nil && *c.Issuer != rp.ClientID, strict && c.Issuer == nil:
		return bad("iss of the request object must be the client_id") // RFC 9101 section 4
	case c.Audience != nil && !slices.Contains(c.Audience, issuer), strict && c.Audience == nil:
		return bad("aud of the request object must be the issuer")
	case c.Subject == rp.ClientID:
		// A client assertion that leaked must not serve as a request (RFC 9101
		// section 10.8).
		return bad("sub of the request object must not be the client_id")
	case strict && (c.Expires == nil || c.NotBefore == nil):
		return bad("exp and nbf of the request object are missing")
	}
	return c.timely(strict, now)
}

func (c claims) timely(strict bool, now time.Time) *Refused {
	if c.Expires != nil && !now.Add(-tolerance).Before(moment(*c.Expires)) {
		return bad("the request object has expired")
	}
	for _, from := range []*float64{c.NotBefore, c.IssuedAt} {
		if from != nil && moment(*from).After(now.Add(tolerance)) {
			return bad("the request object is from the future: look at your clock")
		}
	}
	if !strict {
		return nil
	}
	begin, end := moment(*c.NotBefore), moment(*c.Expires)
	if begin.Before(now.Add(-longestLife)) || end.After(begin.Add(longestLife)) {
		return bad("the request object must live for an hour at most, from nbf to exp")
	}
	return nil
}

// moment is a NumericDate, within what a time can hold.
func moment(seconds float64) time.Time {
	const most = 1 << 40
	return time.UnixMilli(int64(max(-most, min(most, seconds)) * 1000))
}

// ours are claims about the object and not parameters of the request.
var ours = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti"}

// parameters returns the members as they would be in an address: a text as it
// is, numbers and objects (claims) as JSON (RFC 9101 section 4).
func parameters(members map[string]json.RawMessage) url.Values {
	all := url.Values{}
	for name, raw := range members {
		if slices.Contains(ours, name) || bytes.Equal(raw, []byte("null")) {
			continue
		}
		var text string
		if json.Unmarshal(raw, &text) != nil {
			text = string(raw)
		}
		all.Set(name, text)
	}
	return all
}

// Peek returns where the answer to a request would go, as an object says whose
// signature nobody has verified. It is worth what an address is worth: an error
// may go there if the place is registered.
func Peek(text string) url.Values {
	if _, payload, err := clientkeys.Read(text); err == nil && len(text) <= Most {
		if members, _, refused := read(payload); refused == nil {
			all := parameters(members)
			return url.Values{"redirect_uri": all["redirect_uri"], "state": all["state"], "response_mode": all["response_mode"]}
		}
	}
	return url.Values{}
}
