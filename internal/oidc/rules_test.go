package oidc

import (
	"testing"
	"time"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/care"
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
