package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/oidc/claims"
	"carekey.dev/carekey/internal/oidc/grant"
	"carekey.dev/carekey/internal/oidc/signing"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/relyingparty"
)

const grantCode = "authorization_code"

// Sizes in bytes of what is random: an access token (256 bits), and the claim
// that CIS2's ID tokens carry for their own ends.
const (
	tokenBytes  = 32
	opaqueBytes = 20
)

// tokens is the answer of the token endpoint (wire rule 15).
type tokens struct {
	AccessToken string `json:"access_token"`
	Scope       string `json:"scope"`
	IDToken     string `json:"id_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"`
	Nonce       string `json:"nonce,omitempty"`
}

// token answers a token request.
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	form, e := tokenForm(r)
	if e != nil {
		p.fail(w, r, e, "")
		return
	}
	rp, e := p.authenticate(r, form)
	if e != nil {
		p.refuseClient(w, r, form, e)
		return
	}
	answer, e := p.grant(r, rp, form)
	if e != nil {
		p.fail(w, r, e, rp.ClientID)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

// tokenForm returns the fields of a token request: from the body alone, each
// once (RFC 6749 sections 2.3.1 and 3.2).
func tokenForm(r *http.Request) (url.Values, *refusal) {
	if err := r.ParseForm(); err != nil {
		return nil, refuse(fault.GrantRefused, "invalid_request", "the body is not a form, or is larger than 64 KiB", err)
	}
	for name, values := range r.PostForm {
		if len(values) > 1 {
			return nil, refuse(fault.GrantRefused, "invalid_request", "a parameter was sent more than once",
				fmt.Errorf("the parameter is %.64q", name))
		}
	}
	return r.PostForm, nil
}

// refuseClient answers a failed client authentication. It never uses the code
// up: some clients try Basic first and then send the same code in the body
// (wire rule 3). It is audited where the caller holds a code of ours, which is
// a sign of theft; what any stranger can send as often as they like is logged.
func (p *Provider) refuseClient(w http.ResponseWriter, r *http.Request, form url.Values, e *refusal) {
	if e.code == "invalid_client" && r.Header.Get("Authorization") != "" {
		w.Header().Set("WWW-Authenticate", `Basic realm="Carekey", charset="UTF-8"`) // RFC 6749 section 5.2
	}
	if code, err := p.codes.Open(form.Get("code")); err == nil && p.DB.Now().Before(code.Expires) {
		err := p.DB.Write(r.Context(), func(tx *db.Tx) error { return recordToken(tx, code, "unauthenticated", "", e) })
		if err != nil {
			p.fail(w, r, unavailable(err), code.ClientID)
			return
		}
	}
	p.fail(w, r, e, claimed(r, form))
}

// grant gives an authenticated relying party what it asks for.
func (p *Provider) grant(r *http.Request, rp relyingparty.RelyingParty, form url.Values) (tokens, *refusal) {
	switch {
	case form.Get("grant_type") == "":
		return tokens{}, badToken("invalid_request", "grant_type is missing")
	case form.Get("grant_type") != grantCode:
		return tokens{}, badToken("unsupported_grant_type", "grant_type must be authorization_code")
	case form.Get("code") == "":
		return tokens{}, badToken("invalid_request", "code is missing")
	case form.Get("redirect_uri") == "":
		return tokens{}, badToken("invalid_request", "redirect_uri is missing: it must be the one of the authorization request")
	}
	text := form.Get("code")
	code, err := p.codes.Open(text)
	if err != nil {
		return tokens{}, badToken("invalid_grant", err.Error())
	}
	bought := purchase{token: keys.Token(p.Random, tokenBytes)}
	if bought.tracking, err = p.trackingID(); err != nil {
		return tokens{}, unavailable(err)
	}
	why := code.Check(rp.ClientID, form.Get("redirect_uri"), form.Get("code_verifier"))
	e := p.redeem(r.Context(), code, rp.ClientID, why, &bought)
	if e != nil {
		return tokens{}, e
	}
	return p.sign(rp, code, text, bought)
}

// purchase is what a code buys.
type purchase struct {
	token, tracking  string
	at               time.Time
	identityAssuance int
}

// redeem uses the code up, stores the access token and writes the audit entry
// in one commit. why is a refusal that is known already. A refusal is audited
// too, and commits the revocation that may come with it.
func (p *Provider) redeem(ctx context.Context, code grant.Code, actor string, why error, bought *purchase) *refusal {
	var e *refusal
	err := p.DB.Write(ctx, func(tx *db.Tx) error {
		e = nil
		reason, holder, err := p.use(tx, code, why, bought.token)
		if err != nil {
			return err
		}
		if reason != nil {
			e = badToken("invalid_grant", reason.Error())
		}
		bought.at, bought.identityAssuance = tx.Now(), holder.IDAssuranceLevel
		return recordToken(tx, code, actor, bought.tracking, e)
	})
	if err != nil {
		return unavailable(err)
	}
	return e
}

// use redeems the code for a person who still signs in here.
func (p *Provider) use(tx *db.Tx, code grant.Code, why error, token string) (refused error, holder person.Person, err error) {
	if why != nil {
		return why, holder, nil
	}
	holder, err = person.ByUID(tx, code.UID)
	if errors.Is(err, db.ErrNoRows) || err == nil && holder.Closed != nil {
		return grant.ErrPersonClosed, holder, nil
	}
	if err != nil {
		return nil, holder, err
	}
	refused, err = grant.Redeem(tx, code, token, grant.TokenLife)
	return refused, holder, err
}

// recordToken audits the issue of tokens, or its refusal.
func recordToken(tx *db.Tx, code grant.Code, actor, tracking string, e *refusal) error {
	entry := audit.Entry{
		Action: "token.issued", Subject: code.UID, Actor: actor, Session: code.SID,
		Fields: []audit.Field{
			{Name: "client", Value: code.ClientID}, {Name: "scope", Value: strings.Join(code.Scopes, " ")},
			{Name: "acr", Value: string(code.ACR)}, {Name: "aal", Value: code.AAL.String()},
			{Name: "role", Value: code.Role, Personal: true}, {Name: "tracking", Value: tracking},
		},
	}
	if e != nil {
		entry.Action, entry.Result, entry.Reference = "token.refused", e.code+": "+e.description, e.fault.Ref
	}
	return audit.Record(tx, entry)
}

// sign makes the answer. It runs after the commit, so that signing never holds
// a transaction open (decision 17).
func (p *Provider) sign(rp relyingparty.RelyingParty, code grant.Code, text string, bought purchase) (tokens, *refusal) {
	idToken, err := p.keys.Sign(jose.SignatureAlgorithm(rp.IDTokenAlgorithm()), "JWT", claims.ForIDToken(claims.SignIn{
		Issuer: p.issuer, ClientID: code.ClientID, UID: code.UID, IDAssuranceLevel: bought.identityAssuance,
		AAL: code.AAL, Method: code.Method, ACR: code.ACR, SID: code.SID, Role: code.Role, Scopes: code.Scopes, Nonce: code.Nonce,
		AccessHash: signing.HalfHash(bought.token), CodeHash: signing.HalfHash(text), StateHash: code.StateHash,
		TrackingID: bought.tracking, Opaque: keys.Token(p.Random, opaqueBytes),
		AuthTime: code.AuthTime, IssuedAt: bought.at, Expires: bought.at.Add(grant.TokenLife),
	}))
	if err != nil {
		return tokens{}, unavailable(err)
	}
	return tokens{
		AccessToken: bought.token, Scope: strings.Join(code.Scopes, " "), IDToken: idToken,
		TokenType: "Bearer", ExpiresIn: int(grant.TokenLife.Seconds()), Nonce: code.Nonce,
	}, nil
}

// trackingID is the claim auditTrackingId: a UUID and the number of the event
// in its trail, which is the first. The audit entry has it too.
func (p *Provider) trackingID() (string, error) {
	id, err := uuid.NewRandomFromReader(p.Random)
	if err != nil {
		return "", err
	}
	return id.String() + "-1", nil
}
