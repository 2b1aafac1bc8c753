package oidc

import (
	"context"
	"net/http"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/oidc/grant"
)

// revoke ends a token for the relying party that holds it (RFC 7009): a refresh
// token with all that came from its sign-in, an access token alone. What is no
// token, or is none any more, is answered as if it had been one (section 2.2).
func (p *Provider) revoke(w http.ResponseWriter, r *http.Request) {
	rp, text, ok := p.question(w, r)
	if !ok {
		return
	}
	doomed, err := p.revocable(r.Context(), text)
	if err != nil {
		p.fail(w, r, unavailable(err), rp.ClientID)
		return
	}
	if doomed.clientID != "" && doomed.clientID != rp.ClientID {
		p.fail(w, r, badQuestion("invalid_grant", "the token was issued to another client"), rp.ClientID) // RFC 7009 section 2.1
		return
	}
	if doomed.clientID != "" {
		if err := p.DB.Write(r.Context(), doomed.revoke); err != nil {
			p.fail(w, r, unavailable(err), rp.ClientID)
			return
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}

// revocable is a token that was issued here, or nothing.
type revocable struct {
	kind, clientID, sid string
	uid                 care.UID
	// end revokes it and reports whether it was good.
	end func(tx *db.Tx) (bool, error)
}

// revocable returns what a text is. It needs no token_type_hint (RFC 7009
// section 2.1: a server may ignore it).
func (p *Provider) revocable(ctx context.Context, text string) (revocable, error) {
	if r, err := p.refreshes.Open(text); err == nil {
		return revocable{
			kind: "refresh_token", clientID: r.Code.ClientID, sid: r.Code.SID, uid: r.Code.UID,
			end: func(tx *db.Tx) (bool, error) { return grant.Revoke(tx, r) },
		}, nil
	}
	var a grant.Access
	err := p.DB.Read(ctx, func(tx *db.Tx) (err error) {
		a, _, err = grant.ByToken(tx, text)
		return err
	})
	return revocable{
		kind: "access_token", clientID: a.ClientID, sid: a.SID, uid: a.UID,
		end: func(tx *db.Tx) (bool, error) { return grant.RevokeToken(tx, text) },
	}, err
}

// revoke ends the token, and audits it if it was good.
func (d revocable) revoke(tx *db.Tx) error {
	was, err := d.end(tx)
	if err != nil || !was {
		return err
	}
	return audit.Record(tx, audit.Entry{
		Action: "token.revoked", Subject: d.uid, Actor: d.clientID, Session: d.sid,
		Fields: []audit.Field{{Name: "client", Value: d.clientID}, {Name: "kind", Value: d.kind}},
	})
}
