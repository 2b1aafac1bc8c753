package headless_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/fetch"
	"carekey.dev/carekey/internal/gate/gatetest"
	"carekey.dev/carekey/internal/headless"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/oidc"
	"carekey.dev/carekey/internal/organisation"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/page/pagetest"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/session"
)

var amara, helen = gatetest.Amara, gatetest.Helen

// The relying parties: one for every method, one for smartcards and keys only.
const (
	ers, ersSecret = "555000000001.apps.national", "ers-secret"
	cdr            = "555000000004.apps.national"
	callback       = "https://ers.example.nhs.uk/callback"
)

// house is the room beside the real provider, on real rooms below.
type house struct {
	*gatetest.Rig
	t       testing.TB
	server  *httptest.Server
	request *journey.Requirements
	faults  []*fault.Error
	network netip.Addr
}

var more = append(oidc.Schemas(), access.Schema, organisation.Schema, relyingparty.Schema)

// each runs a test on both engines.
func each(t *testing.T, test func(t *testing.T, h *house)) {
	clock := gatetest.NewClock()
	begin := clock.Now()
	dbtest.EachAt(t, clock.Now, gatetest.Schemas(more...), func(t *testing.T, d *db.DB) {
		clock.Set(begin)
		rig := gatetest.New(t, d, clock)
		rig.Fill()
		test(t, furnish(t, rig))
	})
}

// open returns a house on SQLite, for what does not depend on the engine.
func open(t testing.TB) *house { return furnish(t, gatetest.Open(t, more...)) }

func furnish(t testing.TB, rig *gatetest.Rig) *house {
	t.Helper()
	h := &house{Rig: rig, t: t, network: netip.MustParseAddr("198.51.100.4"), request: journey.NewRequirements(rig.Ring, rig.DB.Now)}
	record := func(_ *http.Request, f *fault.Error) { h.faults = append(h.faults, f) }
	kit := pagetest.Kit(t, func(o *page.Options) { o.Ring, o.Record = rig.Ring, record })
	directory := relyingparty.NewDirectory(rig.DB)
	mux := http.NewServeMux()
	h.server = httptest.NewTLSServer(kit.Wrap(mux))
	t.Cleanup(h.server.Close)
	h.Write(func(tx *db.Tx) error {
		for _, rp := range []relyingparty.RelyingParty{
			{ClientID: ers, Name: "e-Referral Service", ShortName: "e-RS", Secrets: [][]byte{keys.Hash(ersSecret)}, DefaultACR: care.AAL2OrAAL3Any},
			{ClientID: cdr, Name: "Controlled Drugs Register", Methods: []care.Method{care.Smartcard, care.SecurityKey}},
		} {
			rp.RedirectURIs = []string{callback}
			rp.Complete()
			if err := relyingparty.Put(tx, rp); err != nil {
				return err
			}
		}
		return nil
	})
	provider, err := oidc.New(t.Context(), oidc.Options{
		DB: rig.DB, Kit: kit, Ring: rig.Ring, Sessions: rig.Sessions, Requirements: h.request, Directory: directory,
		BaseURL: h.server.URL, Random: rand.Reader, Outbox: rig.Outbox, Fetch: fetch.New(fetch.Options{}), Record: record,
	})
	h.must(err)
	provider.Routes(mux)
	headless.New(headless.Options{
		DB: rig.DB, Kit: kit, Ring: rig.Ring, App: rig.App, Gate: rig.Gate, Devices: session.NewDevices(rig.Ring, rand.Reader),
		Computers:    session.NewComputers(rig.Ring, []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}, rig.DB.Now),
		Requirements: h.request, Directory: directory, Authorize: mux, AuthorizePath: oidc.RealmPath + "/authorize",
		BaseURL: h.server.URL, Network: func(*http.Request) netip.Addr { return h.network },
		Terms: func() string { return "2026-10" }, Random: rand.Reader,
	}).Routes(mux)
	return h
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// roles gives a person n roles.
func (h *house) roles(uid care.UID, n int) {
	h.t.Helper()
	h.Write(func(tx *db.Tx) error {
		for i := range n {
			code := care.ODSCode(fmt.Sprintf("RX%d", i))
			if err := organisation.Put(tx, organisation.Organisation{Code: code, Name: fmt.Sprintf("Northgate Hospital %d", i), Type: "trust"}); err != nil {
				return err
			}
			err := access.Put(tx, access.Role{
				ID: fmt.Sprintf("55500020%04d", i), OrgPersonID: fmt.Sprintf("55500030%04d", i), UID: uid, Org: code,
				Code: "S8000:G8000:R8001", Position: i, Name: `"Clinical":"Clinical Provision":"Nurse Access Role"`,
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// authorize is the authorization request of a relying party. Pairs change a
// parameter.
func (h *house) authorize(pairs ...string) string {
	query := url.Values{
		"response_type": {"code"}, "client_id": {ers}, "redirect_uri": {callback}, "scope": {"openid profile"}, "state": {"s-1"},
	}
	for i := 0; i < len(pairs); i += 2 {
		query.Set(pairs[i], pairs[i+1])
	}
	return h.server.URL + oidc.RealmPath + "/authorize?" + query.Encode()
}

// script is a test script: it keeps cookies, follows no redirect and knows
// nothing of Carekey but the interface.
type script struct {
	h      *house
	client *http.Client
	query  string
	// header are the headers of each request.
	header http.Header
}

func (h *house) script() *script {
	h.t.Helper()
	client := *h.server.Client()
	jar, err := cookiejar.New(nil)
	h.must(err)
	client.Jar = jar
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &script{h: h, client: &client, header: http.Header{
		"Content-Type": {"application/json"}, "Accept-Api-Version": {"resource=2.0, protocol=1.0"},
	}}
}

// to is a script that wants to go on to an address.
func (h *house) to(address string) *script {
	s := h.script()
	s.query = "?authIndexType=service&authIndexValue=AAL2AuthDecisionTree&goto=" + url.QueryEscape(address)
	return s
}

// exchange is one answer.
type exchange struct {
	t      testing.TB
	status int
	header http.Header
	body   map[string]any
	raw    string
}

func (s *script) send(method, address, body string) exchange {
	s.h.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, address, strings.NewReader(body))
	s.h.must(err)
	r.Header = s.header.Clone()
	response, err := s.client.Do(r)
	s.h.must(err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	s.h.must(err)
	e := exchange{t: s.h.t, status: response.StatusCode, header: response.Header, raw: string(text)}
	if response.Header.Get("Content-Type") == "application/json" {
		s.h.must(json.Unmarshal(text, &e.body))
	}
	return e
}

// post sends a body to the interface.
func (s *script) post(body string) exchange {
	s.h.t.Helper()
	return s.send(http.MethodPost, s.h.server.URL+headless.Path+s.query, body)
}

func (s *script) begin() exchange { s.h.t.Helper(); return s.post("") }

// fill sends a question back with the values in the order of its inputs,
// without looking at anything else in it.
func (s *script) fill(q exchange, values ...any) exchange {
	s.h.t.Helper()
	callbacks, ok := q.body["callbacks"].([]any)
	if !ok {
		s.h.t.Fatalf("%d asks for nothing: %s", q.status, q.raw)
	}
	for _, c := range callbacks {
		for _, input := range c.(map[string]any)["input"].([]any) {
			if len(values) > 0 {
				input.(map[string]any)["value"] = values[0]
				values = values[1:]
			}
		}
	}
	var body bytes.Buffer
	s.h.must(json.NewEncoder(&body).Encode(q.body))
	return s.post(body.String())
}

// atCode comes to the question for the code.
func (s *script) atCode(who gatetest.Who) exchange {
	s.h.t.Helper()
	return s.fill(s.begin(), string(who.Email), gatetest.Password).stage("appCode")
}

// signIn waits for the next code and fills it in.
func (s *script) signIn(who gatetest.Who) exchange {
	s.h.t.Helper()
	s.h.Clock.Later(gatetest.Step)
	return s.fill(s.atCode(who), s.h.Code(who.Secret))
}

// goOn follows successUrl.
func (s *script) goOn(e exchange) exchange {
	s.h.t.Helper()
	e.success()
	return s.send(http.MethodGet, e.body["successUrl"].(string), "")
}

// stage fails the test unless the answer is a question at this stage.
func (e exchange) stage(want string) exchange {
	e.t.Helper()
	if e.status != http.StatusOK || e.body["stage"] != want || e.body["authId"] == "" || e.body["tokenId"] != nil {
		e.t.Fatalf("the answer is no question at stage %s: %d %s", want, e.status, e.raw)
	}
	return e
}

// success fails the test unless the script is signed in.
func (e exchange) success() exchange {
	e.t.Helper()
	if token, _ := e.body["tokenId"].(string); e.status != http.StatusOK || token == "" || e.body["authId"] != nil {
		e.t.Fatalf("the answer is no success: %d %s", e.status, e.raw)
	}
	return e
}

// fails fails the test unless the answer is AM's error for a fault of a kind.
func (e exchange) fails(status int, kind *fault.Kind) exchange {
	e.t.Helper()
	detail, _ := e.body["detail"].(map[string]any)
	ref, _ := detail["reference"].(string)
	if e.status != status || e.body["code"] != float64(status) || e.body["reason"] != http.StatusText(status) ||
		!strings.HasPrefix(ref, fmt.Sprint(kind.Number)+"-") || e.body["tokenId"] != nil || e.body["authId"] != nil {
		e.t.Fatalf("the answer is no %d for %q: %d %s", status, kind.Name, e.status, e.raw)
	}
	return e
}

// code returns the code with which a redirect leads back to the relying party.
func (e exchange) code() string {
	e.t.Helper()
	to, err := url.Parse(e.header.Get("Location"))
	if err != nil || !strings.HasPrefix(e.header.Get("Location"), callback+"?") || to.Query().Get("code") == "" {
		e.t.Fatalf("the script is not back with a code: %d %s\n%s", e.status, e.header.Get("Location"), e.raw)
	}
	return to.Query().Get("code")
}

// claims redeems a code and returns what the ID token says.
func (s *script) claims(code string) map[string]any {
	s.h.t.Helper()
	form := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "client_id": {ers}, "client_secret": {ersSecret},
	}
	response, err := s.h.server.Client().PostForm(s.h.server.URL+oidc.RealmPath+"/access_token", form)
	s.h.must(err)
	defer response.Body.Close()
	var tokens struct {
		IDToken string `json:"id_token"`
	}
	s.h.must(json.NewDecoder(response.Body).Decode(&tokens))
	parts := strings.Split(tokens.IDToken, ".")
	if response.StatusCode != http.StatusOK || len(parts) != 3 {
		s.h.t.Fatalf("redeeming the code: %d", response.StatusCode)
	}
	return decode(s.h.t, parts[1])
}
