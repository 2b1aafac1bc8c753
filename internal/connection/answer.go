package connection

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"

	"carekey.dev/carekey/internal/fault"
)

// mistake is one thing to mend in a config.
type mistake struct {
	Field   string `json:"field,omitempty"`
	Index   *int   `json:"index,omitempty"` // of a list, from 0
	Message string `json:"message"`
}

// mistakes is the error of a config that has some.
type mistakes []mistake

func (m mistakes) Error() string {
	var all []string
	for _, one := range m {
		all = append(all, one.Message)
	}
	return strings.Join(all, "; ")
}

// refused is the refusal of what was sent, with a sentence for the developer.
func refused(sentence string) error {
	return fault.New(fault.ConfigRefused, errors.New(sentence)).With(sentence)
}

// failure is how every refusal looks.
type failure struct {
	// Error is the kind, for programs: "config_changed_meanwhile".
	Error     string    `json:"error"`
	Message   string    `json:"message"`
	Mistakes  []mistake `json:"mistakes,omitempty"`
	Reference string    `json:"reference"`
}

// fail answers with an error, logs it and keeps it for `carekey explain`.
func (m *Manager) fail(w http.ResponseWriter, r *http.Request, err error) {
	found := mistakes(nil)
	if errors.As(err, &found) {
		err = fault.New(fault.ConfigRefused, err)
	}
	f := fault.As(m.Translate(err))
	level := m.Log.Info
	if f.Kind.Status >= http.StatusInternalServerError {
		level = m.Log.Error
	}
	level("connection manager error", "ref", f.Ref, "status", f.Kind.Status, "method", r.Method, "path", r.URL.Path, "err", f.Error())
	if m.Record != nil {
		m.Record(r, f)
	}
	switch {
	case f.RetryAfter > 0:
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(f.RetryAfter.Seconds()))))
	case f.Kind.Status == http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	if f.Kind == fault.TeamRefused {
		w.Header().Set("WWW-Authenticate", `Bearer realm="Connection Manager"`) // RFC 9110 section 11.6.1
	}
	message := f.Message()
	if len(found) > 0 {
		message += " " + found.Error() + "."
	}
	m.answer(w, f.Kind.Status, failure{strings.ReplaceAll(f.Kind.Name, " ", "_"), message, found, f.Ref})
}

// retryAfter is how many seconds a program waits after a 503.
const retryAfter = 5

// Fail answers a request that did not get as far as this room.
func (m *Manager) Fail(w http.ResponseWriter, r *http.Request, err error) { m.fail(w, r, err) }

func (m *Manager) answer(w http.ResponseWriter, status int, v any) {
	text := encode(v)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	w.Write(text)
}

// encode writes addresses as they are: an & stays an &.
func encode(v any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic(err) // texts, numbers and lists of them always encode
	}
	return b.Bytes()
}
