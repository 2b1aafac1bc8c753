package fido_test

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncbor"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/fido"
	"carekey.dev/carekey/internal/credential/fido/fidotest"
	"carekey.dev/carekey/internal/credential/fido/metadata"
	"carekey.dev/carekey/internal/credential/internal/credtest"
	"carekey.dev/carekey/internal/fault"
)

// published are the test vectors of the specification (WebAuthn level 3,
// section 16).
type published struct {
	RPID    string   `json:"rp_id"`
	Origin  string   `json:"origin"`
	Root    hexBytes `json:"root"`
	Vectors []vector `json:"vectors"`
}

type vector struct {
	Name       string   `json:"name"`
	Challenge  hexBytes `json:"challenge"`
	ClientData hexBytes `json:"client_data"`
	Object     hexBytes `json:"attestation_object"`
	Login      struct {
		Challenge  hexBytes `json:"challenge"`
		ClientData hexBytes `json:"client_data"`
		AuthData   hexBytes `json:"authenticator_data"`
		Signature  hexBytes `json:"signature"`
	} `json:"login"`
}

type hexBytes []byte

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

func vectors(t *testing.T) (p published, root *x509.Certificate) {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	must(t, err)
	must(t, json.Unmarshal(text, &p))
	root, err = x509.ParseCertificate(p.Root)
	must(t, err)
	for _, v := range p.Vectors {
		// How the specification makes its challenges: what is in the file is its own.
		want, err := hkdf.Key(sha256.New, []byte("WebAuthn test vectors"), []byte{0}, v.Name, 32)
		must(t, err)
		if !bytes.Equal(v.Challenge, want) {
			t.Errorf("%s is not from the specification", v.Name)
		}
	}
	return p, root
}

func (v vector) object(t *testing.T) protocol.AttestationObject {
	t.Helper()
	var o protocol.AttestationObject
	must(t, webauthncbor.Unmarshal(v.Object, &o))
	must(t, o.AuthData.Unmarshal(o.RawAuthData))
	return o
}

// TestVectorsOfTheSpecificationAreJudged: every format, by the published root.
// Three are refused, as synthetic as they are: the TPM's manufacturer is none
// (TPM vendor id 0), Android's security level is no ENUMERATED, and the AAGUID of
// U2F is not zero, which no browser sends and U2F does not sign.
// No certificate names a model.
func TestVectorsOfTheSpecificationAreJudged(t *testing.T) {
	h := credtest.Open(t, fido.Schema)
	p, root := vectors(t)
	s := metadata.New(metadata.Options{DB: h.DB, Source: fidotest.Known(), Roots: []*x509.Certificate{root}})
	type verdict struct{ attested, refused bool }
	seen := map[string]bool{}
	for name, want := range map[string]verdict{
		"none.ES256": {}, "none.ES256.crossOrigin": {}, "none.ES256.topOrigin": {}, "none.ES256.long-credential-id": {}, "packed-self.ES256": {},
		"packed.ES256": {attested: true}, "packed.RS256": {attested: true}, "packed.EdDSA": {attested: true},
		"apple.ES256": {attested: true}, "tpm.ES256": {refused: true}, "android-key.ES256": {refused: true}, "fido-u2f.ES256": {refused: true},
	} {
		for _, v := range p.Vectors {
			if v.Name != name {
				continue
			}
			seen[name] = true
			hash := sha256.Sum256(v.ClientData)
			got, err := s.Judge(t.Context(), metadata.Attestation{Object: v.object(t), ClientDataHash: hash[:]})
			if (err != nil) != want.refused || got.Attested != want.attested || got.Provenance.Model != "" {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
			hash[0]++
			if got, err := s.Judge(t.Context(), metadata.Attestation{Object: v.object(t), ClientDataHash: hash[:]}); got.Attested {
				t.Errorf("%s, for another challenge: %+v, %v", name, got, err)
			}
		}
	}
	if len(seen) != len(p.Vectors) {
		t.Errorf("%d of %d vectors", len(seen), len(p.Vectors))
	}
}

// TestVectorsOfTheSpecificationRegisterAndSignIn where their user is verified.
func TestVectorsOfTheSpecificationRegisterAndSignIn(t *testing.T) {
	h := credtest.Open(t, fido.Schema)
	p, root := vectors(t)
	for _, v := range p.Vectors {
		r := in(t, h, func(o *fido.Options) {
			o.RPID, o.Origins, o.Roots, o.Random = p.RPID, []string{p.Origin}, []*x509.Certificate{root}, repeating(v.Challenge)
		})
		proven, err := r.present(v)
		switch data := v.object(t).AuthData; {
		case v.Name == "none.ES256.crossOrigin" || v.Name == "none.ES256.topOrigin":
			wants(t, err, fault.FIDORefused) // Carekey is in no frame
			continue
		case !data.Flags.HasUserVerified():
			wants(t, err, fault.FIDONotVerified)
			continue
		case v.Name == "android-key.ES256" || v.Name == "tpm.ES256":
			wants(t, err, fault.FIDORefused)
			continue
		case proven.Level != care.AAL2 || !proven.Synced: // all of them may be copied
			t.Errorf("%s: %+v, %v", v.Name, proven, err)
			continue
		}
		e, err := r.Enrolment(proven, "")
		must(t, err)
		r.Bind(t, v.Name, e)
		login, err := in(t, h, func(o *fido.Options) {
			o.RPID, o.Origins, o.Random = p.RPID, []string{p.Origin}, repeating(v.Login.Challenge)
		}).presentLogin(v)
		must(t, err)
		if got := login.Evidence().UserVerified; got != (v.Login.AuthData[32]&byte(protocol.FlagUserVerified) != 0) {
			t.Errorf("%s: user verified %t", v.Name, got)
		}
	}
}

// present registers a vector as the browser would.
func (r *room) present(v vector) (fido.Proven, error) {
	r.t.Helper()
	c, err := r.BeginRegistration(r.t.Context(), holder(amara), care.Passkey, bound)
	must(r.t, err)
	return r.FinishRegistration(r.t.Context(), c.Sealed, bound, v.response(r.t, map[string]hexBytes{
		"clientDataJSON": v.ClientData, "attestationObject": v.Object,
	}))
}

// presentLogin signs in with a vector that is bound.
func (r *room) presentLogin(v vector) (credential.Proof, error) {
	r.t.Helper()
	return r.FinishSignIn(r.t.Context(), r.ask(amaraEmail, care.Passkey).Sealed, bound, v.response(r.t, map[string]hexBytes{
		"clientDataJSON": v.Login.ClientData, "authenticatorData": v.Login.AuthData, "signature": v.Login.Signature,
	}))
}

func (v vector) response(t *testing.T, fields map[string]hexBytes) []byte {
	t.Helper()
	inner := map[string]string{}
	for name, value := range fields {
		inner[name] = base64.RawURLEncoding.EncodeToString(value)
	}
	id := base64.RawURLEncoding.EncodeToString(v.object(t).AuthData.AttData.CredentialID)
	text, err := json.Marshal(map[string]any{
		"id": id, "rawId": id, "type": "public-key", "response": inner, "clientExtensionResults": map[string]any{},
	})
	must(t, err)
	return text
}

// repeating is a source of randomness that always gives the same challenge.
type repeating []byte

// Read implements io.Reader.
func (r repeating) Read(p []byte) (int, error) { return copy(p, r), nil }
