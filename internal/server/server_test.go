package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/credential/fido"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/headless"
	"carekey.dev/carekey/internal/porttest"
	"carekey.dev/carekey/internal/server/config"
	"carekey.dev/carekey/internal/server/faultlog"
)

func nothing(string) (string, bool) { return "", false }

// furnished is a house in a fresh folder, as carekey dev makes it.
func furnished(t *testing.T, d config.Demo, env config.Environment) *House {
	t.Helper()
	d.DataDir = filepath.Join(t.TempDir(), "data")
	settings, lock, err := PrepareDev(d, env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() })
	h, err := Furnish(t.Context(), settings, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// serving runs the house and returns a function that stops it and gives what
// Serve returned.
func serving(t *testing.T, h *House) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- Serve(ctx, h, func() { close(ready) }) }()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatalf("the server ended: %v", err)
	}
	return func() error {
		cancel()
		return <-ended
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("localhost:%d", porttest.Port(t))
}

func TestAFaultThatWasShownIsKeptWhenTheServerStops(t *testing.T) {
	h := furnished(t, config.Demo{Listen: freeAddress(t)}, nothing)
	stop := serving(t, h)
	response, err := http.Get(h.Config.Link("/nowhere?j=sealed"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	response.Body.Close()
	if err != nil || response.StatusCode != http.StatusNotFound {
		t.Fatalf("status %d, %v", response.StatusCode, err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	var kept string
	err = h.DB.Read(t.Context(), func(tx *db.Tx) error {
		return tx.Row(`SELECT ref FROM fault_log WHERE path = $1`, "/nowhere").Scan(&kept)
	})
	if err != nil || !strings.Contains(string(body), kept) {
		t.Errorf("kept %q: %v", kept, err)
	}
}

func TestHTTPSIsServedWithTheLocalCertificateAndHTTP2(t *testing.T) {
	h := furnished(t, config.Demo{Listen: freeAddress(t), TLS: true}, nothing)
	stop := serving(t, h)
	text, err := os.ReadFile(filepath.Join(h.Config.DataDir, "tls", "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}
	response, err := client.Get(h.Config.Link("/terms"))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.ProtoMajor != 2 || response.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("%s, Strict-Transport-Security %q", response.Proto, response.Header.Get("Strict-Transport-Security"))
	}
	client.CloseIdleConnections()
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func TestARequestInProgressEndsBeforeTheServerDoes(t *testing.T) {
	h := furnished(t, config.Demo{Listen: freeAddress(t)}, nothing)
	stop := serving(t, h)
	conn, err := net.Dial("tcp", h.Config.Listen)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// The server has read the head and waits for the body.
	_, err = io.WriteString(conn, "POST /notices/dismiss HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	line := make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))
	if _, err := io.ReadFull(conn, line); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	select {
	case err := <-ended:
		t.Fatalf("the server left a request behind: %v", err)
	case <-time.After(100 * time.Millisecond): // it had the chance
	}
	if _, err := io.WriteString(conn, "a=b"); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 403") {
		t.Errorf("answer %.40q, %v", answer, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestBehindAProxyOnlyTheProxyIsServedDecision14(t *testing.T) {
	h := furnished(t, config.Demo{Listen: "localhost:8080"}, nothing)
	h.Config.Listen = "0.0.0.0:8080"
	h.Config.TrustedProxies = append(h.Config.TrustedProxies, h.Config.OutgoingAllow[0]) // 127.0.0.0/8
	s, err := newSite(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	handler := s.handler(&health{db: h.DB, skew: h.DB.ClockSkew, log: h.Log})
	for _, c := range []struct {
		peer, path string
		want       int
	}{
		{"127.0.0.1:1", "/terms", http.StatusOK},
		{"192.0.2.7:1", "/terms", http.StatusForbidden},
		{"192.0.2.7:1", "/readyz", http.StatusOK},
	} {
		r := httptest.NewRequest("GET", c.path, nil)
		r.RemoteAddr = c.peer
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s %s: status %d, want %d", c.peer, c.path, w.Code, c.want)
		}
	}
}

func TestReadinessSaysWhyNot(t *testing.T) {
	h := furnished(t, config.Demo{Listen: "localhost:8080"}, nothing)
	skew := mostSkew
	check := &health{db: h.DB, skew: func() time.Duration { return skew }, log: h.Log}
	expect := func(status int, words string) {
		t.Helper()
		w := httptest.NewRecorder()
		check.ServeHTTP(w, httptest.NewRequest("GET", readyPath, nil))
		if w.Code != status || !strings.Contains(w.Body.String(), words) {
			t.Errorf("status %d %q, want %d %q", w.Code, w.Body, status, words)
		}
	}
	expect(http.StatusOK, "ready") // two seconds off: decision 17
	skew = -mostSkew - time.Millisecond
	expect(http.StatusServiceUnavailable, "clock is -2.001s off")
	skew = 0
	check.leaving.Store(true)
	expect(http.StatusServiceUnavailable, "stopping")
	check.leaving.Store(false)
	if err := h.DB.Close(); err != nil {
		t.Fatal(err)
	}
	expect(http.StatusServiceUnavailable, "the database does not answer")
}

func TestWhatTheDatabaseSaysHasItsOwnPage(t *testing.T) {
	other := errors.New("other")
	for name, c := range map[string]struct {
		err  error
		want *fault.Kind
	}{
		"full disk":           {fmt.Errorf("saving: %w", db.ErrFull), fault.Full},
		"locked":              {fmt.Errorf("saving: %w", db.ErrBusy), fault.Busy},
		"gone":                {fmt.Errorf("saving: %w", db.ErrUnavailable), fault.Busy},
		"too slow":            {context.DeadlineExceeded, fault.Busy},
		"full inside a way":   {fault.New(fault.NotAdmitted, db.ErrFull), fault.Full},
		"a fault of a room":   {fault.New(fault.NotAdmitted, other), fault.NotAdmitted},
		"what nobody foresaw": {other, fault.Internal},
	} {
		if got := fault.As(translate(c.err)).Kind; got != c.want {
			t.Errorf("%s: %s, want %s", name, got.Name, c.want.Name)
		}
	}
}

func TestTheRoomsTablesFitTogether(t *testing.T) {
	h := furnished(t, config.Demo{Listen: "localhost:8080"}, nothing)
	// A second start finds everything up to date.
	if err := h.DB.Migrate(t.Context(), Schemas()...); err != nil {
		t.Error(err)
	}
	if err := h.Populate(t.Context()); err != nil {
		t.Fatal(err)
	}
	empty, err := h.empty(t.Context())
	if err != nil || empty {
		t.Errorf("after the demo world the house is empty: %t, %v", empty, err)
	}
}

func TestTheJanitorCleansEveryRoom(t *testing.T) {
	h := furnished(t, config.Demo{Listen: "localhost:8080"}, nothing)
	s, err := newSite(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	s.faults.Record(faultlog.Of(fault.New(fault.Internal, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	cleaned := h.DB.Counters().Commits
	go func() { ended <- s.clean(ctx, "node") }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for h.DB.Counters().Commits < cleaned+7 { // the lease, and six rooms at least
		select {
		case err := <-ended:
			t.Fatalf("the janitor left: %v", err)
		case <-tick.C:
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// The JSON sign-in for test automation is there for who asks for it.
func TestHeadlessSignInIsOffUnlessEnabled(t *testing.T) {
	for _, on := range []bool{false, true} {
		h := furnished(t, config.Demo{Listen: freeAddress(t), HeadlessSignIn: on}, nothing)
		stop := serving(t, h)
		response, err := http.Post(h.Config.Link(headless.Path), "application/json", nil)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if (response.StatusCode == http.StatusOK) != on {
			t.Errorf("enabled %t: %d", on, response.StatusCode)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
}

// TestBrowsersAreToldOfRelatedOrigins: WebAuthn, 5.11. Where there are none,
// nothing is said.
func TestBrowsersAreToldOfRelatedOrigins(t *testing.T) {
	for _, more := range []string{"", "https://id.northmoor.example"} {
		h := furnished(t, config.Demo{Listen: freeAddress(t)}, func(name string) (string, bool) {
			return more, name == "CAREKEY_FIDO_ORIGINS" && more != ""
		})
		stop := serving(t, h)
		response, err := http.Get(h.Config.Link(fido.RelatedPath))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		want := `{"origins":["` + h.Config.BaseURL + `","` + more + `"]}`
		switch {
		case more == "" && response.StatusCode != http.StatusNotFound:
			t.Errorf("without related origins: %s", response.Status)
		case more != "" && (string(text) != want || response.Header.Get("Content-Type") != "application/json"):
			t.Errorf("%s %q: %s, want %s", response.Status, response.Header.Get("Content-Type"), text, want)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
}
