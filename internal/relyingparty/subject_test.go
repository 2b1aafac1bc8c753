package relyingparty

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"
)

// issued is a certificate as its client shows it.
func issued(t testing.TB, template *x509.Certificate) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber, template.NotAfter = big.NewInt(1), time.Now().Add(time.Hour)
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// RFC 8705 section 2.1.2: each of the five ways to name a certificate.
func TestACertificateIsKnownByTheOneNameThatWasRegistered(t *testing.T) {
	uri, err := url.Parse("spiffe://northmoor.example/ers")
	if err != nil {
		t.Fatal(err)
	}
	c := issued(t, &x509.Certificate{
		Subject: pkix.Name{
			CommonName: "e-RS, live", Organization: []string{"Northmoor  Trust"}, Country: []string{"GB"},
			ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, Value: "Zoë"}},
		},
		DNSNames: []string{"ers.northmoor.example", "*.northmoor.example"}, URIs: []*url.URL{uri},
		IPAddresses: []net.IP{net.ParseIP("10.1.2.3"), net.ParseIP("2001:db8::1")}, EmailAddresses: []string{"ers@northmoor.example"},
	})
	for _, test := range []struct {
		subject TLSSubject
		want    bool
	}{
		{TLSSubject{DN: `UID=Zoë,CN=e-RS\, live,O=Northmoor  Trust,C=GB`}, true},
		{TLSSubject{DN: `uid = Zo\C3\AB , cn = e-RS\2c live , 2.5.4.10 = Northmoor  Trust ; c = GB`}, true},
		{TLSSubject{DN: `C=GB,O=Northmoor  Trust,CN=e-RS\, live,UID=Zoë`}, false}, // the other way round
		{TLSSubject{DN: `CN=e-RS\, live,O=Northmoor  Trust,C=GB`}, false},         // a part of it
		{TLSSubject{DN: `UID=Zoë,CN=E-RS\, live,O=Northmoor  Trust,C=GB`}, false},
		{TLSSubject{DN: `UID=Zoë+CN=e-RS\, live,O=Northmoor  Trust,C=GB`}, false},
		{TLSSubject{DN: `e-RS`}, false},
		{TLSSubject{DNS: "ERS.northmoor.example"}, true},
		{TLSSubject{DNS: "pas.northmoor.example"}, false}, // though a wildcard would match
		{TLSSubject{DNS: "northmoor.example"}, false},
		{TLSSubject{URI: "spiffe://northmoor.example/ers"}, true},
		{TLSSubject{URI: "spiffe://northmoor.example/ers/"}, false},
		{TLSSubject{IP: "10.1.2.3"}, true},
		{TLSSubject{IP: "2001:db8:0:0::1"}, true},
		{TLSSubject{IP: "10.1.2.4"}, false},
		{TLSSubject{Email: "ers@northmoor.example"}, true},
		{TLSSubject{Email: "pas@northmoor.example"}, false},
		{TLSSubject{}, false},
	} {
		if got := test.subject.Names(c); got != test.want {
			t.Errorf("%+v: %v", test.subject, got)
		}
	}
	nameless := issued(t, &x509.Certificate{})
	if (TLSSubject{DN: "CN=a"}).Names(nameless) || (TLSSubject{DNS: "a"}).Names(nameless) {
		t.Error("a certificate without a name is somebody's")
	}
}

// A part of several attributes is met by each of them, and not by one of them
// twice: whoever may have CN=e-RS has no right to the name of its sub-unit.
func TestOneAttributeTwiceIsNotTwoAttributes(t *testing.T) {
	set := func(all ...pkix.AttributeTypeAndValue) *x509.Certificate {
		raw, err := asn1.Marshal(pkix.RDNSequence{all})
		if err != nil {
			t.Fatal(err)
		}
		return &x509.Certificate{RawSubject: raw}
	}
	name := pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "e-RS"}
	unit := pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 11}, Value: "Live"}
	registered := TLSSubject{DN: "CN=e-RS+OU=Live"}
	if !registered.Names(set(name, unit)) || !registered.Names(set(unit, name)) {
		t.Error("the name itself is not known")
	}
	if registered.Names(set(name, name)) || registered.Names(set(unit, unit)) {
		t.Error("one attribute twice is taken for both")
	}
}

func TestADistinguishedNameIsReadOrItsMistakeIsSaid(t *testing.T) {
	for text, want := range map[string]string{
		"CN=a":            "",
		`CN=a\+b+OU=c`:    "",
		"1.2.3.4=a":       "",
		"":                "is no attribute",
		"CN":              "is no attribute",
		"Shoe size=9":     "is known",
		"1.02.3=a":        "is known",
		"CN=":             "is empty",
		"CN=a,":           "is no attribute",
		"CN=a+CN=a":       "twice",
		"CN=#04024869":    "hexadecimal",
		`CN=a\`:           `after \`,
		`CN=a\z`:          `after \`,
		`CN="a"`:          `write \`,
		"CN=\\ff":         "no text",
		"CN=a\x00,DC=com": `write \`,
	} {
		_, err := parseDN(text)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// FuzzDistinguishedName: a text that is read names exactly the certificate with
// that name, however it was written.
func FuzzDistinguishedName(f *testing.F) {
	for _, seed := range []string{"CN=a,O=b,C=GB", `cn=a\2c \ +2.5.4.11=b`, "1.2.3=x;DC=y", `CN=\ff`, "CN=a+CN=b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := parseDN(text)
		if err != nil {
			return
		}
		var name pkix.RDNSequence
		for i := len(parsed) - 1; i >= 0; i-- {
			var part pkix.RelativeDistinguishedNameSET
			for _, a := range parsed[i] {
				var oid asn1.ObjectIdentifier
				for arc := range strings.SplitSeq(a.oid, ".") {
					n, ok := new(big.Int).SetString(arc, 10)
					if !ok || !n.IsInt64() || n.Int64() > 1<<30 {
						return
					}
					oid = append(oid, int(n.Int64()))
				}
				part = append(part, pkix.AttributeTypeAndValue{Type: oid, Value: a.value})
			}
			name = append(name, part)
		}
		raw, err := asn1.Marshal(name)
		if err != nil {
			return // a number that is none
		}
		if !parsed.is(raw) {
			t.Errorf("%q does not name its own certificate", text)
		}
		other, err := asn1.Marshal(append(name, name[0]))
		if err == nil && parsed.is(other) {
			t.Errorf("%q names another certificate", text)
		}
	})
}
