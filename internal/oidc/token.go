package oidc

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/oidc/claims"
	"carekey.dev/carekey/internal/oidc/clientauth"
	"carekey.dev/carekey/internal/oidc/grant"
	"carekey.dev/carekey/internal/oidc/once"
	"carekey.dev/carekey/internal/oidc/signing"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/relyingparty"
)

// The grant types.
const (
	grantCode    = "authorization_code"
	grantRefresh = "refresh_token"
)

// Sizes in bytes of what is random: an access token (256 bits), and the claim
// that CIS2's ID tokens carry for their own ends.
const (
	tokenBytes  = 32
	opaqueBytes = 20
)

// tokens is the answer of the token endpoint (wire rule 15).
type tokens struct {
	AccessToken  string `json:"access_token"`
	Scope        string `json:"scope"`
	IDToken      string `json:"id_token,omitempty"`
	TokenType    string `json:"token_type"`
	ExpiresIn    int    `json:"expires_in"`
	RefreshToken string `json:"refresh_token,omitempty"`
	Nonce        string `json:"nonce,omitempty"`
}

// token answers a token request.
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	form, caller, ok := p.fromClient(w, r)
	if !ok {
		return
	}
	answer, e := p.grant(r, caller, form)
	if e != nil {
		p.fail(w, r, e, caller.RP.ClientID)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

// fromClient reads what a relying party's server sent, and who it is. If it
// reports false, the request has been answered.
func (p *Provider) fromClient(w http.ResponseWriter, r *http.Request) (url.Values, clientauth.Caller, bool) {
	form, e := clientForm(r)
	if e != nil {
		p.fail(w, r, e, "")
		return nil, clientauth.Caller{}, false
	}
	caller, e := p.authenticate(r, form)
	if e != nil {
		p.refuseClient(w, r, form, e)
		return nil, caller, false
	}
	return form, caller, true
}

// clientForm returns the fields of a request of a relying party's server: from
// the body alone, each once (RFC 6749 sections 2.3.1 and 3.2).
func clientForm(r *http.Request) (url.Values, *refusal) {
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

// unauthenticated is the actor of a request whose client proved nothing.
const unauthenticated = "unauthenticated"

// refuseClient answers a failed client authentication. It never uses the code
// up: some clients try Basic first and then send the same code in the body
// (wire rule 3). It is audited where the caller holds a code or refresh token
// of ours, which is a sign of theft: once a minute, because a worker holds
// codes too and the audit log is for ever. All else that any stranger can send
// as often as they like is logged.
func (p *Provider) refuseClient(w http.ResponseWriter, r *http.Request, form url.Values, e *refusal) {
	if held, ok := p.held(form); ok {
		err := p.DB.Write(r.Context(), func(tx *db.Tx) error { return held.suspect(tx, e) })
		if err != nil {
			p.fail(w, r, unavailable(err), held.code.ClientID)
			return
		}
	}
	p.fail(w, r, e, clientauth.Named(r, form))
}

// held returns what a caller tries to buy tokens with, if it was given out here
// and has not expired.
func (p *Provider) held(form url.Values) (purchase, bool) {
	if code, err := p.codes.Open(form.Get("code")); err == nil {
		return purchase{by: grantCode, code: code}, p.DB.Now().Before(code.Expires)
	}
	refresh, err := p.refreshes.Open(form.Get("refresh_token"))
	return purchase{by: grantRefresh, code: refresh.Code}, err == nil && p.DB.Now().Before(refresh.Expires)
}

// grant gives an authenticated relying party what it asks for.
func (p *Provider) grant(r *http.Request, caller clientauth.Caller, form url.Values) (tokens, *refusal) {
	switch form.Get("grant_type") {
	case "":
		return tokens{}, badToken("invalid_request", "grant_type is missing")
	case grantCode:
		return p.redeem(r, caller, form)
	case grantRefresh:
		return p.refresh(r, caller, form)
	}
	return tokens{}, badToken("unsupported_grant_type", "grant_type must be authorization_code or refresh_token")
}

// purchase is what a code or a refresh token buys.
type purchase struct {
	// by is the grant type.
	by     string
	caller clientauth.Caller
	from   sender
	// code is the sign-in that the tokens go back to.
	code  grant.Code
	token grant.Token
	// nonce and codeHash are for the ID token that a code buys.
	nonce, codeHash string
	tracking        string
	// at is when it was bought, expires when the access token ends, until when
	// the session does.
	at, expires, until time.Time
	identityAssurance  int
	refreshToken       string
}

// buy prepares a purchase.
func (p *Provider) buy(r *http.Request, by string, caller clientauth.Caller, code grant.Code, scopes []string) (purchase, *refusal) {
	from, e := p.senderOf(r, caller)
	if e != nil {
		return purchase{}, e
	}
	id, err := uuid.NewRandomFromReader(p.Random)
	if err != nil {
		return purchase{}, unavailable(err)
	}
	return purchase{
		by: by, caller: caller, from: from, code: code,
		token: grant.Token{Text: keys.Token(p.Random, tokenBytes), Life: tokenLife(caller.RP), Scopes: scopes, Binding: from.Binding},
		// The claim auditTrackingId is a UUID and the number of the event in its
		// trail, which is the first. The audit entry has it too.
		tracking: id.String() + "-1",
	}, nil
}

// tokenLife is how long the relying party's access tokens are good (decision
// 12).
func tokenLife(rp relyingparty.RelyingParty) time.Duration {
	if rp.Profile == relyingparty.Strict {
		return grant.StrictTokenLife
	}
	return grant.TokenLife
}

// redeem gives tokens for an authorization code. It uses the code up, stores
// the access token and writes the audit entry in one commit. A refusal is
// audited too, and commits the revocation that may come with it.
func (p *Provider) redeem(r *http.Request, caller clientauth.Caller, form url.Values) (tokens, *refusal) {
	text := form.Get("code")
	switch {
	case text == "":
		return tokens{}, badToken("invalid_request", "code is missing")
	case form.Get("redirect_uri") == "":
		return tokens{}, badToken("invalid_request", "redirect_uri is missing: it must be the one of the authorization request")
	}
	code, err := p.codes.Open(text)
	if err != nil {
		return tokens{}, badToken("invalid_grant", err.Error())
	}
	bought, e := p.buy(r, grantCode, caller, code, code.Scopes)
	if e != nil {
		return tokens{}, e
	}
	bought.nonce, bought.codeHash = code.Nonce, signing.HalfHash(text)
	why := code.Check(caller.RP.ClientID, form.Get("redirect_uri"), form.Get("code_verifier"), bought.token.JKT)
	err = p.DB.Write(r.Context(), func(tx *db.Tx) error {
		e, err = bought.settle(tx, badToken, func() (error, error) { return bought.redeem(tx, why) })
		return err
	})
	if err != nil {
		return tokens{}, unavailable(err)
	}
	if e != nil {
		return tokens{}, e
	}
	if slices.Contains(code.Scopes, relyingparty.OfflineAccess) {
		bought.refreshToken, err = p.refreshes.First(code, refreshBinding(caller.RP, bought.token.Binding), bought.until)
		if err != nil {
			return tokens{}, unavailable(err)
		}
	}
	return p.sign(bought)
}

// settle is the transaction of a purchase: it uses up what the request was
// authenticated and proven by, then what it buys with, and audits how that
// ended. because makes the error of a refusal.
func (b *purchase) settle(tx *db.Tx, because func(code, description string) *refusal, use func() (refused, err error)) (*refusal, error) {
	e, err := admit(tx, b.caller)
	if err != nil {
		return nil, err
	}
	if e != nil {
		return e, b.suspect(tx, e)
	}
	refused, err := b.from.use(tx)
	if err != nil {
		return nil, err
	}
	if refused != nil {
		e = badProof(refused.Error())
	} else if refused, err = use(); err != nil {
		return nil, err
	} else if refused != nil {
		e = because("invalid_grant", refused.Error())
	}
	return e, b.record(tx, b.caller.RP.ClientID, e)
}

// redeem uses the code up for a person who still signs in here. why is a
// refusal that is known already.
func (b *purchase) redeem(tx *db.Tx, why error) (refused, err error) {
	if why != nil {
		return why, nil
	}
	bought, refused, err := grant.Redeem(tx, b.code, b.token)
	b.until, b.identityAssurance = bought.Until, bought.IDAssuranceLevel
	b.at, b.expires = tx.Now(), tx.Now().Add(b.token.Life)
	return refused, err
}

// signsIn reads the person, and refuses one who does not sign in here any more.
func (b *purchase) signsIn(tx *db.Tx) (refused, err error) {
	holder, refused, err := holderOf(tx, b.code.UID)
	b.identityAssurance = holder.IDAssuranceLevel
	return refused, err
}

// holderOf returns a person, or the refusal ErrPersonClosed.
func holderOf(tx *db.Tx, uid care.UID) (holder person.Person, refused, err error) {
	holder, err = person.ByUID(tx, uid)
	if errors.Is(err, db.ErrNoRows) || err == nil && holder.Closed != nil {
		return holder, grant.ErrPersonClosed, nil
	}
	return holder, nil, err
}

// suspectEach is how often at most the same is audited of the same sign-in at
// the same relying party, for callers who have not shown who they are.
const suspectEach = time.Minute

// suspect audits the refusal of a caller who has not shown who they are.
func (b *purchase) suspect(tx *db.Tx, e *refusal) error {
	first, err := once.Use(tx, "suspect", b.code.ClientID, b.code.SID+" "+e.code, tx.Now().Add(suspectEach))
	if err != nil || !first {
		return err
	}
	return b.record(tx, unauthenticated, e)
}

// record audits the issue of tokens, or its refusal.
func (b *purchase) record(tx *db.Tx, actor string, e *refusal) error {
	entry := audit.Entry{
		Action: "token.issued", Subject: b.code.UID, Actor: actor, Session: b.code.SID,
		Fields: []audit.Field{
			{Name: "grant_type", Value: b.by}, {Name: "client", Value: b.code.ClientID},
			{Name: "scope", Value: strings.Join(b.token.Scopes, " ")},
			{Name: "acr", Value: string(b.code.ACR)}, {Name: "aal", Value: b.code.AAL.String()},
			{Name: "role", Value: b.code.Role, Personal: true}, {Name: "tracking", Value: b.tracking},
		},
	}
	if e != nil {
		entry.Action, entry.Result, entry.Reference = "token.refused", e.code+": "+e.description, e.fault.Ref
	}
	return audit.Record(tx, entry)
}

// sign makes the answer. It runs after the commit, so that signing never holds
// a transaction open (decision 17).
func (p *Provider) sign(b purchase) (tokens, *refusal) {
	answer := tokens{
		AccessToken: b.token.Text, Scope: strings.Join(b.token.Scopes, " "), TokenType: tokenType(b.token.Binding),
		ExpiresIn: int(b.expires.Sub(b.at).Seconds()), RefreshToken: b.refreshToken, Nonce: b.nonce,
	}
	if !slices.Contains(b.token.Scopes, claims.OpenID) {
		return answer, nil // a refresh asked for less (RFC 6749 section 6)
	}
	var err error
	answer.IDToken, err = p.keys.Sign(jose.SignatureAlgorithm(b.caller.RP.IDTokenAlgorithm()), "JWT", claims.ForIDToken(claims.SignIn{
		Issuer: p.issuer, ClientID: b.code.ClientID, UID: b.code.UID, IDAssuranceLevel: b.identityAssurance,
		AAL: b.code.AAL, Method: b.code.Method, ACR: b.code.ACR, SID: b.code.SID, Role: b.code.Role, Scopes: b.token.Scopes,
		Nonce: b.nonce, AccessHash: signing.HalfHash(b.token.Text), CodeHash: b.codeHash, StateHash: b.code.StateHash,
		TrackingID: b.tracking, Opaque: keys.Token(p.Random, opaqueBytes),
		AuthTime: b.code.AuthTime, IssuedAt: b.at, Expires: b.expires, NumericLevels: b.caller.RP.Quirks.NumericLevels,
	}))
	if err != nil {
		return tokens{}, unavailable(err)
	}
	return answer, nil
}
