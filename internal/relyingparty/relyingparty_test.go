package relyingparty_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/relyingparty"
)

var schemas = []fs.FS{relyingparty.Schema}

func ers() relyingparty.RelyingParty {
	return relyingparty.RelyingParty{
		ClientID: "555000000001.apps.national", Name: "NHS e-Referral Service", ShortName: "e-RS",
		Profile: relyingparty.CIS2, AuthMethod: relyingparty.ClientSecret,
		JWKS: json.RawMessage(`{"keys":[]}`), SigningAlgorithm: "RS512",
		RedirectURIs:           []string{"http://localhost:9090/callback", "http://127.0.0.1:9090/callback"},
		PostLogoutRedirectURIs: []string{"http://localhost:9090/"},
		BackchannelLogoutURI:   "http://127.0.0.1:9090/backchannel-logout",
		Scopes:                 []string{"openid", "profile"}, Methods: []care.Method{care.AuthenticatorApp},
		DefaultACR: care.AAL2OrAAL3Any, Secrets: [][]byte{keys.Hash("one"), keys.Hash("two")},
		Metadata: relyingparty.Metadata{
			Team: "north", IDTokenAlg: "ES256", RequestURIs: []string{"https://ers.example/request"}, DefaultMaxAge: new(int64),
			TLSSubject: relyingparty.TLSSubject{DN: "CN=e-RS"}, Quirks: relyingparty.Quirks{NumericLevels: true},
		},
	}
}

func put(t *testing.T, d *db.DB, rp relyingparty.RelyingParty) {
	t.Helper()
	if err := d.Write(t.Context(), func(tx *db.Tx) error { return relyingparty.Put(tx, rp) }); err != nil {
		t.Fatal(err)
	}
}

func TestARelyingPartyIsReadAsStored(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		put(t, d, ers())
		put(t, d, ers())
		var all []relyingparty.RelyingParty
		err := d.Read(t.Context(), func(tx *db.Tx) (err error) {
			all, err = relyingparty.All(tx)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]relyingparty.RelyingParty{ers()}, all); diff != "" {
			t.Errorf("stored (-want +got):\n%s", diff)
		}
	})
}

func TestRedirectAddressesAreComparedExactlyRFC9700(t *testing.T) {
	for uri, want := range map[string]bool{
		"http://localhost:9090/callback":     true,
		"http://127.0.0.1:9090/callback":     true,
		"http://localhost:9090/callback/":    false,
		"http://LOCALHOST:9090/callback":     false,
		"http://localhost:9090/callback?a=b": false,
		"http://localhost:9090/callback#":    false,
		"http://localhost:9091/callback":     false,
		"https://localhost:9090/callback":    false,
		"":                                   false,
	} {
		if got := ers().Redirects(uri); got != want {
			t.Errorf("Redirects(%q) = %t, want %t", uri, got, want)
		}
	}
}

func TestEitherSecretIsGoodWhileOneIsBeingReplaced(t *testing.T) {
	for secret, want := range map[string]bool{"one": true, "two": true, "three": false, "": false} {
		if got := ers().CheckSecret(secret); got != want {
			t.Errorf("CheckSecret(%q) = %t, want %t", secret, got, want)
		}
	}
	if (relyingparty.RelyingParty{}).CheckSecret("") {
		t.Error("a relying party without a secret accepts the empty one")
	}
}

func TestOnlyRegisteredScopesAreGranted(t *testing.T) {
	got := ers().Grant([]string{"profile", "email", "openid", "profile", "nonsense"})
	if diff := cmp.Diff([]string{"profile", "openid"}, got); diff != "" {
		t.Errorf("granted (-want +got):\n%s", diff)
	}
}

func TestOrigin(t *testing.T) {
	for uri, want := range map[string]string{
		"http://localhost:9090/callback": "http://localhost:9090",
		"https://ERS.nhs.uk:443/main?x":  "https://ers.nhs.uk",
		"http://[::1]:80/":               "http://[::1]",
		"http://[::1]:8080/":             "http://[::1]:8080",
		"https://ers.nhs.uk":             "https://ers.nhs.uk",
	} {
		got, err := relyingparty.Origin(uri)
		if err != nil || got != want {
			t.Errorf("Origin(%q) = %q, %v; want %q", uri, got, err, want)
		}
	}
	for _, uri := range []string{"", "/path", "//host/path", "javascript:alert(1)", "ftp://host/", "https://", "https://u:p@host/", "https://ho st/"} {
		if got, err := relyingparty.Origin(uri); err == nil {
			t.Errorf("Origin(%q) = %q, want an error", uri, got)
		}
	}
}

func TestTheDirectorySeesAChangeAfterTenSeconds(t *testing.T) {
	now := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	d := dbtest.OpenAt(t, func() time.Time { return now }, schemas...)
	put(t, d, ers())
	dir := relyingparty.NewDirectory(d)
	name := func() string {
		rp, err := dir.ByID(t.Context(), ers().ClientID)
		if err != nil {
			t.Fatal(err)
		}
		return rp.Name
	}
	first := name()
	changed := ers()
	changed.Name = "Changed"
	put(t, d, changed)
	now = now.Add(relyingparty.Fresh - time.Second)
	if got := name(); got != first {
		t.Errorf("one second before: %q", got)
	}
	now = now.Add(time.Second)
	if got := name(); got != "Changed" {
		t.Errorf("after ten seconds: %q", got)
	}
}

func TestAnUnknownClientIsNoRowsUntilItIsRegistered(t *testing.T) {
	d := dbtest.Open(t, schemas...)
	dir := relyingparty.NewDirectory(d)
	if _, err := dir.ByID(t.Context(), ers().ClientID); !errors.Is(err, db.ErrNoRows) {
		t.Fatalf("ByID: %v, want db.ErrNoRows", err)
	}
	put(t, d, ers())
	if _, err := dir.ByID(t.Context(), ers().ClientID); err != nil {
		t.Errorf("registered, but: %v", err)
	}
}

func TestAnOriginLeadsToItsRelyingParty(t *testing.T) {
	d := dbtest.Open(t, schemas...)
	put(t, d, ers())
	dir := relyingparty.NewDirectory(d)
	rp, err := dir.ByOrigin(t.Context(), "http://localhost:9090")
	if err != nil || rp.ClientID != ers().ClientID {
		t.Errorf("ByOrigin: %q, %v", rp.ClientID, err)
	}
	if _, err := dir.ByOrigin(t.Context(), "https://evil.example"); !errors.Is(err, db.ErrNoRows) {
		t.Errorf("ByOrigin of a stranger: %v, want db.ErrNoRows", err)
	}
}

// TestAMethodInPrivateBetaIsOpenToThoseWhomTheOperatorLetsIn: for the others it
// is as if they did not accept it, and what is stored stays.
func TestAMethodInPrivateBetaIsOpenToThoseWhomTheOperatorLetsIn(t *testing.T) {
	d := dbtest.Open(t, schemas...)
	for _, id := range []string{"in", "out"} {
		rp := ers()
		rp.ClientID, rp.Methods, rp.RedirectURIs = id, []care.Method{care.SecurityKey, care.Passkey}, []string{"https://" + id + ".example/cb"}
		put(t, d, rp)
	}
	dir := relyingparty.NewDirectory(d)
	dir.Passkeys(func(clientID string) bool { return clientID == "in" })
	for id, accepted := range map[string]bool{"in": true, "out": false} {
		byID, err := dir.ByID(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		byOrigin, err := dir.ByOrigin(t.Context(), "https://"+id+".example")
		if err != nil {
			t.Fatal(err)
		}
		for _, rp := range []relyingparty.RelyingParty{byID, byOrigin} {
			if slices.Contains(rp.Methods, care.Passkey) != accepted || !slices.Contains(rp.Methods, care.SecurityKey) {
				t.Errorf("%s accepts %v", id, rp.Methods)
			}
		}
	}
}

// Wire rule 8, and FAPI 2.0 section 5.4.1: strict must not use RS256.
func TestTheAlgorithmOfAnIDTokenFollowsTheProfileUnlessChosen(t *testing.T) {
	for _, test := range []struct {
		profile      relyingparty.Profile
		chosen, want string
	}{
		{relyingparty.CIS2, "", "RS256"}, {relyingparty.CIS2, "ES256", "ES256"},
		{relyingparty.Strict, "", "PS256"}, {relyingparty.Strict, "ES256", "ES256"},
	} {
		rp := relyingparty.RelyingParty{Profile: test.profile}
		rp.IDTokenAlg = test.chosen
		if got := rp.IDTokenAlgorithm(); got != test.want {
			t.Errorf("%s that chose %q: %s, want %s", test.profile, test.chosen, got, test.want)
		}
	}
}
