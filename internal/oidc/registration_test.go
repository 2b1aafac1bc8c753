package oidc_test

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/oidc"
	"carekey.dev/carekey/internal/oidc/register"
	"carekey.dev/carekey/internal/relyingparty"
)

// registrationToken is one that an operator gave out.
func (h *house) registrationToken() string {
	h.t.Helper()
	token, err := register.Allow(context.Background(), h.DB, rand.Reader, register.Allowance{
		Policy: register.Policy{Profile: relyingparty.CIS2, DefaultACR: care.AAL2OrAAL3Any}, For: time.Hour, Uses: 10, Actor: "operator",
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return token
}

const rotaMetadata = `{"redirect_uris":["` + callback + `"],"client_name":"Rota","token_endpoint_auth_method":"client_secret_post"}`

// program sends a request as a program that registers does. Pairs are headers.
func (h *house) program(method, address, token, body string, headers ...string) answer {
	h.t.Helper()
	r, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return h.browser().do(r)
}

func (h *house) registerAt() string { return h.server.URL + oidc.RealmPath + "/register" }

// RFC 7591 section 3 and RFC 7592 section 2, over HTTP: 201 and what was
// registered, 200, 200, 204 and then 401; nobody may keep an answer.
func TestAProgramRegistersARelyingPartyThatThenSignsPeopleIn(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		a := h.program(http.MethodPost, h.registerAt(), h.registrationToken(), rotaMetadata)
		if a.status != http.StatusCreated || a.header.Get("Content-Type") != "application/json" ||
			a.header.Get("Cache-Control") != "no-store" || a.header.Get("Pragma") != "no-cache" {
			t.Fatalf("%d %v %s", a.status, a.header, a.body)
		}
		made := object(t, a.body)
		id, secret, token := made["client_id"].(string), made["client_secret"].(string), made["registration_access_token"].(string)
		address := made["registration_client_uri"].(string)
		if u, err := url.Parse(address); err != nil || !strings.HasPrefix(address, h.provider.Issuer()+"/register?") || u.Query().Get("client_id") != id {
			t.Errorf("registration_client_uri is %s", address)
		}

		b := h.browser()
		b.withApp(amara)
		code := b.code(b.authorize(ask("client_id", id)))
		if got := h.post("/access_token", redemption(code, "client_id", id, "client_secret", secret)); got.status != http.StatusOK {
			t.Fatalf("redeeming a code: %d %s", got.status, got.body)
		}

		if a := h.program(http.MethodGet, address, token, ""); a.status != http.StatusOK || object(t, a.body)["client_name"] != "Rota" {
			t.Errorf("reading: %d %s", a.status, a.body)
		}
		update := strings.Replace(rotaMetadata, `{`, `{"client_id":"`+id+`",`, 1)
		if a := h.program(http.MethodPut, address, token, strings.Replace(update, "Rota", "New", 1)); a.status != http.StatusOK || object(t, a.body)["client_name"] != "New" {
			t.Errorf("changing: %d %s", a.status, a.body)
		}
		if a := h.program(http.MethodDelete, address, token, ""); a.status != http.StatusNoContent || a.body != "" {
			t.Errorf("removing: %d %s", a.status, a.body)
		}
		if a := h.program(http.MethodGet, address, token, ""); a.status != http.StatusUnauthorized {
			t.Errorf("reading what is gone: %d %s", a.status, a.body)
		}
		h.pass(relyingparty.Fresh)
		if a := h.browser().authorize(ask("client_id", id)); a.status != http.StatusBadRequest {
			t.Errorf("the relying party is gone, but authorize answers %d", a.status)
		}
		want := []string{"registration_token.made by operator", "relying_party.added", "relying_party.changed by client " + id, "relying_party.removed by client " + id}
		log := strings.Join(h.audited(), "\n")
		for _, entry := range want {
			if !strings.Contains(log, entry) {
				t.Errorf("the audit log has no %q:\n%s", entry, log)
			}
		}
	})
}

// RFC 7591 section 3.2.2, and RFC 6750 section 3: 400 for what cannot be
// registered, 401 with a challenge for a token that is not good.
func TestARegistrationThatIsRefused(t *testing.T) {
	h := open(t)
	token := h.registrationToken()
	for name, c := range map[string]struct {
		token, body, media string
		status             int
		code, challenge    string
	}{
		"no token":     {"", rotaMetadata, "application/json", http.StatusUnauthorized, "invalid_token", "Bearer"},
		"wrong token":  {"nonsense", rotaMetadata, "application/json", http.StatusUnauthorized, "invalid_token", `Bearer error="invalid_token"`},
		"bad redirect": {token, `{"redirect_uris":["/x"]}`, "application/json", http.StatusBadRequest, "invalid_redirect_uri", ""},
		"bad metadata": {token, strings.Replace(rotaMetadata, "client_secret_post", "none", 1), "application/json", http.StatusBadRequest, "invalid_client_metadata", ""},
		"no JSON":      {token, "{", "application/json", http.StatusBadRequest, "invalid_client_metadata", ""},
		"a form":       {token, rotaMetadata, "application/x-www-form-urlencoded", http.StatusBadRequest, "invalid_client_metadata", ""},
		"too much":     {token, `{"client_name":"` + strings.Repeat("x", 64<<10) + `"}`, "application/json", http.StatusBadRequest, "invalid_client_metadata", ""},
		"odd token":    {"x\"y z", rotaMetadata, "application/json", http.StatusUnauthorized, "invalid_token", `Bearer error="invalid_token"`},
	} {
		a := h.program(http.MethodPost, h.registerAt(), c.token, c.body, "Content-Type", c.media)
		if a.status != c.status || object(t, a.body)["error"] != c.code || a.header.Get("WWW-Authenticate") != c.challenge {
			t.Errorf("%s: %d %q %s", name, a.status, a.header.Get("WWW-Authenticate"), a.body)
		}
		if !strings.Contains(a.body, "Reference") || h.faults.last() == nil || !strings.Contains(h.log.String(), h.faults.last().Ref) {
			t.Errorf("%s: no log line with the reference of %s", name, a.body)
		}
	}
	if strings.Contains(h.log.String(), token) {
		t.Error("the token is in the log")
	}
	for _, id := range []string{"", "nobody", "a\x00b", "\xff", strings.Repeat("x", 300), ers} {
		a := h.program(http.MethodGet, h.registerAt()+"?client_id="+url.QueryEscape(id), token, "")
		if a.status != http.StatusUnauthorized {
			t.Errorf("client_id %q: %d %s", id, a.status, a.body)
		}
	}
}

// Decision 11: discovery names the endpoint where it is open, and only there.
func TestDiscoveryNamesTheRegistrationEndpoint(t *testing.T) {
	h := open(t)
	a := h.browser().get(oidc.RealmPath + "/.well-known/openid-configuration")
	if got := object(t, a.body)["registration_endpoint"]; got != h.provider.Issuer()+"/register" {
		t.Errorf("registration_endpoint is %v", got)
	}
	closed := newHouse(t, dbtest.OpenAt(t, clock(h.past), schemas...), h.past, func(o *oidc.Options) { o.Registration = false })
	a = closed.browser().get(oidc.RealmPath + "/.well-known/openid-configuration")
	if got, there := object(t, a.body)["registration_endpoint"]; there {
		t.Errorf("closed, but registration_endpoint is %v", got)
	}
	if a := closed.program(http.MethodPost, closed.registerAt(), closed.registrationToken(), rotaMetadata); a.status != http.StatusForbidden && a.status != http.StatusNotFound {
		t.Errorf("closed, but: %d", a.status)
	}
}
