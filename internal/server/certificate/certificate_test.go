package certificate_test

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"carekey.dev/carekey/internal/server/certificate"
)

// clock is what the tests move.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func local(t *testing.T, folder string) (certificateFile, keyFile string) {
	t.Helper()
	if _, err := certificate.Local(folder, "localhost", time.Now()); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(folder, "localhost.pem"), filepath.Join(folder, "localhost.key")
}

// handshake returns the serial number that the server shows, checked against
// the CA of the folder.
func handshake(t *testing.T, f *certificate.Files, folder, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, certificate.LocalCA))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	go func() { _ = tls.Server(server, f.Config()).Handshake() }()
	conn := tls.Client(client, &tls.Config{RootCAs: roots, ServerName: name})
	if err := conn.Handshake(); err != nil {
		t.Fatalf("handshake as %s: %v", name, err)
	}
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

func TestTheLocalCertificateNamesTheAddressThatIsListenedOn(t *testing.T) {
	for _, host := range []string{"127.0.0.9", "auth.localhost", "localhost", "127.0.0.1", "::1", "auth.northmoor.example"} {
		folder := t.TempDir()
		ca, err := certificate.Local(folder, host, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(ca)
		if err != nil {
			t.Fatal(err)
		}
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(text)
		shown, err := tls.LoadX509KeyPair(filepath.Join(folder, "localhost.pem"), filepath.Join(folder, "localhost.key"))
		if err != nil {
			t.Fatal(err)
		}
		ours := host != "auth.northmoor.example"
		if _, err := shown.Leaf.Verify(x509.VerifyOptions{DNSName: host, Roots: roots}); (err == nil) != ours {
			t.Errorf("%s: %v", host, err)
		}
		if n := len(shown.Leaf.DNSNames) + len(shown.Leaf.IPAddresses); n > 4 {
			t.Errorf("%s: the certificate has %d names: %v %v", host, n, shown.Leaf.DNSNames, shown.Leaf.IPAddresses)
		}
	}
}

func TestTheLocalCAIsMadeOnceAndVouchesForThisMachine(t *testing.T) {
	folder := t.TempDir()
	certificateFile, keyFile := local(t, folder)
	before, err := os.ReadFile(filepath.Join(folder, certificate.LocalCA))
	if err != nil {
		t.Fatal(err)
	}
	local(t, folder)
	after, err := os.ReadFile(filepath.Join(folder, certificate.LocalCA))
	if err != nil || string(before) != string(after) {
		t.Errorf("the CA was made again (%v): everybody would have to trust a new one", err)
	}
	f, err := certificate.Open(certificateFile, keyFile, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"localhost", "127.0.0.1", "::1"} {
		handshake(t, f, folder, name)
	}
	for _, path := range []string{"ca.key", "localhost.key"} {
		info, err := os.Stat(filepath.Join(folder, path))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
}

// RFC 6749 section 1.6; FAPI 2.0 section 5.2: TLS 1.2 at least, and of its
// ciphers those that BCP 195 (RFC 9325 section 4.2) recommends.
func TestOldTLSAndWeakCiphersAreRefused(t *testing.T) {
	folder := t.TempDir()
	certificateFile, keyFile := local(t, folder)
	f, err := certificate.Open(certificateFile, keyFile, time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		version uint16
		ciphers []uint16
		good    bool
	}{
		"TLS 1.0":            {tls.VersionTLS10, nil, false},
		"TLS 1.1":            {tls.VersionTLS11, nil, false},
		"CBC":                {tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA}, false},
		"no forward secrecy": {tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_GCM_SHA384}, false},
		"ChaCha20":           {tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256}, false},
		"TLS 1.2":            {tls.VersionTLS12, nil, true},
		"TLS 1.3":            {tls.VersionTLS13, nil, true},
	} {
		client, server := net.Pipe()
		go func() {
			_ = tls.Server(server, f.Config()).Handshake()
			server.Close()
		}()
		conn := tls.Client(client, &tls.Config{
			InsecureSkipVerify: true, MinVersion: test.version, MaxVersion: test.version, CipherSuites: test.ciphers,
		})
		if err := conn.Handshake(); (err == nil) != test.good {
			t.Errorf("%s: %v", name, err)
		}
		client.Close()
	}
}

func TestANewCertificateIsTakenOverWithoutARestart(t *testing.T) {
	folder := t.TempDir()
	certificateFile, keyFile := local(t, folder)
	c := &clock{time.Now()}
	f, err := certificate.Open(certificateFile, keyFile, c.now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	first := handshake(t, f, folder, "localhost")
	local(t, folder)
	c.t = c.t.Add(certificate.Look - time.Millisecond)
	if got := handshake(t, f, folder, "localhost"); got != first {
		t.Error("the files were looked at too early")
	}
	c.t = c.t.Add(time.Millisecond)
	if got := handshake(t, f, folder, "localhost"); got == first {
		t.Error("the new certificate was not taken over")
	}
}

func TestASignalTakesOverAtOnce(t *testing.T) {
	folder := t.TempDir()
	certificateFile, keyFile := local(t, folder)
	c := &clock{time.Now()}
	f, err := certificate.Open(certificateFile, keyFile, c.now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	first := handshake(t, f, folder, "localhost")
	local(t, folder)
	f.Reload()
	if got := handshake(t, f, folder, "localhost"); got == first {
		t.Error("the new certificate was not taken over")
	}
}

func TestABadRenewalLeavesTheOldCertificateInUse(t *testing.T) {
	folder := t.TempDir()
	certificateFile, keyFile := local(t, folder)
	c := &clock{time.Now()}
	f, err := certificate.Open(certificateFile, keyFile, c.now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	first := handshake(t, f, folder, "localhost")
	for name, damage := range map[string]func() error{
		"half written":     func() error { return os.Truncate(certificateFile, 100) },
		"gone":             func() error { return os.Remove(keyFile) },
		"of another's key": func() error { return os.WriteFile(keyFile, []byte("nothing"), 0o600) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		c.t = c.t.Add(certificate.Look)
		if got := handshake(t, f, folder, "localhost"); got != first {
			t.Errorf("%s: another certificate is shown", name)
		}
	}
	local(t, folder)
	c.t = c.t.Add(certificate.Look)
	if got := handshake(t, f, folder, "localhost"); got == first {
		t.Error("after a good renewal the old one is still shown")
	}
}

func TestFilesThatDoNotFitAreRefusedAtTheStart(t *testing.T) {
	one, other := t.TempDir(), t.TempDir()
	certificateFile, _ := local(t, one)
	_, keyFile := local(t, other)
	if _, err := certificate.Open(certificateFile, keyFile, time.Now, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a certificate with another's key was accepted")
	}
	if _, err := certificate.Open(certificateFile, filepath.Join(one, "nothing"), time.Now, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a missing key was accepted")
	}
}
