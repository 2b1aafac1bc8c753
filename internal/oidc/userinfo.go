package oidc

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/oidc/claims"
	"carekey.dev/carekey/internal/oidc/grant"
)

// challengeRealm is the realm of our challenges.
const challengeRealm = `Bearer realm="Carekey"`

// userinfo tells who holds an access token about the person, as often as it
// asks (wire rule 12). The token comes in the header alone, never in an address
// (RFC 9700 section 4.3.2).
func (p *Provider) userinfo(w http.ResponseWriter, r *http.Request) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		w.Header().Set("WWW-Authenticate", challengeRealm) // RFC 6750 section 3.1: no error where no token was sent
		p.fail(w, r, badBearer("an access token is missing: send it in the header Authorization: Bearer"), "")
		return
	}
	answer, client, e := p.about(r.Context(), token)
	if e != nil {
		if e.code == "invalid_token" {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`%s, error="invalid_token", error_description="%s"`, challengeRealm, e.description))
		}
		p.fail(w, r, e, client)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

func badBearer(description string) *refusal {
	return refuse(fault.TokenRefused, "invalid_token", description, nil)
}

// about returns what the token's scopes allow to be told.
func (p *Provider) about(ctx context.Context, token string) (answer claims.Userinfo, client string, e *refusal) {
	err := p.DB.Read(ctx, func(tx *db.Tx) error {
		e = nil
		allowed, refused, err := grant.ByToken(tx, token)
		if err != nil {
			return err
		}
		if client = allowed.ClientID; refused != nil {
			e = badBearer(refused.Error())
			return nil
		}
		subject := claims.Subject{Role: allowed.Role, Scopes: allowed.Scopes}
		subject.Person, refused, err = holderOf(tx, allowed.UID)
		if err != nil {
			return err
		}
		if refused != nil {
			e = badBearer(refused.Error())
			return nil
		}
		if claims.NeedsRoles(allowed.Scopes, allowed.Role) {
			if subject.Roles, err = access.Roles(tx, allowed.UID); err != nil {
				return err
			}
		}
		answer = claims.ForUserinfo(subject)
		return nil
	})
	if err != nil {
		return answer, client, unavailable(err)
	}
	return answer, client, e
}
