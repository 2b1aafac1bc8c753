package oidc_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/relyingparty"
)

// object is a request object of NCRS or, with client_id among the pairs, of
// another client with its keys; "" takes a member away.
func (h *house) object(pairs ...any) string {
	h.t.Helper()
	members := map[string]any{
		"client_id": ncrs, "iss": ncrs, "aud": h.provider.Issuer(), "exp": h.Now().Add(time.Minute).Unix(), "nbf": h.Now().Unix(),
		"response_type": "code", "redirect_uri": callback, "scope": "openid profile", "state": "in the object", "nonce": "n-o",
	}
	for i := 0; i < len(pairs); i += 2 {
		members[pairs[i].(string)] = pairs[i+1]
		if pairs[i+1] == "" {
			delete(members, pairs[i].(string))
		}
	}
	payload, err := json.Marshal(members)
	if err != nil {
		h.t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: ncrsKey}, (&jose.SignerOptions{}).WithType("oauth-authz-req+jwt"))
	if err != nil {
		h.t.Fatal(err)
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		h.t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		h.t.Fatal(err)
	}
	return text
}

func withObject(text string, pairs ...string) url.Values {
	query := url.Values{"client_id": {ncrs}, "response_type": {"code"}, "scope": {"openid"}, "request": {text}}
	for i := 0; i < len(pairs); i += 2 {
		query.Set(pairs[i], pairs[i+1])
	}
	return query
}

// OpenID Connect Core section 6.1: what the object says counts, and what it
// does not say may be beside it.
func TestASignedRequestIsAnswered(t *testing.T) {
	h := open(t)
	b := h.browser()
	b.withApp(amara)
	a := b.authorize(withObject(h.object(), "redirect_uri", "https://evil.example/", "state", "beside"))
	b.code(a)
	if got := a.to().Query().Get("state"); got != "in the object" {
		t.Errorf("state is %q", got)
	}
	a = b.authorize(withObject(h.object("state", ""), "state", "beside"))
	b.code(a)
	if got := a.to().Query().Get("state"); got != "beside" {
		t.Errorf("state is %q", got)
	}
	a = b.authorize(withObject(h.object("prompt", "none", "max_age", 0)))
	if got := a.to().Query().Get("error"); got != "login_required" {
		t.Errorf("what the object asks is answered with %q", got)
	}
	a = b.authorize(withObject(h.object("response_mode", "form_post")))
	if _, fields := formOf(t, a.body); a.status != http.StatusOK || fields.Get("code") == "" {
		t.Errorf("form_post: %d", a.status)
	}
}

// The object may expire while its person signs in; what it said goes on in its
// browser alone.
func TestASignedRequestOutlivesItsObjectForOneSignIn(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		before := h.Counters()
		req := b.atSignIn(b.authorize(withObject(h.object("prompt", "login"))))
		if commits := h.Counters().Commits - before.Commits; commits != 0 {
			t.Errorf("it cost %d commits: anybody can repeat an address", commits)
		}
		if strings.Contains(req.ReturnTo, "&request=") {
			t.Errorf("the object travels on: %s", req.ReturnTo)
		}
		h.pass(journey.RequirementLife - time.Minute)
		b.withApp(amara)
		a := b.get(req.ReturnTo)
		b.code(a)
		if a.to().Query().Get("state") != "in the object" {
			t.Errorf("the answer is %s", a.header.Get("Location"))
		}
		other := h.browser()
		other.withApp(amara)
		for name, a := range map[string]answer{
			"another browser": other.get(req.ReturnTo),
			"a changed text":  b.get(strings.Replace(req.ReturnTo, "carekey_request=", "carekey_request=A", 1)),
			"another client":  b.get(strings.Replace(req.ReturnTo, ncrs, ers, 1)),
		} {
			if a.status != http.StatusBadRequest || h.faults.last().Kind != fault.RequestOver {
				t.Errorf("%s: %d to %q", name, a.status, a.header.Get("Location"))
			}
		}
		h.pass(2 * time.Minute)
		if a := b.get(req.ReturnTo); a.status != http.StatusBadRequest {
			t.Errorf("long after: %d", a.status)
		}
	})
}

func TestACancelledSignInOfASignedRequestGoesBack(t *testing.T) {
	h := open(t)
	b := h.browser()
	req := b.atSignIn(b.authorize(withObject(h.object())))
	back, err := h.requirements.SealRefusal(req, journey.Cancelled)
	if err != nil {
		t.Fatal(err)
	}
	if a := b.get(back); !a.atClient() || a.to().Query().Get("error") != "access_denied" || a.to().Query().Get("state") != "in the object" {
		t.Errorf("answer %d %s", a.status, a.header.Get("Location"))
	}
}

// OpenID Connect Core section 6.2.
func TestASignedRequestIsFetchedOnce(t *testing.T) {
	h := open(t)
	var fetched atomic.Int64
	var text atomic.Value
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetched.Add(1)
		w.Write([]byte(text.Load().(string)))
	}))
	defer service.Close()
	h.change(ncrs, func(rp *relyingparty.RelyingParty) { rp.RequestURIs = []string{service.URL + "/object"} })
	text.Store(h.object("prompt", "login"))
	query := withObject("", "request_uri", service.URL+"/object#1")
	query.Del("request")
	b := h.browser()
	req := b.atSignIn(b.authorize(query))
	h.pass(time.Minute)
	b.withApp(amara)
	b.code(b.get(req.ReturnTo))
	if fetched.Load() != 1 {
		t.Errorf("it was fetched %d times", fetched.Load())
	}

	text.Store("eyJhbGciOiJub25lIn0.e30.")
	for want, query := range map[string]url.Values{
		"request_uri_not_supported": {"client_id": {ncrs}, "redirect_uri": {callback}, "request_uri": {service.URL + "/object"}},
		"invalid_request_uri":       {"client_id": {ncrs}, "redirect_uri": {callback}, "request_uri": {service.URL + "/other"}},
	} {
		if a := b.authorize(query); !a.atClient() || a.to().Query().Get("error") != want {
			t.Errorf("answer %d %s, want %s", a.status, a.header.Get("Location"), want)
		}
	}
}

// RFC 9101 section 10.5 (require_signed_request_object) and 6.3: the object
// alone.
func TestAClientThatMustSignIsHeldToIt(t *testing.T) {
	h := open(t)
	h.change(ncrs, func(rp *relyingparty.RelyingParty) { rp.RequireSignedRequest = true })
	b := h.browser()
	b.withApp(amara)
	if got := b.authorize(ask("client_id", ncrs)).to().Query(); got.Get("error") != "invalid_request" || !strings.Contains(got.Get("error_description"), "sign") {
		t.Errorf("unsigned: %v", got)
	}
	a := b.authorize(withObject(h.object("state", ""), "state", "beside", "prompt", "none", "max_age", "0"))
	b.code(a)
	if a.to().Query().Has("state") {
		t.Error("a parameter beside the object counted")
	}
	pushed := ask("client_id", ncrs, "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", h.assertion("1"))
	if got := object(t, h.post("/par", pushed).body); got["error"] != "invalid_request" {
		t.Errorf("pushed without a signature: %v", got)
	}
	pushed.Set("request", h.object())
	pushed.Set("state", "beside") // RFC 9126 section 3
	a = h.post("/par", pushed)
	if a.status != http.StatusCreated {
		t.Fatalf("pushed with it: %d %s", a.status, a.body)
	}
	a = b.authorize(url.Values{"client_id": {ncrs}, "request_uri": {object(t, a.body)["request_uri"].(string)}})
	b.code(a)
	if got := a.to().Query().Get("state"); got != "in the object" {
		t.Errorf("state is %q", got)
	}
}

// An error goes to a registered address or nowhere, whoever wrote it down.
func TestWhereTheErrorAboutAnObjectGoes(t *testing.T) {
	h := open(t)
	b := h.browser()
	expired := h.object("exp", start.Add(-time.Hour).Unix())
	for name, test := range map[string]struct {
		query url.Values
		want  string // the state that goes back, or "" for a page
	}{
		"by the address":           {withObject(expired, "redirect_uri", callback, "state", "beside"), "beside"},
		"by the object":            {withObject(expired), "in the object"},
		"the address is wrong":     {withObject(expired, "redirect_uri", "https://evil.example/"), "in the object"},
		"both are wrong":           {withObject(h.object("exp", 1, "redirect_uri", "https://evil.example/")), ""},
		"no readable object":       {withObject("x"), ""},
		"a good one leads nowhere": {withObject(h.object("redirect_uri", "https://evil.example/")), ""},
	} {
		a := b.authorize(test.query)
		if test.want == "" {
			if a.status != http.StatusBadRequest || a.header.Get("Location") != "" || strings.Contains(a.body, "evil") {
				t.Errorf("%s: %d to %q", name, a.status, a.header.Get("Location"))
			}
			continue
		}
		got := a.to().Query()
		if !a.atClient() || got.Get("error") != "invalid_request_object" || got.Get("state") != test.want || !strings.Contains(got.Get("error_description"), "expired") {
			t.Errorf("%s: %d %s", name, a.status, a.header.Get("Location"))
		}
	}
	if got := b.authorize(withObject(h.object(), "response_type", "token")).to().Query().Get("error"); got != "invalid_request" {
		t.Errorf("two response types: %q", got)
	}
	if got := b.authorize(withObject(h.object("iss", ers, "client_id", ers), "redirect_uri", callback)).to().Query().Get("error"); got != "invalid_request_object" {
		t.Errorf("an object of e-RS: %q", got)
	}
}
