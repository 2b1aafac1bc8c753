package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// claims are the parts of the ID token that the page explains.
type claims struct {
	Nonce    string   `json:"nonce"`
	Method   []string `json:"amr"`
	ACR      string   `json:"acr"`
	Level    string   `json:"authentication_assurance_level"`
	AuthTime int64    `json:"auth_time"`
	Role     string   `json:"selected_roleid"`
}

// about are the parts of userinfo that the page explains.
type about struct {
	Name  string `json:"name"`
	Roles []struct {
		ID   string `json:"person_roleid"`
		Name string `json:"role_name"`
		Org  string `json:"org_code"`
	} `json:"nhsid_nrbac_roles"`
}

// exchange turns a code into a visitor, checking all that a relying party has
// to check.
func (d *demo) exchange(ctx context.Context, r *http.Request, p pending) (*visitor, error) {
	provider, client, err := d.client(ctx, r)
	if err != nil {
		return nil, err
	}
	if iss := r.FormValue("iss"); iss != d.issuer {
		return nil, fmt.Errorf("the answer comes from %q (RFC 9207)", iss)
	}
	token, err := client.Exchange(ctx, r.FormValue("code"), oauth2.VerifierOption(p.Verifier))
	if err != nil {
		return nil, fmt.Errorf("redeeming the code: %w", err)
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return nil, errors.New("there is no ID token")
	}
	id, err := provider.Verifier(&oidc.Config{ClientID: d.ClientID}).Verify(ctx, raw)
	if err != nil {
		return nil, fmt.Errorf("verifying the ID token: %w", err)
	}
	var c claims
	if err := id.Claims(&c); err != nil {
		return nil, fmt.Errorf("reading the ID token: %w", err)
	}
	if c.Nonce != p.Nonce {
		return nil, errors.New("the nonce is not ours")
	}
	if err := id.VerifyAccessToken(token.AccessToken); err != nil {
		return nil, fmt.Errorf("comparing at_hash: %w", err)
	}
	info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return nil, fmt.Errorf("asking for userinfo: %w", err)
	}
	if info.Subject != id.Subject {
		return nil, errors.New("userinfo is about somebody else")
	}
	return d.describe(id, info, token, raw, c)
}

func (d *demo) describe(id *oidc.IDToken, info *oidc.UserInfo, token *oauth2.Token, raw string, c claims) (*visitor, error) {
	var told, user json.RawMessage
	var who about
	if err := errors.Join(id.Claims(&told), info.Claims(&user), info.Claims(&who)); err != nil {
		return nil, fmt.Errorf("reading what was told: %w", err)
	}
	v := &visitor{
		Claims: pretty(told), UserInfo: pretty(user), Raw: raw, Token: token.AccessToken,
		Name: who.Name, Method: strings.Join(c.Method, ", "), Level: "AAL" + c.Level, AuthTime: time.Unix(c.AuthTime, 0),
	}
	if v.Name == "" {
		v.Name = id.Subject
	}
	for _, role := range who.Roles {
		if role.ID == c.Role {
			parts := strings.Split(role.Name, `":"`)
			v.Role = strings.Trim(parts[len(parts)-1], `"`) + " at " + role.Org
		}
	}
	return v, nil
}

func pretty(text json.RawMessage) string {
	var b bytes.Buffer
	if err := json.Indent(&b, text, "", "  "); err != nil {
		return string(text)
	}
	return b.String()
}
