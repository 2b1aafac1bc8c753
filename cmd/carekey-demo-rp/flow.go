package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// pendingLife is how long a sign-in may take.
const pendingLife = time.Hour

// pending is a sign-in that is under way. The browser keeps it, one for each
// tab.
type pending struct {
	State    string `json:"s"`
	Nonce    string `json:"n"`
	Verifier string `json:"v"`
}

// client is this relying party as the library wants to know it.
func (d *demo) client(provider *oidc.Provider, redirect string) oauth2.Config {
	return oauth2.Config{
		ClientID: d.ClientID, ClientSecret: d.Secret, Endpoint: provider.Endpoint(), RedirectURL: redirect, Scopes: d.Scopes,
	}
}

// signIn starts the authorization code flow with state, nonce and PKCE.
func (d *demo) signIn(w http.ResponseWriter, r *http.Request) {
	redirect, ok := d.at(r.Host)
	if !ok {
		http.Redirect(w, r, d.Address, http.StatusSeeOther)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	provider, err := d.up.known(ctx)
	if err != nil {
		d.sorry(w, http.StatusBadGateway, "Carekey does not answer. Is it running?", err)
		return
	}
	p := pending{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier()}
	kept, err := json.Marshal(p)
	if err != nil {
		d.sorry(w, http.StatusInternalServerError, "Something went wrong here", err)
		return
	}
	setCookie(w, d.pendingName(p.State), base64.RawURLEncoding.EncodeToString(kept), pendingLife)
	client := d.client(provider, redirect)
	client.Scopes = scopes(d.Scopes, r.PostFormValue("role"))
	options := []oauth2.AuthCodeOption{oidc.Nonce(p.Nonce), oauth2.S256ChallengeOption(p.Verifier)}
	for _, name := range []string{"acr_values", "prompt", "max_age"} {
		if value := strings.TrimSpace(r.PostFormValue(name)); value != "" {
			options = append(options, oauth2.SetAuthURLParam(name, value))
		}
	}
	http.Redirect(w, r, client.AuthCodeURL(p.State, options...), http.StatusSeeOther)
}

// scopes returns what to ask for with the wish for a role: "selectedrole",
// "changedrole", "none", or "" for what the face always asks.
func scopes(usual []string, role string) []string {
	if role == "" {
		return usual
	}
	wanted := slices.DeleteFunc(slices.Clone(usual), func(scope string) bool { return scope == "selectedrole" })
	if role != "none" {
		wanted = append(wanted, role)
	}
	return wanted
}

// callback takes Carekey's answer.
func (d *demo) callback(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	p, err := d.pendingOf(r, query.Get("state"))
	if err != nil {
		d.sorry(w, http.StatusBadRequest, "This answer belongs to no sign-in of this browser", err)
		return
	}
	setCookie(w, d.pendingName(p.State), "", -time.Second)
	if iss := query.Get("iss"); iss != d.up.issuer {
		d.sorry(w, http.StatusBadRequest, "This answer comes from somebody else", fmt.Errorf("iss is %q, want %q (RFC 9207)", iss, d.up.issuer))
		return
	}
	if code := query.Get("error"); code != "" {
		d.sorry(w, http.StatusOK, code, errors.New(query.Get("error_description")))
		return
	}
	ctx, cancel := context.WithTimeout(d.up.calls(r.Context()), patience)
	defer cancel()
	v, err := d.exchange(ctx, "http://"+r.Host+"/callback", query.Get("code"), p)
	if err != nil {
		d.sorry(w, http.StatusBadGateway, "Carekey’s answer was not good", err)
		return
	}
	d.remember(w, v)
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// pendingName is the cookie of a sign-in. The state's beginning keeps tabs
// apart; a state that we did not make names no cookie of ours.
func (d *demo) pendingName(state string) string {
	return d.cookieName("pending-" + strings.Map(plain, state[:min(len(state), 8)]))
}

func plain(r rune) rune {
	if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
		return r
	}
	return -1
}

// pendingOf returns the sign-in of this browser that has the state.
func (d *demo) pendingOf(r *http.Request, state string) (pending, error) {
	var p pending
	kept, err := base64.RawURLEncoding.DecodeString(cookie(r, d.pendingName(state)))
	if err != nil || json.Unmarshal(kept, &p) != nil || p.State == "" || p.State != state {
		return pending{}, errors.New("the state is not one that was sent from here: cookies are blocked, or the page was reloaded or opened elsewhere")
	}
	return p, nil
}
