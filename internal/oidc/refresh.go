package oidc

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/oidc/clientauth"
	"carekey.dev/carekey/internal/oidc/grant"
	"carekey.dev/carekey/internal/relyingparty"
)

// refresh gives new tokens for a refresh token, as long as the person, the
// session, the chosen role and the relying party's right to it are what they
// were (record 0036).
func (p *Provider) refresh(r *http.Request, caller clientauth.Caller, form url.Values) (tokens, *refusal) {
	text := form.Get("refresh_token")
	if text == "" {
		return tokens{}, badRefresh("invalid_request", "refresh_token is missing")
	}
	token, err := p.refreshes.Open(text)
	if err != nil {
		return tokens{}, badRefresh("invalid_grant", err.Error())
	}
	if !slices.Contains(caller.RP.Methods, token.Code.Method) {
		return tokens{}, badRefresh("invalid_grant", "this client does not accept the method of the sign-in any more: the person must sign in again")
	}
	scopes, e := refreshScopes(caller.RP, token.Code.Scopes, strings.Fields(form.Get("scope")))
	if e != nil {
		return tokens{}, e
	}
	bought, e := p.buy(r, grantRefresh, caller, token.Code, scopes)
	if e != nil {
		return tokens{}, e
	}
	renewal := renewal{purchase: &bought, old: token, rotate: rotates(caller.RP), name: keys.Token(p.Random, tokenBytes)}
	why := token.Check(caller.RP.ClientID, bought.token.Binding)
	err = p.DB.Write(r.Context(), func(tx *db.Tx) error {
		e, err = bought.settle(tx, badRefresh, func() (error, error) { return renewal.renew(tx, why) })
		return err
	})
	if err != nil {
		return tokens{}, unavailable(err)
	}
	if e != nil {
		return tokens{}, e
	}
	bought.refreshToken = text
	if renewal.rotate {
		if bought.refreshToken, err = p.refreshes.Next(token); err != nil {
			return tokens{}, unavailable(err)
		}
	}
	return p.sign(bought)
}

// refreshBinding is what a refresh token is bound to besides its client. Who
// authenticates with a key of its own is held to that, and may change its DPoP
// key and renew its certificate (RFC 9449 section 5; RFC 8705 section 7.1). A
// secret is no key, so its refresh tokens keep to what came with them.
func refreshBinding(rp relyingparty.RelyingParty, b grant.Binding) grant.Binding {
	switch rp.AuthMethod {
	case relyingparty.PrivateKeyJWT, relyingparty.TLSClientAuth, relyingparty.SelfSignedTLS:
		return grant.Binding{}
	}
	return b
}

func badRefresh(code, description string) *refusal {
	return refuse(fault.RefreshRefused, code, description, nil)
}

// rotates reports whether each use of a refresh token replaces it. A stolen
// copy of a token that anybody with the client's secret could use is found out
// that way (RFC 9700 section 4.14.2; ASVS 10.4.5). In the profile strict the
// token is of no use without the client's private key, and FAPI 2.0 forbids to rotate it, so that an answer lost on its
// way signs nobody out (section 5.3.2.1 item 9).
func rotates(rp relyingparty.RelyingParty) bool { return rp.Profile != relyingparty.Strict }

// refreshScopes returns the scopes of the new access token: those granted at
// sign-in that the relying party may still have, or fewer if it asks for fewer
// (RFC 6749 section 6).
func refreshScopes(rp relyingparty.RelyingParty, granted, wanted []string) ([]string, *refusal) {
	may := rp.Grant(granted)
	if !slices.Contains(may, relyingparty.OfflineAccess) {
		return nil, badRefresh("unauthorized_client", "this client is not registered for refresh tokens")
	}
	if len(wanted) == 0 {
		return may, nil
	}
	for _, scope := range wanted {
		if !slices.Contains(granted, scope) {
			return nil, badRefresh("invalid_scope", "scope asks for more than was granted at sign-in")
		}
	}
	return slices.DeleteFunc(may, func(scope string) bool { return !slices.Contains(wanted, scope) }), nil
}

// renewal is the use of a refresh token.
type renewal struct {
	*purchase
	old    grant.Refresh
	rotate bool
	// name is what the purchase is stored under if the token is not used up.
	name string
}

// renew buys for a person who still signs in here in the role that they chose.
// why is a refusal that is known already.
func (n renewal) renew(tx *db.Tx, why error) (refused, err error) {
	if why != nil {
		return why, nil
	}
	if refused, err := n.signsIn(tx); refused != nil || err != nil {
		return refused, err
	}
	held, err := holdsRole(tx, n.code.UID, n.code.Role)
	if err != nil {
		return nil, err
	}
	if !held {
		return grant.ErrRoleGone, nil
	}
	n.at = tx.Now()
	n.expires, refused, err = grant.Renew(tx, n.old, n.token, n.rotate, n.name)
	return refused, err
}

// holdsRole reports whether a person still holds the role that they chose, if
// they chose one.
func holdsRole(tx *db.Tx, uid care.UID, role string) (bool, error) {
	if role == "" {
		return true, nil
	}
	return access.Held(tx, uid, role)
}
