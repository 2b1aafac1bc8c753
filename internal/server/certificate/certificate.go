// Package certificate serves the TLS certificate of a pair of files and takes
// over a new pair without a restart.
//
// The operator's files come in (or, in dev mode, files that Local makes);
// tls.Config leaves. A new pair that does not fit together, or is cut off
// because it is still being written, is logged and the old one goes on: a bad
// renewal never takes the service down.
package certificate

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Look is how often the files are looked at, at most: with the handshakes, so
// an idle server does nothing.
const Look = 2 * time.Second

// Files serves the certificate of two files.
type Files struct {
	certificate, key string
	log              *slog.Logger
	now              func() time.Time

	current atomic.Pointer[tls.Certificate]

	mu     sync.Mutex // guards what follows
	looked time.Time
	state  string
}

// Open reads the files.
func Open(certificateFile, keyFile string, now func() time.Time, log *slog.Logger) (*Files, error) {
	f := &Files{certificate: certificateFile, key: keyFile, log: log, now: now, looked: now()}
	state, err := f.stat()
	if err != nil {
		return nil, fmt.Errorf("reading the TLS certificate: %w", err)
	}
	f.state = state
	if err := f.load(); err != nil {
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

// Reload reads the files again now (SIGHUP).
func (f *Files) Reload() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looked = f.now()
	f.replace()
}

// refresh looks whether the files have changed, unless it did so just now.
func (f *Files) refresh() {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if now.Sub(f.looked) < Look {
		return
	}
	f.looked = now
	state, err := f.stat()
	if err != nil || state == f.state {
		return // a file that is gone for a moment is being replaced
	}
	f.replace()
}

// replace takes over the files, if they are in order.
func (f *Files) replace() {
	state, err := f.stat()
	if err == nil {
		err = f.load()
	}
	if err != nil {
		f.log.LogAttrs(context.Background(), slog.LevelError, "the new TLS certificate is not used", slog.Any("err", err))
		return
	}
	f.state = state
	f.log.Info("a new TLS certificate is in use", "until", f.current.Load().Leaf.NotAfter)
}

func (f *Files) load() error {
	pair, err := tls.LoadX509KeyPair(f.certificate, f.key)
	if err != nil {
		return fmt.Errorf("reading the TLS certificate %s and its key %s: %w", f.certificate, f.key, err)
	}
	f.current.Store(&pair)
	return nil
}

// stat describes both files. It follows links, as certificate managers replace
// a link and not a file.
func (f *Files) stat() (string, error) {
	state := ""
	for _, path := range []string{f.certificate, f.key} {
		info, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		state += fmt.Sprintf("%d %d ", info.ModTime().UnixNano(), info.Size())
	}
	return state, nil
}
