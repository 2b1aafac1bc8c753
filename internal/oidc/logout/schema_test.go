package logout

import (
	"crypto/rand"
	"encoding/json"
	"testing"
	"time"

	"carekey.dev/carekey/internal/oidc/claims/claimstest"
)

// Wire rule 16; OpenID Connect Back-Channel Logout section 2.4.
func TestALogoutTokenIsAsThePublishedSchemaSays(t *testing.T) {
	l := &Logout{Options: Options{
		Issuer: "https://auth.example.nhs.uk:443/openam/oauth2/realms/root/realms/NHSIdentity/realms/Healthcare", Random: rand.Reader,
	}}
	text, err := json.Marshal(l.token(delivery{"555000000001.apps.national", "sid", "555000100101"}, time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	claimstest.Validate(t, claimstest.LogoutToken, string(text))
}
