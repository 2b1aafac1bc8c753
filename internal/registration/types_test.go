package registration

import (
	"testing"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
)

// TestReasonOfATypeThatCannotBeChosen is decision 3: binding needs a session
// at the level of the new authenticator (N23), and the list says so.
func TestReasonOfATypeThatCannotBeChosen(t *testing.T) {
	const stronger = "This needs a sign-in at AAL3, such as a smartcard, or your Registration Authority. You are signed in at AAL2."
	for _, c := range []struct {
		method      care.Method
		held, built bool
		level       care.AAL
		want        string
	}{
		{care.AuthenticatorApp, false, true, care.AAL2, ""},
		{care.AuthenticatorApp, false, true, care.AAL3, ""},
		{care.AuthenticatorApp, true, true, care.AAL3, "You have registered this type."},
		{care.SecurityKey, false, true, care.AAL3, ""},
		{care.SecurityKey, false, true, care.AAL2, stronger},
		{care.SecurityKey, false, false, care.AAL3, "Not available here yet."},
		{care.SecurityKey, false, false, care.AAL2, "Not available here yet. It will need a sign-in at AAL3 or your Registration Authority."},
		{care.IPadApp, true, false, care.AAL2, "You have registered this type."},
	} {
		if got := reason(c.method, c.held, c.built, c.level); got != c.want {
			t.Errorf("reason(%s, held %v, built %v, %s) = %q, want %q", c.method, c.held, c.built, c.level, got, c.want)
		}
	}
}

func TestOfferMarksWhatIsHeld(t *testing.T) {
	d := offer([]credential.Record{{Method: care.AuthenticatorApp}, {Method: care.Smartcard}}, care.AAL2)
	if d.Any || len(d.Replaceable) != 1 || d.Choices[1].Tag != "Registered" || d.Choices[0].Tag != "" {
		t.Errorf("%+v", d)
	}
	if d := offer(nil, care.AAL2); !d.Any || len(d.Replaceable) != 0 || len(d.Choices) != 4 {
		t.Errorf("%+v", d)
	}
}
