package oidc_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	coreos "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"carekey.dev/carekey/internal/oidc"
)

const discoveryPath = oidc.RealmPath + "/.well-known/openid-configuration"

// Decision 11: what discovery names exists, and does what it says.
func TestDiscoveryTellsTheTruth(t *testing.T) {
	h := open(t)
	b := h.browser()
	a := b.get(discoveryPath)
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" {
		t.Fatalf("answer %d %v", a.status, a.header)
	}
	doc := object(t, a.body)
	if doc["issuer"] != h.server.URL+oidc.RealmPath {
		t.Errorf("issuer is %v (wire rule 1)", doc["issuer"])
	}
	for name, value := range doc {
		if name == "issuer" || !strings.HasSuffix(name, "_endpoint") && name != "jwks_uri" {
			continue
		}
		path, ours := strings.CutPrefix(value.(string), h.server.URL)
		if !ours {
			t.Errorf("%s is %v", name, value)
			continue
		}
		if a := b.get(path); a.status == http.StatusNotFound {
			t.Errorf("%s names %s, which is not there", name, path)
		}
	}
	for name, want := range map[string]any{
		"claims_parameter_supported": true, "request_parameter_supported": true, "request_uri_parameter_supported": true, "require_request_uri_registration": true,
		"authorization_response_iss_parameter_supported": true, "version": "3.0",
		// RP-Initiated, Back-Channel and Front-Channel Logout.
		"end_session_endpoint":         h.server.URL + oidc.RealmPath + "/connect/endSession",
		"backchannel_logout_supported": true, "backchannel_logout_session_supported": true,
		"frontchannel_logout_supported": true, "frontchannel_logout_session_supported": true,
	} {
		if got, there := doc[name]; !there || got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	acrs := doc["acr_values_supported"].([]any)
	for _, acr := range []any{"AAL3_ANY", "AAL2_OR_AAL3_ANY", "AAL2_ANY", "AAL3_FIDO2", "AAL2_TOTP", "AAL2_NHSMAIL"} {
		if !slices.Contains(acrs, acr) {
			t.Errorf("acr_values_supported lacks %v", acr)
		}
	}
	if slices.Contains(acrs, any("AAL1_USERPASS")) {
		t.Error("AAL1_USERPASS is refused, and yet discovery names it (decision 10)")
	}
	for _, missing := range []string{"check_session_iframe"} {
		if _, there := doc[missing]; there {
			t.Errorf("discovery names %s, which is not there yet", missing)
		}
	}
}

// RFC 8414 section 3: the same document between the host and the issuer's path.
func TestMetadataIsWhereOAuthLooksForItToo(t *testing.T) {
	b := open(t).browser()
	a := b.get("/.well-known/oauth-authorization-server" + oidc.RealmPath)
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" || a.body != b.get(discoveryPath).body {
		t.Errorf("answer %d %v", a.status, a.header)
	}
}

// Wire rule 19.
func TestDiscoveryAndKeysAreCheapToAskAgain(t *testing.T) {
	h := open(t)
	for _, path := range []string{discoveryPath, oidc.RealmPath + "/connect/jwk_uri"} {
		b := h.browser()
		a := b.get(path)
		etag := a.header.Get("ETag")
		if a.status != http.StatusOK || etag == "" || a.header.Get("Cache-Control") != "public, max-age=300" || a.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %d %v", path, a.status, a.header)
		}
		r, err := http.NewRequest(http.MethodGet, h.server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("If-None-Match", etag)
		if again := b.do(r); again.status != http.StatusNotModified || again.body != "" {
			t.Errorf("%s, asked again: %d with %d bytes", path, again.status, len(again.body))
		}
		r.Method = http.MethodHead
		r.Header.Del("If-None-Match")
		if head := b.do(r); head.status != http.StatusOK || head.body != "" {
			t.Errorf("%s by HEAD: %d", path, head.status)
		}
	}
}

// An independent relying party: discovery, code flow with PKCE, verification
// of signature, issuer, audience, nonce, expiry and at_hash, userinfo.
func TestAnIndependentLibraryAcceptsTheWholeFlow(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		ctx := coreos.ClientContext(t.Context(), h.server.Client())
		provider, err := coreos.NewProvider(ctx, h.server.URL+oidc.RealmPath)
		if err != nil {
			t.Fatal(err)
		}
		for name, style := range map[string]oauth2.AuthStyle{
			"auto-detected": oauth2.AuthStyleAutoDetect, "header": oauth2.AuthStyleInHeader, "body": oauth2.AuthStyleInParams,
		} {
			t.Run(name, func(t *testing.T) { independent(t, ctx, h, provider, style) })
		}
	})
}

func independent(t *testing.T, ctx context.Context, h *house, provider *coreos.Provider, style oauth2.AuthStyle) {
	endpoint := provider.Endpoint()
	endpoint.AuthStyle = style
	config := oauth2.Config{ClientID: ers, ClientSecret: ersSecret, Endpoint: endpoint, RedirectURL: callback, Scopes: []string{"openid", "profile", "email"}}
	pkce := oauth2.GenerateVerifier()
	to := config.AuthCodeURL("s-1", oauth2.S256ChallengeOption(pkce), oauth2.SetAuthURLParam("nonce", "n-1"))
	b := h.browser()
	b.withApp(amara)
	code := b.code(b.get(strings.TrimPrefix(to, h.server.URL)))
	token, err := config.Exchange(ctx, code, oauth2.VerifierOption(pkce))
	if err != nil {
		t.Fatal(err)
	}
	verifier := provider.Verifier(&coreos.Config{ClientID: ers, Now: h.Now})
	idToken, err := verifier.Verify(ctx, token.Extra("id_token").(string))
	if err != nil {
		t.Fatal(err)
	}
	if idToken.Subject != string(amara) || idToken.Nonce != "n-1" {
		t.Errorf("the ID token is %+v", idToken)
	}
	if err := idToken.VerifyAccessToken(token.AccessToken); err != nil {
		t.Error(err)
	}
	info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		t.Fatal(err)
	}
	if info.Subject != idToken.Subject || info.Email != "amara.osei@nhs.net" {
		t.Errorf("userinfo is %+v", info)
	}
	late := provider.Verifier(&coreos.Config{ClientID: ers, Now: func() time.Time { return h.Now().Add(2 * time.Hour) }})
	if _, err := late.Verify(ctx, token.Extra("id_token").(string)); err == nil {
		t.Error("the ID token never expires")
	}
}
