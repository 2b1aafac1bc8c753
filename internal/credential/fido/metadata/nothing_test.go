package metadata_test

import (
	"crypto/x509"
	"testing"

	"carekey.dev/carekey/internal/credential/fido/metadata"
	"carekey.dev/carekey/internal/credential/fido/metadata/metadatatest"
)

// TestCertificateThatCannotBeReadShowsNothing: the FIDO Alliance's file has
// makers whose certificates break their standard.
func TestCertificateThatCannotBeReadShowsNothing(t *testing.T) {
	h := open(t)
	maker := metadatatest.NewMaker(t, "Maker")
	h.publish(1, metadatatest.Entry(key5, "Test Key 5", maker))
	s := metadata.New(metadata.Options{DB: h.db})
	r := metadatatest.NewRegistration(t, key5)
	r.Twist = func(statement map[string]any) {
		if path, certified := statement["x5c"].([]any); certified {
			statement["x5c"] = append(path, []byte{0x30, 0x00})
		}
	}
	for name, raw := range formats(t, maker, r) {
		if name == "none" || name == "self" {
			continue
		}
		v, err := s.Judge(t.Context(), attestation(t, r, raw))
		if err != nil || v.Attested || v.DeviceBound || v.Provenance.Attested() || v.Why == "" {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
}

// TestCertificateThatIsOutOfDateShowsNothing of a key, in any format, and is no
// mistake of whoever registers it.
func TestCertificateThatIsOutOfDateShowsNothing(t *testing.T) {
	h := open(t)
	maker := metadatatest.NewMaker(t, "Maker")
	maker.Until = day("2024-01-01")
	h.publish(1, metadatatest.Entry(key5, "Test Key 5", maker))
	s := metadata.New(metadata.Options{DB: h.db, Roots: []*x509.Certificate{maker.Root.Certificate}})
	r := metadatatest.NewRegistration(t, key5)
	for name, raw := range formats(t, maker, r) {
		v, err := s.Judge(t.Context(), attestation(t, r, raw))
		if err != nil || v.Attested || v.DeviceBound || v.Provenance.Attested() || v.Why == "" {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
}

// TestUnknownFormatShowsNothing: WebAuthn section 7.1, step 21.
func TestUnknownFormatShowsNothing(t *testing.T) {
	h := open(t)
	r := metadatatest.NewRegistration(t, key5)
	for _, format := range []string{"android-safetynet", "compound", "made-up", ""} {
		a := attestation(t, r, r.Self(t))
		a.Object.Format = format
		v, err := metadata.New(metadata.Options{DB: h.db}).Judge(t.Context(), a)
		if err != nil || v.Attested || v.Why == "" {
			t.Errorf("%q: %+v, %v", format, v, err)
		}
	}
}
