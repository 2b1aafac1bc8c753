package credential

import (
	"strings"
	"testing"

	"carekey.dev/carekey/internal/care"
)

func TestNamesOfAuthenticators(t *testing.T) {
	for given, want := range map[string]string{
		"Lanyard":                       "Lanyard",
		"  key on\tmy \n lanyard ":      "key on my lanyard",
		"Siân’s blue key":               "Siân’s blue key",
		strings.Repeat("é", NameLength): strings.Repeat("é", NameLength),

		"": "", " \t": "", strings.Repeat("x", NameLength+1): "",
		"two\x00": "", "right\u202eleft": "", "zero\u200bwidth": "", "broken\xff": "",
	} {
		got, err := ParseName(given)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("ParseName(%q) = %q, %v; want %q", given, got, err, want)
		}
	}
}

func FuzzParseName(f *testing.F) {
	f.Add("Lanyard")
	f.Add(" a \u2028 b ")
	f.Fuzz(func(t *testing.T, s string) {
		name, err := ParseName(s)
		if err != nil {
			return
		}
		if again, err := ParseName(name); err != nil || again != name {
			t.Errorf("ParseName(%q) = %q, and of that %q, %v", s, name, again, err)
		}
		if strings.ContainsAny(name, "\r\n\x00") {
			t.Errorf("%q has more than one line", name)
		}
	})
}

func TestOwnNameIsToldBesideTheType(t *testing.T) {
	for name, want := range map[string]string{"": "Security key", "Security key": "Security key", "Lanyard": "Security key “Lanyard”"} {
		if got := (Record{Method: care.SecurityKey, Name: name}).Called(); got != want {
			t.Errorf("%q is called %q, want %q", name, got, want)
		}
	}
}
