package oidc_test

import (
	"slices"
	"sync/atomic"
	"testing"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/oidc"
)

// TestSingleSignOnByAPasskeyStopsWherePasskeysAreNotOpen: passkeys are in
// private beta. Who used one for a service that is let in signs in again for
// one that is not, and is offered no passkey there.
func TestSingleSignOnByAPasskeyStopsWherePasskeysAreNotOpen(t *testing.T) {
	for _, open := range []bool{true, false} {
		past := &atomic.Int64{}
		h := newHouse(t, dbtest.OpenAt(t, clock(past), schemas...), past, func(o *oidc.Options) {
			o.Directory.Passkeys(func(string) bool { return open })
		})
		b := h.browser()
		b.signIn(amara, care.Passkey, care.AAL2)
		a := b.authorize(ask("acr_values", string(care.AAL2OrAAL3Any)))
		if open {
			b.code(a)
			continue
		}
		if req := b.atSignIn(a); slices.Contains(req.Offers(), care.Passkey) || len(req.Offers()) == 0 {
			t.Errorf("the sign-in offers %v", req.Offers())
		}
	}
}
