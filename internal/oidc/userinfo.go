package oidc

import (
	"context"
	"errors"
	"net/http"

	"github.com/go-jose/go-jose/v4"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/oidc/claims"
	"carekey.dev/carekey/internal/oidc/grant"
	"carekey.dev/carekey/internal/relyingparty"
)

// userinfo tells who holds an access token about the person, as often as it
// asks (wire rule 12).
func (p *Provider) userinfo(w http.ResponseWriter, r *http.Request) {
	token, e := p.presented(r, userinfoPath)
	var about aboutPerson
	if e == nil {
		about, e = p.about(r.Context(), token)
	}
	if e == nil {
		e = p.spend(r, token)
	}
	if e != nil {
		if e.fault.Kind == fault.TokenRefused || e.fault.Kind == fault.TokenProofRefused {
			challenge(w, token.scheme, e)
		}
		p.fail(w, r, e, about.allowed.ClientID)
		return
	}
	p.tell(w, r, about)
}

// aboutPerson is what an access token gives access to.
type aboutPerson struct {
	allowed grant.Access
	rp      relyingparty.RelyingParty
	subject claims.Subject
}

// about reads what the token's scopes allow to be told.
func (p *Provider) about(ctx context.Context, token presentedToken) (about aboutPerson, e *refusal) {
	err := p.DB.Read(ctx, func(tx *db.Tx) error {
		allowed, refused, err := grant.ByToken(tx, token.text)
		if err != nil {
			return err
		}
		about, e = aboutPerson{allowed: allowed}, nil
		if refused != nil {
			e = badBearer(refused.Error())
			return nil
		}
		if e = token.may(allowed.Binding); e != nil {
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
	about.subject.Scopes = about.rp.Grant(about.subject.Scopes) // what was taken away since is not told
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
