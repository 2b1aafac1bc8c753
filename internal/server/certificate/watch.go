package certificate

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Look is how often files are looked at, at most: when what they hold is asked
// for, so an idle server does nothing.
const Look = 2 * time.Second

// watch is files that are read again when they have changed.
type watch struct {
	what  string // for the log
	paths []string
	// load reads them, takes what they hold over if it is in order, and returns
	// until when that is good.
	load func() (until time.Time, err error)
	now  func() time.Time
	log  *slog.Logger

	mu     sync.Mutex // guards what follows
	looked time.Time
	state  string
}

// first reads the files at the start.
func (w *watch) first() error {
	w.looked = w.now()
	state, err := w.stat()
	if err != nil {
		return fmt.Errorf("reading the %s: %w", w.what, err)
	}
	w.state = state
	_, err = w.load()
	return err
}

// Reload reads the files again now (SIGHUP).
func (w *watch) Reload() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looked = w.now()
	w.replace()
}

// refresh looks whether the files have changed, unless it did so just now.
func (w *watch) refresh() {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.now()
	if now.Sub(w.looked) < Look {
		return
	}
	w.looked = now
	state, err := w.stat()
	if err != nil || state == w.state {
		return // a file that is gone for a moment is being replaced
	}
	w.replace()
}

// replace takes over the files, if they are in order.
func (w *watch) replace() {
	state, err := w.stat()
	var until time.Time
	if err == nil {
		until, err = w.load()
	}
	if err != nil {
		w.log.Error("the new "+w.what+" is not used", "err", err)
		return
	}
	w.state = state
	w.log.Info("a new "+w.what+" is in use", "until", until)
}

// stat describes the files. It follows links, as certificate managers replace
// a link and not a file.
func (w *watch) stat() (string, error) {
	state := ""
	for _, path := range w.paths {
		info, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		state += fmt.Sprintf("%d %d ", info.ModTime().UnixNano(), info.Size())
	}
	return state, nil
}
