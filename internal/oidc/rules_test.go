package oidc

import (
	"slices"
	"testing"
	"time"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/session"
)

func TestIssuerAlwaysCarriesThePort(t *testing.T) {
	for base, want := range map[string]string{
		"https://auth.northmoor.example":       "https://auth.northmoor.example:443" + RealmPath,
		"https://auth.northmoor.example/":      "https://auth.northmoor.example:443" + RealmPath,
		"https://AUTH.northmoor.example:8443":  "https://auth.northmoor.example:8443" + RealmPath,
		"http://localhost:8080":                "http://localhost:8080" + RealmPath,
		"http://localhost":                     "http://localhost:80" + RealmPath,
		"https://[2001:db8::1]":                "https://[2001:db8::1]:443" + RealmPath,
		"auth.northmoor.example":               "",
		"ftp://auth.northmoor.example":         "",
		"https://auth.northmoor.example/login": "",
		"https://auth.northmoor.example?x=1":   "",
		"https://me@auth.northmoor.example":    "",
		"https://:8080":                        "",
		"":                                     "",
	} {
		got, err := Issuer(base)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("Issuer(%q) = %q, %v; want %q", base, got, err, want)
		}
	}
}

func TestAcceptableClasses(t *testing.T) {
	all, four := care.Methods(), []care.Method{care.Smartcard, care.WindowsHello, care.SecurityKey, care.IPadApp}
	type acrs = []care.ACR
	for _, test := range []struct {
		asked    []string
		methods  []care.Method
		fallback care.ACR
		want     acrs // nil: refused
	}{
		{nil, all, care.AAL2OrAAL3Any, acrs{care.AAL2OrAAL3Any}},
		{nil, all, "", acrs{care.AAL3Any}},
		{nil, []care.Method{care.NHSmail}, care.AAL3Any, nil},
		{[]string{"AAL3_ANY"}, all, care.AAL2OrAAL3Any, acrs{care.AAL3Any}},
		{[]string{"AAL2_ANY", "AAL3_ANY"}, all, care.AAL3Any, acrs{care.AAL2Any, care.AAL3Any}},
		{[]string{"AAL2_ANY", "AAL2_ANY"}, all, care.AAL3Any, acrs{care.AAL2Any}},
		{[]string{"AAL2_ANY", "AAL3_ANY"}, four, care.AAL3Any, acrs{care.AAL3Any}},
		{[]string{"AAL2_ANY"}, four, care.AAL3Any, nil},
		{[]string{"AAL1_USERPASS"}, all, care.AAL2OrAAL3Any, nil},
		{[]string{"AAL1_USERPASS", "AAL2_TOTP"}, all, care.AAL3Any, acrs{"AAL2_TOTP"}},
		{[]string{"gold"}, all, care.AAL2OrAAL3Any, acrs{care.AAL2OrAAL3Any}},
		{[]string{"gold", "AAL3_ANY"}, all, care.AAL2OrAAL3Any, acrs{care.AAL3Any}},
		{[]string{"aal3_any"}, all, care.AAL2OrAAL3Any, acrs{care.AAL2OrAAL3Any}},
		{[]string{"AAL3_NEW"}, all, care.AAL2OrAAL3Any, acrs{care.AAL3Any}},
		{[]string{"AAL3_NEW"}, []care.Method{care.NHSmail}, care.AAL2OrAAL3Any, nil},
		{[]string{"AAL2_NEW"}, all, care.AAL2OrAAL3Any, acrs{care.AAL2OrAAL3Any}},
		{[]string{"gold", "AAL2_ANY"}, four, care.AAL3Any, nil},
	} {
		got, e := acceptable(test.asked, relyingparty.RelyingParty{Methods: test.methods, DefaultACR: test.fallback})
		if !slices.Equal(got, test.want) || (e == nil) != (test.want != nil) {
			t.Errorf("acceptable(%v) with default %q and %v = %v, %v; want %v", test.asked, test.fallback, test.methods, got, e, test.want)
		}
	}
}

func TestWhichSignInCounts(t *testing.T) {
	now := time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	never := time.Time{}
	for _, test := range []struct {
		name   string
		again  bool
		maxAge time.Duration
		asked  time.Time
		want   time.Time
	}{
		{"nothing asked", false, -1, never, never},
		{"nothing asked, coming back", false, -1, ago(time.Minute), never},
		{"prompt=login", true, -1, never, now},
		{"prompt=login, coming back", true, -1, ago(time.Minute), ago(time.Minute)},
		{"prompt=login, long ago", true, -1, ago(20 * time.Minute), ago(settled)},
		{"max_age", false, 5 * time.Minute, never, ago(5 * time.Minute)},
		{"max_age, coming back", false, time.Second, ago(time.Minute), ago(time.Minute)},
		{"max_age, coming back soon", false, 5 * time.Minute, ago(time.Minute), ago(5 * time.Minute)},
		{"max_age=0", false, 0, never, now},
		{"both", true, time.Hour, never, now},
		{"both, coming back", true, time.Hour, ago(time.Minute), ago(time.Minute)},
	} {
		if got := (request{again: test.again, maxAge: test.maxAge}).after(now, test.asked); !got.Equal(test.want) {
			t.Errorf("%s: sign-ins count from %v, want %v", test.name, got, test.want)
		}
	}
}

func TestWhichRoleIsTold(t *testing.T) {
	asked := time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	roles := func(ids ...string) (held []access.Role) {
		for _, id := range ids {
			held = append(held, access.Role{ID: id})
		}
		return held
	}
	before, after := asked.Add(-time.Minute), asked.Add(time.Minute)
	for _, test := range []struct {
		name   string
		wish   care.RoleWish
		held   []access.Role
		chosen string
		at     time.Time
		asked  time.Time
		role   string
		ok     bool
	}{
		{"no role", care.AnyRole, nil, "", before, asked, "", true},
		{"one role", care.AnyRole, roles("a"), "", before, asked, "a", true},
		{"one role, another chosen before it was taken away", care.AnyRole, roles("a"), "b", before, asked, "a", true},
		{"several, none chosen", care.AnyRole, roles("a", "b"), "", before, asked, "", false},
		{"several, one chosen", care.AnyRole, roles("a", "b"), "b", before, asked, "b", true},
		{"several, a lost one chosen", care.AnyRole, roles("a", "b"), "c", before, asked, "", false},
		{"another, chosen before", care.AnotherRole, roles("a", "b"), "b", before, asked, "", false},
		{"another, chosen since", care.AnotherRole, roles("a", "b"), "b", after, asked, "b", true},
		{"another, never asked", care.AnotherRole, roles("a", "b"), "b", after, time.Time{}, "", false},
		{"another of one", care.AnotherRole, roles("a"), "a", before, asked, "a", true},
	} {
		role, ok := chosenRole(test.wish, test.held, &session.Session{Role: test.chosen, RoleAt: test.at}, test.asked)
		if role != test.role || ok != test.ok {
			t.Errorf("%s: %q, %v; want %q, %v", test.name, role, ok, test.role, test.ok)
		}
	}
}
