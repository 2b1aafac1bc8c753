package certificate_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"carekey.dev/carekey/internal/server/certificate"
)

// authority is a new authority, and its certificate in PEM form.
func authority(t *testing.T) (*x509.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return made, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
}

// TestANewListOfAuthoritiesIsTakenOverWithoutARestart: an authority that is
// taken off the list is trusted no longer, and a list that is not whole leaves
// the old one in use.
func TestANewListOfAuthoritiesIsTakenOverWithoutARestart(t *testing.T) {
	old, oldText := authority(t)
	fresh, freshText := authority(t)
	file := filepath.Join(t.TempDir(), "clients.pem")
	put := func(text []byte) {
		t.Helper()
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(oldText)
	c := &clock{time.Now()}
	a, err := certificate.OpenAuthorities(file, c.now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	trusts := func(when string, one *x509.Certificate, want bool) {
		t.Helper()
		_, err := one.Verify(x509.VerifyOptions{Roots: a.Pool()})
		if (err == nil) != want {
			t.Errorf("%s: %v, want trusted: %t", when, err, want)
		}
	}
	both := append(append([]byte("# Northmoor\n"), freshText...), oldText...)
	put(both)
	c.t = c.t.Add(certificate.Look - time.Millisecond)
	trusts("too early", fresh, false)
	c.t = c.t.Add(time.Millisecond)
	trusts("both, the old one", old, true)
	trusts("both, the new one", fresh, true)
	for name, bad := range map[string][]byte{
		"cut off": both[:len(both)-40], "empty": nil, "no certificate": []byte("hello"),
		"damaged": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}),
	} {
		put(bad)
		a.Reload()
		trusts(name, old, true)
		trusts(name, fresh, true)
	}
	put(freshText)
	a.Reload()
	trusts("the new one alone", old, false)
	trusts("the new one alone", fresh, true)
}
