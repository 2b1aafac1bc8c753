package web

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"time"

	"carekey.dev/carekey/internal/keys"
)

// Deadline is how long a request may take: the database gives up after ten
// seconds, and a queue for password hashing before that.
const Deadline = 30 * time.Second

type idKey struct{}

// ID is the request's name in the log.
func ID(r *http.Request) string {
	id, _ := r.Context().Value(idKey{}).(string)
	return id
}

// Watched are paths that whoever watches this process asks all the time: while
// the answer is good, nobody wants to read of it.
type Watched []string

func (w Watched) level(r *http.Request, status int) slog.Level {
	if status == http.StatusOK && slices.Contains(w, r.URL.Path) {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// Log names each request, bounds its time and writes one line about it when it
// has been answered.
func Log(log *slog.Logger, watched Watched, random io.Reader, done func(r *http.Request, status int, took time.Duration), next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		id := keys.Token(random, 9)
		w.Header().Set("X-Request-Id", id)
		ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), idKey{}, id), Deadline)
		defer cancel()
		answer := &answer{ResponseWriter: w}
		defer func() {
			took := time.Since(began)
			done(r, answer.Status(), took)
			// The path and never the query: it may hold a sealed journey.
			log.Log(r.Context(), watched.level(r, answer.Status()), "request", "id", id, "method", r.Method, "path", r.URL.Path, "status", answer.Status(),
				"bytes", answer.bytes, "ms", took.Milliseconds(), "client", clientText(r))
		}()
		next.ServeHTTP(answer, r.WithContext(ctx))
	})
}

func clientText(r *http.Request) string {
	if address := Client(r); address.IsValid() {
		return address.String()
	}
	return ""
}

// Recover turns a panic into the page of an internal error; the log has the
// stack. Without it the connection would just break.
func Recover(log *slog.Logger, show func(w http.ResponseWriter, r *http.Request, err error), next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			reason := recover()
			if reason == nil {
				return
			}
			if reason == http.ErrAbortHandler {
				panic(reason) // net/http's own way to break a connection
			}
			log.Error("panic", "id", ID(r), "path", r.URL.Path, "reason", fmt.Sprint(reason), "stack", string(debug.Stack()))
			if answered, ok := w.(*answer); ok && answered.status != 0 {
				panic(http.ErrAbortHandler) // half an answer is out: do not let it look whole
			}
			show(w, r, fmt.Errorf("panic: %v", reason))
		}()
		next.ServeHTTP(w, r)
	})
}

// answer remembers what was answered.
type answer struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// Status is the status sent, 200 if the handler said nothing.
func (a *answer) Status() int {
	if a.status == 0 {
		return http.StatusOK
	}
	return a.status
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= 200 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	n, err := a.ResponseWriter.Write(b)
	a.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach what is below.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
