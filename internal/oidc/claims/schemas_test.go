package claims_test

import (
	"encoding/json"
	"strings"
	"testing"

	"carekey.dev/carekey/internal/oidc/claims"
	"carekey.dev/carekey/internal/oidc/claims/claimstest"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/relyingparty"
)

// Every ID token that can be made is as the published schema says: with and
// without what is optional, and with the switch.
func TestEveryIDTokenIsAsItsSchemaSays(t *testing.T) {
	schema := claimstest.Load(t, claimstest.IDToken)
	for bits := range 32 {
		s := signIn()
		s.AccessHash, s.CodeHash, s.StateHash = strings.Repeat("a", 22), strings.Repeat("c", 22), strings.Repeat("s", 22)
		if bits&1 != 0 {
			s.Nonce = ""
		}
		if bits&2 != 0 {
			s.CodeHash = ""
		}
		if bits&4 != 0 {
			s.StateHash = ""
		}
		if bits&8 != 0 {
			s.Role = ""
		}
		s.NumericLevels = bits&16 != 0
		if err := schema.Check(encoded(t, claims.ForIDToken(s))); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

// Every userinfo: each set of scopes, however many roles, and with the switch.
func TestEveryUserinfoIsAsItsSchemaSays(t *testing.T) {
	all, schema := relyingparty.Scopes(), claimstest.Load(t, claimstest.Userinfo)
	for bits := range 1 << len(all) {
		s := locum()
		s.Scopes = nil
		for i, scope := range all {
			if bits>>i&1 != 0 {
				s.Scopes = append(s.Scopes, scope)
			}
		}
		s.Roles = s.Roles[:bits%4]
		if bits%5 == 0 && len(s.Roles) > 0 {
			s.Roles[0].OrgPersonID = ""
		}
		s.SingleAsObject = bits%3 == 0
		if bits%7 == 0 {
			s.Person = person.Person{UID: s.Person.UID}
		}
		if err := schema.Check(encoded(t, claims.ForUserinfo(s))); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

// The schemas refuse what relying parties would stumble over.
func TestTheSchemasRefuseWhatIsWrong(t *testing.T) {
	for name, test := range map[string]struct {
		schema string
		value  any
		change func(fields map[string]any)
	}{
		"aud is a list":           {claimstest.IDToken, token(), func(f map[string]any) { f["aud"] = []any{f["aud"]} }},
		"no at_hash":              {claimstest.IDToken, token(), func(f map[string]any) { delete(f, "at_hash") }},
		"an empty nonce":          {claimstest.IDToken, token(), func(f map[string]any) { f["nonce"] = "" }},
		"auth_time is a text":     {claimstest.IDToken, token(), func(f map[string]any) { f["auth_time"] = "1" }},
		"a level that is none":    {claimstest.IDToken, token(), func(f map[string]any) { f["id_assurance_level"] = "4" }},
		"an issuer without port":  {claimstest.IDToken, token(), func(f map[string]any) { f["iss"] = strings.Replace(f["iss"].(string), ":443", "", 1) }},
		"a claim nobody knows":    {claimstest.IDToken, token(), func(f map[string]any) { f["surprise"] = 1 }},
		"null":                    {claimstest.Userinfo, claims.ForUserinfo(locum()), func(f map[string]any) { f["email"] = nil }},
		"an empty list":           {claimstest.Userinfo, claims.ForUserinfo(locum()), func(f map[string]any) { f["nhsid_nrbac_roles"] = []any{} }},
		"a role without its code": {claimstest.Userinfo, claims.ForUserinfo(locum()), func(f map[string]any) { delete(f["nhsid_nrbac_roles"].([]any)[0].(map[string]any), "role_code") }},
		"one that is no role":     {claimstest.Userinfo, claims.ForUserinfo(locum()), func(f map[string]any) { f["nhsid_nrbac_roles"] = map[string]any{"org_code": "X"} }},
		"a level as a number":     {claimstest.Userinfo, claims.ForUserinfo(locum()), func(f map[string]any) { f["idassurancelevel"] = 3 }},
		"a nonce":                 {claimstest.LogoutToken, logoutToken(), func(f map[string]any) { f["nonce"] = "n" }},
		"no exp":                  {claimstest.LogoutToken, logoutToken(), func(f map[string]any) { delete(f, "exp") }},
		"another event":           {claimstest.LogoutToken, logoutToken(), func(f map[string]any) { f["events"] = map[string]any{"x": map[string]any{}} }},
	} {
		schema, changed := claimstest.Load(t, test.schema), fields(t, test.value)
		for _, wrong := range []bool{false, true} {
			if wrong {
				test.change(changed)
			}
			if err := schema.Check(encoded(t, changed)); (err != nil) != wrong {
				t.Errorf("%s: changed %t, and the schema says %v", name, wrong, err)
			}
		}
	}
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func token() claims.IDToken {
	s := signIn()
	s.AccessHash, s.CodeHash, s.StateHash = strings.Repeat("a", 22), strings.Repeat("c", 22), strings.Repeat("s", 22)
	return claims.ForIDToken(s)
}

// logoutToken is one as relying parties of CIS2 read it (wire rule 16).
func logoutToken() map[string]any {
	return map[string]any{
		"iss": signIn().Issuer, "sub": "555000100105", "aud": signIn().ClientID, "iat": 1, "exp": 2, "jti": "j", "sid": "s",
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}
}
