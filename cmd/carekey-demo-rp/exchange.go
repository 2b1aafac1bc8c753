package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// claims are the parts of the ID token that the page explains.
type claims struct {
	Nonce         string   `json:"nonce"`
	Methods       []string `json:"amr"`
	ACR           string   `json:"acr"`
	Level         string   `json:"authentication_assurance_level"`
	IdentityLevel string   `json:"id_assurance_level"`
	AuthTime      int64    `json:"auth_time"`
	Role          string   `json:"selected_roleid"`
	Session       string   `json:"sid"`
}

// about are the parts of userinfo that the page explains.
type about struct {
	Name        string `json:"name"`
	DisplayName string `json:"display_name"`
	Roles       []struct {
		ID   string `json:"person_roleid"`
		Name string `json:"role_name"`
		Org  string `json:"org_code"`
	} `json:"nhsid_nrbac_roles"`
	Orgs []struct {
		Code string `json:"org_code"`
		Name string `json:"org_name"`
	} `json:"nhsid_user_orgs"`
}

// visitor is somebody who is signed in here, with all that Carekey told.
type visitor struct {
	Name, Number         string
	Method, Level, Role  string
	ACR, IdentityLevel   string
	Session              string
	AuthTime             time.Time
	Claims, UserInfo     string // as JSON to read
	IDToken, AccessToken string
}

// exchange turns a code into a visitor, checking all that a relying party has
// to check: signature, issuer, audience, expiry, nonce, at_hash, and that
// userinfo is about the same person (OpenID Connect Core sections 3.1.3.7,
// 3.1.3.8 and 5.3.2).
func (d *demo) exchange(ctx context.Context, redirect, code string, p pending) (*visitor, error) {
	provider, err := d.up.known(ctx)
	if err != nil {
		return nil, err
	}
	client := d.client(provider, redirect)
	options := []oauth2.AuthCodeOption{oauth2.VerifierOption(p.Verifier)}
	if d.key != nil {
		signed, err := d.key.options(provider, time.Now())
		if err != nil {
			return nil, fmt.Errorf("signing an assertion: %w", err)
		}
		client.Endpoint.AuthStyle = oauth2.AuthStyleInParams
		options = append(options, signed...)
	}
	token, err := client.Exchange(ctx, code, options...)
	if err != nil {
		return nil, fmt.Errorf("redeeming the code: %w", err)
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return nil, errors.New("there is no ID token in the answer")
	}
	id, err := provider.Verifier(&oidc.Config{ClientID: d.ClientID}).Verify(ctx, raw)
	if err != nil {
		return nil, fmt.Errorf("verifying the ID token: %w", err)
	}
	var told claims
	if err := id.Claims(&told); err != nil {
		return nil, fmt.Errorf("reading the ID token: %w", err)
	}
	if told.Nonce != p.Nonce {
		return nil, errors.New("the nonce of the ID token is not the one that was sent")
	}
	if err := id.VerifyAccessToken(token.AccessToken); err != nil {
		return nil, fmt.Errorf("comparing at_hash: %w", err)
	}
	info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return nil, fmt.Errorf("asking for userinfo: %w", err)
	}
	if info.Subject != id.Subject {
		return nil, errors.New("userinfo is about somebody else than the ID token")
	}
	v, err := describe(told, id, info)
	if err != nil {
		return nil, err
	}
	v.IDToken, v.AccessToken = raw, token.AccessToken
	return v, nil
}

// describe puts into words what was told.
func describe(told claims, id *oidc.IDToken, info *oidc.UserInfo) (*visitor, error) {
	var all, user json.RawMessage
	var who about
	if err := errors.Join(id.Claims(&all), info.Claims(&user), info.Claims(&who)); err != nil {
		return nil, fmt.Errorf("reading what was told: %w", err)
	}
	return &visitor{
		Name: who.name(id.Subject), Number: id.Subject, Method: methods(told.Methods), Level: "AAL" + told.Level,
		Role: who.role(told.Role), ACR: told.ACR, IdentityLevel: told.IdentityLevel, Session: told.Session,
		AuthTime: time.Unix(told.AuthTime, 0).UTC(), Claims: indented(all), UserInfo: indented(user),
	}, nil
}

func (a about) name(number string) string {
	switch {
	case a.DisplayName != "":
		return a.DisplayName
	case a.Name != "":
		return a.Name
	}
	return number
}

// role names a role as people know it, or as well as it can.
func (a about) role(id string) string {
	for _, role := range a.Roles {
		if role.ID == id && id != "" {
			parts := strings.Split(role.Name, ":")
			return strings.Trim(parts[len(parts)-1], `"`) + ", " + a.org(role.Org)
		}
	}
	return id
}

func (a about) org(code string) string {
	for _, org := range a.Orgs {
		if org.Code == code {
			return org.Name + " (" + code + ")"
		}
	}
	return code
}

// words are the methods as amr names them.
var words = map[string]string{
	"TOTP": "authenticator app", "NHSMAIL": "NHSmail", "FIDO2": "passkey, security key or Windows Hello", "IOS": "iPad app",
	"N3_SMARTCARD": "smartcard", "CIS2_SMARTCARD": "smartcard", "SMARTCARD": "smartcard",
}

func methods(amr []string) string {
	var named []string
	for _, method := range amr {
		if word := words[method]; word != "" {
			method = word + " (" + method + ")"
		}
		named = append(named, method)
	}
	return strings.Join(named, ", ")
}

func indented(text json.RawMessage) string {
	var b bytes.Buffer
	if err := json.Indent(&b, text, "", "  "); err != nil {
		return string(text)
	}
	return b.String()
}
