package fido_test

import (
	"testing"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/fido"
	"carekey.dev/carekey/internal/credential/fido/fidotest"
	"carekey.dev/carekey/internal/credential/internal/credtest"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
)

// TestRevokedModelIsRefusedAtTheNextSignIn and at each registration; so is one
// that the operator refuses.
func TestRevokedModelIsRefusedAtTheNextSignIn(t *testing.T) {
	for name, c := range map[string]struct {
		set  func(*fido.Options)
		want *fault.Kind
	}{
		"revoked": {func(o *fido.Options) { o.Models = fidotest.Revoked() }, fault.FIDOModelRevoked},
		"refused": {func(o *fido.Options) { o.Refused = []string{fidotest.AAGUID.String()} }, fault.FIDOModelRefused},
	} {
		t.Run(name, func(t *testing.T) {
			credtest.Each(t, fido.Schema, func(t *testing.T, h *credtest.House) {
				key := fidotest.New(origin)
				in(t, h).bind("a", key, care.SecurityKey)
				after := in(t, h, c.set)
				wants(t, after.signIn(key, care.SecurityKey), c.want)
				_, err := after.register(fidotest.New(origin), care.SecurityKey)
				wants(t, err, c.want)
			})
		})
	}
}

// TestHoldersAreThoseOfAttestedKeys: nothing is held against a key that only
// says what it is.
func TestHoldersAreThoseOfAttestedKeys(t *testing.T) {
	each(t, func(t *testing.T, r *room) {
		r.bind("attested", fidotest.New(origin), care.SecurityKey)
		silent := fidotest.NewPlatform(origin)
		silent.Format = "none"
		r.bind("silent", silent, care.Passkey)
		r.Read(t, func(tx *db.Tx) error {
			all, err := fido.Holders(tx)
			if len(all) != 1 || all[0].AuthenticatorID != "attested" || all[0].UID != amara || all[0].Provenance.Model != fidotest.AAGUID.String() {
				t.Errorf("%+v", all)
			}
			return err
		})
	})
}
