package server

import (
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/oidc"
	"carekey.dev/carekey/internal/page/pagetest"
	"carekey.dev/carekey/internal/server/config"
)

// TestAWholeSignInKeepsToItsBudget: from the relying party's button to its
// tokens, at most 12 statements, and 3 commits where nobody has to choose
// (docs/sources.md), for a browser that comes for the first time and a person
// who types everything right:
//
//   - password: the attempt is counted and the account read (1, committed);
//   - code: the account is read (1);
//   - gate: the person is locked and the authenticator touched; the code and
//     the attempts are used; the session and the audit entry are written (5,
//     committed);
//   - role, where one is asked for: the session, the person and the roles are
//     read (1); where somebody chooses, the choice is checked and remembered
//     (1, committed);
//   - authorization endpoint: the session and the roles are read (1);
//   - token: the code is used up for the access token, if the person signs in
//     here and the session goes on; the audit entry is written (2, committed).
//
// All that comes before the password, and every page in between, needs none.
func TestAWholeSignInKeepsToItsBudget(t *testing.T) {
	now := func() time.Time { return time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC) }
	dbtest.EachAt(t, now, Schemas(), func(t *testing.T, d *db.DB) {
		h := demonstrated(t, d)
		s, err := newSite(t.Context(), h)
		if err != nil {
			t.Fatal(err)
		}
		handler := s.kit.Wrap(s.mux)
		if _, err := h.Directory.ByID(t.Context(), demoClient); err != nil { // it knows the service from here on
			t.Fatal(err)
		}
		for _, c := range []struct {
			name, scope, uid, address, password, role string
			commits, statements                       uint64
		}{
			{"no role is asked for", "openid", "555000100103", "helen.marsh@northmoor.nhs.uk", "quiet gravel 17 heron", "", 3, 10},
			{"the only role", "openid selectedrole", "555000100101", "amara.osei@nhs.net", "harbour lamp 42 otter", "", 3, 11},
			{"a chosen role", "openid selectedrole", "555000100109", "zoe.oneill@nhs.net", "amber cliff 29 wren", "555000200192", 4, 12},
		} {
			v := &voyage{t: t, House: h, handler: handler, browser: pagetest.Client(t, handler)}
			code := v.phone(care.UID(c.uid))
			before := d.Counters()
			v.signIn(c.scope, c.address, c.password, code)
			if c.role != "" {
				v.send("/signin/role", "role", c.role)
			}
			v.redeem()
			after := d.Counters()
			commits, statements := after.Commits-before.Commits, after.Statements-before.Statements
			if commits != c.commits || statements != c.statements {
				t.Errorf("%s: %d commits and %d statements, want %d and %d", c.name, commits, statements, c.commits, c.statements)
			}
		}
	})
}

// BenchmarkSignIn is the whole way of somebody who chooses a role, with its
// password hash, its signature and its pages.
func BenchmarkSignIn(b *testing.B) {
	var past atomic.Int64
	d := dbtest.OpenAt(b, func() time.Time { return time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC).Add(time.Duration(past.Load())) }, Schemas()...)
	h := demonstrated(b, d)
	s, err := newSite(b.Context(), h)
	if err != nil {
		b.Fatal(err)
	}
	handler := s.kit.Wrap(s.mux)
	for b.Loop() {
		b.StopTimer()
		past.Add(int64(30 * time.Second)) // the phone shows another code
		v := &voyage{t: b, House: h, handler: handler, browser: pagetest.Client(b, handler)}
		code := v.phone("555000100109")
		b.StartTimer()
		v.signIn("openid selectedrole", "zoe.oneill@nhs.net", "amber cliff 29 wren", code)
		v.send("/signin/role", "role", "555000200192")
		v.redeem()
	}
}

// demonstrated is a house with the demo world on a database whose clock stands
// still, and with nothing that runs beside requests.
func demonstrated(t testing.TB, d *db.DB) *House {
	t.Helper()
	c, lock, err := PrepareDev(config.Demo{Listen: "localhost:8080", TLS: true, DataDir: filepath.Join(t.TempDir(), "data")}, nothing)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close() })
	h := &House{Config: c, Log: slog.New(slog.DiscardHandler), Random: rand.Reader, Ring: keys.NewRing(keys.Root{1}), DB: d}
	if h.Terms, err = readTerms(c); err != nil {
		t.Fatal(err)
	}
	if err := h.furnish(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.Populate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h
}

// voyage is one person's way from a relying party and back.
type voyage struct {
	*House
	t       testing.TB
	handler http.Handler
	browser *pagetest.Browser
}

const (
	demoClient, demoSecret, demoCallback = "555000000001.apps.national", "ers-demo-secret-please-change", "http://localhost:9090/callback"
)

// phone is the code that somebody's phone shows.
func (v *voyage) phone(uid care.UID) string {
	v.t.Helper()
	codes, err := v.App.DemoCodes(v.t.Context())
	if err != nil {
		v.t.Fatal(err)
	}
	for _, c := range codes {
		if c.UID == uid {
			return c.Code
		}
	}
	v.t.Fatalf("%s has no phone", uid)
	return ""
}

// signIn goes from the relying party's button to the page after the code.
func (v *voyage) signIn(scope, address, password, code string) {
	v.t.Helper()
	asked := url.Values{
		"client_id": {demoClient}, "redirect_uri": {demoCallback}, "response_type": {"code"}, "scope": {scope}, "state": {"s"},
	}
	v.browser.Get(oidc.RealmPath + "/authorize?" + asked.Encode())
	v.send("/signin", "method", string(care.AuthenticatorApp))
	v.send("/signin/email", "email", address)
	v.send("/signin/password", "password", password)
	v.send("/signin/code", "code", code)
}

// send sends the form of the page that the browser must be at, and follows
// where that leads, as long as it stays here.
func (v *voyage) send(path string, pairs ...string) {
	v.t.Helper()
	v.browser.IsAt(path)
	v.browser.Stay().Submit(path, pagetest.Fields(pairs...))
	for to := v.browser.Header.Get("Location"); strings.HasPrefix(to, "/"); to = v.browser.Header.Get("Location") {
		v.browser.Get(to)
	}
}

// redeem exchanges the code with which the browser has left.
func (v *voyage) redeem() {
	v.t.Helper()
	back, err := url.Parse(v.browser.Header.Get("Location"))
	if err != nil || !strings.HasPrefix(back.String(), demoCallback) {
		v.t.Fatalf("the browser is at %s, %v:\n%s", v.browser.At, err, v.browser.Text())
	}
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {demoCallback},
		"client_id": {demoClient}, "client_secret": {demoSecret},
	}
	r := httptest.NewRequest(http.MethodPost, oidc.RealmPath+"/access_token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	v.handler.ServeHTTP(w, r)
	var bought map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &bought); err != nil || bought["access_token"] == nil || bought["id_token"] == nil {
		v.t.Fatalf("%d %s", w.Code, w.Body)
	}
}
