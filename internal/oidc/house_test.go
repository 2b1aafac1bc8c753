package oidc_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/fetch"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/oidc"
	"carekey.dev/carekey/internal/organisation"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/page/pagetest"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/session"
)

const (
	ers, ersSecret   = "555000000001.apps.national", "ers secret/with+signs%41"
	ncrs             = "555000000002.apps.national"
	mesh, meshSecret = "555000000003.apps.national", "mesh-secret"
	cdr              = "555000000004.apps.national"
	strict           = "555000000005.apps.national"
	native           = "555000000006.apps.national"

	callback = "http://localhost:9090/callback"

	amara = care.UID("555000100101") // one role
	zoe   = care.UID("555000100109") // three roles
	grace = care.UID("555000100106") // no role
)

var (
	start   = time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	schemas = append(oidc.Schemas(), audit.Schema, person.Schema, organisation.Schema, access.Schema, relyingparty.Schema, session.Schema, outbox.Schema)
	ring    = keys.NewRing(keys.Root{1})

	loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}
)

// house is a provider on a real database behind a real server, with a sign-in
// room that believes whatever a test says.
type house struct {
	*db.DB
	t        testing.TB
	server   *httptest.Server
	provider *oidc.Provider
	log      *buffer
	faults   *faults

	outbox       *outbox.Outbox
	opener       session.Opener
	requirements *journey.Requirements
	past         *atomic.Int64
}

// buffer is a log that several requests write.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// faults are those recorded for `carekey explain`.
type faults struct {
	mu  sync.Mutex
	all []*fault.Error
}

func (f *faults) record(_ *http.Request, one *fault.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, one)
}

func (f *faults) last() *fault.Error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.all) == 0 {
		return nil
	}
	return f.all[len(f.all)-1]
}

// each runs a test on both engines.
func each(t *testing.T, test func(t *testing.T, h *house)) {
	past := &atomic.Int64{}
	dbtest.EachAt(t, clock(past), schemas, func(t *testing.T, d *db.DB) {
		past.Store(0)
		test(t, newHouse(t, d, past))
	})
}

// open returns a house on SQLite, for what does not depend on the engine.
func open(t testing.TB) *house {
	past := &atomic.Int64{}
	return newHouse(t, dbtest.OpenAt(t, clock(past), schemas...), past)
}

func clock(past *atomic.Int64) func() time.Time {
	return func() time.Time { return start.Add(time.Duration(past.Load())) }
}

func (h *house) pass(some time.Duration) { h.past.Add(int64(some)) }

func newHouse(t testing.TB, d *db.DB, past *atomic.Int64, change ...func(*oidc.Options)) *house {
	t.Helper()
	h := &house{DB: d, t: t, past: past, log: &buffer{}, faults: &faults{}}
	h.write(settle)
	h.write(borrow)
	log := slog.New(slog.NewTextHandler(h.log, nil))
	kit := pagetest.Kit(t, func(o *page.Options) { o.Ring, o.Log, o.Record = ring, log, h.faults.record })
	sessions, opener, err := session.New(d, session.Options{Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	h.opener, h.requirements = opener, journey.NewRequirements(ring, d.Now)
	mux := http.NewServeMux()
	h.server = httptest.NewTLSServer(kit.Wrap(mux))
	t.Cleanup(h.server.Close)
	h.outbox, err = outbox.New(d, ring, outbox.Options{
		Service: "Care Identity", Operator: "Leeds Care Trust", From: "no-reply@leeds.example", Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	options := oidc.Options{
		DB: d, Kit: kit, Ring: ring, Sessions: sessions, Requirements: h.requirements, Directory: relyingparty.NewDirectory(d),
		BaseURL: h.server.URL, Random: rand.Reader, Outbox: h.outbox, Fetch: fetch.New(fetch.Options{Allow: loopback}),
		Registration: true, Record: h.faults.record, Log: log,
	}
	for _, f := range change {
		f(&options)
	}
	h.provider, err = oidc.New(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	lend(t, d)
	kit.Routes(mux)
	h.provider.Routes(mux)
	return h
}

func (h *house) write(fn func(*db.Tx) error) {
	h.t.Helper()
	if err := h.Write(context.Background(), fn); err != nil {
		h.t.Fatal(err)
	}
}

// settle fills the house with people and relying parties.
func settle(tx *db.Tx) error {
	for _, p := range []person.Person{
		{UID: amara, Title: "Dr", GivenName: "Amara", FamilyName: "OSEI", IDAssuranceLevel: 3, Email: "amara.osei@nhs.net", Memberships: map[string]string{"gmc_id": "7654321"}},
		{UID: zoe, Title: "Ms", GivenName: "Zoë", FamilyName: "O'NEILL-MÜLLER", IDAssuranceLevel: 3, Email: "zoe.oneill@nhs.net"},
		{UID: grace, GivenName: "Grace", FamilyName: "ADEYEMI", IDAssuranceLevel: 2, Email: "grace.adeyemi@outlook.com"},
	} {
		if err := person.Create(tx, p); err != nil {
			return err
		}
	}
	for i, r := range []access.Role{
		{ID: "555000200101", UID: amara, OrgPersonID: "555000300101", Org: "Z84001", Code: "S0010:G0020:R0260", Name: `"Clinical":"Clinical Provision":"General Medical Practitioner"`},
		{ID: "555000200191", UID: zoe, OrgPersonID: "555000300191", Org: "RX901", Code: "S8000:G8000:R8001", Name: `"Clinical":"Clinical Provision":"Nurse Access Role"`},
		{ID: "555000200192", UID: zoe, OrgPersonID: "555000300192", Org: "VX4KT", Code: "S8000:G8000:R8001", Name: `"Clinical":"Clinical Provision":"Nurse Access Role"`},
		{ID: "555000200193", UID: zoe, OrgPersonID: "555000300193", Org: "Z84001", Code: "S8000:G8000:R8002", Name: `"Clinical":"Clinical Provision":"Nurse Manager Access Role"`},
	} {
		r.Position = i
		if err := access.Put(tx, r); err != nil {
			return err
		}
	}
	four := []care.Method{care.Smartcard, care.WindowsHello, care.SecurityKey, care.IPadApp}
	five := append(slices.Clone(four), care.AuthenticatorApp)
	for _, rp := range []relyingparty.RelyingParty{
		{ClientID: ers, Name: "NHS e-Referral Service", ShortName: "e-RS", RedirectURIs: []string{callback, "http://127.0.0.1:9090/callback", callback + "?from=carekey"}, Secrets: [][]byte{keys.Hash(ersSecret)}, Methods: care.Methods(), DefaultACR: care.AAL2OrAAL3Any},
		{ClientID: ncrs, Name: "National Care Records Service", ShortName: "NCRS", AuthMethod: relyingparty.PrivateKeyJWT, JWKS: ncrsKeys(), RedirectURIs: []string{callback}, Methods: five, DefaultACR: care.AAL2OrAAL3Any},
		{ClientID: mesh, Name: "Message Exchange", ShortName: "MESH", RedirectURIs: []string{callback}, Secrets: [][]byte{keys.Hash(meshSecret)}, Methods: five, DefaultACR: care.AAL2OrAAL3Any, Scopes: []string{"openid", "profile"}},
		{ClientID: cdr, Name: "Controlled Drugs Register", ShortName: "CDR", RedirectURIs: []string{callback}, Methods: four, DefaultACR: care.AAL3Any},
		{ClientID: strict, Name: "Strict", AuthMethod: relyingparty.PrivateKeyJWT, JWKS: ncrsKeys(), RedirectURIs: []string{callback}, Profile: relyingparty.Strict, Methods: care.Methods(), DefaultACR: care.AAL2OrAAL3Any},
		{ClientID: native, Name: "An app", RedirectURIs: []string{"uk.nhs.example:/callback"}, Secrets: [][]byte{keys.Hash("app")}, Methods: care.Methods(), DefaultACR: care.AAL2OrAAL3Any},
	} {
		if rp.Profile == "" {
			rp.Profile = relyingparty.CIS2
		}
		if rp.AuthMethod == "" {
			rp.AuthMethod = relyingparty.ClientSecret
		}
		if rp.Scopes == nil {
			rp.Scopes = relyingparty.Scopes()
		}
		if err := relyingparty.Put(tx, rp); err != nil {
			return err
		}
	}
	return nil
}

// browser is one person's browser. It never follows a redirect by itself.
type browser struct {
	h      *house
	client *http.Client
}

func (h *house) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	client := *h.server.Client()
	client.Jar = jar
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{h, &client}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// to is where a redirect leads.
func (a answer) to() *url.URL {
	to, err := url.Parse(a.header.Get("Location"))
	if err != nil {
		panic(err)
	}
	return to
}

// atClient reports whether the browser is at a relying party.
func (a answer) atClient() bool { return strings.HasPrefix(a.header.Get("Location"), callback) }

func (b *browser) do(r *http.Request) answer {
	b.h.t.Helper()
	response, err := b.client.Do(r)
	if err != nil {
		b.h.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		b.h.t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

func (b *browser) get(path string) answer {
	b.h.t.Helper()
	r, err := http.NewRequest(http.MethodGet, b.h.server.URL+path, nil)
	if err != nil {
		b.h.t.Fatal(err)
	}
	return b.do(r)
}

// ask returns the parameters of an authorization request of e-RS. Pairs change
// or, with "", remove a parameter.
func ask(pairs ...string) url.Values {
	query := url.Values{
		"response_type": {"code"}, "client_id": {ers}, "redirect_uri": {callback}, "scope": {"openid profile"},
		"state": {"s-1"}, "nonce": {"n-1"},
	}
	for i := 0; i < len(pairs); i += 2 {
		query.Set(pairs[i], pairs[i+1])
		if pairs[i+1] == "" {
			query.Del(pairs[i])
		}
	}
	return query
}

func (b *browser) authorize(query url.Values) answer {
	b.h.t.Helper()
	return b.get(oidc.RealmPath + "/authorize?" + query.Encode())
}

// atSignIn returns the requirement with which the browser was sent to sign in.
func (b *browser) atSignIn(a answer) care.Requirement {
	b.h.t.Helper()
	if a.status != http.StatusFound || a.to().Path != "/signin" {
		b.h.t.Fatalf("the browser got %d %s, want to be sent to sign in\n%s", a.status, a.header.Get("Location"), a.body)
	}
	req, err := b.h.requirements.OpenRequirement(a.to().Query().Get("req"))
	if err != nil {
		b.h.t.Fatal(err)
	}
	return req
}

// signIn gives the browser a session, as the gate would.
func (b *browser) signIn(uid care.UID, method care.Method, level care.AAL) *session.Session {
	b.h.t.Helper()
	return b.opened(session.Opening{UID: uid, AAL: level, Method: method})
}

// signInAgain gives it another in place of the one that it has.
func (b *browser) signInAgain(uid care.UID, method care.Method, level care.AAL) *session.Session {
	b.h.t.Helper()
	home, err := url.Parse(b.h.server.URL)
	if err != nil {
		b.h.t.Fatal(err)
	}
	before := ""
	for _, cookie := range b.client.Jar.Cookies(home) {
		if cookie.Name == session.Cookie {
			before = cookie.Value
		}
	}
	return b.opened(session.Opening{UID: uid, AAL: level, Method: method, Previous: before})
}

func (b *browser) opened(o session.Opening) *session.Session {
	b.h.t.Helper()
	o.Token, o.SID = b.h.opener.NewToken()
	var opened *session.Session
	b.h.write(func(tx *db.Tx) (err error) {
		opened, err = b.h.opener.Open(tx, o)
		return err
	})
	home, err := url.Parse(b.h.server.URL)
	if err != nil {
		b.h.t.Fatal(err)
	}
	b.client.Jar.SetCookies(home, []*http.Cookie{{Name: session.Cookie, Value: o.Token, Path: "/", Secure: true}})
	return opened
}

func (b *browser) withApp(uid care.UID) *session.Session {
	b.h.t.Helper()
	return b.signIn(uid, care.AuthenticatorApp, care.AAL2)
}

// chooseRole does what the role page does.
func (b *browser) chooseRole(s *session.Session, role string) {
	b.h.t.Helper()
	b.h.write(func(tx *db.Tx) error { return session.ChooseRole(tx, s.ID, role) })
}

// code returns the code with which the browser is back at the relying party.
func (b *browser) code(a answer) string {
	b.h.t.Helper()
	code := a.to().Query().Get("code")
	if a.status != http.StatusFound || !a.atClient() || code == "" {
		b.h.t.Fatalf("the browser got %d %s, want to be back with a code\n%s", a.status, a.header.Get("Location"), a.body)
	}
	return code
}

// post sends a form to an endpoint as a relying party's server does.
func (h *house) post(path string, form url.Values, headers ...string) answer {
	h.t.Helper()
	r, err := http.NewRequest(http.MethodPost, h.server.URL+oidc.RealmPath+path, strings.NewReader(form.Encode()))
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return h.browser().do(r)
}

func object(t testing.TB, text string) map[string]any {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	return all
}

// audited returns the actions and results of the audit log in their order,
// without the making of the signing keys.
func (h *house) audited() []string {
	h.t.Helper()
	var all []string
	err := h.Read(context.Background(), func(tx *db.Tx) error {
		all = nil
		rows, err := tx.Rows(`SELECT action, result, actor FROM audit_entry WHERE action NOT LIKE 'signing_key.%' ORDER BY at, action`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var action, result, actor string
			if err := rows.Scan(&action, &result, &actor); err != nil {
				return err
			}
			all = append(all, strings.TrimSpace(action+" by "+actor+" "+result))
		}
		return rows.Err()
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}
