// Package connection is the Connection Manager: the API with which suppliers'
// teams register their relying parties by program, with the addresses, fields
// and answers of CIS2's (wire format).
//
// A team's secret comes in once and buys a session of an hour, which leaves as
// a cookie and as a bearer token; with it the team reads, makes and changes
// the relying parties that are its own. What a team may not set (scopes,
// methods, the profile) is kept as the operator set it. Every change is
// checked by the same rules as the world file's and audited with the team as
// its actor. Two that change the same config do not overwrite one another.
//
// The room serves programs and never people: no page, no person's data, no
// session of anybody who signs in. It lives on a host or port of its own, so
// that its cookie and its addresses never meet those of the sign-in.
package connection

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/netip"
	"strings"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/throttle"
)

// Options is what the room needs.
type Options struct {
	DB       *db.DB
	Ring     *keys.Ring
	Throttle *throttle.Throttle
	// BaseURL is where programs reach this API, without a path.
	BaseURL string
	// Network is the address of who really connects.
	Network func(r *http.Request) netip.Addr
	// Translate says what the database says in our own words, as pages have it;
	// nil leaves it.
	Translate func(error) error
	// Record keeps a fault for `carekey explain`; it may be nil.
	Record func(r *http.Request, f *fault.Error)
	Random io.Reader
	Log    *slog.Logger
}

// Manager serves the API.
type Manager struct {
	Options
	tokens *tokens
	mux    *http.ServeMux
	guard  *http.CrossOriginProtection
}

// maxBody is how large a config may be: a hundred long addresses.
const maxBody = 64 << 10

//go:embed docs.txt
var docs []byte

// New returns a Connection Manager.
func New(o Options) *Manager {
	if o.Translate == nil {
		o.Translate = func(err error) error { return err }
	}
	m := &Manager{Options: o, tokens: newTokens(o.Ring, o.BaseURL), mux: http.NewServeMux(), guard: http.NewCrossOriginProtection()}
	m.routes()
	return m
}

func (m *Manager) routes() {
	for _, route := range []struct {
		path    string
		methods map[string]http.HandlerFunc
	}{
		{"/{$}", map[string]http.HandlerFunc{"GET": m.docs}},
		{"/docs", map[string]http.HandlerFunc{"GET": m.docs}},
		{"/api/hello_world", map[string]http.HandlerFunc{"GET": m.hello}},
		{"/api/auth", map[string]http.HandlerFunc{"POST": m.signIn}},
		{"/api/configs/{team}", map[string]http.HandlerFunc{"GET": m.inTeam(m.list), "POST": m.inTeam(m.create)}},
		{"/api/configs/{team}/{config}", map[string]http.HandlerFunc{"GET": m.inTeam(m.read), "PUT": m.inTeam(m.replace)}},
	} {
		var allowed []string
		for _, method := range []string{"GET", "POST", "PUT"} {
			if handler := route.methods[method]; handler != nil {
				m.mux.HandleFunc(method+" "+route.path, handler)
				allowed = append(allowed, method)
			}
		}
		m.mux.HandleFunc(route.path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			m.fail(w, r, fault.New(fault.MethodNotAllowed, nil).With("Use "+strings.Join(allowed, " or ")+" here."))
		})
	}
	m.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		m.fail(w, r, fault.New(fault.NotFound, nil).With("GET /docs says what there is."))
	})
}

// Route is the pattern that answers a request, for metrics.
func (m *Manager) Route(r *http.Request) string {
	_, pattern := m.mux.Handler(r)
	return pattern
}

// ServeHTTP answers a request.
func (m *Manager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	if strings.HasPrefix(m.BaseURL, "https://") {
		h.Set("Strict-Transport-Security", "max-age=31536000") // ASVS 3.4.1
	}
	// The session may come as a cookie, so a page of elsewhere must not be able
	// to use it: neither by the browser's own word nor, for browsers that give
	// none, without the media type of a program (ASVS 3.5.1, 3.5.2).
	if err := m.guard.Check(r); err != nil {
		m.fail(w, r, fault.New(fault.FormForged, err))
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	m.mux.ServeHTTP(w, r)
}

func (m *Manager) docs(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write(docs)
}

func (m *Manager) hello(w http.ResponseWriter, _ *http.Request) {
	m.answer(w, http.StatusOK, map[string]string{"message": "Hello World"})
}

// body reads what a program sent.
func body(r *http.Request) ([]byte, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, refused("Send JSON, with Content-Type: application/json.")
	}
	text, err := io.ReadAll(r.Body)
	if tooLarge, is := errors.AsType[*http.MaxBytesError](err); is {
		return nil, fault.New(fault.FormTooLarge, err).With(fmt.Sprintf("At most %d bytes are read.", tooLarge.Limit))
	}
	if err != nil {
		return nil, fault.New(fault.FormUnreadable, err)
	}
	return text, nil
}
