package server

import (
	"carekey.dev/carekey/internal/hsm"
	"carekey.dev/carekey/internal/oidc/signing"
)

// Rotation is what makes the signing keys of this installation follow one
// another, for `carekey keys`.
func (h *House) Rotation() *signing.Rotation {
	return signing.NewRotation(signing.Options{
		DB: h.DB, Ring: h.Ring, Schedule: h.Config.Signing.Schedule(), HSM: h.signingHSM(), Log: h.Log,
	})
}

// signingHSM is where new signing keys are kept, nil for the database.
func (h *House) signingHSM() signing.HSM {
	if h.Config.Signing.HSMSocket == "" {
		return nil
	}
	return hsm.NewClient(h.Config.Signing.HSMSocket)
}
