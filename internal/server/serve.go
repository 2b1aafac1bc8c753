package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/server/web"
)

// Bounds of a connection. A form is 64 KiB at most, so a request that takes
// longer is somebody who holds the connection on purpose.
const (
	headerWithin = 10 * time.Second
	readWithin   = 30 * time.Second
	writeWithin  = web.Deadline + 15*time.Second
	idleFor      = 2 * time.Minute
	mostHeader   = 32 << 10

	// leaveWithin is how long requests in progress may take when the process
	// has been told to stop.
	leaveWithin = 15 * time.Second
)

// Serve answers requests until ctx ends, then lets those in progress end and
// finishes its work in the background. ready is called when it listens.
func Serve(ctx context.Context, h *House, ready func()) error {
	if err := h.refuseDemonstration(ctx); err != nil {
		return err
	}
	s, err := newSite(ctx, h)
	if err != nil {
		return err
	}
	node := nodeName(h)
	log, err := audit.OpenLog(ctx, audit.Options{
		DB: h.DB, Ring: h.Ring, Origin: h.host() + "/audit", Node: node, Random: h.Random, Log: h.Log,
	})
	if err != nil {
		return err
	}
	health := &health{db: h.DB, skew: h.DB.ClockSkew, log: h.Log}
	doors, err := s.open(health)
	if err != nil {
		return err
	}
	serving := make(chan error, len(doors))
	for _, d := range doors {
		go func() { serving <- d.server.Serve(d.listener) }()
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	wait := s.work(background, log, node)
	ready()

	select {
	case <-ctx.Done():
		err = nil
	case err = <-serving:
	}
	health.leaving.Store(true)
	if err == nil && !h.Config.Dev {
		h.Log.Info("stopping: requests in progress end first")
	}
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveWithin)
	defer cancel()
	left := s.leave(leaving, doors)
	stop()
	wait()
	return errors.Join(err, left)
}

// nodeName is unique to this process.
func nodeName(h *House) string {
	host, err := os.Hostname()
	if err != nil {
		host = "node"
	}
	return fmt.Sprintf("%s-%d-%s", host, os.Getpid(), keys.Token(h.Random, 6))
}

// watched are the paths of whoever supervises this process.
var watched = []string{alivePath, readyPath}

// handler is what a request passes, from the outside to the inside.
func (s *site) handler(h *health) http.Handler {
	outer := http.NewServeMux()
	outer.HandleFunc("GET "+alivePath, alive)
	outer.Handle("GET "+readyPath, h)
	outer.Handle("/", s.kit.Wrap(s.mux))
	return s.share(s.hall(outer, s.Config.ListensOnLoopback(), s.observe,
		func(w http.ResponseWriter, r *http.Request, err error) { s.kit.Fault(w, r, err) }))
}

// hall is what a request passes before inner, whoever it is for: it gets a
// name, a time limit and a line in the log, and it came encrypted. fail answers
// what does not get further.
func (s *site) hall(inner http.Handler, loopback bool, observe func(*http.Request, int, time.Duration), fail func(http.ResponseWriter, *http.Request, error)) http.Handler {
	proxies := web.Proxies{
		Trusted: s.Config.TrustedProxies,
		Only:    s.Config.TLS.CertificateFile == "" && !loopback,
		Open:    watched,
		Refuse:  fail,
	}
	recovered := web.Recover(s.Log, fail, proxies.Guard(inner))
	return proxies.Name(web.Log(s.accessLog(), watched, s.Random, observe, recovered))
}

// accessLog is silent in dev mode: the terminal is for what to do next.
func (s *site) accessLog() *slog.Logger {
	if s.Config.Dev && !s.Log.Enabled(context.Background(), slog.LevelDebug) {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log
}

func (s *site) observe(r *http.Request, status int, took time.Duration) {
	_, route := s.mux.Handler(r)
	if slices.Contains(watched, r.URL.Path) {
		route = "GET " + r.URL.Path
	}
	s.metrics.observe(route, status, took)
}

func (s *site) server(handler http.Handler) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerWithin, ReadTimeout: readWithin, WriteTimeout: writeWithin, IdleTimeout: idleFor,
		MaxHeaderBytes: mostHeader,
		ErrorLog:       slog.NewLogLogger(s.Log.Handler(), slog.LevelDebug), // strangers' broken handshakes
	}
}

// work starts what runs beside requests, and returns a function that waits
// until it has ended.
func (s *site) work(ctx context.Context, log *audit.Log, node string) (wait func()) {
	var group sync.WaitGroup
	group.Go(func() { s.Outbox.Run(ctx) })
	group.Go(func() { s.faults.Run(ctx) })
	group.Go(func() { s.again(ctx, "telling relying parties who has signed out", s.provider.TellSignOuts) })
	group.Go(func() { s.provider.KeepFailures(ctx) })
	group.Go(func() { s.again(ctx, "sequencing the audit log", log.Run) })
	group.Go(func() { s.again(ctx, "cleaning up", func(ctx context.Context) error { return s.clean(ctx, node) }) })
	for _, reload := range s.reloads {
		group.Go(func() { onHangup(ctx, reload) })
	}
	return group.Wait
}

// afterFailure is the pause before work that failed begins again.
const afterFailure = 5 * time.Second

// again runs a task until ctx ends: a database that was away for a while must
// not end the work of a node for good.
func (s *site) again(ctx context.Context, what string, task func(context.Context) error) {
	for ctx.Err() == nil {
		if err := task(ctx); err != nil && ctx.Err() == nil {
			s.Log.Error(what+" failed", "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(afterFailure):
		}
	}
}

// onHangup calls reload for each SIGHUP.
func onHangup(ctx context.Context, reload func()) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
			reload()
		}
	}
}
