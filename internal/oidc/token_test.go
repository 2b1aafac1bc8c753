package oidc_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/oidc"
	"carekey.dev/carekey/internal/oidc/signing"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/session"
)

const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// payload returns the payload of a token without verifying it.
func payload(t testing.TB, token string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JWT", token)
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// claimsOf returns the claims of a token without verifying it.
func claimsOf(t testing.TB, token string) map[string]any {
	t.Helper()
	return object(t, payload(t, token))
}

// issue signs Amara in with the app and returns a code for e-RS.
func (h *house) issue(pairs ...string) (*session.Session, string) {
	h.t.Helper()
	b := h.browser()
	s := b.withApp(amara)
	return s, b.code(b.authorize(ask(pairs...)))
}

func TestACodeIsExchangedForTokens(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		s := b.withApp(amara)
		h.pass(30 * time.Second)
		code := b.code(b.authorize(ask("scope", "openid nationalrbacaccess profile selectedrole", "acr_values", "AAL2_TOTP")))
		h.pass(5 * time.Second)
		a := h.post("/access_token", redemption(code))
		if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" || a.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("answer %d %v\n%s", a.status, a.header, a.body)
		}
		got := object(t, a.body)
		for name, want := range map[string]any{
			"token_type": "Bearer", "expires_in": 3599.0, "nonce": "n-1", "scope": "openid nationalrbacaccess profile selectedrole",
		} {
			if got[name] != want {
				t.Errorf("%s is %v, want %v (wire rule 15)", name, got[name], want)
			}
		}
		if _, there := got["refresh_token"]; there {
			t.Error("a refresh token was given")
		}
		access := got["access_token"].(string)
		if raw, err := base64.RawURLEncoding.DecodeString(access); err != nil || len(raw) != 32 {
			t.Errorf("the access token has %d bytes, want 32", len(raw))
		}
		claims := claimsOf(t, got["id_token"].(string))
		issued := start.Add(35 * time.Second)
		for name, want := range map[string]any{
			"iss": h.provider.Issuer(), "sub": string(amara), "subname": string(amara), "aud": ers, "azp": ers, "nonce": "n-1",
			"acr": "AAL2_TOTP", "sid": s.SID, "auth_time": float64(start.Unix()), "iat": float64(issued.Unix()), "exp": float64(issued.Add(3599 * time.Second).Unix()),
			"at_hash": signing.HalfHash(access), "c_hash": signing.HalfHash(code), "s_hash": signing.HalfHash("s-1"),
			"id_assurance_level": "3", "idassurancelevel": "3", "authentication_assurance_level": "2", "selected_roleid": "555000200101",
			"realm": "/NHSIdentity/Healthcare", "tokenName": "id_token", "tokenType": "JWTToken",
		} {
			if claims[name] != want {
				t.Errorf("claim %s is %v, want %v", name, claims[name], want)
			}
		}
		if amr, ok := claims["amr"].([]any); !ok || len(amr) != 1 || amr[0] != "TOTP" {
			t.Errorf("amr is %v", claims["amr"])
		}
		if got := h.audited(); len(got) != 1 || got[0] != "token.issued by "+ers {
			t.Errorf("the audit log holds %q", got)
		}
	})
}

func TestWhatTheRelyingPartyMayNotHaveIsNotGranted(t *testing.T) {
	h := open(t)
	b := h.browser()
	b.withApp(amara)
	code := b.code(b.authorize(ask("client_id", mesh, "scope", "email openid nationalrbacaccess profile made_up")))
	a := h.post("/access_token", redemption(code, "client_id", mesh, "client_secret", meshSecret))
	got := object(t, a.body)
	if got["scope"] != "openid profile" {
		t.Errorf("granted %v", got["scope"])
	}
	info := object(t, h.userinfo(got["access_token"].(string)).body)
	if info["email"] != nil || info["nhsid_nrbac_roles"] != nil || info["name"] != "OSEI Amara Dr" {
		t.Errorf("userinfo tells %v", info)
	}
}

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
}

// Wire rules 3 and 4.
func TestAClientMaySendItsSecretEitherWayUntold(t *testing.T) {
	h := open(t)
	without := []string{"client_id", "", "client_secret", ""}
	for name, test := range map[string]struct {
		pairs, headers []string
	}{
		"in the body":                {nil, nil},
		"Basic, form-encoded":        {without, []string{"Authorization", basic(url.QueryEscape(ers), url.QueryEscape(ersSecret))}},
		"Basic, dots encoded too":    {without, []string{"Authorization", basic(strings.ReplaceAll(ers, ".", "%2E"), url.QueryEscape(ersSecret))}},
		"Basic, not encoded":         {without, []string{"Authorization", basic(ers, ersSecret)}},
		"Basic and client_id":        {[]string{"client_secret", ""}, []string{"Authorization", basic(ers, url.QueryEscape(ersSecret))}},
		"Basic in another case":      {without, []string{"Authorization", strings.Replace(basic(ers, ersSecret), "Basic", "bAsIc", 1)}},
		"an unknown parameter along": {[]string{"audience", "x"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			_, code := h.issue()
			if a := h.post("/access_token", redemption(code, test.pairs...), test.headers...); a.status != http.StatusOK {
				t.Errorf("answer %d %s", a.status, a.body)
			}
		})
	}
}

func TestAFailedClientAuthenticationDoesNotUseUpTheCode(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		_, code := h.issue()
		none := []string{"client_id", "", "client_secret", ""}
		for name, test := range map[string]struct {
			pairs, headers []string
			logged         string
		}{
			"wrong secret":         {[]string{"client_secret", "wrong"}, nil, "the client secret is wrong"},
			"no secret":            {[]string{"client_secret", ""}, nil, "no client secret was sent"},
			"unknown client":       {[]string{"client_id", "555000000099.apps.national"}, nil, "555000000099.apps.national\\\" is not registered"},
			"nobody":               {none, nil, "the request names no client"},
			"another's secret":     {[]string{"client_secret", meshSecret}, nil, "the client secret is wrong"},
			"Basic, wrong":         {none, []string{"Authorization", basic(ers, "wrong")}, "the client secret is wrong"},
			"not Basic":            {none, []string{"Authorization", "Bearer x"}, "the Authorization header is not Basic credentials"},
			"broken Basic":         {none, []string{"Authorization", "Basic !"}, "the Authorization header is not Basic credentials"},
			"a private_key_jwt":    {[]string{"client_id", ncrs, "client_secret", "x"}, nil, "registered for private_key_jwt"},
			"an unstorable client": {[]string{"client_id", "\x00\xff"}, nil, "\\\\x00\\\\xff\\\" is not registered"},
		} {
			a := h.post("/access_token", redemption(code, test.pairs...), test.headers...)
			if got := object(t, a.body); a.status != http.StatusUnauthorized || got["error"] != "invalid_client" {
				t.Errorf("%s: %d %s", name, a.status, a.body)
			} else if !strings.HasPrefix(got["error_description"].(string), "client authentication failed. Reference ") {
				t.Errorf("%s: the caller learns %q", name, got["error_description"])
			}
			if got := a.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Basic realm=") {
				t.Errorf("%s: WWW-Authenticate is %q (RFC 6749 section 5.2; RFC 9110 section 15.5.2)", name, got)
			}
			if !strings.Contains(h.log.String(), test.logged) {
				t.Errorf("%s: the log does not say %q", name, test.logged)
			}
		}
		if got := h.audited(); len(got) != 1 || !strings.HasPrefix(got[0], "token.refused by unauthenticated invalid_client") {
			t.Errorf("a genuine code in wrong hands is audited as %q", got)
		}
		h.tokens(code)
	})
}

func TestAMalformedTokenRequestHasItsErrorAndDoesNotUseUpTheCode(t *testing.T) {
	h := open(t)
	_, code := h.issue("code_challenge", challenge(), "code_challenge_method", "S256")
	ok := []string{"code_verifier", verifier}
	with := func(pairs ...string) url.Values { return redemption(code, append(ok, pairs...)...) }
	double := with()
	double["code"] = append(double["code"], code)
	for name, test := range map[string]struct {
		form    url.Values
		headers []string
		want    string
	}{
		"no grant_type":         {with("grant_type", ""), nil, "invalid_request"},
		"password grant":        {with("grant_type", "password"), nil, "unsupported_grant_type"}, // ASVS 10.4.4
		"no code":               {with("code", ""), nil, "invalid_request"},
		"no redirect_uri":       {with("redirect_uri", ""), nil, "invalid_request"},
		"other redirect_uri":    {with("redirect_uri", "http://127.0.0.1:9090/callback"), nil, "invalid_grant"},
		"no verifier":           {with("code_verifier", ""), nil, "invalid_grant"},
		"wrong verifier":        {with("code_verifier", strings.ToUpper(verifier)), nil, "invalid_grant"},
		"the challenge":         {with("code_verifier", challenge()), nil, "invalid_grant"},
		"no code of ours":       {with("code", "abc"), nil, "invalid_grant"},
		"cut code":              {with("code", code[:len(code)-1]), nil, "invalid_grant"},
		"another client's code": {with("client_id", mesh, "client_secret", meshSecret), nil, "invalid_grant"},
		"code twice":            {double, nil, "invalid_request"},
		"two ways at once":      {with(), []string{"Authorization", basic(ers, ersSecret)}, "invalid_request"},
		"two clients":           {with("client_id", mesh, "client_secret", ""), []string{"Authorization", basic(ers, ersSecret)}, "invalid_request"},
		"more than 64 KiB":      {with("pad", strings.Repeat("x", 65<<10)), nil, "invalid_request"},
	} {
		a := h.post("/access_token", test.form, test.headers...)
		got := object(t, a.body)
		if a.status != http.StatusBadRequest || got["error"] != test.want {
			t.Errorf("%s: %d %s, want %s", name, a.status, a.body, test.want)
		}
		if f := h.faults.last(); !strings.HasSuffix(got["error_description"].(string), f.Ref) || !strings.Contains(h.log.String(), f.Ref) {
			t.Errorf("%s: reference %s is not told or not logged", name, f.Ref)
		}
	}
	if a := h.post("/access_token?"+redemption(code).Encode(), nil); a.status != http.StatusUnauthorized {
		t.Errorf("credentials in the address: %d %s (RFC 6749 section 2.3.1)", a.status, a.body)
	}
	if a := h.post("/access_token", with(), "Content-Type", "application/json"); a.status != http.StatusUnauthorized {
		t.Errorf("a body that is no form: %d %s", a.status, a.body)
	}
	if a := h.post("/access_token", with()); a.status != http.StatusOK {
		t.Errorf("after all these the code is not good any more: %s", a.body)
	}
}

// RFC 6749 section 4.1.2; ASVS 10.4.2.
func TestASecondUseIsRefusedAndRevokesTheAccessToken(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		_, code := h.issue()
		access := h.tokens(code)["access_token"].(string)
		if a := h.userinfo(access); a.status != http.StatusOK {
			t.Fatalf("userinfo: %d %s", a.status, a.body)
		}
		h.pass(time.Second)
		a := h.post("/access_token", redemption(code))
		if got := object(t, a.body); a.status != http.StatusBadRequest || got["error"] != "invalid_grant" {
			t.Errorf("the second use: %d %s", a.status, a.body)
		}
		if a := h.userinfo(access); a.status != http.StatusUnauthorized {
			t.Errorf("userinfo after the second use: %d %s", a.status, a.body)
		}
		if got := h.audited(); len(got) != 2 || !strings.HasPrefix(got[1], "token.refused by "+ers+" invalid_grant: the authorization code was used before") {
			t.Errorf("the audit log holds %q", got)
		}
	})
}

// Decision 12: codes live for 60 seconds.
func TestACodeIsGoodAt59SecondsAndNotAt61(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		_, early := h.issue()
		h.pass(59 * time.Second)
		h.tokens(early)
		_, late := h.issue()
		h.pass(61 * time.Second)
		a := h.post("/access_token", redemption(late))
		if got := object(t, a.body); got["error"] != "invalid_grant" || !strings.Contains(got["error_description"].(string), "expired") {
			t.Errorf("at 61 seconds: %d %s", a.status, a.body)
		}
	})
}

func TestWithoutASessionOrAPersonThereIsNothingToHave(t *testing.T) {
	for name, end := range map[string]func(tx *db.Tx, s *session.Session) error{
		"the session was ended": func(tx *db.Tx, s *session.Session) error { return session.EndAll(tx, s.UID, "signed out") },
		"the person was closed": func(tx *db.Tx, s *session.Session) error {
			return person.Close(tx, s.UID, person.Closure{Reason: "left", At: tx.Now()})
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			_, first := h.issue()
			access := h.tokens(first)["access_token"].(string)
			s, second := h.issue()
			h.write(func(tx *db.Tx) error { return end(tx, s) })
			if a := h.post("/access_token", redemption(second)); object(t, a.body)["error"] != "invalid_grant" {
				t.Errorf("redeeming: %d %s", a.status, a.body)
			}
			a := h.userinfo(access)
			if a.status != http.StatusUnauthorized || !strings.Contains(a.header.Get("WWW-Authenticate"), `error="invalid_token"`) {
				t.Errorf("userinfo: %d %v", a.status, a.header)
			}
		})
	}
}

func TestNoSecretIsLogged(t *testing.T) {
	h := open(t)
	b := h.browser()
	s := b.withApp(amara)
	code := b.code(b.authorize(ask("nonce", "secret-nonce")))
	got := h.tokens(code)
	access := got["access_token"].(string)
	h.userinfo(access)
	h.post("/access_token", redemption(code))
	h.post("/access_token", redemption(code, "client_secret", "a-wrong-secret"))
	h.userinfo(access)
	h.userinfo("a-made-up-token")
	b.authorize(ask("state", "secret-state", "prompt", "none", "acr_values", "AAL3_ANY"))
	log := h.log.String()
	if log == "" {
		t.Fatal("nothing was logged")
	}
	for name, secret := range map[string]string{
		"code": code, "access token": access, "ID token": got["id_token"].(string), "client secret": ersSecret, "wrong secret": "a-wrong-secret",
		"made-up token": "a-made-up-token", "nonce": "secret-nonce", "state": "secret-state", "session": string(s.ID),
	} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds the %s", name)
		}
	}
}

// The shape of speed: two durable commits for single sign-on at most, eight
// statements with the token exchange.
func TestTheWayCostsFewStatementsAndOneCommit(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		b.withApp(amara)
		warm := b.code(b.authorize(ask("scope", "openid selectedrole")))
		h.tokens(warm) // the directory knows e-RS from here on
		spent := func(step func()) (commits, statements uint64) {
			before := h.Counters()
			step()
			after := h.Counters()
			return after.Commits - before.Commits, after.Statements - before.Statements
		}
		var code, access string
		for _, step := range []struct {
			name                string
			commits, statements uint64
			do                  func()
		}{
			{"authorize", 0, 1, func() { code = b.code(b.authorize(ask("scope", "openid selectedrole nationalrbacaccess"))) }},
			{"token", 1, 2, func() { access = h.tokens(code)["access_token"].(string) }},
			{"userinfo", 0, 3, func() { h.userinfo(access) }},
			{"discovery", 0, 0, func() {
				b.get(discoveryPath)
			}},
			{"keys", 0, 0, func() { b.get(oidc.RealmPath + "/connect/jwk_uri") }},
		} {
			commits, statements := spent(step.do)
			if commits != step.commits || statements != step.statements {
				t.Errorf("%s costs %d commits and %d statements, want %d and %d", step.name, commits, statements, step.commits, step.statements)
			}
		}
	})
}

func TestPruningKeepsWhatIsGood(t *testing.T) {
	h := open(t)
	_, code := h.issue()
	access := h.tokens(code)["access_token"].(string)
	if err := h.Write(context.Background(), h.provider.Prune); err != nil {
		t.Fatal(err)
	}
	if a := h.userinfo(access); a.status != http.StatusOK {
		t.Errorf("userinfo: %d %s", a.status, a.body)
	}
}

func TestAnUnavailableDatabaseIsSaidToProgramsInTheirWords(t *testing.T) {
	h := open(t)
	_, code := h.issue()
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	for name, a := range map[string]answer{
		"token":    h.post("/access_token", redemption(code)),
		"userinfo": h.userinfo("a-token"),
	} {
		if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || object(t, a.body)["error"] != "temporarily_unavailable" {
			t.Errorf("%s: %d %v %s", name, a.status, a.header, a.body)
		}
	}
}
