package oidc_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/oidc/claims/claimstest"
	"carekey.dev/carekey/internal/oidc/signing"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/session"
)

const rota, rotaSecret = "555000000007.apps.national", "rota-secret"

// rotaParty is a relying party that may have refresh tokens.
func rotaParty() relyingparty.RelyingParty {
	rp := relyingparty.RelyingParty{
		ClientID: rota, Name: "Rota", RedirectURIs: []string{callback}, Secrets: [][]byte{keys.Hash(rotaSecret)},
		Metadata: relyingparty.Metadata{RefreshTokens: true},
	}
	rp.Complete()
	rp.DefaultACR = care.AAL2OrAAL3Any
	return rp
}

// register stores a relying party, and lets the directory see it.
func (h *house) register(rp relyingparty.RelyingParty) {
	h.t.Helper()
	h.write(func(tx *db.Tx) error { return relyingparty.Put(tx, rp) })
	h.pass(relyingparty.Fresh)
}

// rotaForm is a request of the rota's server.
func rotaForm(pairs ...string) url.Values {
	form := url.Values{"client_id": {rota}, "client_secret": {rotaSecret}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
		if pairs[i+1] == "" {
			form.Del(pairs[i])
		}
	}
	return form
}

// offline signs Amara in to the rota with a refresh token.
func (h *house) offline(pairs ...string) (*session.Session, map[string]any) {
	h.t.Helper()
	h.register(rotaParty())
	b := h.browser()
	s := b.withApp(amara)
	code := b.code(b.authorize(ask(append([]string{"client_id", rota, "scope", "openid profile selectedrole offline_access"}, pairs...)...)))
	a := h.post("/access_token", rotaForm("grant_type", "authorization_code", "code", code, "redirect_uri", callback))
	got := object(h.t, a.body)
	if got["refresh_token"] == nil {
		h.t.Fatalf("no refresh token: %s", a.body)
	}
	return s, got
}

func (h *house) refresh(token any, pairs ...string) answer {
	h.t.Helper()
	return h.post("/access_token", rotaForm(append([]string{"grant_type", "refresh_token", "refresh_token", token.(string)}, pairs...)...))
}

// mustRefresh returns what a refresh token buys.
func (h *house) mustRefresh(token any, pairs ...string) map[string]any {
	h.t.Helper()
	a := h.refresh(token, pairs...)
	if a.status != http.StatusOK || a.header.Get("Cache-Control") != "no-store" {
		h.t.Fatalf("refreshing: %d %s", a.status, a.body)
	}
	got := object(h.t, a.body)
	if token, ok := got["id_token"].(string); ok {
		claimstest.Validate(h.t, claimstest.IDToken, payload(h.t, token))
	}
	return got
}

// mustNotRefresh expects a refusal that says the words, also in the log.
func (h *house) mustNotRefresh(token any, code, words string, pairs ...string) {
	h.t.Helper()
	a := h.refresh(token, pairs...)
	got := object(h.t, a.body)
	description, _ := got["error_description"].(string)
	if a.status != http.StatusBadRequest || got["error"] != code || !strings.Contains(description, words) || !strings.Contains(h.log.String(), words) {
		h.t.Errorf("refreshing: %d %s, want %s that says %q", a.status, a.body, code, words)
	}
}

// CIS2 gives none: whoever is not registered for them gets none, whatever they
// ask for (OpenID Connect Core section 11: ignored).
func TestRefreshTokensAreOffByDefault(t *testing.T) {
	h := open(t)
	_, code := h.issue("scope", "openid profile offline_access", "prompt", "consent")
	got := h.tokens(code)
	if got["refresh_token"] != nil || got["scope"] != "openid profile" {
		t.Errorf("answer %v", got)
	}
	h.register(rotaParty())
	b := h.browser()
	b.withApp(amara)
	code = b.code(b.authorize(ask("client_id", rota, "scope", "openid profile")))
	a := h.post("/access_token", rotaForm("grant_type", "authorization_code", "code", code, "redirect_uri", callback))
	if got := object(t, a.body); got["access_token"] == nil || got["refresh_token"] != nil {
		t.Errorf("without offline_access: %s", a.body)
	}
}

// RFC 6749 sections 5.1 and 6; OpenID Connect Core section 12.2.
func TestARefreshTokenBuysNewTokensOfTheSameSignIn(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		s, first := h.offline()
		h.pass(50 * time.Minute)
		second := h.mustRefresh(first["refresh_token"])
		if second["access_token"] == first["access_token"] || second["refresh_token"] == first["refresh_token"] || second["nonce"] != nil ||
			second["token_type"] != "Bearer" || second["expires_in"] != 3599.0 || second["scope"] != "openid profile selectedrole offline_access" {
			t.Errorf("the second answer is %v", second)
		}
		before, now := claimsOf(t, first["id_token"].(string)), claimsOf(t, second["id_token"].(string))
		for _, same := range []string{"iss", "sub", "aud", "azp", "auth_time", "acr", "sid", "selected_roleid", "authentication_assurance_level"} {
			if before[same] != now[same] || now[same] == nil {
				t.Errorf("%s was %v and is %v", same, before[same], now[same])
			}
		}
		if now["iat"] != float64(h.Now().Unix()) || now["nonce"] != nil || now["c_hash"] != nil || now["at_hash"] != signing.HalfHash(second["access_token"].(string)) {
			t.Errorf("the new ID token is %v", now)
		}
		for _, token := range []any{first["access_token"], second["access_token"]} {
			if a := h.userinfo(token.(string)); a.status != http.StatusOK {
				t.Errorf("userinfo: %d %s", a.status, a.body)
			}
		}
		if got := h.audited(); !slices.Equal(got, []string{"token.issued by " + rota, "token.issued by " + rota}) || s.SID != now["sid"] {
			t.Errorf("the audit log holds %q", got)
		}
	})
}

// RFC 6749 section 6: fewer scopes for this access token, never more; the next
// refresh token has them all.
func TestARefreshMayAskForLess(t *testing.T) {
	h := open(t)
	_, got := h.offline()
	h.mustNotRefresh(got["refresh_token"], "invalid_scope", "more than was granted", "scope", "openid email")
	less := h.mustRefresh(got["refresh_token"], "scope", "profile")
	if less["scope"] != "profile" || less["id_token"] != nil {
		t.Errorf("asked for profile: %v", less)
	}
	all := h.mustRefresh(less["refresh_token"])
	if all["scope"] != "openid profile selectedrole offline_access" || all["id_token"] == nil {
		t.Errorf("asked for all again: %v", all)
	}
}

// RFC 9700 section 4.14.2; ASVS 10.4.5.
func TestAReusedRefreshTokenEndsAllThatCameFromTheSignIn(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		_, first := h.offline()
		second := h.mustRefresh(first["refresh_token"])
		h.pass(time.Second)
		h.mustNotRefresh(first["refresh_token"], "invalid_grant", "used before")
		h.mustNotRefresh(second["refresh_token"], "invalid_grant", "revoked")
		for _, token := range []any{first["access_token"], second["access_token"]} {
			if a := h.userinfo(token.(string)); a.status != http.StatusUnauthorized {
				t.Errorf("userinfo: %d %s", a.status, a.body)
			}
		}
		if got := h.audited(); len(got) != 4 || !strings.HasPrefix(got[2], "token.refused by "+rota+" invalid_grant: the refresh token was used before") {
			t.Errorf("the audit log holds %q", got)
		}
	})
}

// A refresh token never outlives what the person may do, or what the relying
// party may.
func TestNothingIsRefreshedOnceWhatItRestsOnHasEnded(t *testing.T) {
	withdrawn := func(change func(rp *relyingparty.RelyingParty)) func(*house, *session.Session) {
		return func(h *house, _ *session.Session) {
			rp := rotaParty()
			change(&rp)
			h.register(rp)
		}
	}
	in := func(do func(tx *db.Tx, s *session.Session) error) func(*house, *session.Session) {
		return func(h *house, s *session.Session) { h.write(func(tx *db.Tx) error { return do(tx, s) }) }
	}
	for name, test := range map[string]struct {
		end         func(h *house, s *session.Session)
		code, words string
	}{
		"the session was ended": {in(func(tx *db.Tx, s *session.Session) error { return session.EndAll(tx, s.UID, "signed out") }),
			"invalid_grant", "session of the sign-in has ended"},
		"the person was closed": {in(func(tx *db.Tx, s *session.Session) error {
			return person.Close(tx, s.UID, person.Closure{Reason: "left", At: tx.Now()})
		}), "invalid_grant", "does not sign in here any more"},
		"the chosen role was taken away": {in(func(tx *db.Tx, _ *session.Session) error { return access.Delete(tx, "555000200101") }),
			"invalid_grant", "does not hold the chosen role"},
		"a day has passed": {func(h *house, _ *session.Session) { h.pass(24 * time.Hour) },
			"invalid_grant", "expired"},
		"the relying party may have none any more": {withdrawn(func(rp *relyingparty.RelyingParty) { rp.RefreshTokens = false }),
			"unauthorized_client", "not registered for refresh tokens"},
		"the scope was withdrawn": {withdrawn(func(rp *relyingparty.RelyingParty) { rp.Scopes = []string{"openid", "profile"} }),
			"unauthorized_client", "not registered for refresh tokens"},
		"its method is not accepted any more": {withdrawn(func(rp *relyingparty.RelyingParty) { rp.Methods = []care.Method{care.SecurityKey} }),
			"invalid_grant", "does not accept the method"},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			s, got := h.offline()
			test.end(h, s)
			h.mustNotRefresh(got["refresh_token"], test.code, test.words)
		})
	}
}

// Decision 7: a nurse who works in the relying party keeps working there.
func TestIdleExpiryLeavesRefreshTokensAlone(t *testing.T) {
	h := open(t)
	_, got := h.offline()
	for range 5 {
		h.pass(2 * time.Hour)
		got = h.mustRefresh(got["refresh_token"])
	}
}

// A refresh token speaks of its own sign-in and ends with the absolute limit of
// that (decision 7; N3), although the session goes on under its name when its
// holder signs in again between the code and its redemption: at AAL3 for 12
// hours, and not for 24 more because an AAL2 sign-in came after it.
func TestASignInThatFollowsDoesNotLengthenARefreshToken(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.register(rotaParty())
		b := h.browser()
		first := b.signIn(amara, care.SecurityKey, care.AAL3)
		h.pass(10 * time.Minute)
		code := b.code(b.authorize(ask("client_id", rota, "scope", "openid offline_access")))
		again := b.signInAgain(amara, care.AuthenticatorApp, care.AAL2)
		if again.SID != first.SID {
			t.Fatal("the session did not go on")
		}
		got := object(t, h.post("/access_token", rotaForm("grant_type", "authorization_code", "code", code, "redirect_uri", callback)).body)
		for range 11 {
			h.pass(time.Hour)
			got = h.mustRefresh(got["refresh_token"])
			if level := claimsOf(t, got["id_token"].(string))["authentication_assurance_level"]; level != "3" {
				t.Fatalf("it speaks of level %v", level)
			}
		}
		h.pass(time.Hour)
		h.mustNotRefresh(got["refresh_token"], "invalid_grant", "has expired")
	})
}

func TestAWithdrawnScopeIsNotRefreshed(t *testing.T) {
	h := open(t)
	_, got := h.offline()
	rp := rotaParty()
	rp.Scopes = []string{"openid", "offline_access"}
	h.register(rp)
	if less := h.mustRefresh(got["refresh_token"]); less["scope"] != "openid offline_access" {
		t.Errorf("granted %v", less["scope"])
	}
}

// RFC 6749 sections 5.2 and 10.4. None of these uses the refresh token up.
func TestAMalformedRefreshHasItsErrorAndUsesNothingUp(t *testing.T) {
	h := open(t)
	_, got := h.offline()
	token := got["refresh_token"].(string)
	h.mustNotRefresh("", "invalid_request", "refresh_token is missing")
	h.mustNotRefresh("made-up", "invalid_grant", "not one that was issued here")
	h.mustNotRefresh(got["access_token"], "invalid_grant", "not one that was issued here")
	h.mustNotRefresh(token[:len(token)-2], "invalid_grant", "not one that was issued here")
	if a := h.refresh(token, "client_secret", "wrong"); a.status != http.StatusUnauthorized || object(t, a.body)["error"] != "invalid_client" {
		t.Errorf("a wrong secret: %d %s", a.status, a.body)
	}
	if got := h.audited(); !strings.HasPrefix(got[len(got)-1], "token.refused by unauthenticated invalid_client") {
		t.Errorf("a genuine refresh token in wrong hands is audited as %q", got)
	}
	other := rotaParty()
	other.ClientID, other.Secrets = "555000000008.apps.national", [][]byte{keys.Hash("other")}
	h.register(other)
	h.mustNotRefresh(token, "invalid_grant", "issued to another client", "client_id", other.ClientID, "client_secret", "other")
	h.mustNotRefresh(token, "unauthorized_client", "not registered for refresh tokens", "client_id", ers, "client_secret", ersSecret)
	h.mustRefresh(token)
	for name, secret := range map[string]string{"refresh token": token, "access token": got["access_token"].(string)} {
		if strings.Contains(h.log.String(), secret) {
			t.Errorf("the log holds the %s", name)
		}
	}
}

// A person without a role, or a relying party that asks for none, is no
// obstacle.
func TestARefreshWithoutARoleIsNotHeldUpByOne(t *testing.T) {
	h := open(t)
	_, got := h.offline("scope", "openid offline_access")
	h.write(func(tx *db.Tx) error { return access.Delete(tx, "555000200101") })
	h.mustRefresh(got["refresh_token"])
}

// The hot path stays cheap: one commit.
func TestARefreshCostsFewStatementsAndOneCommit(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		_, got := h.offline()
		before := h.Counters()
		h.mustRefresh(got["refresh_token"])
		after := h.Counters()
		if commits, statements := after.Commits-before.Commits, after.Statements-before.Statements; commits != 1 || statements != 5 {
			t.Errorf("a refresh costs %d commits and %d statements, want 1 and 5", commits, statements)
		}
	})
}
