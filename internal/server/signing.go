package server

import "carekey.dev/carekey/internal/oidc/signing"

// Rotation is what makes the signing keys of this installation follow one
// another, for `carekey keys`.
func (h *House) Rotation() *signing.Rotation {
	return signing.NewRotation(signing.Options{DB: h.DB, Ring: h.Ring, Schedule: h.Config.Signing.Schedule(), Log: h.Log})
}
