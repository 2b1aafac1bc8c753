package certificate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Lives of what Local makes. Browsers refuse server certificates of more than
// 398 days.
const (
	caLife   = 10 * 365 * 24 * time.Hour
	leafLife = 90 * 24 * time.Hour
)

// LocalCA is the name of the CA's file in a folder.
const LocalCA = "ca.pem"

// Local makes a certificate authority for this machine in a folder, once, and
// a certificate of it, anew for each start: for localhost, and for host where
// that is another of this machine's own names or addresses, such as 127.0.0.9.
// It returns the path of the CA's certificate, which a developer has to trust
// by hand.
func Local(folder, host string, now time.Time) (string, error) {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", fmt.Errorf("making a local certificate authority: %w", err)
	}
	caPath := filepath.Join(folder, LocalCA)
	ca, err := authority(caPath, filepath.Join(folder, "ca.key"), now)
	if err != nil {
		return "", fmt.Errorf("making a local certificate authority: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", fmt.Errorf("making a local certificate: %w", err)
	}
	leaf := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(leafLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	if address := net.ParseIP(host); address.IsLoopback() && !slices.ContainsFunc(leaf.IPAddresses, address.Equal) {
		leaf.IPAddresses = append(leaf.IPAddresses, address)
	} else if strings.HasSuffix(host, ".localhost") {
		leaf.DNSNames = append(leaf.DNSNames, host)
	}
	signed, err := x509.CreateCertificate(rand.Reader, leaf, ca.certificate, &key.PublicKey, ca.key)
	if err != nil {
		return "", fmt.Errorf("signing a local certificate: %w", err)
	}
	err = store(filepath.Join(folder, "localhost.pem"), filepath.Join(folder, "localhost.key"), signed, key)
	if err != nil {
		return "", fmt.Errorf("storing a local certificate: %w", err)
	}
	return caPath, nil
}

type issuer struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// authority reads the CA of the folder, or makes it.
func authority(certificatePath, keyPath string, now time.Time) (issuer, error) {
	certificateText, err := os.ReadFile(certificatePath)
	if errors.Is(err, fs.ErrNotExist) {
		return newAuthority(certificatePath, keyPath, now)
	}
	if err != nil {
		return issuer{}, err
	}
	keyText, err := os.ReadFile(keyPath)
	if err != nil {
		return issuer{}, err
	}
	certificateBlock, _ := pem.Decode(certificateText)
	keyBlock, _ := pem.Decode(keyText)
	if certificateBlock == nil || keyBlock == nil {
		return issuer{}, fmt.Errorf("%s and %s are not what Carekey wrote: delete both", certificatePath, keyPath)
	}
	certificate, err := x509.ParseCertificate(certificateBlock.Bytes)
	if err != nil {
		return issuer{}, err
	}
	key, err := x509.ParseECPrivateKey(keyBlock.Bytes)
	return issuer{certificate, key}, err
}

func newAuthority(certificatePath, keyPath string, now time.Time) (issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return issuer{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Carekey on this machine"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(caLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
		// Whoever steals its key can pretend to be this machine only.
		PermittedDNSDomainsCritical: true, PermittedDNSDomains: []string{"localhost"},
		PermittedIPRanges: []*net.IPNet{
			{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)},
			{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
		},
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return issuer{}, err
	}
	if err := store(certificatePath, keyPath, signed, key); err != nil {
		return issuer{}, err
	}
	certificate, err := x509.ParseCertificate(signed)
	return issuer{certificate, key}, err
}

// store writes the key first: a certificate without its key is of no use.
func store(certificatePath, keyPath string, certificate []byte, key *ecdsa.PrivateKey) error {
	plain, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	keyText := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: plain})
	if err := os.WriteFile(keyPath, keyText, 0o600); err != nil {
		return err
	}
	certificateText := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	return os.WriteFile(certificatePath, certificateText, 0o644)
}

func serial() *big.Int {
	b := make([]byte, 16)
	rand.Read(b)
	b[0] &= 0x7f // positive, as RFC 5280 section 4.1.2.2 wants it
	return new(big.Int).SetBytes(b)
}
