package certificate

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// Authorities are those of a file in PEM form.
type Authorities struct {
	watch
	current atomic.Pointer[x509.CertPool]
}

// OpenAuthorities reads the file.
func OpenAuthorities(file string, now func() time.Time, log *slog.Logger) (*Authorities, error) {
	a := &Authorities{}
	a.watch = watch{what: "list of authorities", paths: []string{file}, load: a.load, now: now, log: log}
	if err := a.first(); err != nil {
		return nil, err
	}
	return a, nil
}

// Pool returns the authorities of now.
func (a *Authorities) Pool() *x509.CertPool {
	a.refresh()
	return a.current.Load()
}

// load takes over a list that is whole. It is good until the first of its
// authorities ends.
func (a *Authorities) load() (time.Time, error) {
	rest, err := os.ReadFile(a.paths[0])
	if err != nil {
		return time.Time{}, err
	}
	pool, until := x509.NewCertPool(), time.Time{}
	for {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		one, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return time.Time{}, fmt.Errorf("%s has a certificate that cannot be read: %w", a.paths[0], err)
		}
		pool.AddCert(one)
		if until.IsZero() || one.NotAfter.Before(until) {
			until = one.NotAfter
		}
	}
	switch {
	case bytes.Contains(rest, []byte("-----BEGIN")):
		return time.Time{}, fmt.Errorf("%s is cut off", a.paths[0])
	case until.IsZero():
		return time.Time{}, errors.New(a.paths[0] + " has no certificate in PEM form")
	}
	a.current.Store(pool)
	return until, nil
}
