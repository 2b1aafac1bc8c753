// Command goparty is a relying party made of two libraries that know nothing of
// Carekey: coreos/go-oidc with x/oauth2 at /login/go-oidc, markbates/goth at
// /login/goth. It shows what each got as JSON.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"log"
	"net/http"
	"sync"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/markbates/goth"
	"github.com/markbates/goth/providers/openidConnect"
	"golang.org/x/oauth2"
)

var (
	issuer = flag.String("issuer", "", "the provider")
	listen = flag.String("listen", "", "address to listen on")
	id     = flag.String("client", "", "client id")
	secret = flag.String("secret", "", "client secret")
)

var scopes = []string{"openid", "profile", "email", "nhsperson"}

func main() {
	flag.Parse()
	home := "http://" + *listen
	http.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {})
	if err := byGoOIDC(home + "/callback/go-oidc"); err != nil {
		log.Fatal(err)
	}
	if err := byGoth(home + "/callback/goth"); err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe(*listen, nil))
}

func byGoOIDC(callback string) error {
	ctx := context.Background()
	provider, err := oidc.NewProvider(ctx, *issuer)
	if err != nil {
		return err
	}
	party := oauth2.Config{ClientID: *id, ClientSecret: *secret, Endpoint: provider.Endpoint(), RedirectURL: callback, Scopes: scopes}
	verifier, state, nonce := oauth2.GenerateVerifier(), oauth2.GenerateVerifier(), oauth2.GenerateVerifier()
	http.HandleFunc("GET /login/go-oidc", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, party.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier)), http.StatusFound)
	})
	http.HandleFunc("GET /callback/go-oidc", func(w http.ResponseWriter, r *http.Request) {
		show(w, func() (any, error) {
			if r.FormValue("state") != state {
				return nil, errors.New("another state")
			}
			token, err := party.Exchange(ctx, r.FormValue("code"), oauth2.VerifierOption(verifier))
			if err != nil {
				return nil, err
			}
			raw, ok := token.Extra("id_token").(string)
			if !ok {
				return nil, errors.New("no ID token")
			}
			idToken, err := provider.Verifier(&oidc.Config{ClientID: *id}).Verify(ctx, raw)
			if err != nil {
				return nil, err
			}
			if idToken.Nonce != nonce {
				return nil, errors.New("another nonce")
			}
			if err := idToken.VerifyAccessToken(token.AccessToken); err != nil {
				return nil, err
			}
			info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
			if err != nil {
				return nil, err
			}
			return map[string]any{"sub": idToken.Subject, "userinfo": info.Subject, "email": info.Email}, nil
		})
	})
	return nil
}

func byGoth(callback string) error {
	provider, err := openidConnect.New(*id, *secret, callback, *issuer+"/.well-known/openid-configuration", scopes...)
	if err != nil {
		return err
	}
	var mu sync.Mutex
	waiting := map[string]goth.Session{}
	http.HandleFunc("GET /login/goth", func(w http.ResponseWriter, r *http.Request) {
		state := oauth2.GenerateVerifier()
		session, err := provider.BeginAuth(state)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		mu.Lock()
		waiting[state] = session
		mu.Unlock()
		to, err := session.GetAuthURL()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		http.Redirect(w, r, to, http.StatusFound)
	})
	http.HandleFunc("GET /callback/goth", func(w http.ResponseWriter, r *http.Request) {
		show(w, func() (any, error) {
			mu.Lock()
			session, ok := waiting[r.FormValue("state")]
			mu.Unlock()
			if !ok {
				return nil, errors.New("another state")
			}
			if _, err := session.Authorize(provider, r.URL.Query()); err != nil {
				return nil, err
			}
			user, err := provider.FetchUser(session)
			if err != nil {
				return nil, err
			}
			return map[string]any{"sub": user.UserID, "userinfo": user.RawData["nhsid_useruid"], "email": user.Email}, nil
		})
	})
	return nil
}

func show(w http.ResponseWriter, get func() (any, error)) {
	got, err := get()
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		got = map[string]string{"error": err.Error()}
	}
	if err := json.NewEncoder(w).Encode(got); err != nil {
		log.Print(err)
	}
}
