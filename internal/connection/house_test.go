package connection_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/connection"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/relyingparty/team"
	"carekey.dev/carekey/internal/throttle"
)

var schemas = []fs.FS{audit.Schema, throttle.Schema, relyingparty.Schema, team.Schema}

const baseURL = "https://connectionmanager.northmoor.example"

var start = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

// clock is the database's; tests move it.
type clock struct{ past atomic.Int64 }

func (c *clock) now() time.Time          { return start.Add(time.Duration(c.past.Load())) }
func (c *clock) pass(some time.Duration) { c.past.Add(int64(some)) }

// house is the room on a database with two teams, and one program that calls
// it.
type house struct {
	*connection.Manager
	t       testing.TB
	secrets map[string]string // team → secret
	network string
	log     *bytes.Buffer
}

func each(t *testing.T, test func(t *testing.T, h *house, c *clock)) {
	c := &clock{}
	dbtest.EachAt(t, c.now, schemas, func(t *testing.T, d *db.DB) {
		c.past.Store(0)
		h := newHouse(t, d)
		h.secrets = map[string]string{"mavis": h.team("mavis"), "other": h.team("other")}
		test(t, h, c)
	})
}

var root = keys.Root{1, 2, 3}

func newHouse(t testing.TB, d *db.DB) *house {
	t.Helper()
	ring := keys.NewRing(root)
	h := &house{t: t, network: "203.0.113.7", log: &bytes.Buffer{}}
	h.Manager = connection.New(connection.Options{
		DB: d, Ring: ring, Throttle: throttle.New(ring, throttle.Limits{}), BaseURL: baseURL,
		Network: func(*http.Request) netip.Addr { return netip.MustParseAddr(h.network) },
		Random:  rand.Reader, Log: slog.New(slog.NewTextHandler(h.log, nil)),
	})
	return h
}

func (h *house) write(fn func(tx *db.Tx) error) {
	h.t.Helper()
	if err := h.DB.Write(h.t.Context(), fn); err != nil {
		h.t.Fatal(err)
	}
}

// team makes a team and returns its secret.
func (h *house) team(id string) string {
	h.t.Helper()
	h.write(func(tx *db.Tx) error { return team.Add(tx, "operator", id, "Team "+id) })
	return h.secret(id)
}

func (h *house) secret(id string) string {
	h.t.Helper()
	fresh := team.NewSecret(rand.Reader)
	h.write(func(tx *db.Tx) error { return team.AddSecret(tx, "operator", team.Team{ID: id}, fresh) })
	return fresh.Value
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	text   string
	fields map[string]any
}

// string returns a field, with dots for fields of fields.
func (a answer) string(path string) string {
	var value any = a.fields
	for step := range strings.SplitSeq(path, ".") {
		group, ok := value.(map[string]any)
		if !ok {
			return ""
		}
		value = group[step]
	}
	text, _ := value.(string)
	return text
}

// do sends a request with headers, "Name: value".
func (h *house) do(method, path, body string, headers ...string) answer {
	h.t.Helper()
	r := httptest.NewRequest(method, baseURL+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	text, err := io.ReadAll(w.Result().Body)
	if err != nil {
		h.t.Fatal(err)
	}
	a := answer{status: w.Code, header: w.Header(), text: string(text)}
	if strings.HasPrefix(a.header.Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(text, &a.fields); err != nil {
			h.t.Fatalf("%s %s answers %q: %v", method, path, text, err)
		}
	}
	return a
}

// signIn returns the header of a session of the team.
func (h *house) signIn(id string) string {
	h.t.Helper()
	a := h.do("POST", "/api/auth", "", "Authorization: SecretAuth "+h.secrets[id])
	if a.status != http.StatusOK {
		h.t.Fatalf("signing %s in: %d %s", id, a.status, a.text)
	}
	return "Authorization: Bearer " + a.string("access_token")
}

const (
	least = `{"client_name":"My app","redirect_uris":["https://my.example/callback"]}`
	keyed = `{"client_name":"Vaccinations","redirect_uris":["https://rp.example/cis2?a=1&b=2"],"description":"Ours",` +
		`"backchannel_logout_uri":"https://rp.example/logout","jwks_uri":"https://rp.example/jwks","jwks_uri_signing_algorithm":"RS512"}`
)

// make creates a config and returns the answer.
func (h *house) make(session, id, body string) answer {
	h.t.Helper()
	a := h.do("POST", "/api/configs/"+id, body, session)
	if a.status != http.StatusCreated {
		h.t.Fatalf("creating: %d %s", a.status, a.text)
	}
	return a
}

func (h *house) encode(v any) string {
	h.t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(text)
}

func (h *house) remove(clientID string) {
	h.t.Helper()
	h.write(func(tx *db.Tx) error { return relyingparty.Delete(tx, clientID) })
}

func (h *house) stored(clientID string) relyingparty.RelyingParty {
	h.t.Helper()
	var rp relyingparty.RelyingParty
	err := h.DB.Read(h.t.Context(), func(tx *db.Tx) (err error) {
		rp, err = relyingparty.ByID(tx, clientID)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return rp
}
