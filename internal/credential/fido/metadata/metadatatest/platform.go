package metadatatest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"

	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/google/go-tpm/tpm2"
)

// Kept are the attributes of a key that was made in a TPM and stays there.
func Kept() tpm2.TPMAObject {
	return tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, SignEncrypt: true}
}

// TPM returns an attestation object of Windows Hello (WebAuthn section 8.3).
func (m *Maker) TPM(r Registration) []byte {
	m.t.Helper()
	return m.TPMOf(r, Kept())
}

// TPMOf is TPM for a key with these attributes.
func (m *Maker) TPMOf(r Registration, attributes tpm2.TPMAObject) []byte {
	m.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		m.t.Fatal(err)
	}
	aik := m.device(&x509.Certificate{
		BasicConstraintsValid: true, UnknownExtKeyUsage: []asn1.ObjectIdentifier{{2, 23, 133, 8, 3}},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Critical: true, Value: tpmName()}},
	}, key, m.Issuer)
	x, y := r.point(m.t)
	public := tpm2.TPMTPublic{
		Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: attributes,
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
			Symmetric: tpm2.TPMTSymDefObject{Algorithm: tpm2.TPMAlgNull}, Scheme: tpm2.TPMTECCScheme{Scheme: tpm2.TPMAlgNull},
			CurveID: tpm2.TPMECCNistP256, KDF: tpm2.TPMTKDFScheme{Scheme: tpm2.TPMAlgNull},
		}),
		Unique: tpm2.NewTPMUPublicID(tpm2.TPMAlgECC, &tpm2.TPMSECCPoint{X: tpm2.TPM2BECCParameter{Buffer: x}, Y: tpm2.TPM2BECCParameter{Buffer: y}}),
	}
	name, err := tpm2.ObjectName(&public)
	if err != nil {
		m.t.Fatal(err)
	}
	digest := sha256.Sum256(r.signed(m.t))
	info := tpm2.Marshal(tpm2.TPMSAttest{
		Magic: tpm2.TPMGeneratedValue, Type: tpm2.TPMSTAttestCertify, ExtraData: tpm2.TPM2BData{Buffer: digest[:]},
		Attested: tpm2.NewTPMUAttest(tpm2.TPMSTAttestCertify, &tpm2.TPMSCertifyInfo{Name: *name, QualifiedName: *name}),
	})
	return r.object(m.t, "tpm", map[string]any{
		"ver": "2.0", "alg": int64(webauthncose.AlgRS256), "x5c": []any{aik.Certificate.Raw, m.Issuer.Certificate.Raw},
		"sig": sign(m.t, aik.Key, info), "certInfo": info, "pubArea": tpm2.Marshal(public),
	})
}

// tpmName is the subject alternative name of a TPM: manufacturer, model and
// version in a directory name.
func tpmName() []byte {
	var names pkix.RDNSequence
	for i, value := range []string{"id:414D4400", "Test TPM", "id:00010002"} {
		names = append(names, pkix.RelativeDistinguishedNameSET{{Type: asn1.ObjectIdentifier{2, 23, 133, 2, i + 1}, Value: value}})
	}
	directory := asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: encode(names)}
	return encode([]asn1.RawValue{directory})
}

// Apple returns an Apple anonymous attestation (WebAuthn section 8.8).
func (m *Maker) Apple(r Registration) []byte {
	m.t.Helper()
	nonce := sha256.Sum256(r.signed(m.t))
	leaf := m.device(&x509.Certificate{
		Subject: pkix.Name{CommonName: "credential"}, BasicConstraintsValid: true,
		ExtraExtensions: []pkix.Extension{{
			Id: asn1.ObjectIdentifier{1, 2, 840, 113635, 100, 8, 2},
			Value: encode(struct {
				Nonce []byte `asn1:"tag:1,explicit"`
			}{nonce[:]}),
		}},
	}, r.Key, m.Issuer)
	return r.object(m.t, "apple", map[string]any{"x5c": []any{leaf.Certificate.Raw, m.Issuer.Certificate.Raw}})
}

// Android is what an Android device says about a key.
type Android struct {
	Challenge          []byte
	Level              int // 1: trusted execution environment
	Software, Hardware []asn1.RawValue
}

// Sound is what a good device says about a registration.
func Sound(r Registration) Android {
	return Android{Challenge: r.ClientDataHash, Level: 1, Hardware: []asn1.RawValue{Purpose(2), Origin(0)}}
}

// Purpose is an authorization: what the key is for.
func Purpose(purposes ...int) asn1.RawValue {
	set, err := asn1.MarshalWithParams(purposes, "set")
	if err != nil {
		panic(err)
	}
	return Authorization(1, set)
}

// Origin is an authorization: where the key was made.
func Origin(origin int) asn1.RawValue { return Authorization(702, encode(origin)) }

// Authorization is one of any tag.
func Authorization(tag int, value []byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, IsCompound: true, Bytes: value}
}

// Description returns the extension of the certificate.
func (a Android) Description() []byte {
	return encode(struct {
		AttestationVersion int
		AttestationLevel   asn1.Enumerated
		KeymasterVersion   int
		KeymasterLevel     asn1.Enumerated
		Challenge          []byte
		UniqueID           []byte
		Software, Hardware []asn1.RawValue
	}{300, asn1.Enumerated(a.Level), 300, asn1.Enumerated(a.Level), a.Challenge, []byte{}, a.Software, a.Hardware})
}

// Android returns an Android key attestation (WebAuthn section 8.4).
func (m *Maker) Android(r Registration, says Android) []byte {
	m.t.Helper()
	return m.android(r, m.device(says.describes(), r.Key, m.Issuer), m.Issuer)
}

// AndroidBelow is Android by somebody whose device keeps a key that may sign
// certificates, and who has signed one with it for a key of another place.
func (m *Maker) AndroidBelow(r Registration, says Android) []byte {
	m.t.Helper()
	template := says.describes()
	template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
	kept := Sign(m.t, template, m.Issuer)
	return m.android(r, SignFor(m.t, says.describes(), r.Key, kept), kept, m.Issuer)
}

func (m *Maker) android(r Registration, leaf Pair, above ...Pair) []byte {
	m.t.Helper()
	path := []any{leaf.Certificate.Raw}
	for _, one := range above {
		path = append(path, one.Certificate.Raw)
	}
	return r.object(m.t, "android-key", map[string]any{
		"alg": int64(webauthncose.AlgES256), "sig": sign(m.t, r.Key, r.signed(m.t)), "x5c": path,
	})
}

// describes is the certificate in which a device says this.
func (a Android) describes() *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: "Android Keystore Key"}, BasicConstraintsValid: true,
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 1, 17}, Value: a.Description()}},
	}
}
