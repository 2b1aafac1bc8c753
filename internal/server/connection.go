package server

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"carekey.dev/carekey/internal/connection"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/server/faultlog"
	"carekey.dev/carekey/internal/server/web"
)

// newConnection makes the Connection Manager, or nil if it is not offered.
func (s *site) newConnection() *connection.Manager {
	if !s.Config.ConnectionManager.Offered() {
		return nil
	}
	return connection.New(connection.Options{
		DB: s.DB, Ring: s.Ring, Throttle: s.Throttle, BaseURL: s.Config.ConnectionManager.BaseURL, Network: web.Client,
		Translate: translate, Record: s.recordProgram, Random: s.Random, Log: s.Log,
	})
}

// recordProgram keeps a fault that a program met: nobody is signed in there.
func (s *site) recordProgram(r *http.Request, f *fault.Error) {
	o := faultlog.Of(f)
	o.Method, o.Path, o.Request = r.Method, r.URL.Path, web.ID(r)
	s.metrics.faults.WithLabelValues(f.Kind.Name).Inc()
	s.faults.Record(o)
}

// connectionHall is the Connection Manager with what is before it.
func (s *site) connectionHall() http.Handler {
	address := s.Config.ConnectionManager
	loopback := address.ListensOnLoopback()
	if address.Listen == "" {
		loopback = s.Config.ListensOnLoopback()
	}
	return s.hall(s.connection, loopback, func(r *http.Request, status int, took time.Duration) {
		s.metrics.observe("connection manager "+s.connection.Route(r), status, took)
	}, s.connection.Fail)
}

// share gives the Connection Manager its requests where it has no port of its
// own: they name its host.
func (s *site) share(people http.Handler) http.Handler {
	address := s.Config.ConnectionManager
	u, err := url.Parse(address.BaseURL)
	if err != nil || !address.Offered() || address.Listen != "" {
		return people
	}
	programs := s.connectionHall()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, err := url.Parse("//" + r.Host)
		if err == nil && strings.EqualFold(host.Hostname(), u.Hostname()) {
			programs.ServeHTTP(w, r)
			return
		}
		people.ServeHTTP(w, r)
	})
}
