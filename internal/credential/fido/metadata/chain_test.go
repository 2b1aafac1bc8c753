package metadata

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"
)

// TestAnAnchorIsANameAndAKey: RFC 5280 section 6.1.1. A certificate of the
// trusted name and key needs no path to it; the name alone is anybody's to
// write, and the key under another name is another anchor.
func TestAnAnchorIsANameAndAKey(t *testing.T) {
	now := time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	ours, other := ecKey(t), ecKey(t)
	leaf := certificate(t, "Maker", ours, now)
	for name, c := range map[string]struct {
		root *x509.Certificate
		at   time.Time
		want bool
	}{
		"itself":                   {leaf, now, true},
		"its name and key":         {certificate(t, "Maker", ours, now), now, true},
		"its name and another key": {certificate(t, "Maker", other, now), now, false},
		"its key and another name": {certificate(t, "Another", ours, now), now, false},
		"before its time":          {leaf, now.Add(-2 * time.Hour), false},
		"after its time":           {leaf, now.Add(2 * time.Hour), false},
	} {
		if got := chain("packed", []*x509.Certificate{leaf}, []*x509.Certificate{c.root}, c.at) != nil; got != c.want {
			t.Errorf("%s: trusted %t", name, got)
		}
	}
}

func ecKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// certificate is no authority, as an attestation certificate is none, and signs
// itself.
func certificate(t *testing.T, name string, key *ecdsa.PrivateKey, now time.Time) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made
}
