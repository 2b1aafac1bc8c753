package fido_test

import (
	"testing"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/fido"
	"carekey.dev/carekey/internal/credential/fido/fidotest"
	"carekey.dev/carekey/internal/credential/internal/credtest"
	"carekey.dev/carekey/internal/fault"
)

// TestAKeyWorksAtEachNamedOriginAndNoOther: one key, registered at one origin
// and used at another, in production and on a developer's machine.
func TestAKeyWorksAtEachNamedOriginAndNoOther(t *testing.T) {
	for name, c := range map[string]struct {
		rpID          string
		origins, none []string
	}{
		"a host":    {"id.example.nhs.uk", []string{"https://id.example.nhs.uk"}, []string{"https://example.nhs.uk", "https://www.id.example.nhs.uk"}},
		"a domain":  {"example.nhs.uk", []string{"https://id.example.nhs.uk", "https://care.example.nhs.uk"}, []string{"https://www.example.nhs.uk"}},
		"related":   {"example.nhs.uk", []string{"https://id.example.nhs.uk", "https://id.northmoor.example"}, []string{"https://northmoor.example"}},
		"localhost": {"localhost", []string{"http://localhost:8080"}, []string{"http://localhost:9090", "http://localhost", "https://localhost:8080", "http://127.0.0.1:8080"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := in(t, credtest.Open(t, fido.Schema), func(o *fido.Options) { o.RPID, o.Origins = c.rpID, c.origins })
			key := fidotest.New(c.origins[0])
			r.bind("a", key, care.SecurityKey)
			for _, origin := range c.origins {
				key.Origin = origin
				must(t, r.signIn(key, care.SecurityKey))
			}
			for _, origin := range c.none {
				key.Origin = origin
				wants(t, r.signIn(key, care.SecurityKey), fault.FIDOOrigin)
			}
		})
	}
}

func TestOriginsWithinADomainNeedNoWordToTheBrowser(t *testing.T) {
	for origin, want := range map[string]bool{
		"https://example.nhs.uk": true, "https://id.example.nhs.uk": true, "https://ID.Example.nhs.uk:8443": true,
		"https://badexample.nhs.uk": false, "https://nhs.uk": false, "https://example.nhs.uk.evil.example": false, "::": false,
	} {
		if got := fido.Within("example.nhs.uk", origin); got != want {
			t.Errorf("%s: %t", origin, got)
		}
	}
}
