package config_test

import (
	"strings"
	"testing"
)

// TestMistakesAboutKeysSayWhatToMend, because a wrong domain is noticed when the
// keys are worth nothing.
func TestMistakesAboutKeysSayWhatToMend(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"domain with scheme": {"rp_id: northmoor", "rp_id: https://northmoor", `fido.rp_id: is a domain such as northmoor.example, in small letters and without https:// or a port, not "https://northmoor.nhs.uk"`},
		"domain with port":   {"rp_id: northmoor.nhs.uk", "rp_id: northmoor.nhs.uk:443", `fido.rp_id: is a domain such as`},
		"capitals":           {"rp_id: northmoor", "rp_id: Northmoor", `fido.rp_id: is a domain such as`},
		"suffix":             {"rp_id: northmoor.nhs.uk", "rp_id: uk", `fido.rp_id: is a domain such as`},
		"address as domain":  {"rp_id: northmoor.nhs.uk", "rp_id: 10.1.2.3", `fido.rp_id: is a domain such as`},
		"origin with a path": {"[https://id.northmoor.example]", "[https://id.northmoor.example/]", `fido.origins: an origin looks like https://id.northmoor.example, not "https://id.northmoor.example/"`},
		"plain origin":       {"[https://id.northmoor.example]", "[http://id.northmoor.example]", `fido.origins: http://id.northmoor.example: keys work by https:// alone, or on localhost`},
		"too many domains":   {"[https://id.northmoor.example]", "[https://a.com, https://b.com, https://c.com, https://d.com, https://e.com, https://f.com]", `fido.origins: no browser would take these: `},
		"policy":             {"passkey: any", "passkey: none", `fido.policy.passkey: is any, attested or listed, not "none"`},
		"no model":           {"[2FC0579F-", "[Key 5, 2FC0579F-", `fido.models_allowed: "Key 5" is no AAGUID: one looks like 2fc0579f-8113-47ea-b116-bb5a8db9202a`},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(good, c.old, c.new, 1)
			if text == good {
				t.Fatal("nothing was changed")
			}
			_, err := load(t, text)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}
