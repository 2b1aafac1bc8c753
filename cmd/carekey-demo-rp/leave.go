package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// logoutEvent is the event of a logout token (OpenID Connect Back-Channel
// Logout section 2.4).
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// signOut forgets the visitor here. Carekey is not asked: most relying parties
// of CIS2 end their own session and no other.
func (d *demo) signOut(w http.ResponseWriter, r *http.Request) {
	d.forget(w, r)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// signOutEverywhere forgets the visitor here and asks Carekey to do so too,
// which tells every other service (OpenID Connect RP-Initiated Logout).
func (d *demo) signOutEverywhere(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	provider, err := d.up.known(ctx)
	if err != nil {
		d.sorry(w, http.StatusBadGateway, "Carekey does not answer. Is it running?", err)
		return
	}
	var knows struct {
		EndSession string `json:"end_session_endpoint"`
	}
	if err := provider.Claims(&knows); err != nil || knows.EndSession == "" {
		d.sorry(w, http.StatusBadGateway, "Carekey does not say where to sign out", err)
		return
	}
	v := d.forget(w, r)
	query := url.Values{"client_id": {d.ClientID}, "post_logout_redirect_uri": {"http://" + r.Host + "/"}}
	if v != nil {
		query.Set("id_token_hint", v.IDToken)
	}
	http.Redirect(w, r, knows.EndSession+"?"+query.Encode(), http.StatusSeeOther)
}

// forget ends the visitor's session here and returns who it was.
func (d *demo) forget(w http.ResponseWriter, r *http.Request) *visitor {
	name := d.cookieName("session")
	id := cookie(r, name)
	d.mu.Lock()
	v := d.signedIn[id]
	delete(d.signedIn, id)
	d.mu.Unlock()
	setCookie(w, name, "", -time.Second)
	return v
}

// backchannel ends the sessions here that Carekey says are over. 400 means that
// the token was not good.
func (d *demo) backchannel(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(d.up.calls(r.Context()), patience)
	defer cancel()
	sid, err := d.readLogout(ctx, r.PostFormValue("logout_token"))
	if err != nil {
		slog.Warn("a logout token was refused", "service", d.Short, "err", err)
		http.Error(w, "The logout token is not good.", http.StatusBadRequest)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, v := range d.signedIn {
		if v.Session == sid {
			delete(d.signedIn, id)
		}
	}
	w.Header().Set("Cache-Control", "no-store")
}

// readLogout checks a logout token as a relying party has to (section 2.6) and
// returns whose session is over.
func (d *demo) readLogout(ctx context.Context, raw string) (sid string, err error) {
	provider, err := d.up.known(ctx)
	if err != nil {
		return "", err
	}
	token, err := provider.Verifier(&oidc.Config{ClientID: d.ClientID}).Verify(ctx, raw)
	if err != nil {
		return "", fmt.Errorf("verifying it: %w", err)
	}
	var told struct {
		Session string                     `json:"sid"`
		Nonce   *string                    `json:"nonce"`
		Events  map[string]json.RawMessage `json:"events"`
	}
	if err := token.Claims(&told); err != nil {
		return "", fmt.Errorf("reading it: %w", err)
	}
	event := strings.TrimSpace(string(told.Events[logoutEvent]))
	if told.Session == "" || told.Nonce != nil || !strings.HasPrefix(event, "{") {
		return "", errors.New("it is no logout token")
	}
	return told.Session, nil
}
