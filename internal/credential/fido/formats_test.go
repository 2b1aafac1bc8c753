package fido_test

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/google/uuid"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/fido"
	"carekey.dev/carekey/internal/credential/fido/metadata/metadatatest"
	"carekey.dev/carekey/internal/credential/internal/credtest"
	"carekey.dev/carekey/internal/fault"
)

// TestEveryAttestationFormatRegisters: decision 2. Of every format, a key that
// is attested under a trusted root reaches AAL3, or AAL2 if it may be synced;
// "none" and self-attestation reach AAL2 and meet no stricter policy.
func TestEveryAttestationFormatRegisters(t *testing.T) {
	h := credtest.Open(t, fido.Schema)
	maker := metadatatest.NewMaker(t, "Maker")
	trusting := func(o *fido.Options) { o.Roots = []*x509.Certificate{maker.Root.Certificate} }
	strict := func(o *fido.Options) { o.Policies = map[care.Method]fido.Policy{care.Passkey: fido.Attested} }
	for name, made := range map[string]func(metadatatest.Registration) []byte{
		"packed": maker.Packed, "tpm": maker.TPM, "apple": maker.Apple,
		"android-key": func(r metadatatest.Registration) []byte { return maker.Android(r, metadatatest.Sound(r)) },
		"fido-u2f":    func(r metadatatest.Registration) []byte { raw, _ := maker.U2F(r); return raw },
		"none":        func(r metadatatest.Registration) []byte { return r.None(t) },
		"self":        func(r metadatatest.Registration) []byte { return r.Self(t) },
	} {
		attested := name != "none" && name != "self"
		for _, synced := range []bool{false, true} {
			proven, err := in(t, h, trusting).attest(made, synced)
			must(t, err)
			want := care.AAL2
			if attested && !synced {
				want = care.AAL3
			}
			if proven.Level != want || (proven.Why == "") != (want == care.AAL3) {
				t.Errorf("%s, synced %t: %+v", name, synced, proven)
			}
		}
		if _, err := in(t, h, trusting, strict).attest(made, false); attested {
			must(t, err)
		} else {
			wants(t, err, fault.FIDOAttestationMissing)
		}
		// The same under a root that nobody trusts.
		_, err := in(t, h, strict).attest(made, false)
		wants(t, err, fault.FIDOAttestationMissing)
	}
}

// attest registers a passkey with an attestation object.
func (r *room) attest(object func(metadatatest.Registration) []byte, synced bool) (fido.Proven, error) {
	r.t.Helper()
	c, err := r.BeginRegistration(r.t.Context(), holder(amara), care.Passkey, bound)
	must(r.t, err)
	client, err := json.Marshal(map[string]any{
		"type": "webauthn.create", "origin": origin,
		"challenge": publicKey[struct{ Challenge string }](r.t, c).Challenge,
	})
	must(r.t, err)
	hash := sha256.Sum256(client)
	made := metadatatest.NewRegistration(r.t, uuid.Nil)
	made.RPID, made.ClientDataHash = "id.example.nhs.uk", hash[:]
	if synced {
		made.Flags |= protocol.FlagBackupEligible
	}
	encode := base64.RawURLEncoding.EncodeToString
	response, err := json.Marshal(map[string]any{
		"id": encode(made.CredentialID), "rawId": encode(made.CredentialID), "type": "public-key",
		"response":               map[string]any{"clientDataJSON": encode(client), "attestationObject": encode(object(made))},
		"clientExtensionResults": map[string]any{},
	})
	must(r.t, err)
	return r.FinishRegistration(r.t.Context(), c.Sealed, bound, response)
}
