package grant_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/oidc/grant"
)

const (
	client   = "555000000001.apps.national"
	redirect = "http://localhost:9090/callback"
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
)

var start = time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func decided() grant.Code {
	return grant.Code{
		ClientID: client, RedirectURI: redirect, Scopes: []string{"openid", "profile"}, Nonce: "n", StateHash: "h",
		ACR: care.AAL2OrAAL3Any, SID: "sid", UID: amara, AAL: care.AAL2, Method: care.AuthenticatorApp,
		AuthTime: start, Role: "555000200101",
	}
}

func codes() *grant.Codes { return grant.NewCodes(keys.NewRing(keys.Root{1}), rand.Reader) }

func TestACodeOpensAsItWasIssued(t *testing.T) {
	sealed, err := codes().Issue(decided(), start)
	if err != nil {
		t.Fatal(err)
	}
	got, err := codes().Open(sealed)
	if err != nil {
		t.Fatal(err)
	}
	want := decided()
	want.ID, want.Expires = got.ID, start.Add(60*time.Second)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(got.ID) < 22 {
		t.Errorf("the code's name %q has less than 128 bits", got.ID)
	}
	if strings.Contains(sealed, client) || strings.Contains(sealed, string(amara)) {
		t.Error("the code can be read by whoever carries it")
	}
}

func TestTwoCodesForTheSameSignInDiffer(t *testing.T) {
	a, err := codes().Issue(decided(), start)
	if err != nil {
		t.Fatal(err)
	}
	b, err := codes().Issue(decided(), start)
	if err != nil {
		t.Fatal(err)
	}
	if a == b {
		t.Error("two codes are the same")
	}
}

func TestWhatIsNoCodeOfOursDoesNotOpen(t *testing.T) {
	sealed, err := codes().Issue(decided(), start)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := grant.NewCodes(keys.NewRing(keys.Root{2}), rand.Reader).Issue(decided(), start)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "code", sealed[1:], sealed[:len(sealed)-2], sealed + "A", foreign, "%", strings.Repeat("A", 9000)} {
		if _, err := codes().Open(bad); err != grant.ErrCode {
			t.Errorf("Open(%.12q) = %v", bad, err)
		}
	}
}

// RFC 6749 section 4.1.3; RFC 7636 section 4.6; RFC 9700 section 2.1.1.
func TestACodeIsBoundToClientRedirectAndVerifier(t *testing.T) {
	plain, pkce := decided(), decided()
	pkce.Challenge = challenge()
	for name, test := range map[string]struct {
		code                       grant.Code
		client, redirect, verifier string
		want                       error
	}{
		"as asked":                        {plain, client, redirect, "", nil},
		"another client":                  {plain, "555000000003.apps.national", redirect, "", grant.ErrOtherClient},
		"another redirect_uri":            {plain, client, redirect + "/", "", grant.ErrOtherRedirect},
		"verifier without challenge":      {plain, client, redirect, verifier, grant.ErrVerifierUnused},
		"PKCE as asked":                   {pkce, client, redirect, verifier, nil},
		"PKCE without verifier":           {pkce, client, redirect, "", grant.ErrNoVerifier},
		"PKCE with another verifier":      {pkce, client, redirect, strings.ToLower(verifier), grant.ErrVerifier},
		"PKCE with the challenge (plain)": {pkce, client, redirect, challenge(), grant.ErrVerifier},
	} {
		if got := test.code.Check(test.client, test.redirect, test.verifier, ""); got != test.want {
			t.Errorf("%s: Check = %v, want %v", name, got, test.want)
		}
	}
}

func FuzzOpenCode(f *testing.F) {
	sealed, err := codes().Issue(decided(), start)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add("")
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		if code, err := codes().Open(text); err == nil && code.ClientID != client {
			t.Errorf("%q opened as %+v", text, code)
		}
	})
}
