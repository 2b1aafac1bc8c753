package oidc_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/session"
)

const api, apiSecret = "555000000009.apps.national", "api-secret"

// withAPI registers a resource server, which may ask about everybody's tokens.
func (h *house) withAPI() {
	h.t.Helper()
	rp := relyingparty.RelyingParty{
		ClientID: api, Name: "An API", RedirectURIs: []string{callback}, Secrets: [][]byte{keys.Hash(apiSecret)},
		Metadata: relyingparty.Metadata{Introspects: true},
	}
	rp.Complete()
	h.register(rp)
}

// introspect asks as a client and returns the answer's fields.
func (h *house) introspect(client, secret string, token any) map[string]any {
	h.t.Helper()
	a := h.post("/introspect", rotaForm("client_id", client, "client_secret", secret, "token", token.(string)))
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" || a.header.Get("Cache-Control") != "no-store" {
		h.t.Fatalf("introspecting: %d %v %s", a.status, a.header, a.body)
	}
	return object(h.t, a.body)
}

func (h *house) mustBeInactive(client, secret string, token any) {
	h.t.Helper()
	if got := h.introspect(client, secret, token); len(got) != 1 || got["active"] != false {
		h.t.Errorf("introspecting tells %v, want that it is not active and nothing else (RFC 7662 section 2.2)", got)
	}
}

// RFC 7662 section 2.2; RFC 9470 section 6.2.
func TestATokenIsIntrospected(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.withAPI()
		s, got := h.offline()
		issued := h.Now()
		h.pass(time.Minute)
		want := map[string]any{
			"active": true, "scope": "openid profile selectedrole offline_access", "client_id": rota, "sub": string(amara),
			"iss": h.provider.Issuer(), "acr": "AAL2_OR_AAL3_ANY", "auth_time": float64(s.AuthTime.Unix()),
			"authentication_assurance_level": "2", "sid": s.SID, "selected_roleid": "555000200101",
			"token_type": "Bearer", "iat": float64(issued.Unix()), "exp": float64(issued.Add(3599 * time.Second).Unix()),
		}
		for _, asker := range [][2]string{{rota, rotaSecret}, {api, apiSecret}} {
			if diff := cmp.Diff(want, h.introspect(asker[0], asker[1], got["access_token"])); diff != "" {
				t.Errorf("%s is told (-want +got):\n%s", asker[0], diff)
			}
		}
		delete(want, "token_type")
		delete(want, "iat")
		want["exp"] = float64(s.Until.Unix())
		if diff := cmp.Diff(want, h.introspect(rota, rotaSecret, got["refresh_token"])); diff != "" {
			t.Errorf("of the refresh token (-want +got):\n%s", diff)
		}
	})
}

// RFC 7662 sections 2.1, 2.2 and 4: who may not ask learns what one learns
// about a text that is no token.
func TestOfOthersTokensOnlyAResourceServerLearns(t *testing.T) {
	h := open(t)
	h.withAPI()
	_, got := h.offline()
	h.mustBeInactive(ers, ersSecret, got["access_token"])
	h.mustBeInactive(ers, ersSecret, got["refresh_token"])
	h.mustBeInactive(api, apiSecret, got["refresh_token"])
	h.mustBeInactive(api, apiSecret, "made-up")
	h.mustBeInactive(api, apiSecret, got["id_token"])
	for name, a := range map[string]answer{
		"nobody":           h.post("/introspect", rotaForm("client_id", "", "client_secret", "", "token", got["access_token"].(string))),
		"a wrong secret":   h.post("/introspect", rotaForm("client_secret", "wrong", "token", got["access_token"].(string))),
		"the token itself": h.post("/introspect", rotaForm("client_id", "", "client_secret", "", "token", "x"), "Authorization", "Bearer "+got["access_token"].(string)),
	} {
		if a.status != http.StatusUnauthorized || object(t, a.body)["error"] != "invalid_client" {
			t.Errorf("%s: %d %s (RFC 7662 section 2.3)", name, a.status, a.body)
		}
	}
}

func TestWhatHasEndedIsNotActive(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		for name, end := range map[string]func(s *session.Session){
			"expired": func(*session.Session) { h.pass(25 * time.Hour) },
			"signed out": func(s *session.Session) {
				h.write(func(tx *db.Tx) error { return session.EndAll(tx, s.UID, "signed out") })
			},
			"the relying party is gone": func(*session.Session) {
				h.write(func(tx *db.Tx) error {
					_, err := tx.Exec(`DELETE FROM relying_party WHERE client_id = $1`, rota)
					return err
				})
				h.pass(relyingparty.Fresh)
			},
		} {
			h.withAPI()
			s, got := h.offline()
			if h.introspect(api, apiSecret, got["access_token"])["active"] != true {
				t.Errorf("%s: not active before", name)
			}
			end(s)
			h.mustBeInactive(api, apiSecret, got["access_token"])
			h.register(rotaParty())
			if name != "the relying party is gone" {
				h.mustBeInactive(rota, rotaSecret, got["refresh_token"])
			}
		}
	})
}

func TestOfSomebodyWhoLeftNothingIsActive(t *testing.T) {
	h := open(t)
	_, got := h.offline()
	h.write(func(tx *db.Tx) error { return access.Delete(tx, "555000200101") })
	h.mustBeInactive(rota, rotaSecret, got["refresh_token"])
	h.write(func(tx *db.Tx) error {
		return person.Close(tx, amara, person.Closure{Reason: "left", At: tx.Now()})
	})
	h.mustBeInactive(rota, rotaSecret, got["access_token"])
	h.mustBeInactive(rota, rotaSecret, got["refresh_token"])
}

// An API that lets people do what their role may must not go on for an hour after
// the role was taken away.
func TestARoleThatIsHeldNoMoreIsNotTold(t *testing.T) {
	h := open(t)
	h.withAPI()
	_, got := h.offline()
	h.write(func(tx *db.Tx) error { return access.Delete(tx, "555000200101") })
	for _, asker := range [][2]string{{rota, rotaSecret}, {api, apiSecret}} {
		told := h.introspect(asker[0], asker[1], got["access_token"])
		if role, there := told["selected_roleid"]; there || told["active"] != true {
			t.Errorf("%s is told %v (active: %v)", asker[0], role, told["active"])
		}
	}
}

// What an operator takes away from a relying party is gone with the next
// question, and not when its last access token has expired.
func TestAScopeThatWasTakenAwayOpensNothing(t *testing.T) {
	h := open(t)
	h.withAPI()
	_, got := h.offline()
	fewer := rotaParty()
	fewer.Scopes = []string{"openid", "profile"}
	h.register(fewer)
	told := h.introspect(api, apiSecret, got["access_token"])
	if role, there := told["selected_roleid"]; there || told["scope"] != "openid profile" {
		t.Errorf("a resource server is told the scope %v and the role %v", told["scope"], role)
	}
	told = object(t, h.userinfo(got["access_token"].(string)).body)
	if role, there := told["selected_roleid"]; there || told["name"] == nil {
		t.Errorf("userinfo tells the role %v and of the rest %v", role, told)
	}
}

func TestAUsedRefreshTokenIsNotActive(t *testing.T) {
	h := open(t)
	_, got := h.offline()
	next := h.mustRefresh(got["refresh_token"])
	h.mustBeInactive(rota, rotaSecret, got["refresh_token"])
	if h.introspect(rota, rotaSecret, next["refresh_token"])["active"] != true {
		t.Error("its successor is not active")
	}
}

// RFC 7009 sections 2.1 and 2.2.
func TestARelyingPartyRevokesItsTokens(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		_, first := h.offline()
		second := h.mustRefresh(first["refresh_token"])
		revoke := func(token any) {
			for range 2 { // what is revoked already is answered the same (section 2.2)
				if a := h.post("/token/revoke", rotaForm("token", token.(string), "token_type_hint", "nonsense")); a.status != http.StatusOK || a.body != "" {
					t.Errorf("revoking: %d %s", a.status, a.body)
				}
			}
		}
		revoke(first["access_token"])
		h.mustBeInactive(rota, rotaSecret, first["access_token"])
		if h.introspect(rota, rotaSecret, second["access_token"])["active"] != true {
			t.Error("another access token was revoked too")
		}
		revoke(second["refresh_token"])
		h.mustBeInactive(rota, rotaSecret, second["refresh_token"])
		if a := h.userinfo(second["access_token"].(string)); a.status != http.StatusUnauthorized || !strings.Contains(a.body, "revoked") {
			t.Errorf("the access token after its refresh token was revoked: %d %s", a.status, a.body)
		}
		revoke("made-up")
		var revoked int
		for _, entry := range h.audited() {
			if entry == "token.revoked by "+rota {
				revoked++
			}
		}
		if revoked != 2 {
			t.Errorf("%d revocations are audited, want 2", revoked)
		}
	})
}

// RFC 7009 section 2.1: the token must be the caller's own.
func TestNobodyRevokesAnothersToken(t *testing.T) {
	h := open(t)
	_, got := h.offline()
	for _, token := range []any{got["access_token"], got["refresh_token"]} {
		a := h.post("/token/revoke", rotaForm("client_id", ers, "client_secret", ersSecret, "token", token.(string)))
		if a.status != http.StatusBadRequest || object(t, a.body)["error"] != "invalid_grant" || !strings.Contains(h.log.String(), "issued to another client") {
			t.Errorf("another's token: %d %s", a.status, a.body)
		}
		a = h.post("/token/revoke", rotaForm("client_secret", "wrong", "token", token.(string)))
		if a.status != http.StatusUnauthorized {
			t.Errorf("without authentication: %d %s", a.status, a.body)
		}
		if h.introspect(rota, rotaSecret, token)["active"] != true {
			t.Error("it was revoked")
		}
	}
}

func TestAQuestionWithoutATokenIsRefused(t *testing.T) {
	h := open(t)
	h.register(rotaParty())
	for _, path := range []string{"/introspect", "/token/revoke"} {
		for name, a := range map[string]answer{
			"no token":    h.post(path, rotaForm()),
			"two tokens":  h.post(path, map[string][]string{"client_id": {rota}, "client_secret": {rotaSecret}, "token": {"a", "b"}}),
			"a long body": h.post(path, rotaForm("token", strings.Repeat("x", 65<<10))),
		} {
			got := object(t, a.body)
			if a.status != http.StatusBadRequest || got["error"] != "invalid_request" || !strings.Contains(h.log.String(), h.faults.last().Ref) {
				t.Errorf("%s, %s: %d %s", path, name, a.status, a.body)
			}
		}
	}
	if a := h.browser().get("/openam/oauth2/realms/root/realms/NHSIdentity/realms/Healthcare/introspect?token=x"); a.status != http.StatusMethodNotAllowed {
		t.Errorf("a token in an address: %d (RFC 7662 section 2.1: POST)", a.status)
	}
}
