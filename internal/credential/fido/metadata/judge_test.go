package metadata_test

import (
	"context"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"io/fs"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncbor"
	"github.com/google/go-tpm/tpm2"
	"github.com/google/uuid"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/fido/metadata"
	"carekey.dev/carekey/internal/credential/fido/metadata/metadatatest"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/person"
)

var (
	key5  = uuid.MustParse("2fc0579f-8113-47ea-b116-bb5a8db9202a")
	key6  = uuid.MustParse("c5ef55ff-ad9a-4b9f-b580-adebafe026d0")
	other = uuid.MustParse("08987058-cadc-4b81-b6e1-30de50dcbe96")
)

// today is where the clock of the tests begins.
var today = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

type house struct {
	t     *testing.T
	db    *db.DB
	clock *atomic.Int64
}

func schemas() []fs.FS {
	return []fs.FS{audit.Schema, outbox.Schema, person.Schema, credential.Schema, metadata.Schema}
}

func newClock() *atomic.Int64 {
	clock := &atomic.Int64{}
	clock.Store(today.UnixMicro())
	return clock
}

func each(t *testing.T, test func(t *testing.T, h house)) {
	t.Helper()
	clock := newClock()
	dbtest.EachAt(t, func() time.Time { return time.UnixMicro(clock.Load()) }, schemas(),
		func(t *testing.T, d *db.DB) { test(t, house{t, d, clock}) })
}

func open(t *testing.T) house {
	t.Helper()
	clock := newClock()
	return house{t, dbtest.OpenAt(t, func() time.Time { return time.UnixMicro(clock.Load()) }, schemas()...), clock}
}

func (h house) at(when time.Time) { h.clock.Store(when.UnixMicro()) }

// publish imports a file with these entries.
func (h house) publish(no int, entries ...map[string]any) {
	h.t.Helper()
	p := metadatatest.NewPublisher(h.t, "mds.example")
	b, err := metadata.Verify(p.Write(metadatatest.File{No: no, NextUpdate: "2026-04-01", Entries: append([]map[string]any{}, entries...)}),
		metadata.Trust{Anchors: []*x509.Certificate{p.Root.Certificate}, UncheckedRevocation: true}, h.db.Now())
	if err != nil {
		h.t.Fatal(err)
	}
	if stored, err := metadata.Import(h.t.Context(), h.db, b, "operator"); err != nil || !stored {
		h.t.Fatalf("stored: %t, %v", stored, err)
	}
}

// attestation is what the room above parses.
func attestation(t testing.TB, r metadatatest.Registration, raw []byte) metadata.Attestation {
	t.Helper()
	a, err := parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	a.ClientDataHash = r.ClientDataHash
	return a
}

func parse(raw []byte) (metadata.Attestation, error) {
	var o protocol.AttestationObject
	if err := webauthncbor.Unmarshal(raw, &o); err != nil {
		return metadata.Attestation{}, err
	}
	if err := o.AuthData.Unmarshal(o.RawAuthData); err != nil {
		return metadata.Attestation{}, err
	}
	return metadata.Attestation{Object: o}, nil
}

// formats are the attestations of every format, good ones.
func formats(t testing.TB, m *metadatatest.Maker, r metadatatest.Registration) map[string][]byte {
	u2f, _ := m.U2F(r)
	return map[string][]byte{
		"packed": m.Packed(r), "tpm": m.TPM(r), "android-key": m.Android(r, metadatatest.Sound(r)), "apple": m.Apple(r),
		"fido-u2f": u2f, "none": r.None(t), "self": r.Self(t),
	}
}

// TestEachFormatIsJudgedByTheRootsOfItsModel: WebAuthn sections 8.2 to 8.8 and
// decision 2. Of every format, an attestation that chains to its model's roots
// shows the model; the same one under a stranger's root shows nothing, and
// neither do "none" and self-attestation.
func TestEachFormatIsJudgedByTheRootsOfItsModel(t *testing.T) {
	h := open(t)
	maker, stranger := metadatatest.NewMaker(t, "Maker"), metadatatest.NewMaker(t, "Stranger")
	s := metadata.New(metadata.Options{DB: h.db})
	r := metadatatest.NewRegistration(t, key5)
	u2f, batch := maker.U2F(r)
	old := metadatatest.Entry(uuid.Nil, "Old Key", maker)
	delete(old, "aaguid")
	old["attestationCertificateKeyIdentifiers"] = []string{metadata.KeyIdentifiers(batch.Certificate)[0]}
	h.publish(1, metadatatest.Entry(key5, "Test Key 5", maker), old)
	of := formats(t, maker, r)
	of["fido-u2f"] = u2f
	for name, raw := range of {
		v, err := s.Judge(t.Context(), attestation(t, r, raw))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want := name != "none" && name != "self"
		if v.Attested != want || v.DeviceBound != want || v.Provenance.Attested() != want || (v.Why == "") != want {
			t.Errorf("%s: %+v", name, v)
		}
		description := "Test Key 5"
		if name == "fido-u2f" {
			description = "Old Key"
		}
		if v.Status.Description != description {
			t.Errorf("%s: the model is %q", name, v.Status.Description)
		}
	}
	for name, raw := range formats(t, stranger, r) {
		v, err := s.Judge(t.Context(), attestation(t, r, raw))
		if err != nil || v.Attested || v.DeviceBound || v.Provenance.Attested() || v.Why == "" {
			t.Errorf("%s of a stranger: %+v, %v", name, v, err)
		}
	}
}

// TestStatementsThatContradictTheirKeyAreRefused: WebAuthn section 7.1, step
// 22. Whoever changes what was attested has no attestation left, of any format.
func TestStatementsThatContradictTheirKeyAreRefused(t *testing.T) {
	h := open(t)
	maker := metadatatest.NewMaker(t, "Maker")
	h.publish(1, metadatatest.Entry(key5, "Test Key 5", maker))
	s := metadata.New(metadata.Options{DB: h.db})
	r := metadatatest.NewRegistration(t, key5)
	for name, raw := range formats(t, maker, r) {
		a := attestation(t, r, raw)
		a.ClientDataHash = make([]byte, 32)
		if _, err := s.Judge(t.Context(), a); (name != "none") != errors.Is(err, metadata.ErrStatement) {
			t.Errorf("%s about another challenge: %v", name, err)
		}
		// Another key under the same statement.
		foreign := metadatatest.NewRegistration(t, key5)
		a = attestation(t, r, raw)
		b := attestation(t, foreign, foreign.None(t))
		a.Object.RawAuthData, a.Object.AuthData = b.Object.RawAuthData, b.Object.AuthData
		if _, err := s.Judge(t.Context(), a); (name != "none") != errors.Is(err, metadata.ErrStatement) {
			t.Errorf("%s about another key: %v", name, err)
		}
		for _, field := range []string{"sig", "x5c", "alg", "certInfo", "pubArea"} {
			a = attestation(t, r, raw)
			if _, has := a.Object.AttStatement[field]; !has {
				continue
			}
			a.Object.AttStatement[field] = "what"
			if v, err := s.Judge(t.Context(), a); err == nil && v.Attested {
				t.Errorf("%s with a broken %s: %+v", name, field, v)
			}
		}
	}
	r.Twist = func(statement map[string]any) { statement["sig"] = []byte("more than nothing") }
	if _, err := s.Judge(t.Context(), attestation(t, r, r.None(t))); !errors.Is(err, metadata.ErrStatement) {
		t.Errorf("none that says something: %v", err)
	}
}

// TestU2FNamesNoModel: its signature does not cover the AAGUID (WebAuthn section
// 8.6, step 5), so that one that is there was put there by somebody else.
func TestU2FNamesNoModel(t *testing.T) {
	h := open(t)
	maker := metadatatest.NewMaker(t, "Maker")
	h.publish(1, metadatatest.Entry(key5, "Test Key 5", maker))
	r := metadatatest.NewRegistration(t, uuid.Nil)
	raw, _ := maker.U2F(r)
	a := attestation(t, r, raw)
	a.Object.AuthData.AttData.AAGUID = key5[:]
	if v, err := metadata.New(metadata.Options{DB: h.db}).Judge(t.Context(), a); !errors.Is(err, metadata.ErrStatement) {
		t.Errorf("%+v, %v", v, err)
	}
}

// TestCertificateForOneModelShowsNoOther: WebAuthn section 8.2.1. Where a root
// stands behind several models, the certificate has to name the model.
func TestCertificateForOneModelShowsNoOther(t *testing.T) {
	h := open(t)
	maker, single := metadatatest.NewMaker(t, "Maker"), metadatatest.NewMaker(t, "Single")
	h.publish(1, metadatatest.Entry(key5, "Test Key 5", maker), metadatatest.Entry(key6, "Test Key 6", maker), metadatatest.Entry(other, "Single", single))
	s := metadata.New(metadata.Options{DB: h.db})
	r := metadatatest.NewRegistration(t, key5)
	if v, err := s.Judge(t.Context(), attestation(t, r, maker.Packed(r))); err != nil || !v.Attested {
		t.Errorf("named: %+v, %v", v, err)
	}
	if v, err := s.Judge(t.Context(), attestation(t, r, maker.PackedUnnamed(r))); err != nil || v.Attested {
		t.Errorf("named by nobody: %+v, %v", v, err)
	}
	if _, err := s.Judge(t.Context(), attestation(t, r, maker.PackedBy(r, maker.Batch(key6)))); !errors.Is(err, metadata.ErrStatement) {
		t.Errorf("named another: %v", err)
	}
	r = metadatatest.NewRegistration(t, other)
	if v, err := s.Judge(t.Context(), attestation(t, r, single.PackedUnnamed(r))); err != nil || !v.Attested {
		t.Errorf("named by nobody, of a root with one model: %+v, %v", v, err)
	}
	if v, err := s.Judge(t.Context(), attestation(t, r, maker.Packed(r))); err != nil || v.Attested {
		t.Errorf("under the root of another model: %+v, %v", v, err)
	}
}

// TestSoftwareModelIsBoundToNoDevice: N8. It may be attested, and counts for no
// more than AAL2.
func TestSoftwareModelIsBoundToNoDevice(t *testing.T) {
	h := open(t)
	maker := metadatatest.NewMaker(t, "Maker")
	soft := metadatatest.Entry(key5, "Soft Key", maker)
	metadatatest.Statement(soft)["keyProtection"] = []string{"software"}
	silent := metadatatest.Entry(key6, "Silent Key", maker)
	delete(metadatatest.Statement(silent), "keyProtection")
	h.publish(1, soft, silent)
	for _, model := range []uuid.UUID{key5, key6} {
		r := metadatatest.NewRegistration(t, model)
		v, err := metadata.New(metadata.Options{DB: h.db}).Judge(t.Context(), attestation(t, r, maker.Packed(r)))
		if err != nil || !v.Attested || v.DeviceBound || v.Why == "" {
			t.Errorf("%s: %+v, %v", model, v, err)
		}
	}
}

// TestOperatorsRootVouches for what the FIDO Alliance says nothing of; the
// model is what the certificate names, and else none.
func TestOperatorsRootVouches(t *testing.T) {
	h := open(t)
	maker := metadatatest.NewMaker(t, "Maker")
	s := metadata.New(metadata.Options{DB: h.db, Roots: []*x509.Certificate{maker.Root.Certificate}, Allowed: []string{key5.String()}})
	r := metadatatest.NewRegistration(t, key5)
	for name, raw := range formats(t, maker, r) {
		v, err := s.Judge(t.Context(), attestation(t, r, raw))
		want := name != "none" && name != "self"
		if err != nil || v.Attested != want || v.DeviceBound != want {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
		if named := v.Provenance.Model != ""; named != (name == "packed") || v.Status.Listed != named {
			t.Errorf("%s shows the model %q, listed: %t", name, v.Provenance.Model, v.Status.Listed)
		}
	}
}

// TestARootOfTheOperatorShowsNoModelThatIsClaimed: its certificate names none, and
// everybody can claim the AAGUID of a model that is known.
func TestARootOfTheOperatorShowsNoModelThatIsClaimed(t *testing.T) {
	h := open(t)
	maker, house := metadatatest.NewMaker(t, "Maker"), metadatatest.NewMaker(t, "House")
	h.publish(1, metadatatest.Entry(key5, "Test Key 5", maker))
	s := metadata.New(metadata.Options{DB: h.db, Roots: []*x509.Certificate{house.Root.Certificate}, Allowed: []string{key5.String()}})
	r := metadatatest.NewRegistration(t, key5)
	v, err := s.Judge(t.Context(), attestation(t, r, house.PackedUnnamed(r)))
	if err != nil || !v.Attested || v.Provenance.Model != "" || v.Status != (metadata.Status{}) {
		t.Errorf("%+v, %v", v, err)
	}
}

// TestAppleNeedsNoMetadata: Apple publishes its root by itself. Only Apple's own
// format rests on it.
func TestAppleNeedsNoMetadata(t *testing.T) {
	h := open(t)
	maker := metadatatest.NewMaker(t, "Maker")
	s := metadata.NewWithApple(metadata.Options{DB: h.db}, maker.Root.Certificate)
	r := metadatatest.NewRegistration(t, uuid.Nil)
	for name, raw := range formats(t, maker, r) {
		v, err := s.Judge(t.Context(), attestation(t, r, raw))
		if err != nil || v.Attested != (name == "apple") {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
}

// TestAndroidKeysComeFromTheTrustedEnvironment: WebAuthn section 8.4.
func TestAndroidKeysComeFromTheTrustedEnvironment(t *testing.T) {
	h := open(t)
	maker := metadatatest.NewMaker(t, "Maker")
	s := metadata.New(metadata.Options{DB: h.db, Roots: []*x509.Certificate{maker.Root.Certificate}})
	r := metadatatest.NewRegistration(t, key5)
	sign, made := metadatatest.Purpose(2), metadatatest.Origin(0)
	newTag := metadatatest.Authorization(800, []byte{5, 0})
	anyone := metadatatest.Authorization(600, []byte{5, 0})
	for name, c := range map[string]struct {
		says metadatatest.Android
		good bool
	}{
		"sound":                    {metadatatest.Sound(r), true},
		"with tags of a new":       {metadatatest.Android{Challenge: r.ClientDataHash, Level: 2, Hardware: []asn1.RawValue{newTag, sign, made}}, true},
		"another challenge":        {metadatatest.Android{Challenge: []byte("other"), Level: 1, Hardware: []asn1.RawValue{sign, made}}, false},
		"in software":              {metadatatest.Android{Challenge: r.ClientDataHash, Level: 0, Hardware: []asn1.RawValue{sign, made}}, false},
		"enforced by software":     {metadatatest.Android{Challenge: r.ClientDataHash, Level: 1, Software: []asn1.RawValue{sign, made}}, false},
		"imported":                 {metadatatest.Android{Challenge: r.ClientDataHash, Level: 1, Hardware: []asn1.RawValue{sign, metadatatest.Origin(2)}}, false},
		"of unknown origin":        {metadatatest.Android{Challenge: r.ClientDataHash, Level: 1, Hardware: []asn1.RawValue{sign}}, false},
		"for decrypting":           {metadatatest.Android{Challenge: r.ClientDataHash, Level: 1, Hardware: []asn1.RawValue{metadatatest.Purpose(1), made}}, false},
		"for any application":      {metadatatest.Android{Challenge: r.ClientDataHash, Level: 1, Hardware: []asn1.RawValue{sign, anyone, made}}, false},
		"for any, in the software": {metadatatest.Android{Challenge: r.ClientDataHash, Level: 1, Software: []asn1.RawValue{anyone}, Hardware: []asn1.RawValue{sign, made}}, false},
	} {
		v, err := s.Judge(t.Context(), attestation(t, r, maker.Android(r, c.says)))
		if (err == nil && v.DeviceBound) != c.good || !c.good && !errors.Is(err, metadata.ErrStatement) {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
	// A device keeps a key, and its holder signs by it that another is kept too.
	if v, err := s.Judge(t.Context(), attestation(t, r, maker.AndroidBelow(r, metadatatest.Sound(r)))); !errors.Is(err, metadata.ErrStatement) {
		t.Errorf("described by a described key: %+v, %v", v, err)
	}
}

// TestATPMShowsNothingOfAKeyThatCanLeaveIt: N8. A TPM certifies each key that is
// loaded into it, so that a key of another place is certified too.
func TestATPMShowsNothingOfAKeyThatCanLeaveIt(t *testing.T) {
	h := open(t)
	maker := metadatatest.NewMaker(t, "Maker")
	h.publish(1, metadatatest.Entry(other, "Windows Hello", maker))
	s := metadata.New(metadata.Options{DB: h.db, Roots: []*x509.Certificate{maker.Root.Certificate}})
	r := metadatatest.NewRegistration(t, other)
	for name, change := range map[string]func(*tpm2.TPMAObject){
		"may be moved to another TPM":    func(o *tpm2.TPMAObject) { o.FixedTPM = false },
		"may be moved to another parent": func(o *tpm2.TPMAObject) { o.FixedParent = false },
		"was made elsewhere":             func(o *tpm2.TPMAObject) { o.SensitiveDataOrigin = false },
	} {
		attributes := metadatatest.Kept()
		change(&attributes)
		v, err := s.Judge(t.Context(), attestation(t, r, maker.TPMOf(r, attributes)))
		if err != nil || v.Attested || v.DeviceBound || v.Provenance.Attested() || v.Why == "" {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
	}
	// What Windows Hello sets: noDA and decrypt as well, or no more than these.
	for _, decrypts := range []bool{true, false} {
		attributes := metadatatest.Kept()
		attributes.NoDA, attributes.Decrypt = decrypts, decrypts
		v, err := s.Judge(t.Context(), attestation(t, r, maker.TPMOf(r, attributes)))
		if err != nil || !v.DeviceBound || v.Provenance.Model != other.String() {
			t.Errorf("of Windows Hello: %+v, %v", v, err)
		}
	}
}

// TestAnOversizedCertificateIsNotTried: a signature by an RSA key of 180 kbit,
// for which a form has room, takes five seconds to verify.
func TestAnOversizedCertificateIsNotTried(t *testing.T) {
	h := open(t)
	maker := metadatatest.NewMaker(t, "Maker")
	s := metadata.New(metadata.Options{DB: h.db})
	r := metadatatest.NewRegistration(t, key5)
	for bits, want := range map[int]string{4096: "Signature validation", 4104: "an RSA key of 4104 bits", 8192: "an RSA key of 8192 bits"} {
		_, err := s.Judge(t.Context(), attestation(t, r, maker.PackedByRSA(r, bits)))
		if !errors.Is(err, metadata.ErrStatement) || !strings.Contains(err.Error(), want) {
			t.Errorf("%d bits: %v, want %q", bits, err, want)
		}
	}
}

// FuzzJudge: whatever a browser sends as attestation object, nothing that is
// not signed under the model's root is attested.
func FuzzJudge(f *testing.F) {
	maker := metadatatest.NewMaker(f, "Maker")
	r := metadatatest.NewRegistration(f, key5)
	good := map[string]bool{}
	for _, raw := range formats(f, maker, r) {
		f.Add(raw)
		good[string(raw)] = true
	}
	d := dbtest.OpenAt(f, func() time.Time { return today }, schemas()...)
	s := metadata.New(metadata.Options{DB: d, Roots: []*x509.Certificate{maker.Root.Certificate}})
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := parse(raw)
		if err != nil || len(a.Object.AuthData.AttData.AAGUID) == 0 {
			return
		}
		a.ClientDataHash = r.ClientDataHash
		v, err := s.Judge(context.Background(), a)
		if err == nil && v.Attested && !good[string(raw)] && string(a.Object.RawAuthData) != string(r.AuthData(t)) {
			t.Errorf("attested: %+v", v)
		}
	})
}
