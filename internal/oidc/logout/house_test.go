package logout_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/fetch"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/oidc/grant"
	"carekey.dev/carekey/internal/oidc/logout"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/session"
)

const (
	issuer = "https://id.northmoor.example:443/openam/oauth2/realms/root/realms/NHSIdentity/realms/Healthcare"
	amara  = care.UID("555000100101")
)

var (
	schemas = []fs.FS{audit.Schema, outbox.Schema, person.Schema, relyingparty.Schema, session.Schema, grant.Schema, logout.Schema}
	ring    = keys.NewRing(keys.Root{1})
	start   = time.Date(2026, 11, 1, 17, 0, 0, 0, time.UTC)
)

type clock struct{ past atomic.Int64 }

func (c *clock) now() time.Time          { return start.Add(time.Duration(c.past.Load())) }
func (c *clock) pass(some time.Duration) { c.past.Add(int64(some)) }

// house is a database with people who sign in to relying parties.
type house struct {
	*db.DB
	t      *testing.T
	clock  *clock
	opener session.Opener
	codes  *grant.Codes
	// timeout is how long a relying party may take.
	timeout time.Duration
	log     record
}

// record keeps what the nodes log.
type record struct {
	mu   sync.Mutex
	text strings.Builder
}

func (r *record) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(line)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func each(t *testing.T, test func(t *testing.T, h *house)) {
	t.Helper()
	c := &clock{}
	dbtest.EachAt(t, c.now, schemas, func(t *testing.T, d *db.DB) {
		c.past.Store(0)
		test(t, newHouse(t, d, c))
	})
}

func open(t *testing.T) *house {
	c := &clock{}
	return newHouse(t, dbtest.OpenAt(t, c.now, schemas...), c)
}

func newHouse(t *testing.T, d *db.DB, c *clock) *house {
	t.Helper()
	_, opener, err := session.New(d, session.Options{Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{DB: d, t: t, clock: c, opener: opener, codes: grant.NewCodes(ring, rand.Reader)}
	h.write(func(tx *db.Tx) error { return person.Create(tx, person.Person{UID: amara, FamilyName: "OSEI"}) })
	return h
}

func (h *house) write(fn func(tx *db.Tx) error) {
	h.t.Helper()
	if err := h.Write(h.t.Context(), fn); err != nil {
		h.t.Fatal(err)
	}
}

// signedIn is a session with which somebody went to relying parties.
func (h *house) signedIn(clients ...string) *session.Session {
	h.t.Helper()
	token, sid := h.opener.NewToken()
	var s *session.Session
	h.write(func(tx *db.Tx) (err error) {
		s, err = h.opener.Open(tx, session.Opening{Token: token, SID: sid, UID: amara, AAL: care.AAL2, Method: care.AuthenticatorApp})
		return err
	})
	for _, client := range clients {
		sealed, err := h.codes.Issue(grant.Code{ClientID: client, SID: s.SID, UID: amara}, h.Now())
		if err != nil {
			h.t.Fatal(err)
		}
		code, err := h.codes.Open(sealed)
		if err != nil {
			h.t.Fatal(err)
		}
		h.write(func(tx *db.Tx) error {
			_, refused, err := grant.Redeem(tx, code, grant.Token{Text: keys.Token(rand.Reader, 32), Life: grant.TokenLife})
			if refused != nil {
				h.t.Error(refused)
			}
			return err
		})
	}
	return s
}

func (h *house) signOut(all ...*session.Session) {
	h.t.Helper()
	h.write(func(tx *db.Tx) error {
		for _, s := range all {
			if err := session.End(tx, s.ID, "signed out"); err != nil {
				return err
			}
		}
		return nil
	})
}

// receiver is a relying party's server. It speaks TLS, as in earnest.
type receiver struct {
	*httptest.Server
	// answer writes what it says; nil says 200.
	answer atomic.Pointer[http.HandlerFunc]
	// arrived gets each logout token.
	arrived chan string
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{arrived: make(chan string, 1000)}
	r.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path != "/backchannel" {
			return // a sign-in page, say: it answers 200
		}
		if q.Method != http.MethodPost || q.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || len(q.URL.RawQuery) != 0 {
			t.Errorf("the relying party got %s %s with %s", q.Method, q.URL, q.Header.Get("Content-Type"))
		}
		token := q.PostFormValue("logout_token")
		if answer := r.answer.Load(); answer != nil {
			(*answer)(w, q)
		}
		r.arrived <- token
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) says(status int, body string) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Location", "/sign-in") // of no meaning but in a redirect
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	})
	r.answer.Store(&answer)
}

// register makes relying parties whose back channel is at r.
func (h *house) register(r *receiver, clients ...string) {
	h.t.Helper()
	h.write(func(tx *db.Tx) error {
		for _, client := range clients {
			rp := relyingparty.RelyingParty{
				ClientID: client, Name: client, RedirectURIs: []string{"https://rp.example/callback"}, BackchannelLogoutURI: r.URL + "/backchannel",
			}
			rp.Complete()
			if err := relyingparty.Put(tx, rp); err != nil {
				return err
			}
		}
		return nil
	})
}

// node is one process.
type node struct {
	*logout.Logout
	t   *testing.T
	box *outbox.Outbox
}

// node starts a process that trusts the certificates of servers.
func (h *house) node(d *db.DB, servers ...*receiver) node {
	h.t.Helper()
	box, err := outbox.New(d, ring, outbox.Options{From: "no-reply@northmoor.example"})
	if err != nil {
		h.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	for _, server := range servers {
		roots.AddCert(server.Certificate())
	}
	l := logout.New(logout.Options{
		DB: d, Outbox: box, Directory: relyingparty.NewDirectory(d), Issuer: issuer, Random: rand.Reader, Sign: plainly,
		Log: slog.New(slog.NewTextHandler(&h.log, nil)),
		Fetch: fetch.New(fetch.Options{
			Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, Timeout: h.timeout, TLS: &tls.Config{RootCAs: roots},
		}),
	})
	return node{l, h.t, box}
}

// plainly stands for signing, which tests of the provider try: it shows what
// would be signed.
func plainly(rp relyingparty.RelyingParty, typ string, claims any) (string, error) {
	payload, err := json.Marshal(claims)
	return rp.ClientID + " " + typ + " " + string(payload), err
}

// tell puts into the outbox whom to tell.
func (n node) tell() {
	n.t.Helper()
	if err := n.Tell(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
}

// deliver runs the outbox until servers got so many tokens together, and the
// outcome of each is stored.
func (n node) deliver(wanted int, server *receiver) (got []string) {
	n.t.Helper()
	ctx, stop := context.WithCancel(n.t.Context())
	var running sync.WaitGroup
	running.Go(func() { n.box.Run(ctx) })
	for range wanted {
		got = append(got, <-server.arrived)
	}
	stop()
	running.Wait()
	if len(server.arrived) > 0 {
		n.t.Errorf("the relying party got %d tokens too many", len(server.arrived))
	}
	return got
}

// deliveries are those that a filter lets through, as one line each.
func (h *house) deliveries(f logout.Filter) (all []string) {
	h.t.Helper()
	for _, d := range h.listed(f) {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s %d %s", d.ClientID, d.State, d.Attempts, d.LastError)))
	}
	return all
}

func (h *house) listed(f logout.Filter) (all []logout.Delivery) {
	h.t.Helper()
	f.Most = 1000
	err := h.Read(h.t.Context(), func(tx *db.Tx) (err error) {
		all, err = logout.Deliveries(tx, f)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}
