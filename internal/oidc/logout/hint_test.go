package logout_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"carekey.dev/carekey/internal/oidc/logout"
)

// payload is an ID token's, with a part that a test changes.
func payload(change string) string {
	return fmt.Sprintf(`{"iss":%q,"sub":"555000100101","aud":"e-rs","sid":"s-1","exp":1793552400,"auth_time":1793548800%s}`, issuer, change)
}

// OpenID Connect RP-Initiated Logout section 2: an ID token that was issued
// here, and no other token that we sign.
func TestOnlyAnIDTokenOfOursIsAHint(t *testing.T) {
	hint, err := logout.ReadHint([]byte(payload("")), issuer)
	if err != nil || hint.ClientID != "e-rs" || hint.UID != amara || hint.SID != "s-1" {
		t.Fatalf("%+v, %v", hint, err)
	}
	if hint.Fresh(hint.Expires) || !hint.Fresh(hint.Expires.Add(-time.Second)) {
		t.Error("a hint is fresh until it expires")
	}
	for name, text := range map[string]string{
		"no JSON":        "x",
		"a logout token": payload(`,"events":{"http://schemas.openid.net/event/backchannel-logout":{}}`),
		"another issuer": payload(`,"iss":"https://other.example"`),
		"no session":     payload(`,"sid":""`),
		"no end":         payload(`,"exp":0`),
		"no sign-in":     payload(`,"auth_time":0`),
		"no client":      payload(`,"aud":""`),
		"many clients":   payload(`,"aud":["e-rs","mesh"]`),
		"nobody":         payload(`,"sub":"amara"`),
		"signed claims":  `{"iss":"` + issuer + `","sub":"555000100101"}`,
	} {
		if _, err := logout.ReadHint([]byte(text), issuer); !errors.Is(err, logout.ErrHint) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzReadHint(f *testing.F) {
	f.Add(payload(""))
	f.Add(payload(`,"events":{}`))
	f.Add(`{"aud":1}`)
	f.Add("null")
	f.Fuzz(func(t *testing.T, text string) {
		hint, err := logout.ReadHint([]byte(text), issuer)
		if err == nil && (hint.ClientID == "" || hint.SID == "" || hint.UID == "" || hint.Expires.IsZero()) {
			t.Errorf("%q is the hint %+v", text, hint)
		}
		if err != nil && !errors.Is(err, logout.ErrHint) {
			t.Errorf("%q: %v", text, err)
		}
	})
}
