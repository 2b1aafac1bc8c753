package care_test

import (
	"strings"
	"testing"

	"carekey.dev/carekey/internal/care"
)

func TestParseIdentifiers(t *testing.T) {
	for _, test := range []struct {
		text           string
		uid, ods, role bool
	}{
		{"555000100101", true, true, false},
		{"5550001001", true, true, false},
		{"555000100", false, true, false},
		{"5550001001011", false, false, false},
		{"RX901", false, true, false},
		{"rx901", false, false, false},
		{"S8000:G8000:R8001", false, false, true},
		{"S8000:G8000:R8001\n", false, false, false},
		{"", false, false, false},
	} {
		_, uid := care.ParseUID(test.text)
		_, ods := care.ParseODSCode(test.text)
		_, role := care.ParseRoleCode(test.text)
		if (uid == nil) != test.uid || (ods == nil) != test.ods || (role == nil) != test.role {
			t.Errorf("%q: UID %v, ODS code %v, role code %v", test.text, uid, ods, role)
		}
	}
}

func TestParseEmail(t *testing.T) {
	for text, want := range map[string]care.Email{
		"amara.osei@nhs.net":       "amara.osei@nhs.net",
		"  Amara.OSEI@NHS.net ":    "amara.osei@nhs.net",
		"zoe@bücher.example.ac.uk": "zoe@xn--bcher-kva.example.ac.uk",
	} {
		got, err := care.ParseEmail(text)
		if err != nil || got != want {
			t.Errorf("ParseEmail(%q) = %q, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "amara", "amara@", "@nhs.net", "amara@nhs", "Amara <amara@nhs.net>", "a b@nhs.net", `"a b"@nhs.net`, "a@[127.0.0.1]",
		"amara@nhs.net\r\nBcc: x@y.uk", "amara@nhs.net,b@nhs.net", strings.Repeat("a", 65) + "@nhs.net", strings.Repeat("a", 250) + "@nhs.net",
	} {
		if got, err := care.ParseEmail(text); err == nil {
			t.Errorf("ParseEmail(%q) = %q", text, got)
		}
	}
}

func FuzzParseEmail(f *testing.F) {
	f.Add("amara.osei@nhs.net")
	f.Add(" Zoë@bücher.example ")
	f.Fuzz(func(t *testing.T, text string) {
		once, err := care.ParseEmail(text)
		if err != nil {
			return
		}
		twice, err := care.ParseEmail(string(once))
		if err != nil || once != twice {
			t.Errorf("%q is canonical as %q, and that as %q, %v", text, once, twice, err)
		}
		if strings.ContainsAny(string(once), "\r\n\x00 ") || once.Domain() == "" {
			t.Errorf("%q was accepted", once)
		}
	})
}

func TestAllowListSuffixRules(t *testing.T) {
	list, err := care.ParseAllowList([]string{"nhs.net", ".nhs.uk", "GMAIL.com"})
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[care.Email]bool{
		"a@nhs.net": true, "a@x.nhs.net": false, "a@nhs.uk": true, "a@b.nhs.uk": true, "a@c.b.nhs.uk": true,
		"a@evilnhs.uk": false, "a@gmail.com": true, "a@gmail.com.evil.example": false, "a@xnhs.net": false,
	} {
		if got := list.Accepts(address); got != want {
			t.Errorf("Accepts(%q) = %v", address, got)
		}
	}
	for _, bad := range []string{"", ".", "com", "nhs net"} {
		if _, err := care.ParseAllowList([]string{bad}); err == nil {
			t.Errorf("%q was accepted as a domain", bad)
		}
	}
}
