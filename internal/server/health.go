package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"carekey.dev/carekey/internal/db"
)

const (
	alivePath = "/healthz"
	readyPath = "/readyz"

	// mostSkew is how far a node's clock may be from the database's (decision
	// 17).
	mostSkew = 2 * time.Second
	// lookFor is how long a check may take.
	lookFor = 2 * time.Second
)

// health answers whoever supervises this process.
type health struct {
	db   *db.DB
	skew func() time.Duration
	log  *slog.Logger
	// leaving is set when the process has been told to stop: no new requests
	// should be sent to it.
	leaving atomic.Bool
}

// ServeHTTP answers readiness. Tables are up to date before anything listens.
func (h *health) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), lookFor)
	defer cancel()
	if err := h.check(ctx); err != nil {
		http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	_, _ = fmt.Fprintln(w, "ready")
}

func (h *health) check(ctx context.Context) error {
	if h.leaving.Load() {
		return errors.New("stopping")
	}
	err := h.db.Read(ctx, func(tx *db.Tx) error {
		var one int64
		return tx.Row(`SELECT 1`).Scan(&one)
	})
	if err != nil {
		h.log.Warn("not ready: the database does not answer", "err", err)
		return errors.New("the database does not answer") // and no more: this goes out to anybody
	}
	if skew := h.skew(); skew.Abs() > mostSkew {
		return fmt.Errorf("this machine's clock is %s off the database's", skew.Round(time.Millisecond))
	}
	return nil
}

func alive(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "alive") }
