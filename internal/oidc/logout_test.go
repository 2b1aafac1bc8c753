package oidc_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/oidc"
	"carekey.dev/carekey/internal/oidc/claims/claimstest"
	"carekey.dev/carekey/internal/page/pagetest"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/session"
)

// told runs the work beside requests until wanted logout tokens have come to
// server, and returns them by client.
func (h *house) told(wanted int, server chan string) map[string]map[string]any {
	h.t.Helper()
	ctx, stop := context.WithCancel(h.t.Context())
	var running sync.WaitGroup
	running.Go(func() { h.outbox.Run(ctx) })
	running.Go(func() {
		if err := h.provider.TellSignOuts(ctx); err != nil && ctx.Err() == nil {
			h.t.Error(err)
		}
	})
	all := map[string]map[string]any{}
	for range wanted {
		claims := h.verified(<-server)
		all[claims["aud"].(string)] = claims
	}
	stop()
	running.Wait()
	if len(server) > 0 {
		h.t.Errorf("%d logout tokens too many", len(server))
	}
	return all
}

// verified returns the claims of a logout token that a key of the public set
// signed and that is as the published schema says, and "typ" and "alg" of its
// header.
func (h *house) verified(token string) map[string]any {
	h.t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(h.browser().get(oidc.RealmPath+"/connect/jwk_uri").body), &set); err != nil {
		h.t.Fatal(err)
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.PS256})
	if err != nil {
		h.t.Fatalf("%v in %q", err, token)
	}
	header := signed.Signatures[0].Header
	keys := set.Key(header.KeyID)
	if len(keys) != 1 {
		h.t.Fatalf("the public set has %d keys %q", len(keys), header.KeyID)
	}
	payload, err := signed.Verify(keys[0])
	if err != nil {
		h.t.Fatal(err)
	}
	claimstest.Validate(h.t, claimstest.LogoutToken, string(payload))
	claims := object(h.t, string(payload))
	claims["typ"], claims["alg"] = header.ExtraHeaders[jose.HeaderType], header.Algorithm
	return claims
}

// backChannel is a server that takes logout tokens.
func backChannel(t *testing.T) (address string, arrived chan string) {
	arrived = make(chan string, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { arrived <- r.PostFormValue("logout_token") }))
	t.Cleanup(server.Close)
	return server.URL, arrived
}

// OpenID Connect Back-Channel Logout sections 2.4 to 2.6; wire rule 16; and
// decision 7: whatever ends the session, its relying parties are told.
func TestASignOutReachesEveryRelyingPartyOfTheSession(t *testing.T) {
	for name, end := range map[string]func(h *house, b *browser, s *session.Session, hint string){
		"by a relying party": func(h *house, b *browser, s *session.Session, hint string) { b.leave("id_token_hint", hint) },
		"by closing, or an operator": func(h *house, b *browser, s *session.Session, hint string) {
			h.write(func(tx *db.Tx) error { return session.EndAll(tx, amara, "closed") })
		},
		"by losing the authenticator": func(h *house, b *browser, s *session.Session, hint string) {
			h.write(func(tx *db.Tx) error { return session.EndOf(tx, amara, s.AuthenticatorID, "lost") })
		},
		"by the absolute limit": func(h *house, b *browser, s *session.Session, hint string) { h.pass(24*time.Hour - time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, h *house) {
				address, arrived := backChannel(t)
				h.change(ers, func(rp *relyingparty.RelyingParty) { rp.BackchannelLogoutURI = address })
				h.change(mesh, func(rp *relyingparty.RelyingParty) { rp.BackchannelLogoutURI, rp.IDTokenAlg = address, "ES256" })
				b := h.browser()
				s, hint := b.atERS(amara)
				code := b.code(b.authorize(ask("client_id", mesh)))
				if a := h.post("/access_token", redemption(code, "client_id", mesh, "client_secret", meshSecret)); a.status != http.StatusOK {
					t.Fatal(a.body)
				}
				h.pass(time.Second)
				h.browser().atERS(zoe) // goes on
				end(h, b, s, hint)
				all := h.told(2, arrived)
				for client, algorithm := range map[string]string{ers: "RS256", mesh: "ES256"} {
					claims := all[client]
					now := float64(h.Now().Unix())
					if claims["iss"] != h.server.URL+oidc.RealmPath || claims["sub"] != string(amara) || claims["sid"] != s.SID || claims["iat"] != now ||
						claims["exp"] != now+120 || claims["alg"] != algorithm || claims["typ"] != "JWT" || claims["nonce"] != nil || claims["jti"] == "" {
						t.Errorf("%s was told %v", client, claims)
					}
				}
				if all[ers]["jti"] == all[mesh]["jti"] {
					t.Error("two tokens have the same jti")
				}
			})
		})
	}
}

// A logout token is signed by us and says who; it is no id_token_hint.
func TestALogoutTokenSignsNobodyOut(t *testing.T) {
	h := open(t)
	address, arrived := backChannel(t)
	h.change(ers, func(rp *relyingparty.RelyingParty) { rp.BackchannelLogoutURI = address })
	b := h.browser()
	b.atERS(amara)
	h.write(func(tx *db.Tx) error { return session.EndAll(tx, amara, "closed") })
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { h.outbox.Run(ctx) })
	running.Go(func() { _ = h.provider.TellSignOuts(ctx) })
	token := <-arrived
	stop()
	running.Wait()
	s, _ := b.atERS(amara)
	if a := b.leave("id_token_hint", token); !strings.Contains(a.body, "Do you want to sign out?") || h.over(s) {
		t.Errorf("answered %d", a.status)
	}
	if a := h.browser().get(endSessionPath + "?id_token_hint=" + token); a.status != http.StatusBadRequest || h.over(s) {
		t.Errorf("a program: %d %s", a.status, a.body)
	}
}

// OpenID Connect Front-Channel Logout section 3: the pages of those relying
// parties are opened in frames before the browser goes back.
func TestServicesWithAFrontChannelHearOfItInFrames(t *testing.T) {
	h := open(t)
	h.withFarewell(func(rp *relyingparty.RelyingParty) { rp.FrontchannelLogoutURI = "https://ers.example.nhs.uk/leave?x=1" })
	h.change(mesh, func(rp *relyingparty.RelyingParty) {
		rp.FrontchannelLogoutURI = "https://mesh.example.nhs.uk:8443/leave"
	})
	for _, confirmed := range []bool{false, true} {
		b := h.browser()
		s, hint := b.atERS(amara)
		code := b.code(b.authorize(ask("client_id", mesh)))
		if a := h.post("/access_token", redemption(code, "client_id", mesh, "client_secret", meshSecret)); a.status != http.StatusOK {
			t.Fatal(a.body)
		}
		var a answer
		if confirmed {
			a = b.leave("client_id", ers, "post_logout_redirect_uri", signedOutAt, "state", "s")
			if strings.Contains(a.body, "<iframe") {
				t.Error("services are told before the person says yes")
			}
			if !strings.Contains(a.header.Get("Content-Security-Policy"), "form-action 'self' https://ers.example.nhs.uk;") {
				t.Errorf("the form may not lead back: %s", a.header.Get("Content-Security-Policy"))
			}
			a = b.say(a, "Yes, sign out")
		} else {
			a = b.leave("id_token_hint", hint, "post_logout_redirect_uri", signedOutAt, "state", "s")
		}
		a = b.follow(a)
		added := "iss=" + url.QueryEscape(h.server.URL+oidc.RealmPath) + "&amp;sid=" + s.SID
		for _, frame := range []string{"https://ers.example.nhs.uk/leave?x=1&amp;" + added, "https://mesh.example.nhs.uk:8443/leave?" + added} {
			if !strings.Contains(a.body, `<iframe src="`+frame+`"`) {
				t.Errorf("no frame %s on\n%s", frame, a.body)
			}
		}
		if policy := a.header.Get("Content-Security-Policy"); !strings.HasSuffix(policy, "; frame-src https://ers.example.nhs.uk https://mesh.example.nhs.uk:8443") {
			t.Errorf("the policy is %s", policy)
		}
		if a.header.Get("Refresh") != "3; url="+signedOutAt+"?state=s" || !strings.Contains(a.body, `href="`+signedOutAt+`?state=s"`) {
			t.Errorf("the page does not lead back: %q\n%s", a.header.Get("Refresh"), a.body)
		}
		pagetest.Check(t, a.body)
	}
}

// change alters a relying party before anybody asks for it.
func (h *house) change(client string, f func(*relyingparty.RelyingParty)) {
	h.t.Helper()
	h.write(func(tx *db.Tx) error {
		rp, err := relyingparty.ByID(tx, client)
		if err != nil {
			return err
		}
		f(&rp)
		return relyingparty.Put(tx, rp)
	})
}
