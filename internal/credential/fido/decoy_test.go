package fido_test

import (
	"fmt"
	"slices"
	"testing"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/fido"
	"carekey.dev/carekey/internal/credential/internal/credtest"
)

// TestTheNumberOfKeysShowsNobody: where a person may hold several keys, an address
// that nobody has gets several too, now and then, and the same each time.
func TestTheNumberOfKeysShowsNobody(t *testing.T) {
	h := credtest.Open(t, fido.Schema)
	const most = 3
	seen := map[int]int{}
	r := in(t, h, func(o *fido.Options) { o.PerMethod = most })
	for i := range 200 {
		address := care.Email(fmt.Sprintf("nobody%d@example.nhs.uk", i))
		type named struct {
			Allow []struct{ ID string } `json:"allowCredentials"`
		}
		first, again := publicKey[named](t, r.ask(address, care.SecurityKey)), publicKey[named](t, r.ask(address, care.SecurityKey))
		if !slices.Equal(first.Allow, again.Allow) {
			t.Fatalf("%s: %v, then %v", address, first.Allow, again.Allow)
		}
		ids := map[string]bool{}
		for _, key := range first.Allow {
			ids[key.ID] = true
		}
		if len(ids) != len(first.Allow) {
			t.Errorf("%s: one key twice: %v", address, first.Allow)
		}
		seen[len(ids)]++
	}
	if seen[1] <= seen[2]+seen[3] || seen[2] == 0 || seen[3] == 0 || len(seen) != most {
		t.Errorf("addresses by their number of keys: %v", seen)
	}
}
