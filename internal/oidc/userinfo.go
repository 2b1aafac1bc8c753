package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/oidc/claims"
	"carekey.dev/carekey/internal/oidc/grant"
	"carekey.dev/carekey/internal/relyingparty"
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
	about, e := p.about(r.Context(), token)
	if e != nil {
		if e.code == "invalid_token" {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`%s, error="invalid_token", error_description="%s"`, challengeRealm, e.description))
		}
		p.fail(w, r, e, about.allowed.ClientID)
		return
	}
	p.tell(w, r, about)
}

func badBearer(description string) *refusal {
	return refuse(fault.TokenRefused, "invalid_token", description, nil)
}

// aboutPerson is what an access token gives access to.
type aboutPerson struct {
	allowed grant.Access
	rp      relyingparty.RelyingParty
	subject claims.Subject
}

// about reads what the token's scopes allow to be told.
func (p *Provider) about(ctx context.Context, token string) (about aboutPerson, e *refusal) {
	err := p.DB.Read(ctx, func(tx *db.Tx) error {
		allowed, refused, err := grant.ByToken(tx, token)
		if err != nil {
			return err
		}
		about, e = aboutPerson{allowed: allowed}, nil
		if refused != nil {
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
		about.subject = subject
		return nil
	})
	if err != nil {
		return about, unavailable(err)
	}
	if e != nil {
		return about, e
	}
	about.rp, err = p.byID(ctx, about.allowed.ClientID)
	if errors.Is(err, db.ErrNoRows) {
		return about, badBearer("the client that the access token was issued to is not registered any more")
	}
	if err != nil {
		return about, unavailable(err)
	}
	return about, nil
}

// tell answers as JSON, or signed where the relying party registered that
// (OpenID Connect Core section 5.3.2).
func (p *Provider) tell(w http.ResponseWriter, r *http.Request, about aboutPerson) {
	about.subject.SingleAsObject = about.rp.Quirks.SingleAsObject
	plain := claims.ForUserinfo(about.subject)
	if about.rp.UserinfoAlg == "" {
		writeJSON(w, http.StatusOK, plain)
		return
	}
	signed, err := p.keys.Sign(jose.SignatureAlgorithm(about.rp.UserinfoAlg), "JWT",
		claims.SignedUserinfo{Issuer: p.issuer, Audience: about.rp.ClientID, Userinfo: plain})
	if err != nil {
		p.fail(w, r, unavailable(err), about.rp.ClientID)
		return
	}
	write(w, http.StatusOK, "application/jwt", []byte(signed))
}
