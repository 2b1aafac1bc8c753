package headless_test

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/gate/gatetest"
	"carekey.dev/carekey/internal/headless"
	"carekey.dev/carekey/internal/session"
)

func decode(t testing.TB, part string) map[string]any {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// Wire rule 20: authId, callbacks, successUrl, and then the relying party has
// its code as if a browser had brought it.
func TestAScriptSignsInAndBringsTheRelyingPartyItsCode(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		s := h.to(h.authorize())
		done := s.signIn(amara)
		claims := s.claims(s.goOn(done).code())
		if claims["sub"] != string(amara.UID) || claims["authentication_assurance_level"] != "2" {
			t.Errorf("the ID token says %v", claims)
		}
		token := done.body["tokenId"].(string)
		if in := h.Alive(token); in == nil || in.UID != amara.UID || in.Terms != "2026-10" || in.AAL != care.AAL2 {
			t.Errorf("tokenId is no session of hers: %+v", in)
		}
		cookie := false
		home, _ := url.Parse(h.server.URL)
		for _, c := range s.client.Jar.Cookies(home) {
			cookie = cookie || c.Name == session.Cookie && c.Value == token
		}
		if !cookie {
			t.Error("the session's cookie was not set")
		}
	})
}

// AM's authId needs no cookie, and scripts without a jar send the session by
// hand.
func TestAScriptNeedsNoCookieJar(t *testing.T) {
	h := open(t)
	s := h.to(h.authorize())
	s.client.Jar = nil
	done := s.signIn(amara).success()
	s.header.Set("Cookie", session.Cookie+"="+done.body["tokenId"].(string))
	s.goOn(done).code()
}

var update = flag.Bool("update", false, "write the golden files anew")

var changing = regexp.MustCompile(`("(?:authId|tokenId|reference)": ")[^"]+"`)

// The shapes are those that scripts written for AM read (wire rule 20).
func TestTheAnswersHaveTheShapeOfAM(t *testing.T) {
	h := open(t)
	h.roles(amara.UID, 3)
	s := h.to(h.authorize("scope", "openid selectedrole", "login_hint", string(amara.Email)))
	golden := func(name string, e exchange) exchange {
		t.Helper()
		text, err := json.MarshalIndent(e.body, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		got := changing.ReplaceAllString(string(text), `$1…"`)
		got = regexp.MustCompile(`carekey_asked=[^&"\\]+`).ReplaceAllString(strings.ReplaceAll(got, h.server.URL, "https://id.example.nhs.uk"), "carekey_asked=…") + "\n"
		path := filepath.Join("testdata", name+".json")
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s is\n%s\nwant\n%s", name, got, want)
		}
		return e
	}
	first := golden("begin", s.begin())
	golden("failure", s.fill(first, string(amara.Email), "wrong"))
	code := golden("code", s.fill(first, string(amara.Email), gatetest.Password))
	role := golden("role", s.fill(code, h.Code(amara.Secret)))
	golden("success", s.fill(role, 1))
}

func TestARoleIsChosenAtTheStageRoleSelection(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.roles(amara.UID, 3)
		for _, c := range []struct {
			choice any
			want   string
		}{
			{2, "555000200002"}, {"1", "555000200001"}, {0, "555000200000"}, {"555000200001", "555000200001"}, {nil, ""},
		} {
			s := h.to(h.authorize("scope", "openid selectedrole"))
			role := s.signIn(amara).stage("roleSelection")
			if c.choice == nil {
				for _, wrong := range []any{3, -1, "", "Nurse", "555000200009"} {
					s.fill(role, wrong).fails(http.StatusBadRequest, fault.HeadlessUnreadable)
				}
				continue
			}
			claims := s.claims(s.goOn(s.fill(role, c.choice)).code())
			if claims["selected_roleid"] != c.want {
				t.Errorf("choice %v gave role %v, want %s", c.choice, claims["selected_roleid"], c.want)
			}
		}
	})
}

// As with pages (domain, 1.13).
func TestNobodyIsAskedForARoleWithOneOrNone(t *testing.T) {
	h := open(t)
	s := h.to(h.authorize("scope", "openid selectedrole"))
	s.goOn(s.signIn(amara)).code()
	h.roles(helen.UID, 1)
	s = h.to(h.authorize("scope", "openid selectedrole"))
	if claims := s.claims(s.goOn(s.signIn(helen)).code()); claims["selected_roleid"] != "555000200000" {
		t.Errorf("her one role is %v", claims["selected_roleid"])
	}
	h.roles(amara.UID, 2) // and who is not asked for one is not asked
	s = h.to(h.authorize())
	s.goOn(s.signIn(amara)).code()
}

func TestARoleIsNotChosenInASessionThatHasEnded(t *testing.T) {
	h := open(t)
	h.roles(amara.UID, 2)
	s := h.to(h.authorize("scope", "openid selectedrole"))
	role := s.signIn(amara).stage("roleSelection")
	h.to(h.authorize()) // another script changes nothing
	h.Clock.Later(14 * time.Minute)
	s.fill(role, 1).success()
	h.must(h.DB.Write(t.Context(), endAll))
	s.fill(role, 1).fails(http.StatusUnauthorized, fault.JourneyExpired)
}

// Wire rule 18: prompt=login, and with it max_age=0, is met by this sign-in and
// by no earlier one, and then it is met.
func TestPromptLoginIsMetByThisSignIn(t *testing.T) {
	h := open(t)
	for _, parameter := range [][2]string{{"prompt", "login"}, {"max_age", "0"}} {
		address := h.authorize(parameter[0], parameter[1])
		s := h.to(address)
		before := s.signIn(amara)
		first := s.claims(s.goOn(before).code())
		h.Clock.Later(time.Minute)
		if again := s.send(http.MethodGet, address, ""); !strings.HasPrefix(again.header.Get("Location"), "/signin?") {
			t.Fatalf("%v: the earlier sign-in was enough: %d %s", parameter, again.status, again.header.Get("Location"))
		}
		second := s.claims(s.goOn(s.signIn(amara)).code())
		if second["auth_time"].(float64) <= first["auth_time"].(float64) || first["sid"] != second["sid"] {
			t.Errorf("%v: auth_time %v then %v, sid %v then %v", parameter, first["auth_time"], second["auth_time"], first["sid"], second["sid"])
		}
	}
}

// Decision 8 holds for scripts too: on a shared computer a sign-in is for one
// request.
func TestOnASharedComputerASignInIsForOneRequest(t *testing.T) {
	h := open(t)
	h.network = netip.MustParseAddr("203.0.113.8")
	s := h.to(h.authorize())
	done := s.signIn(amara)
	s.goOn(done).code()
	if in := h.Alive(done.body["tokenId"].(string)); in == nil || !in.Shared || in.Client != ers {
		t.Errorf("the session is %+v", in)
	}
	if again := s.send(http.MethodGet, h.authorize("state", "s-2"), ""); !strings.HasPrefix(again.header.Get("Location"), "/signin?") {
		t.Errorf("another request is answered without a sign-in: %d %s", again.status, again.header.Get("Location"))
	}
}

// A script may hand over what /signin would have got: the query of the address
// that a browser is sent to.
func TestASealedRequirementIsAsGoodAsGoto(t *testing.T) {
	h := open(t)
	s := h.script()
	sent := s.send(http.MethodGet, h.authorize("prompt", "login"), "")
	at, err := url.Parse(sent.header.Get("Location"))
	h.must(err)
	s.query = "?" + at.RawQuery
	s.goOn(s.signIn(amara)).code()

	s.query = "?req=nonsense"
	s.begin().fails(http.StatusBadRequest, fault.JourneyTampered)
}

func TestWhereAScriptGoesOnTo(t *testing.T) {
	h := open(t)
	for query, want := range map[string]string{
		"":                               h.server.URL + "/cim/",
		"?realm=/NHSIdentity/Healthcare": h.server.URL + "/cim/",
		"?authIndexType=service&authIndexValue=AAL2_TOTP":             h.server.URL + "/cim/",
		"?goto=" + url.QueryEscape(h.server.URL+"/cim/profile?tab=2"): h.server.URL + "/cim/profile?tab=2",
		"?goto=" + url.QueryEscape("https://ers.example.nhs.uk/x"):    "https://ers.example.nhs.uk/x",
	} {
		s := h.script()
		s.query = query
		if done := s.signIn(amara).success(); done.body["successUrl"] != want || done.body["realm"] != "/NHSIdentity/Healthcare" {
			t.Errorf("%q: %s", query, done.raw)
		}
	}
	for query, c := range map[string]struct {
		status int
		kind   *fault.Kind
	}{
		"?goto=https://evil.example":                                    {http.StatusBadRequest, fault.GotoRefused},
		"?realm=/patients":                                              {http.StatusBadRequest, fault.BookmarkUnknown},
		"?authIndexType=service&authIndexValue=PasswordOnly":            {http.StatusBadRequest, fault.BookmarkUnknown},
		"?authIndexType=module&authIndexValue=AAL2_TOTP":                {http.StatusBadRequest, fault.BookmarkUnknown},
		"?authIndexType=service&authIndexValue=AAL1_USERPASS":           {http.StatusBadRequest, fault.BookmarkUnknown},
		"?goto=" + url.QueryEscape(h.authorize("scope", "none")):        {http.StatusBadRequest, fault.HeadlessRefused},
		"?goto=" + url.QueryEscape(h.authorize("client_id", "no-such")): {http.StatusBadRequest, fault.HeadlessRefused},
		"?goto=" + url.QueryEscape(h.authorize("prompt", "none")):       {http.StatusBadRequest, fault.HeadlessRefused},
	} {
		s := h.script()
		s.query = query
		s.begin().fails(c.status, c.kind)
	}
	s := h.to(h.authorize("prompt", "none"))
	if e := s.begin(); !strings.Contains(e.raw, "login_required") {
		t.Errorf("the script is not told the OAuth error: %s", e.raw)
	}
}

// What a script cannot reach ends before a password is asked for, and never in
// a lower level.
func TestAScriptNeverGetsLessThanWhatIsAskedFor(t *testing.T) {
	h := open(t)
	for _, query := range []string{
		"?authIndexType=service&authIndexValue=AAL3AuthDecisionTree",
		"?authIndexType=service&authIndexValue=AAL3AuthDecisionTree&goto=" + url.QueryEscape(h.authorize()),
		"?authIndexType=service&authIndexValue=AAL2AuthDecisionTree&goto=" + url.QueryEscape(h.authorize("client_id", cdr)),
		"?goto=" + url.QueryEscape(h.authorize("acr_values", "AAL3_ANY")),
		"?goto=" + url.QueryEscape(h.authorize("acr_values", "AAL2_NHSMAIL")),
	} {
		s := h.script()
		s.query = query
		s.begin().fails(http.StatusUnauthorized, fault.HeadlessMethod)
	}
}

// Decision 11: the realm may be a parameter, as AM's own tools write it.
func TestTheRealmMayBeAParameter(t *testing.T) {
	h := open(t)
	s := h.script()
	s.send(http.MethodPost, h.server.URL+"/openam/json/authenticate?realm=%2Fnhsidentity%2Fhealthcare", "").stage("password")
	s.send(http.MethodPost, h.server.URL+"/openam/json/authenticate?realm=%2Fother", "").fails(http.StatusBadRequest, fault.BookmarkUnknown)
	if e := s.send(http.MethodGet, h.server.URL+headless.Path, ""); e.status != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", e.status)
	}
}
