package metadata

import (
	"crypto/x509"
	"time"
)

// KeyIdentifiers is how models without AAGUID are named.
func KeyIdentifiers(c *x509.Certificate) []string { return keyIdentifiers(c) }

// NewWithApple is New with another root than Apple's.
func NewWithApple(o Options, root *x509.Certificate) *Store {
	s := New(o)
	s.apple = []*x509.Certificate{root}
	return s
}

// VerifyAtRoot is Verify with another root than the FIDO Alliance's.
func VerifyAtRoot(file []byte, root *x509.Certificate, now time.Time) (Blob, error) {
	return verifyAt(file, []*x509.Certificate{root}, publisher, Trust{UncheckedRevocation: true}, now)
}

// ReadEntry reads one entry of a file.
func ReadEntry(raw []byte) ([]Model, error) { return readEntry(raw) }

// EmbeddedSums are the sums of the roots that come with the program.
func EmbeddedSums() []string {
	var sums []string
	for _, name := range []string{"mds.pem", "apple.pem"} {
		for _, c := range embedded(name) {
			sums = append(sums, sumOf(c.Raw))
		}
	}
	return sums
}
