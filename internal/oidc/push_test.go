package oidc_test

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/oidc"
	"carekey.dev/carekey/internal/oidc/dpop/dpoptest"
	"carekey.dev/carekey/internal/relyingparty"
)

// push pushes a request of e-RS and returns its request_uri.
func (h *house) push(request url.Values) string {
	h.t.Helper()
	request.Set("client_secret", ersSecret)
	a := h.post("/par", request)
	if a.status != http.StatusCreated {
		h.t.Fatalf("pushing: %d %s", a.status, a.body)
	}
	return object(h.t, a.body)["request_uri"].(string)
}

// named is the authorization request that names a pushed one.
func named(uri string) url.Values { return url.Values{"client_id": {ers}, "request_uri": {uri}} }

// RFC 9126 sections 2.2 and 4.
func TestAPushedRequestIsNamedAndAnswered(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		request := ask("state", "pushed", "nonce", "n-7")
		request.Set("client_secret", ersSecret)
		a := h.post("/par", request)
		got := object(t, a.body)
		uri, _ := got["request_uri"].(string)
		if a.status != http.StatusCreated || !strings.HasPrefix(uri, "urn:ietf:params:oauth:request_uri:") || got["expires_in"] != 60.0 ||
			a.header.Get("Cache-Control") != "no-store" || a.header.Get("Content-Type") != "application/json" {
			t.Fatalf("answer %d %v %s", a.status, a.header, a.body)
		}
		b := h.browser()
		b.withApp(amara)
		before := h.Counters()
		// What the address says besides is no part of the request.
		query := named(uri)
		query.Set("state", "tampered")
		query.Set("redirect_uri", "https://evil.example/")
		query.Set("scope", "openid email")
		back := b.authorize(query)
		after := h.Counters()
		code := b.code(back)
		if back.to().Query().Get("state") != "pushed" {
			t.Errorf("the answer is %s", back.header.Get("Location"))
		}
		if commits := after.Commits - before.Commits; commits != 1 {
			t.Errorf("it cost %d commits, want 1", commits)
		}
		if claims := claimsOf(t, h.tokens(code)["id_token"].(string)); claims["nonce"] != "n-7" {
			t.Errorf("the ID token says %v", claims)
		}
	})
}

// FAPI 2.0 section 5.3.2.2: used up with the code, not with the page.
func TestAPushedRequestServesOneSignInOfOneBrowser(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		uri := h.push(ask("prompt", "login"))
		b := h.browser()
		req := b.atSignIn(b.authorize(named(uri)))
		if len(req.ReturnTo) > 600 || strings.Contains(req.ReturnTo, "state") {
			t.Errorf("the way back is %s", req.ReturnTo)
		}
		b.atSignIn(b.authorize(named(uri))) // loaded again
		other := h.browser()
		other.withApp(zoe)
		h.mustBeOver(other.authorize(named(uri)), "another browser")
		h.pass(journey.RequirementLife - time.Minute)
		b.withApp(amara)
		b.code(b.get(req.ReturnTo))
		h.mustBeOver(b.get(req.ReturnTo), "used before")
		h.mustBeOver(b.authorize(named(uri)), "used before")
		h.mustBeOver(other.authorize(named(uri)), "another browser")
	})
}

// RFC 9126 section 7.3: many tabs of one browser, one code.
func TestOfRacingTabsOneGetsTheCode(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		uri := h.push(ask())
		b := h.browser()
		b.withApp(amara)
		b.authorize(ask()) // the browser has its mark
		var codes, pages atomic.Int64
		var group sync.WaitGroup
		for range 100 {
			group.Go(func() {
				switch a := b.authorize(named(uri)); {
				case a.status == http.StatusFound && a.to().Query().Get("code") != "":
					codes.Add(1)
				case a.status == http.StatusBadRequest:
					pages.Add(1)
				default:
					t.Errorf("answer %d to %q", a.status, a.header.Get("Location"))
				}
			})
		}
		group.Wait()
		if codes.Load() != 1 || pages.Load() != 99 {
			t.Errorf("%d codes and %d pages", codes.Load(), pages.Load())
		}
	})
}

// mustBeOver checks for the page that says so, and for the log.
func (h *house) mustBeOver(a answer, why string) {
	h.t.Helper()
	if a.status != http.StatusBadRequest || a.header.Get("Location") != "" || h.faults.last().Kind != fault.RequestOver {
		h.t.Errorf("answer %d to %q, want a page", a.status, a.header.Get("Location"))
	}
	if got := h.faults.last().Error(); !strings.Contains(got, why) {
		h.t.Errorf("the log says %q, want %q", got, why)
	}
}

// RFC 9126 section 4: an expired request_uri MUST be refused, and one of another
// client (section 2.2: bound to the client).
func TestARequestURIIsRefusedLateAndToOthers(t *testing.T) {
	h := open(t)
	b := h.browser()
	b.withApp(amara)
	uri := h.push(ask())
	for name, query := range map[string]url.Values{
		"another client": {"client_id": {mesh}, "request_uri": {uri}},
		"a guess":        named(uri + "A"),
		"the bare name":  named("urn:ietf:params:oauth:request_uri:"),
	} {
		if a := b.authorize(query); a.status != http.StatusBadRequest || h.faults.last().Kind != fault.RequestOver {
			t.Errorf("%s: answer %d %s", name, a.status, h.faults.last().Kind.Name)
		}
	}
	h.pass(61 * time.Second)
	h.mustBeOver(b.authorize(named(uri)), "expired")
}

// RFC 9126 section 2.3: what the authorization endpoint would refuse, at once.
func TestMistakesInAPushedRequestAreToldAtOnce(t *testing.T) {
	h := open(t)
	for name, test := range map[string]struct {
		change []string
		status int
		want   string
	}{
		"no secret":            {[]string{"client_secret", ""}, 401, "invalid_client"},
		"a wrong secret":       {[]string{"client_secret", "wrong"}, 401, "invalid_client"},
		"an unknown client":    {[]string{"client_id", "555000000099.apps.national"}, 401, "invalid_client"},
		"a request_uri":        {[]string{"request_uri", "urn:ietf:params:oauth:request_uri:x"}, 400, "invalid_request"},
		"no redirect_uri":      {[]string{"redirect_uri", ""}, 400, "invalid_request"},
		"a wrong redirect_uri": {[]string{"redirect_uri", "https://evil.example/"}, 400, "invalid_request"},
		"no scope":             {[]string{"scope", ""}, 400, "invalid_scope"},
		"a wrong type":         {[]string{"response_type", "token"}, 400, "unsupported_response_type"},
		"plain PKCE":           {[]string{"code_challenge", challenge(), "code_challenge_method", "plain"}, 400, "invalid_request"},
		"a bad dpop_jkt":       {[]string{"dpop_jkt", "short"}, 400, "invalid_request"},
		"an unmet class":       {[]string{"acr_values", "AAL1_USERPASS"}, 400, "unmet_authentication_requirements"},
		"too much":             {[]string{"state", strings.Repeat("s", 17<<10)}, 413, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			request := ask(append([]string{"client_secret", ersSecret}, test.change...)...)
			a := h.post("/par", request)
			got := object(t, a.body)
			if a.status != test.status || got["error"] != test.want || a.header.Get("Content-Type") != "application/json" {
				t.Errorf("answer %d %s, want %d %s", a.status, a.body, test.status, test.want)
			}
			if f := h.faults.last(); !strings.HasSuffix(got["error_description"].(string), f.Ref) || !strings.Contains(h.log.String(), f.Ref) {
				t.Error("the reference is missing")
			}
		})
	}
	if a := h.browser().get(oidc.RealmPath + "/par"); a.status != http.StatusMethodNotAllowed {
		t.Errorf("a GET is answered %d", a.status)
	}
}

// FAPI 2.0 section 5.3.2.2; ASVS 10.4.13: pushed, with PKCE, by a client that
// authenticates with its key.
func TestTheProfileStrictPushesWithPKCE(t *testing.T) {
	h := open(t)
	pushed := func(jti string, pairs ...string) answer {
		request := ask(append([]string{"client_id", strict,
			"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
			"client_assertion", h.assertion(jti, "iss", strict, "sub", strict, "aud", h.provider.Issuer())}, pairs...)...)
		return h.post("/par", request)
	}
	a := pushed("1", "code_challenge", challenge(), "code_challenge_method", "S256")
	if a.status != http.StatusCreated {
		t.Fatalf("answer %d %s", a.status, a.body)
	}
	b := h.browser()
	b.withApp(amara)
	back := b.authorize(url.Values{"client_id": {strict}, "request_uri": {object(t, a.body)["request_uri"].(string)}})
	b.code(back)
	if got := back.to().Query(); len(got) != 3 || got.Get("iss") != h.provider.Issuer() || got.Get("state") != "s-1" {
		t.Errorf("the answer carries %v, want code, state and iss alone", got)
	}

	if got := object(t, pushed("2").body); got["error"] != "invalid_request" || !strings.Contains(got["error_description"].(string), "code_challenge") {
		t.Errorf("without PKCE: %v", got)
	}
	// RFC 7523 section 3: the jti of what was refused is not used up.
	if a := pushed("2", "code_challenge", challenge(), "code_challenge_method", "S256"); a.status != http.StatusCreated {
		t.Errorf("after a mistake the assertion is gone: %s", a.body)
	}
	if got := object(t, pushed("2", "code_challenge", challenge(), "code_challenge_method", "S256").body); got["error"] != "invalid_client" {
		t.Errorf("an assertion was taken twice: %v", got)
	}
}

// RFC 9126 section 6: require_pushed_authorization_requests.
func TestAClientThatMustPushIsRefusedWithoutIt(t *testing.T) {
	h := open(t)
	const client = "555000000012.apps.national"
	h.write(func(tx *db.Tx) error {
		return relyingparty.Put(tx, relyingparty.RelyingParty{
			ClientID: client, Name: "Pusher", Profile: relyingparty.CIS2, AuthMethod: relyingparty.ClientSecret, RedirectURIs: []string{callback},
			Methods: care.Methods(), DefaultACR: care.AAL2Any, Scopes: relyingparty.Scopes(), Metadata: relyingparty.Metadata{RequirePAR: true},
		})
	})
	b := h.browser()
	b.withApp(amara)
	if a := b.authorize(ask("client_id", client)); !a.atClient() || a.to().Query().Get("error") != "invalid_request" {
		t.Errorf("answer %d %s", a.status, a.header.Get("Location"))
	}
}

// RFC 7636 section 4.6, RFC 9449 section 10: what was pushed binds the code.
func TestACodeOfAPushedRequestIsHeldToItsChallenge(t *testing.T) {
	h := open(t)
	b := h.browser()
	b.withApp(amara)
	code := b.code(b.authorize(named(h.push(ask("code_challenge", challenge(), "code_challenge_method", "S256")))))
	if a := h.post("/access_token", redemption(code)); a.status != http.StatusBadRequest {
		t.Errorf("without the verifier: %d", a.status)
	}
	if a := h.post("/access_token", redemption(code, "code_verifier", verifier)); a.status != http.StatusOK {
		t.Errorf("with it: %d %s", a.status, a.body)
	}
}

// RFC 9449 section 10.1: the proof that a request is pushed with binds the code.
func TestThePushedProofBindsTheCode(t *testing.T) {
	h := open(t)
	key := dpoptest.New(t)
	proof := func(of dpoptest.Key) []string {
		return []string{"DPoP", of.Proof(t, "POST", h.at("/par"), h.Now(), "")}
	}
	b := h.browser()
	b.withApp(amara)
	a := h.post("/par", ask("client_secret", ersSecret), proof(key)...)
	if a.status != http.StatusCreated {
		t.Fatalf("answer %d %s", a.status, a.body)
	}
	code := b.code(b.authorize(named(object(t, a.body)["request_uri"].(string))))
	if a := h.withProof(dpoptest.New(t), redemption(code)); a.status != http.StatusBadRequest {
		t.Errorf("another key redeemed it: %d", a.status)
	}
	if a := h.withProof(key, redemption(code)); a.status != http.StatusOK {
		t.Errorf("the key itself: %d %s", a.status, a.body)
	}
	once := proof(key)
	h.post("/par", ask("client_secret", ersSecret), once...)
	for name, a := range map[string]answer{
		"another key than it names": h.post("/par", ask("client_secret", ersSecret, "dpop_jkt", dpoptest.New(t).JKT(t)), proof(key)...),
		"a proof for the token":     h.post("/par", ask("client_secret", ersSecret), "DPoP", key.Proof(t, "POST", h.at("/access_token"), h.Now(), "")),
		"a proof used before":       h.post("/par", ask("client_secret", ersSecret), once...),
	} {
		if got := object(t, a.body); a.status != http.StatusBadRequest || got["error"] != "invalid_dpop_proof" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}

func TestACancelledSignInOfAPushedRequestGoesBack(t *testing.T) {
	h := open(t)
	b := h.browser()
	req := b.atSignIn(b.authorize(named(h.push(ask()))))
	back, err := h.requirements.SealRefusal(req, journey.Cancelled)
	if err != nil {
		t.Fatal(err)
	}
	if a := b.get(back); !a.atClient() || a.to().Query().Get("error") != "access_denied" || a.to().Query().Get("state") != "s-1" {
		t.Errorf("answer %d %s", a.status, a.header.Get("Location"))
	}
}
