package oidc_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/oidc"
)

func TestUserinfoTellsWhatTheScopesGrant(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		_, code := h.issue("scope", "openid profile email nationalrbacaccess associatedorgs professionalmemberships selectedrole nhsperson")
		got := h.tokens(code)
		access := got["access_token"].(string)
		var first string
		for range 3 { // as often as it asks (wire rule 12)
			a := h.userinfo(access)
			if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/json" || a.header.Get("Cache-Control") != "no-store" {
				t.Fatalf("answer %d %v\n%s", a.status, a.header, a.body)
			}
			if first != "" && a.body != first {
				t.Error("userinfo differs from one call to the next")
			}
			first = a.body
		}
		info := object(t, first)
		if info["sub"] != claimsOf(t, got["id_token"].(string))["sub"] {
			t.Errorf("sub is %v (wire rule 11)", info["sub"])
		}
		if info["email"] != "amara.osei@nhs.net" || info["gmc_id"] != "7654321" || info["selected_roleid"] != "555000200101" {
			t.Errorf("userinfo tells %s", first)
		}
		var shaped struct {
			Roles []struct {
				Org  string `json:"org_code"`
				Name string `json:"role_name"`
			} `json:"nhsid_nrbac_roles"`
			Orgs []struct {
				Code string `json:"org_code"`
			} `json:"nhsid_user_orgs"`
		}
		if err := json.Unmarshal([]byte(first), &shaped); err != nil {
			t.Fatal(err)
		}
		if len(shaped.Roles) != 1 || len(shaped.Orgs) != 1 || shaped.Roles[0].Org != shaped.Orgs[0].Code ||
			shaped.Roles[0].Name != `"Clinical":"Clinical Provision":"General Medical Practitioner"` {
			t.Errorf("roles and organisations are %+v", shaped)
		}
	})
}

// RFC 6750 section 3.
func TestUserinfoWithoutAGoodTokenIsUnauthorized(t *testing.T) {
	h := open(t)
	_, code := h.issue()
	access := h.tokens(code)["access_token"].(string)
	call := func(method, query string, headers ...string) answer {
		r, err := http.NewRequest(method, h.server.URL+oidc.RealmPath+"/userinfo"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			r.Header.Add(headers[i], headers[i+1])
		}
		return h.browser().do(r)
	}
	for name, a := range map[string]answer{
		"no header":             call("GET", ""),
		"another scheme":        call("GET", "", "Authorization", basic(ers, ersSecret)),
		"an empty token":        call("GET", "", "Authorization", "Bearer "),
		"a token that is none":  call("GET", "", "Authorization", "Bearer "+strings.Repeat("a", 43)),
		"a changed token":       call("GET", "", "Authorization", "Bearer "+access+"x"),
		"an authorization code": call("GET", "", "Authorization", "Bearer "+code),
		"in the address":        call("GET", "?access_token="+access),
	} {
		if a.status != http.StatusUnauthorized || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), `Bearer realm="Carekey"`) {
			t.Errorf("%s: %d %v", name, a.status, a.header)
		}
		if object(t, a.body)["error"] != "invalid_token" {
			t.Errorf("%s: %s", name, a.body)
		}
	}
	if a := call("POST", "", "Authorization", "bearer "+access); a.status != http.StatusOK {
		t.Errorf("by POST: %d %s", a.status, a.body)
	}
	if a := call("GET", "", "Authorization", "Bearer "+access, "Authorization", "Bearer "+access); a.status != http.StatusBadRequest || !strings.Contains(a.body, "invalid_request") {
		t.Errorf("two headers: %d %s", a.status, a.body)
	}
	h.pass(3600 * time.Second)
	if a := call("GET", "", "Authorization", "Bearer "+access); a.status != http.StatusUnauthorized || !strings.Contains(a.body, "expired") {
		t.Errorf("an hour later: %d %s", a.status, a.body)
	}
}

// RFC 6750 sections 2, 2.2 and 3.1; OpenID Connect Core section 5.3.1.
func TestUserinfoTakesTheTokenInAFormButNeverTwice(t *testing.T) {
	h := open(t)
	_, code := h.issue()
	access := h.tokens(code)["access_token"].(string)
	if a := h.post("/userinfo", url.Values{"access_token": {access}}); a.status != http.StatusOK {
		t.Errorf("in a form: %d %s", a.status, a.body)
	}
	if a := h.post("/userinfo", url.Values{"access_token": {"x"}}); a.status != http.StatusUnauthorized || !strings.Contains(a.header.Get("WWW-Authenticate"), `error="invalid_token"`) {
		t.Errorf("a wrong one in a form: %d %s", a.status, a.body)
	}
	if a := h.post("/userinfo", nil); a.status != http.StatusUnauthorized {
		t.Errorf("none: %d %s", a.status, a.body)
	}
	for name, a := range map[string]answer{
		"header and form": h.post("/userinfo", url.Values{"access_token": {access}}, "Authorization", "Bearer "+access),
		"twice":           h.post("/userinfo", url.Values{"access_token": {access, access}}),
		"a long body":     h.post("/userinfo", url.Values{"access_token": {strings.Repeat("x", 65<<10)}}),
	} {
		if a.status != http.StatusBadRequest || object(t, a.body)["error"] != "invalid_request" {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
}
