// Package certificate serves the TLS certificate of a pair of files, or the
// authorities of a file, and takes over what the operator puts in their place
// without a restart.
//
// The operator's files come in (or, in dev mode, files that Local makes);
// tls.Config or a pool of authorities leaves. What does not fit together, or is
// cut off because it is still being written, is logged and the old one goes on:
// a bad renewal never takes the service down.
package certificate

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// Files serves the certificate of two files.
type Files struct {
	watch
	certificate, key string
	current          atomic.Pointer[tls.Certificate]
}

// Open reads the files.
func Open(certificateFile, keyFile string, now func() time.Time, log *slog.Logger) (*Files, error) {
	f := &Files{certificate: certificateFile, key: keyFile}
	f.watch = watch{what: "TLS certificate", paths: []string{certificateFile, keyFile}, load: f.load, now: now, log: log}
	if err := f.first(); err != nil {
		return nil, err
	}
	return f, nil
}

// Config is for a server. TLS 1.2 with forward secrecy is the least (NCSC
// guidance on TLS; ASVS 12.1.1).
func (f *Files) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			f.refresh()
			return f.current.Load(), nil
		},
		CipherSuites: []uint16{ // of TLS 1.2: those of BCP 195 (FAPI 2.0 section 5.2.2); those of 1.3 are all good
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		},
	}
}

func (f *Files) load() (time.Time, error) {
	pair, err := tls.LoadX509KeyPair(f.certificate, f.key)
	if err != nil {
		return time.Time{}, fmt.Errorf("reading the TLS certificate %s and its key %s: %w", f.certificate, f.key, err)
	}
	f.current.Store(&pair)
	return pair.Leaf.NotAfter, nil
}
