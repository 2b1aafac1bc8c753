package clientauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"carekey.dev/carekey/internal/oidc/clientkeys"
	"carekey.dev/carekey/internal/relyingparty"
)

const (
	// assertionType is the only one there is (RFC 7523 section 2.2).
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	// longestLife is how far away exp may be (wire rule 5).
	longestLife = 5 * time.Minute
	// tolerance is how far a relying party's clock may be off (RFC 7523
	// section 3: "some small leeway"; FAPI 2.0 section 5.3.2.1: 10 s at least,
	// 60 s at most).
	tolerance = 30 * time.Second
	// longestName is the longest jti.
	longestName = 1024
)

// types are those that an assertion may say it is of; none is the rule (wire
// rule 5). A token that says to be something else, such as a request object, is
// not taken for an assertion (RFC 8725 section 3.12).
var types = []string{"", "jwt", "client-authentication+jwt"}

// assertion checks a JWT by which the caller authenticates (RFC 7523 section
// 3; OpenID Connect Core section 9).
func (a *Authenticator) assertion(r *http.Request, c *Caller, who presented) (*Refused, error) {
	switch {
	case who.secrets != nil:
		return refuse(WrongMethod, "the client sent a secret, and is registered for private_key_jwt"), nil
	case who.assertion == "":
		return refuse(NoAssertion, "no client_assertion was sent, and the client is registered for private_key_jwt"), nil
	case who.assertionType != assertionType:
		return refuse(NoAssertion, "client_assertion_type is %.64q and not %s", who.assertionType, assertionType), nil
	}
	header, _, err := clientkeys.Read(who.assertion)
	if err != nil {
		return refuse(Unreadable, "client_assertion: %v", err), nil
	}
	if kind := strings.ToLower(header.Type); !slices.Contains(types, strings.TrimPrefix(kind, "application/")) {
		return refuse(Type, "the assertion's typ is %.64q: it must be JWT, client-authentication+jwt or absent", header.Type), nil
	}
	payload, err := a.Keys.Verify(r.Context(), c.RP, who.assertion, algorithms(c.RP))
	if err != nil {
		return unverified(err)
	}
	var claims claims
	if err := json.Unmarshal(payload, &claims); err != nil {
		return refuse(Unreadable, "the assertion's claims: %v", plain(err)), nil
	}
	if refused := a.check(claims, c.RP, a.here(r)); refused != nil {
		return refused, nil
	}
	c.jti, c.until = claims.ID, moment(claims.Expires).Add(tolerance)
	return nil, nil
}

// algorithms are those that a relying party's assertions may be signed with.
func algorithms(rp relyingparty.RelyingParty) []string {
	switch {
	case rp.SigningAlgorithm != "":
		return []string{rp.SigningAlgorithm}
	case rp.Profile == relyingparty.Strict:
		return []string{"PS256", "ES256"} // FAPI 2.0 section 5.4.1
	}
	return relyingparty.AssertionAlgorithms()
}

// unverified says why a signature is refused, or returns a failure of ours.
func unverified(err error) (*Refused, error) {
	for cause, kind := range map[Cause]error{
		Unreadable: clientkeys.ErrMalformed, Algorithm: clientkeys.ErrAlgorithm, KeysAway: clientkeys.ErrFetch,
		NoKey: clientkeys.ErrNoKey, Signature: clientkeys.ErrSignature,
	} {
		if errors.Is(err, kind) {
			return refuse(cause, "the assertion: %v", err), nil
		}
	}
	return nil, fmt.Errorf("verifying a client assertion: %w", err)
}

// claims are those of an assertion. Times may have a fraction (RFC 7519
// section 2).
type claims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"`
	ID        string   `json:"jti"`
	Audience  audience `json:"aud"`
	Expires   float64  `json:"exp"`
	NotBefore float64  `json:"nbf"`
	IssuedAt  float64  `json:"iat"`
}

// audience is one text, or a list of them.
type audience struct {
	all  []string
	list bool
}

// UnmarshalJSON reads either form.
func (a *audience) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		a.all = []string{one}
		return nil
	}
	a.list = true
	return json.Unmarshal(text, &a.all)
}

// check holds the claims to their rules. here are the addresses of the endpoint
// that was called.
func (a *Authenticator) check(c claims, rp relyingparty.RelyingParty, here []string) *Refused {
	now := a.Now()
	expires := moment(c.Expires)
	switch {
	case c.Issuer != rp.ClientID || c.Subject != rp.ClientID:
		return refuse(Subject, "iss is %.64q and sub is %.64q: both must be the client_id", c.Issuer, c.Subject)
	case c.ID == "" || len(c.ID) > longestName:
		return refuse(NoName, "jti must be a text of 1 to %d bytes", longestName) // OpenID Connect Core section 9: REQUIRED
	case c.Expires <= 0:
		return refuse(Lifetime, "exp is missing")
	case !now.Add(-tolerance).Before(expires):
		return refuse(Expired, "it expired %s ago: exp is %s, and it is %s here", now.Sub(expires).Round(time.Second), expires.Format(time.TimeOnly), now.Format(time.TimeOnly))
	case expires.After(now.Add(longestLife + tolerance)):
		return refuse(Lifetime, "exp is %s away: at most 5 minutes are accepted", expires.Sub(now).Round(time.Second))
	}
	for _, from := range []struct {
		name string
		at   float64
	}{{"nbf", c.NotBefore}, {"iat", c.IssuedAt}} {
		if at := moment(from.at); at.After(now.Add(tolerance)) {
			return refuse(TooEarly, "%s is %s in the future: it is %s here", from.name, at.Sub(now).Round(time.Second), now.Format(time.TimeOnly))
		}
	}
	return a.checkAudience(c.Audience, rp, here)
}

// checkAudience: an assertion is for us alone. One that is meant for another
// server too could be used here by whoever it was sent to.
func (a *Authenticator) checkAudience(aud audience, rp relyingparty.RelyingParty, here []string) *Refused {
	accepted := append([]string{a.Issuer, a.TokenEndpoint}, here...) // RFC 9126 section 2 for PAR
	wanted := rp.Quirks.AssertionAudience
	switch {
	case rp.Profile == relyingparty.Strict:
		// FAPI 2.0 section 5.3.2.1: the issuer, as a text and not in a list.
		if aud.list || len(aud.all) != 1 || aud.all[0] != a.Issuer {
			return refuse(Audience, "aud is %.200q: in the profile strict it must be the issuer, %s, as a single text", aud.all, a.Issuer)
		}
		return nil
	case wanted == relyingparty.AudienceIssuer:
		accepted = []string{a.Issuer}
	case wanted == relyingparty.AudienceTokenEndpoint:
		accepted = append([]string{a.TokenEndpoint}, here...)
	}
	foreign := func(one string) bool { return !slices.Contains(accepted, one) }
	if len(aud.all) == 0 || slices.ContainsFunc(aud.all, foreign) {
		return refuse(Audience, "aud is %.200q: accepted are %s", aud.all, strings.Join(accepted, " and "))
	}
	return nil
}

// here returns the addresses of the endpoint that a request is for.
func (a *Authenticator) here(r *http.Request) []string {
	var all []string
	for _, origin := range a.Origins {
		if one := origin + r.URL.Path; one != a.TokenEndpoint {
			all = append(all, one)
		}
	}
	return all
}

// farthest is further away than any time that means something, and near enough
// for arithmetic.
const farthest = 1 << 40

func moment(seconds float64) time.Time {
	seconds = max(min(seconds, farthest), -farthest)
	return time.UnixMilli(int64(seconds * 1000)).UTC()
}

// plain is a JSON error without what was sent.
func plain(err error) string {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return fmt.Sprintf("%.32q is of the wrong type", kind.Field)
	}
	return "they are no JSON object"
}
