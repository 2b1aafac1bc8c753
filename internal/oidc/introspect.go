package oidc

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/oidc/claims"
	"carekey.dev/carekey/internal/oidc/grant"
	"carekey.dev/carekey/internal/relyingparty"
)

// introspection says whether a token is good and for what (RFC 7662 section
// 2.2). Of a token that is not, or that the caller may not ask about, it says
// that it is not active and nothing else.
type introspection struct {
	Active    bool     `json:"active"`
	Scope     string   `json:"scope,omitempty"`
	ClientID  string   `json:"client_id,omitempty"`
	TokenType string   `json:"token_type,omitempty"`
	Expires   int64    `json:"exp,omitempty"`
	IssuedAt  int64    `json:"iat,omitempty"`
	Subject   care.UID `json:"sub,omitempty"`
	Issuer    string   `json:"iss,omitempty"`
	// How the person signed in (RFC 9470 section 6.2), in the words of the ID
	// token.
	ACR          care.ACR `json:"acr,omitempty"`
	AuthTime     int64    `json:"auth_time,omitempty"`
	Level        string   `json:"authentication_assurance_level,omitempty"`
	SID          string   `json:"sid,omitempty"`
	SelectedRole string   `json:"selected_roleid,omitempty"`

	Confirmation *confirmation `json:"cnf,omitempty"`
}

// confirmation is what a token is bound to (RFC 7800 section 3.1).
type confirmation struct {
	JKT         string `json:"jkt,omitempty"`      // RFC 9449 section 6.2
	Certificate string `json:"x5t#S256,omitempty"` // RFC 8705 section 3.2
}

// introspect tells a relying party about its tokens, and a resource server
// about all access tokens (RFC 7662). Nobody asks without saying who they are
// (section 2.1: tokens must not be guessed here).
func (p *Provider) introspect(w http.ResponseWriter, r *http.Request) {
	rp, text, ok := p.question(w, r)
	if !ok {
		return
	}
	answer, err := p.introspected(r.Context(), rp, text)
	if err != nil {
		p.fail(w, r, unavailable(err), rp.ClientID)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

// question reads who asks about or revokes a token, and the token. If it reports
// false, the request has been answered.
func (p *Provider) question(w http.ResponseWriter, r *http.Request) (rp relyingparty.RelyingParty, token string, ok bool) {
	form, caller, ok := p.fromClient(w, r)
	if !ok || !p.admitted(w, r, caller) {
		return rp, "", false
	}
	if form.Get("token") == "" {
		p.fail(w, r, badQuestion("invalid_request", "token is missing"), caller.RP.ClientID)
		return rp, "", false
	}
	return caller.RP, form.Get("token"), true
}

// badQuestion is an error of introspection and revocation.
func badQuestion(code, description string) *refusal {
	return refuse(fault.TokenQuestionRefused, code, description, nil)
}

// introspected returns what rp may know about a token. token_type_hint is not
// needed to tell the kinds apart (RFC 7662 section 2.1 lets a server ignore it).
func (p *Provider) introspected(ctx context.Context, rp relyingparty.RelyingParty, text string) (introspection, error) {
	refresh, err := p.refreshes.Open(text)
	var found introspection
	err = p.DB.Read(ctx, func(tx *db.Tx) (failed error) {
		if err == nil {
			found, failed = p.aboutRefresh(tx, rp, refresh)
		} else {
			found, failed = p.aboutAccess(tx, rp, text)
		}
		return failed
	})
	if err != nil || !found.Active {
		return introspection{}, err
	}
	// A token is worth nothing once its relying party is not registered, and no
	// more than what that may have.
	issuedTo, err := p.byID(ctx, found.ClientID)
	if errors.Is(err, db.ErrNoRows) {
		return introspection{}, nil
	}
	if err != nil {
		return introspection{}, err
	}
	scopes := issuedTo.Grant(strings.Fields(found.Scope))
	found.Scope, found.SelectedRole = strings.Join(scopes, " "), claims.Selected(scopes, found.SelectedRole)
	found.Issuer = p.issuer
	return found, nil
}

func (p *Provider) aboutAccess(tx *db.Tx, rp relyingparty.RelyingParty, text string) (introspection, error) {
	a, refused, err := grant.ByToken(tx, text)
	if refused != nil || err != nil || a.ClientID != rp.ClientID && !rp.Introspects {
		return introspection{}, err
	}
	if _, refused, err := holderOf(tx, a.UID); refused != nil || err != nil {
		return introspection{}, err
	}
	found := introspection{
		Active: true, Scope: strings.Join(a.Scopes, " "), ClientID: a.ClientID, TokenType: tokenType(a.Binding),
		Expires: a.Expires.Unix(), IssuedAt: a.Issued.Unix(), Subject: a.UID,
		ACR: a.ACR, AuthTime: a.AuthTime.Unix(), Level: strconv.Itoa(int(a.AAL)), SID: a.SID,
		SelectedRole: claims.Selected(a.Scopes, a.Role), Confirmation: confirmed(a.Binding),
	}
	held, err := holdsRole(tx, a.UID, found.SelectedRole)
	if !held {
		found.SelectedRole = "" // as in userinfo
	}
	return found, err
}

// aboutRefresh tells the relying party that holds it about a refresh token. A
// resource server has no business with one.
func (p *Provider) aboutRefresh(tx *db.Tx, rp relyingparty.RelyingParty, r grant.Refresh) (introspection, error) {
	code := r.Code
	if code.ClientID != rp.ClientID || !slices.Contains(rp.Methods, code.Method) ||
		!slices.Contains(rp.Grant(code.Scopes), relyingparty.OfflineAccess) {
		return introspection{}, nil
	}
	if refused, err := grant.Good(tx, r); refused != nil || err != nil {
		return introspection{}, err
	}
	if _, refused, err := holderOf(tx, code.UID); refused != nil || err != nil {
		return introspection{}, err
	}
	if held, err := holdsRole(tx, code.UID, code.Role); !held || err != nil {
		return introspection{}, err
	}
	return introspection{
		Active: true, Scope: strings.Join(code.Scopes, " "), ClientID: code.ClientID, Expires: r.Expires.Unix(), Subject: code.UID,
		ACR: code.ACR, AuthTime: code.AuthTime.Unix(), Level: strconv.Itoa(int(code.AAL)), SID: code.SID,
		SelectedRole: claims.Selected(code.Scopes, code.Role), Confirmation: confirmed(r.Binding),
	}, nil
}

// tokenType is how a token is sent: by the scheme of this name.
func tokenType(b grant.Binding) string {
	if b.JKT != "" {
		return "DPoP" // RFC 9449 section 5
	}
	return "Bearer"
}

func confirmed(b grant.Binding) *confirmation {
	if b == (grant.Binding{}) {
		return nil
	}
	return &confirmation{JKT: b.JKT, Certificate: b.Certificate}
}
