package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"carekey.dev/carekey/internal/server/certificate"
)

// door is one address that is served. tls is nil where it is plain.
type door struct {
	address  string
	server   *http.Server
	tls      *tls.Config
	listener net.Listener
}

// open opens every door that the configuration names, or none.
func (s *site) open(h *health) ([]door, error) {
	var encrypted *tls.Config
	if named := s.Config.TLS; named.CertificateFile != "" {
		files, err := certificate.Open(named.CertificateFile, named.KeyFile, time.Now, s.Log)
		if err != nil {
			return nil, err
		}
		s.reloads, encrypted = append(s.reloads, files.Reload), files.Config()
	}
	doors := []door{{address: s.Config.Listen, server: s.server(s.handler(h)), tls: encrypted}}
	if address := s.Config.ConnectionManager.Listen; address != "" {
		doors = append(doors, door{address: address, server: s.server(s.connectionHall()), tls: encrypted})
	}
	if named := s.Config.MutualTLS; named.Offered() {
		files, err := certificate.Open(named.CertificateFile, named.KeyFile, time.Now, s.Log)
		if err != nil {
			return nil, err
		}
		s.reloads = append(s.reloads, files.Reload)
		doors = append(doors, door{address: named.Listen, server: s.server(s.mutualHall()), tls: asking(files.Config())})
	}
	if address := s.Config.MetricsListen; address != "" {
		scraped := &http.Server{Handler: s.metrics.handler(), ReadHeaderTimeout: headerWithin}
		doors = append(doors, door{address: address, server: scraped})
	}
	for i := range doors {
		listener, err := net.Listen("tcp", doors[i].address)
		if err != nil {
			err = cannotListen(doors[i].address, err)
			for _, opened := range doors[:i] {
				err = errors.Join(err, opened.listener.Close())
			}
			return nil, err
		}
		if doors[i].tls != nil {
			listener = tls.NewListener(listener, doors[i].tls)
		}
		doors[i].listener = listener
	}
	return doors, nil
}

func cannotListen(address string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("another program listens on %s: stop it, or choose another address", address)
	}
	return fmt.Errorf("listening on %s: %w", address, err)
}

// leave closes every door, and waits for the requests behind them until ctx
// ends.
func (s *site) leave(ctx context.Context, doors []door) error {
	var left error
	for _, d := range doors {
		left = errors.Join(left, d.server.Shutdown(ctx))
	}
	if !errors.Is(left, context.DeadlineExceeded) {
		return left
	}
	s.Log.Warn("some requests did not end in time")
	left = nil
	for _, d := range doors {
		left = errors.Join(left, d.server.Close())
	}
	return left
}
