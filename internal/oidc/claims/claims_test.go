package claims_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/oidc/claims"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/relyingparty"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares v as JSON with testdata/name.
func golden(t *testing.T, name string, v any) {
	t.Helper()
	var got bytes.Buffer
	encoder := json.NewEncoder(&got)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func fields(t *testing.T, v any) map[string]any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func signIn() claims.SignIn {
	at := time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	return claims.SignIn{
		Issuer:   "https://auth.northmoor.example:443/openam/oauth2/realms/root/realms/NHSIdentity/realms/Healthcare",
		ClientID: "555000000001.apps.national", UID: "555000100105", IDAssuranceLevel: 3,
		AAL: care.AAL2, Method: care.AuthenticatorApp, ACR: care.AAL2OrAAL3Any,
		SID: "sid-1", Role: "555000200153", Scopes: relyingparty.Scopes(), Nonce: "n-0S6_WzA2Mj",
		AccessHash: "at", CodeHash: "c", StateHash: "s", TrackingID: "91f694e6-3749-42fd-90b0-c3134b0d98f6-1", Opaque: "-I45NjmMDdMa-aNF2sr9hC7qEGQ",
		AuthTime: at, IssuedAt: at.Add(time.Minute), Expires: at.Add(time.Hour),
	}
}

func locum() claims.Subject {
	return claims.Subject{
		Person: person.Person{
			UID: "555000100105", Title: "Dr", GivenName: "Ravi", MiddleNames: "Kumar Élan", FamilyName: "IYER",
			IDAssuranceLevel: 3, Email: "ravi.iyer@nhs.net", Pending: "elsewhere@nhs.net",
			Memberships: map[string]string{
				"gmc_id": "1", "gmp_id": "2", "gdc_id": "3", "gdp_id": "4", "gphc_id": "5", "nmc_id": "6", "rcn_id": "7", "consultant_id": "8",
			},
		},
		Roles: []access.Role{
			{
				ID: "555000200153", OrgPersonID: "555000300153", Org: "RX901", OrgName: "NORTHMOOR ROYAL INFIRMARY", Code: "S8000:G8000:R8003",
				Name:       `"Clinical":"Clinical Provision":"Health Professional Access Role"`,
				Activities: map[string]string{"B0825": "Amend Patient Demographics", "B0401": "View Patient Medication"},
				Workgroups: map[string]string{"555653110100": "Saltby team"},
				Areas:      map[string]string{"P0020:Q0300:T0640": `"Pathology":"Pathology":"Phlebotomy"`},
			},
			{ID: "555000200158", OrgPersonID: "555000300153", Org: "RX901", OrgName: "NORTHMOOR ROYAL INFIRMARY", Code: "S8000:G8000:R8000", Name: `"Clinical":"Clinical Provision":"Clinical Practitioner Access Role"`},
			{ID: "555000200159", OrgPersonID: "555000300159", Org: "ZZ999", Code: "S8000:G8000:R8000", Name: `"Clinical":"Clinical Provision":"Clinical Practitioner Access Role"`},
		},
		Role:   "555000200153",
		Scopes: relyingparty.Scopes(),
	}
}

func TestIDTokenIsAsRelyingPartiesReadIt(t *testing.T) {
	golden(t, "idtoken.json", claims.ForIDToken(signIn()))
	numeric := signIn()
	numeric.NumericLevels = true
	golden(t, "idtoken-numeric.json", claims.ForIDToken(numeric))
}

func TestUserinfoIsAsRelyingPartiesReadIt(t *testing.T) {
	golden(t, "userinfo.json", claims.ForUserinfo(locum()))
	single := locum()
	single.Roles, single.SingleAsObject = single.Roles[:1], true
	golden(t, "userinfo-single.json", claims.ForUserinfo(single))
}

func TestIDTokenHasNoEmptyClaims(t *testing.T) {
	s := signIn()
	s.Nonce, s.StateHash, s.Role = "", "", ""
	got := fields(t, claims.ForIDToken(s))
	for _, absent := range []string{"nonce", "s_hash", "selected_roleid"} {
		if _, there := got[absent]; there {
			t.Errorf("%s is there although there is nothing to say", absent)
		}
	}
	if got["id_assurance_level"] != "3" || got["idassurancelevel"] != "3" || got["authentication_assurance_level"] != "2" {
		t.Errorf("the levels are %v, %v, %v; want strings (wire rule 9)", got["id_assurance_level"], got["idassurancelevel"], got["authentication_assurance_level"])
	}
	if _, text := got["aud"].(string); !text {
		t.Errorf("aud is %T, want a string (wire rule 8)", got["aud"])
	}
}

func TestTheRoleIsToldOnlyToWhoAskedForIt(t *testing.T) {
	for _, scopes := range [][]string{{"openid"}, {"openid", "nationalrbacaccess", "profile"}} {
		s, subject := signIn(), locum()
		s.Scopes, subject.Scopes = scopes, scopes
		if _, there := fields(t, claims.ForIDToken(s))["selected_roleid"]; there {
			t.Errorf("scopes %v: the ID token tells the role", scopes)
		}
		if _, there := fields(t, claims.ForUserinfo(subject))["selected_roleid"]; there {
			t.Errorf("scopes %v: userinfo tells the role", scopes)
		}
	}
	lost := locum()
	lost.Roles = lost.Roles[1:]
	if role, there := fields(t, claims.ForUserinfo(lost))["selected_roleid"]; there {
		t.Errorf("userinfo tells %v, which the person does not hold any more", role)
	}
	for _, scope := range []string{"selectedrole", "changedrole"} {
		s := signIn()
		s.Scopes = []string{"openid", scope}
		if got := fields(t, claims.ForIDToken(s))["selected_roleid"]; got != "555000200153" {
			t.Errorf("scope %s: selected_roleid is %v", scope, got)
		}
	}
}

func TestEachScopeYieldsItsOwnClaimsAndNoMore(t *testing.T) {
	yields := map[string]string{
		"openid":                    "",
		"profile":                   "family_name given_name name uid",
		"email":                     "email",
		"nhsperson":                 "display_name idassurancelevel initials middle_names nhsid_useruid title",
		"nationalrbacaccess":        "nhsid_nrbac_roles",
		"associatedorgs":            "nhsid_user_orgs",
		"professionalmemberships":   "consultant_id gdc_id gdp_id gmc_id gmp_id gphc_id nmc_id rcn_id",
		"organisationalmemberships": "nhsid_org_memberships nhsid_org_roles",
		"selectedrole":              "selected_roleid",
		"changedrole":               "selected_roleid",
	}
	for _, scope := range relyingparty.Scopes() {
		s := locum()
		s.Scopes = []string{scope}
		var names []string
		for name := range fields(t, claims.ForUserinfo(s)) {
			if name != "sub" {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		if got := strings.Join(names, " "); got != yields[scope] {
			t.Errorf("scope %s yields %q, want %q", scope, got, yields[scope])
		}
	}
}

func TestUserinfoOfAPersonWithNothingIsTheirNumberAndLevel(t *testing.T) {
	s := claims.Subject{Person: person.Person{UID: "555000100106", IDAssuranceLevel: 0}, Scopes: relyingparty.Scopes()}
	got := fields(t, claims.ForUserinfo(s))
	want := map[string]any{"sub": "555000100106", "uid": "555000100106", "nhsid_useruid": "555000100106", "idassurancelevel": "0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("empty values must be absent (wire rule 11):\n%s", diff)
	}
}

func TestEveryRolesOrganisationIsPresent(t *testing.T) {
	u := claims.ForUserinfo(locum())
	known := map[string]int{}
	for _, org := range u.Organisations.All {
		known[org.Code]++
	}
	for _, role := range u.Roles.All {
		if known[role.OrgCode] != 1 {
			t.Errorf("organisation %s of role %s is there %d times (wire rule 11)", role.OrgCode, role.ID, known[role.OrgCode])
		}
	}
}

func TestAnAddressThatNobodyVerifiedIsNotTold(t *testing.T) {
	s := locum()
	s.Person.Email = ""
	if email, there := fields(t, claims.ForUserinfo(s))["email"]; there {
		t.Errorf("userinfo tells %v", email)
	}
}

func TestRolesAreReadOnlyWhereAScopeNeedsThem(t *testing.T) {
	for _, scope := range relyingparty.Scopes() {
		s := locum()
		s.Scopes = []string{scope}
		with := claims.ForUserinfo(s)
		s.Roles = nil
		without := claims.ForUserinfo(s)
		if differs := !cmp.Equal(with, without); differs != claims.NeedsRoles(s.Scopes, s.Role) {
			t.Errorf("scope %s: roles make a difference: %v, NeedsRoles says %v", scope, differs, !differs)
		}
	}
}
