package registration

import (
	"slices"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
)

// has is what somebody has at a level, with a limit for each type.
func has(level care.AAL, limit int, methods ...care.Method) stock {
	s := stock{level: level, limit: func(care.Method) int { return limit }}
	for _, m := range methods {
		s.held = append(s.held, credential.Record{ID: string(m), Method: m, Name: m.TypeLabel()})
	}
	return s
}

// TestReasonOfATypeThatCannotBeChosen: one of each type unless the operator
// allows more, and no binding below AAL2 (decision 3).
func TestReasonOfATypeThatCannotBeChosen(t *testing.T) {
	for _, c := range []struct {
		has    stock
		method care.Method
		want   string
	}{
		{has(care.AAL2, 1), care.AuthenticatorApp, ""},
		{has(care.AAL3, 1), care.AuthenticatorApp, ""},
		{has(care.AAL3, 1, care.AuthenticatorApp), care.AuthenticatorApp, "You have registered this type."},
		{has(care.AAL2, 1), care.SecurityKey, ""},
		{has(care.AAL3, 1), care.WindowsHello, ""},
		{has(care.AAL2, 2, care.SecurityKey), care.SecurityKey, ""},
		{has(care.AAL2, 2, care.SecurityKey, care.SecurityKey), care.SecurityKey, "You have registered 2 of this type."},
		{has(care.AAL1, 1), care.SecurityKey, "This needs a sign-in at AAL2, or your Registration Authority. You are signed in at AAL1."},
		{has(care.AAL3, 1), care.IPadApp, "Not available here yet."},
		{has(care.AAL2, 1, care.IPadApp), care.IPadApp, "You have registered this type."},
	} {
		if got := c.has.reason(kindOf(c.method)); got != c.want {
			t.Errorf("%s for who has %v at %s: %q, want %q", c.method, c.has.held, c.has.level, got, c.want)
		}
	}
}

func TestOfferMarksWhatIsHeld(t *testing.T) {
	d := has(care.AAL2, 1, care.AuthenticatorApp, care.Smartcard, care.SecurityKey).offer()
	if !d.Any || len(d.Replaceable) != 2 || d.Replaceable[0].Href != pathReplace || d.Replaceable[1].Href != pathReplace+"?id=security_key" ||
		d.Choices[1].Tag != "Registered" || d.Choices[0].Tag != "" {
		t.Errorf("%+v", d)
	}
	if d := has(care.AAL2, 1).offer(); !d.Any || len(d.Replaceable) != 0 || len(d.Choices) != 4 {
		t.Errorf("%+v", d)
	}
	open := has(care.AAL2, 1)
	open.passkeys = true
	if d := open.offer(); len(d.Choices) != 5 || d.Choices[4].Value != "passkey" {
		t.Errorf("with the private beta open: %+v", d)
	}
}

// TestTheListSaysWhatAKeyWillCountFor, before anybody registers it (decision 2).
func TestTheListSaysWhatAKeyWillCountFor(t *testing.T) {
	for level, want := range map[care.AAL]string{
		care.AAL2: "It will count as AAL2, because you are signed in at AAL2",
		care.AAL3: "It counts as AAL3 if it proves that it cannot be copied, otherwise as AAL2",
	} {
		for _, c := range has(level, 1).offer().Choices {
			key := slices.Contains([]string{"security_key", "windows_hello"}, c.Value)
			if strings.Contains(c.Hint, want) != key {
				t.Errorf("at %s the hint of %s is %q", level, c.Value, c.Hint)
			}
		}
	}
}

// TestWhatALinkReplaces: what can sign in no more, or the one that was not used
// for the longest time where there is no room (N10).
func TestWhatALinkReplaces(t *testing.T) {
	key := func(id string, used int64, lost bool) credential.Record {
		r := credential.Record{ID: id, Method: care.SecurityKey, LastUsed: moment(used)}
		if lost {
			r.SuspendedAt = moment(1)
		}
		return r
	}
	app := credential.Record{ID: "app", Method: care.AuthenticatorApp}
	usable := func(r credential.Record) bool { return r.Usable() && r.ID != "revoked" }
	for name, c := range map[string]struct {
		held  []credential.Record
		limit int
		want  string
	}{
		"nothing held":       {nil, 1, ""},
		"another type":       {[]credential.Record{app}, 1, ""},
		"the only one":       {[]credential.Record{app, key("a", 5, false)}, 1, "a"},
		"room for another":   {[]credential.Record{key("a", 5, false)}, 2, ""},
		"a lost one":         {[]credential.Record{key("a", 5, false), key("b", 9, true)}, 3, "b"},
		"of a bad model":     {[]credential.Record{key("a", 5, false), key("revoked", 9, false)}, 3, "revoked"},
		"no room":            {[]credential.Record{key("a", 5, false), key("b", 3, false)}, 2, "b"},
		"no room, never one": {[]credential.Record{key("a", 5, false), key("b", 0, false)}, 2, "b"},
	} {
		if got := replaced(c.held, usable, care.SecurityKey, c.limit); got != c.want {
			t.Errorf("%s: replaces %q, want %q", name, got, c.want)
		}
	}
}

// TestEveryKindHasItsWords: no page of a type has a gap.
func TestEveryKindHasItsWords(t *testing.T) {
	for _, k := range kinds {
		if k.about == "" || !k.built() {
			continue
		}
		if k.Called == "" || k.Noun == "" || k.Guide.Text == "" || len(k.Checks) == 0 || !strings.HasPrefix(k.Sole, "I confirm only I will have access to") ||
			k.key() && (k.Needs == "" || k.Unable == "" || k.Ask == "" || k.Waiting == "" || k.Named == "") {
			t.Errorf("%s: %+v", k.method, k)
		}
	}
	if n := len(Methods()); n != 4 {
		t.Errorf("%d types can be registered", n)
	}
}

// TestATypeIsNamedInTheMiddleOfASentence, as mails and pages do.
func TestATypeIsNamedInTheMiddleOfASentence(t *testing.T) {
	for method, want := range map[care.Method]string{
		care.AuthenticatorApp: "Microsoft Authenticator", care.WindowsHello: "Windows Hello",
		care.SecurityKey: "a security key", care.Passkey: "a passkey",
	} {
		if got := kindOf(method).one(); got != want {
			t.Errorf("%s is %q, want %q", method, got, want)
		}
	}
}

func moment(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Unix(seconds, 0)
}
