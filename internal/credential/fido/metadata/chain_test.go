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

// TestARootNeedNotSayThatItIsOne: makers publish roots without basic constraints
// and roots that deny to be authorities. What comes on a path has to say it, and
// an attestation certificate that is trusted itself vouches for no other.
func TestARootNeedNotSayThatItIsOne(t *testing.T) {
	now := time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	rootKey, middleKey, leafKey := ecKey(t), ecKey(t), ecKey(t)
	silent, denying, stamp := template("Root", now), template("Root", now), template("Root", now)
	silent.BasicConstraintsValid = false
	stamp.KeyUsage = x509.KeyUsageDigitalSignature
	another := template("Another", now)
	issuer, pretender := template("Issuer", now), template("Issuer", now)
	issuer.IsCA = true
	leaf := template("Batch 7", now)
	for name, c := range map[string]struct {
		root, middle *x509.Certificate
		want         bool
	}{
		"silent":                         {silent, nil, true},
		"silent, with an issuer between": {silent, issuer, true},
		"denying":                        {denying, nil, true},
		"denying, with an issuer":        {denying, issuer, true},
		"an issuer that is none":         {denying, pretender, false},
		"not for certificates":           {stamp, nil, false},
		"another":                        {another, nil, false},
	} {
		root := sign(t, c.root, c.root, rootKey, rootKey)
		path := []*x509.Certificate{sign(t, leaf, silent, leafKey, rootKey)}
		if c.middle != nil {
			path = []*x509.Certificate{sign(t, leaf, c.middle, leafKey, middleKey), sign(t, c.middle, c.root, middleKey, rootKey)}
		}
		ends := chain("packed", path, []*x509.Certificate{root}, now)
		if c.want != (ends != nil) || c.want && !ends[0].Equal(root) {
			t.Errorf("%s: %d roots", name, len(ends))
		}
	}
	maker := sign(t, template("Maker", now), issuer, rootKey, middleKey)
	if ends := chain("packed", []*x509.Certificate{sign(t, leaf, template("Maker", now), leafKey, rootKey)}, []*x509.Certificate{maker}, now); ends != nil {
		t.Error("an attestation certificate has vouched for another")
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
	return sign(t, template(name, now), template(name, now), key, key)
}

func template(name string, now time.Time) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name}, BasicConstraintsValid: true,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
	}
}

func sign(t *testing.T, c, by *x509.Certificate, key, byKey *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, by, key.Public(), byKey)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return made
}
