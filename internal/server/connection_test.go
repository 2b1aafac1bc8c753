package server

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

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
