package main

import (
	"context"
	"crypto/rand"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
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

// rig is one face of the demo and the real provider, with a sign-in page that
// believes that everybody is Amara, or cancels.
type rig struct {
	t       *testing.T
	carekey *httptest.Server
	demo    *httptest.Server
	face    face
	cancels bool
	asked   care.Requirement
}

func newRig(t *testing.T, which int) *rig {
	t.Helper()
	r := &rig{t: t}
	schemas := append(oidc.Schemas(), audit.Schema, person.Schema, organisation.Schema, access.Schema, relyingparty.Schema, session.Schema, outbox.Schema)
	d, ring := dbtest.Open(t, schemas...), keys.NewRing(keys.Root{1})
	kit := pagetest.Kit(t, func(o *page.Options) { o.Ring = ring })
	sessions, opener, err := session.New(d, session.Options{Random: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	box, err := outbox.New(d, ring, outbox.Options{From: "no-reply@carekey.example"})
	if err != nil {
		t.Fatal(err)
	}
	requirements := journey.NewRequirements(ring, d.Now)
	mux := http.NewServeMux()
	r.carekey = httptest.NewTLSServer(kit.Wrap(mux))
	t.Cleanup(r.carekey.Close)
	provider, err := oidc.New(t.Context(), oidc.Options{
		DB: d, Kit: kit, Ring: ring, Sessions: sessions, Requirements: requirements,
		Directory: relyingparty.NewDirectory(d), Outbox: box, Fetch: fetch.New(fetch.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}),
		BaseURL: r.carekey.URL, Random: rand.Reader,
	})
	if err != nil {
		t.Fatal(err)
	}
	provider.Routes(mux)
	mux.HandleFunc("GET /signin", r.signIn(d, opener, requirements))
	r.open(which)
	if err := d.Write(t.Context(), r.settle); err != nil {
		t.Fatal(err)
	}
	return r
}

// open starts the face on a free port.
func (r *rig) open(which int) {
	r.t.Helper()
	up, err := newUpstream(r.carekey.URL)
	if err != nil {
		r.t.Fatal(err)
	}
	up.client = r.carekey.Client()
	r.demo = httptest.NewUnstartedServer(nil)
	_, port, _ := strings.Cut(r.demo.Listener.Addr().String(), ":")
	all := faces("127.0.0.1", 9090)
	r.face = all[which]
	r.face.Address = "http://127.0.0.1:" + port + "/"
	d, err := newDemo(r.face, all, up)
	if err != nil {
		r.t.Fatal(err)
	}
	r.demo.Config.Handler = d.routes()
	r.demo.Start()
	r.t.Cleanup(r.demo.Close)
	up.discover(r.t.Context())
}

func (r *rig) settle(tx *db.Tx) error {
	amara := person.Person{UID: "555000100101", Title: "Dr", GivenName: "Amara", FamilyName: "OSEI", IDAssuranceLevel: 3}
	if err := person.Create(tx, amara); err != nil {
		return err
	}
	role := access.Role{
		ID: "555000200101", UID: amara.UID, OrgPersonID: "555000300101", Org: "Z84001", Code: "S0010:G0020:R0260",
		Name: `"Clinical":"Clinical Provision":"General Medical Practitioner"`,
	}
	if err := access.Put(tx, role); err != nil {
		return err
	}
	rp := relyingparty.RelyingParty{
		ClientID: r.face.ClientID, Name: r.face.Name, ShortName: r.face.Short, Profile: relyingparty.CIS2, AuthMethod: relyingparty.ClientSecret,
		RedirectURIs: []string{r.face.Address + "callback"}, PostLogoutRedirectURIs: []string{r.face.Address},
		BackchannelLogoutURI: r.face.Address + "backchannel-logout", Scopes: relyingparty.Scopes(), Methods: care.Methods(),
		DefaultACR: care.AAL2OrAAL3Any,
	}
	if r.face.Secret == "" {
		rp.AuthMethod, rp.JWKSURI = relyingparty.PrivateKeyJWT, r.face.Address+"jwks.json"
	} else {
		rp.Secrets = [][]byte{keys.Hash(r.face.Secret)}
	}
	return relyingparty.Put(tx, rp)
}

func (r *rig) signIn(d *db.DB, opener session.Opener, requirements *journey.Requirements) http.HandlerFunc {
	return func(w http.ResponseWriter, q *http.Request) {
		req, err := requirements.OpenRequirement(q.URL.Query().Get("req"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		r.asked = req
		if r.cancels {
			back, err := requirements.SealRefusal(req, journey.Cancelled)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			page.SeeOther(w, q, back)
			return
		}
		token, sid := opener.NewToken()
		err = d.Write(q.Context(), func(tx *db.Tx) error {
			_, err := opener.Open(tx, session.Opening{Token: token, SID: sid, UID: "555000100101", AAL: care.AAL2, Method: care.AuthenticatorApp})
			return err
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		session.SetCookie(w, token)
		page.SeeOther(w, q, req.ReturnTo)
	}
}

// browser follows redirects between the two and keeps cookies.
type browser struct {
	t      *testing.T
	client *http.Client
	home   string
	status int
	page   string
	at     *url.URL
}

func (r *rig) browser() *browser {
	r.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	client := *r.carekey.Client()
	client.Jar = jar
	return &browser{t: r.t, client: &client, home: strings.TrimSuffix(r.face.Address, "/")}
}

func (b *browser) took(res *http.Response, err error) *browser {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	b.status, b.page, b.at = res.StatusCode, string(body), res.Request.URL
	for _, problem := range pagetest.Problems(b.page) {
		// Here http.CrossOriginProtection guards the forms, without a token.
		if !strings.Contains(problem, "CSRF token") {
			b.t.Errorf("page %s: %s", b.at, problem)
		}
	}
	return b
}

func (b *browser) get(path string) *browser {
	b.t.Helper()
	return b.took(b.client.Get(b.home + path))
}

func (b *browser) post(path string, pairs ...string) *browser {
	b.t.Helper()
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return b.took(b.client.PostForm(b.home+path, form))
}

func (b *browser) wants(words ...string) {
	b.t.Helper()
	for _, word := range words {
		if !strings.Contains(b.page, word) {
			b.t.Errorf("the page %s does not say %q:\n%s", b.at, word, b.page)
		}
	}
}

func TestAmaraSignsInAndTheDemoShowsWhatItGot(t *testing.T) {
	r := newRig(t, 0)
	b := r.browser()
	b.get("/").wants("Sign in to e-RS", "NHS e-Referral Service", "not an NHS service")
	b.post("/sign-in")
	b.wants("You are signed in to e-RS", "Amara OSEI", "555000100101", "authenticator app (TOTP)", "AAL2", "General Medical Practitioner, Z84001",
		"&#34;selected_roleid&#34;: &#34;555000200101&#34;", "nhsid_nrbac_roles", "Access token")
	if b.at.Path != "/" {
		t.Errorf("the browser is at %s: a reload would send the code again", b.at)
	}
	b.get("/").wants("You are signed in to e-RS")
	b.post("/sign-out").wants("Sign in to e-RS")
	b.get("/").wants("Sign in to e-RS")
}

func TestNCRSProvesByAnAssertionThatItIsItself(t *testing.T) {
	r := newRig(t, 1)
	b := r.browser()
	b.post("/sign-in").wants("You are signed in to NCRS", "OSEI Amara Dr", "General Medical Practitioner, Z84001")
}

// OpenID Connect Back-Channel Logout section 2.8: a bad token gets 400, and
// nobody is signed out by it.
func TestWhatIsNoLogoutTokenSignsNobodyOut(t *testing.T) {
	r := newRig(t, 0)
	b := r.browser()
	b.post("/sign-in")
	id := html.UnescapeString(regexp.MustCompile(`<h2>ID token</h2>\n<pre>([^<]+)</pre>`).FindStringSubmatch(b.page)[1])
	for _, token := range []string{"", "x.y.z", id} {
		res, err := http.PostForm(r.demo.URL+"/backchannel-logout", url.Values{"logout_token": {token}})
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusBadRequest {
			t.Errorf("answer %d to %.20q", res.StatusCode, token)
		}
	}
	b.get("/").wants("You are signed in to e-RS")
}

func TestWhatIsChosenIsAsked(t *testing.T) {
	r := newRig(t, 0)
	b := r.browser()
	b.post("/sign-in", "acr_values", "AAL2_TOTP", "role", "changedrole").wants("AAL2_TOTP")
	if r.asked.ACR != "AAL2_TOTP" || r.asked.Role != care.AnotherRole {
		t.Errorf("Carekey was asked for %+v", r.asked)
	}
	r.asked = care.Requirement{}
	b.post("/sign-in", "role", "none").wants("<dd>none</dd>")
	if r.asked.ReturnTo != "" {
		t.Error("a second sign-in was asked for")
	}
	b.post("/sign-in", "prompt", "login", "max_age", " 300 ")
	if r.asked.AuthenticatedAfter.IsZero() {
		t.Error("prompt=login did not ask")
	}
}

func TestErrorsOfTheProviderAreShownPlainly(t *testing.T) {
	r := newRig(t, 0)
	b := r.browser()
	b.post("/sign-in", "prompt", "none").wants("login_required", "Reference 510-", "try again")
	b.post("/sign-in", "max_age", "soon").wants("invalid_request", "max_age must be a whole number of seconds")
	r.cancels = true
	b.post("/sign-in").wants("access_denied", "Go back to e-RS")
}

func TestAnAnswerThatNobodyAskedForIsRefused(t *testing.T) {
	r := newRig(t, 0)
	b := r.browser()
	for _, query := range []string{"", "?code=x", "?code=x&state=", "?code=x&state=ABCDEFGHIJKLMNOPQRSTUVWXYZ", "?code=%3Cscript%3E&state=;=%00%ff", "?error=access_denied&state=x"} {
		if b.get("/callback" + query); b.status != http.StatusBadRequest {
			t.Errorf("callback%s: %d", query, b.status)
		}
		b.wants("belongs to no sign-in of this browser")
	}
}

// RFC 9207: mix-up between providers.
func TestAnAnswerOfAnotherIssuerIsRefused(t *testing.T) {
	r := newRig(t, 0)
	b := r.browser()
	stay := *b.client
	stay.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := stay.PostForm(b.home+"/sign-in", nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	to, err := res.Location()
	if err != nil {
		t.Fatal(err)
	}
	b.get("/callback?code=x&iss=https://evil.example&state=" + to.Query().Get("state"))
	b.wants("This answer comes from somebody else")
}

func TestAFormFromAnotherSiteIsRefused(t *testing.T) {
	r := newRig(t, 0)
	q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.demo.URL+"/sign-in", nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Sec-Fetch-Site", "cross-site")
	res, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusForbidden {
		t.Errorf("answer %d", res.StatusCode)
	}
}

func TestEitherProgramMayStartFirst(t *testing.T) {
	var calls atomic.Int64
	var issuer string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls.Add(1) < 3 {
			http.Error(w, "not yet", http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, `{"issuer":"`+issuer+`","authorization_endpoint":"x","token_endpoint":"x","jwks_uri":"x"}`)
	}))
	t.Cleanup(server.Close)
	issuer = server.URL + realmPath
	up, err := newUpstream(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	none, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := up.known(none); err == nil {
		t.Error("a provider that nobody asked is known")
	}
	go up.discover(t.Context())
	if _, err := up.known(t.Context()); err != nil {
		t.Error(err)
	}
	if calls.Load() != 3 {
		t.Errorf("it was asked %d times, want 3", calls.Load())
	}
}

func TestTheIssuerMayBeGivenEitherWay(t *testing.T) {
	for given, want := range map[string]string{
		"http://localhost:8080":             "http://localhost:8080" + realmPath,
		"http://localhost:8080/":            "http://localhost:8080" + realmPath,
		"http://localhost:8080" + realmPath: "http://localhost:8080" + realmPath,
		"localhost:8080":                    "",
		"":                                  "",
	} {
		up, err := newUpstream(given)
		switch {
		case want == "" && err == nil:
			t.Errorf("%q is taken for an issuer", given)
		case want != "" && (err != nil || up.issuer != want):
			t.Errorf("%q: %v", given, err)
		}
	}
}

func TestTheFacesAreThoseOfTheDemoWorld(t *testing.T) {
	all := faces("localhost", 9090)
	for i, want := range []string{"e-RS http://localhost:9090/", "NCRS http://localhost:9091/", "MESH http://localhost:9092/", "CDR http://localhost:9093/"} {
		if got := all[i].Short + " " + all[i].Address; got != want {
			t.Errorf("face %d is %q, want %q", i, got, want)
		}
	}
	for host, ok := range map[string]bool{"localhost:9090": true, "127.0.0.1:9090": true, "localhost:9091": false, "evil.example:9090": false, "localhost": false} {
		if to, got := all[0].at(host); got != ok || ok && to != "http://"+host+"/callback" {
			t.Errorf("at %s: %q, %v", host, to, got)
		}
	}
}
