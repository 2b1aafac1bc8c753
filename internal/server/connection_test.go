package server

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/relyingparty/team"
	"carekey.dev/carekey/internal/server/config"
)

func body(t *testing.T, url string) string {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheConnectionManagerHasAPortOfItsOwn(t *testing.T) {
	h := furnished(t, config.Demo{Listen: freeAddress(t), ConnectionManager: freeAddress(t)}, nothing)
	stop := serving(t, h)
	if got := body(t, h.Config.ConnectionManager.BaseURL+"/api/hello_world"); got != "{\"message\":\"Hello World\"}\n" {
		t.Errorf("on its port: %s", got)
	}
	if got := body(t, h.Config.Link("/api/hello_world")); strings.Contains(got, "Hello World") {
		t.Errorf("on the port of the pages: %s", got)
	}
	if got := body(t, h.Config.ConnectionManager.BaseURL+"/cim/"); !strings.Contains(got, `"error":"page_not_found"`) {
		t.Errorf("a page on its port: %s", got)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestTheConnectionManagerMaySharePortByHost(t *testing.T) {
	h := furnished(t, config.Demo{Listen: "localhost:8080"}, nothing)
	h.Config.ConnectionManager = config.ConnectionManager{BaseURL: "https://connections.northmoor.example"}
	s, err := newSite(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	handler := s.handler(&health{db: h.DB, skew: h.DB.ClockSkew, log: h.Log})
	for host, want := range map[string]string{
		"connections.northmoor.example":      "Hello World",
		"CONNECTIONS.northmoor.example:443":  "Hello World",
		"localhost:8080":                     "Page not found",
		"connections.northmoor.example.evil": "Page not found",
	} {
		r := httptest.NewRequest("GET", "/api/hello_world", nil)
		r.Host, r.RemoteAddr = host, "127.0.0.1:1"
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d without %q: %.200s", host, w.Code, want, w.Body)
		}
	}
}

func TestNoConnectionManagerIsOfferedUnlessNamed(t *testing.T) {
	h := furnished(t, config.Demo{Listen: "localhost:8080"}, nothing)
	s, err := newSite(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	if s.connection != nil {
		t.Error("there is one")
	}
}

// Decision 14: secrets do not come in the clear, not even to a port beside one
// that a proxy protects.
func TestTheConnectionManagerAnswersItsProxyOnly(t *testing.T) {
	h := furnished(t, config.Demo{Listen: "localhost:8080", ConnectionManager: "localhost:8081"}, nothing)
	h.Config.ConnectionManager.Listen = "0.0.0.0:8081"
	h.Config.TrustedProxies = append(h.Config.TrustedProxies, h.Config.OutgoingAllow[0]) // 127.0.0.0/8
	s, err := newSite(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	for peer, want := range map[string]int{"127.0.0.1:1": http.StatusOK, "192.0.2.7:1": http.StatusForbidden} {
		r := httptest.NewRequest("GET", "/api/hello_world", nil)
		r.RemoteAddr = peer
		w := httptest.NewRecorder()
		s.connectionHall().ServeHTTP(w, r)
		if w.Code != want || !strings.HasPrefix(w.Body.String(), "{") {
			t.Errorf("%s: status %d %s, want %d", peer, w.Code, w.Body, want)
		}
	}
}

// What a team registers can be signed in to at once, and its keys, addresses
// and secrets are those that the provider knows.
func TestPeopleSignInToWhatATeamRegistered(t *testing.T) {
	h := furnished(t, config.Demo{Listen: freeAddress(t), ConnectionManager: freeAddress(t)}, nothing)
	fresh := team.NewSecret(h.Random)
	err := h.DB.Write(t.Context(), func(tx *db.Tx) error {
		if err := team.Add(tx, "operator", "mavis", "Manage vaccinations"); err != nil {
			return err
		}
		return team.AddSecret(tx, "operator", team.Team{ID: "mavis"}, fresh)
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := serving(t, h)
	api := h.Config.ConnectionManager.BaseURL + "/api"
	ask := func(path, authorization, body string, into any) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "POST", api+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", authorization)
		r.Header.Set("Content-Type", "application/json")
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if err := json.NewDecoder(response.Body).Decode(into); err != nil || response.StatusCode >= 300 {
			t.Fatalf("%s: %d, %v", path, response.StatusCode, err)
		}
	}
	var session struct {
		Token string `json:"access_token"`
	}
	ask("/auth", "SecretAuth "+fresh.Value, "", &session)
	var made struct {
		ClientID string `json:"client_id"`
		Secret   string `json:"client_secret"`
	}
	ask("/configs/mavis", "Bearer "+session.Token, `{"client_name":"My app","redirect_uris":["https://my.example/callback"]}`, &made)

	const realm = "/openam/oauth2/realms/root/realms/NHSIdentity/realms/Healthcare"
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	asked := url.Values{"client_id": {made.ClientID}, "redirect_uri": {"https://my.example/callback"}, "response_type": {"code"}, "scope": {"openid"}, "acr_values": {"AAL2_ANY"}}
	response, err := client.Get(h.Config.Link(realm + "/authorize?" + asked.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if to := response.Header.Get("Location"); !strings.HasPrefix(to, "/signin?") {
		t.Errorf("authorize: %d %s, want the sign-in", response.StatusCode, to)
	}
	// A code that nobody has made: the client is known by its secret, and only
	// the code is wrong.
	for secret, want := range map[string]string{made.Secret: "invalid_grant", "wrong": "invalid_client"} {
		form := url.Values{"grant_type": {"authorization_code"}, "code": {"none"}, "redirect_uri": {"https://my.example/callback"}, "client_id": {made.ClientID}, "client_secret": {secret}}
		response, err := http.PostForm(h.Config.Link(realm+"/access_token"), form)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("access_token: %s, %v, want %s", text, err, want)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
