package oidc

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/oidc/clientauth"
)

// refusal is an OAuth error: a code from the registry for the relying party's
// program, and a sentence for its developer that never repeats what was sent.
type refusal struct {
	code        string
	description string
	// fault has the reference and the status, and the cause for the log: that
	// may say what the caller must not learn.
	fault *fault.Error
	// client says why a relying party was not authenticated, where that is it.
	client *clientauth.Refused
	// verbatim: relying parties compare the description, so that nothing may be
	// added to it.
	verbatim bool
}

func refuse(kind *fault.Kind, code, description string, cause error) *refusal {
	because := errors.New(code + ": " + description)
	if cause != nil {
		because = fmt.Errorf("%w: %w", because, cause)
	}
	return &refusal{code: code, description: description, fault: fault.New(kind, because)}
}

// refused is an authorization error, which goes to the redirect address.
func refused(code, description string) *refusal {
	return refuse(fault.RequestRefused, code, description, nil)
}

func invalidRequest(description string) *refusal { return refused("invalid_request", description) }

// badToken is an error of the token endpoint.
func badToken(code, description string) *refusal {
	return refuse(fault.GrantRefused, code, description, nil)
}

// unavailable is what a program is told when we cannot go on: a page is of no
// use to it.
func unavailable(err error) *refusal {
	switch {
	case errors.Is(err, db.ErrBusy), errors.Is(err, db.ErrUnavailable):
		return refuse(fault.Busy, "temporarily_unavailable", "the service is busy: try again in a few seconds", err)
	case errors.Is(err, db.ErrFull):
		return refuse(fault.Full, "temporarily_unavailable", "the service cannot store anything at the moment", err)
	}
	return refuse(fault.Internal, "server_error", "something went wrong on our side", err)
}

// text is error_description: with the reference, so that a developer can ask
// the service desk what lies behind it.
func (e *refusal) text() string { return e.description + ". Reference " + e.fault.Ref }

// maxLogged is how much of a client_id that nobody has checked goes into a log
// line.
const maxLogged = 64

// note logs the refusal and keeps it for `carekey explain`.
func (p *Provider) note(r *http.Request, e *refusal, client string) {
	level := p.Log.Info
	if e.fault.Kind.Status >= http.StatusInternalServerError {
		level = p.Log.Error
	}
	level("oauth error", "ref", e.fault.Ref, "status", e.fault.Kind.Status, "method", r.Method, "path", r.URL.Path,
		"client", client[:min(len(client), maxLogged)], "err", e.fault.Error())
	if e.client != nil {
		p.failures.Take(e.client, e.fault.Ref, r.URL.Path, p.network(r))
	}
	if p.Record != nil {
		p.Record(r, e.fault)
	}
}

// network is where a request comes from, "" if nobody knows.
func (p *Provider) network(r *http.Request) string {
	if p.Network == nil {
		return ""
	}
	if address := p.Network(r); address.IsValid() {
		return address.String()
	}
	return ""
}

type errorBody struct {
	Description string `json:"error_description"`
	Code        string `json:"error"`
	// Reference is there if the description does not end with it.
	Reference string `json:"reference,omitempty"`
}

func (e *refusal) body() errorBody {
	if e.verbatim {
		return errorBody{e.description, e.code, e.fault.Ref}
	}
	return errorBody{Description: e.text(), Code: e.code}
}

// fail answers a program with an OAuth error as JSON (RFC 6749 section 5.2).
func (p *Provider) fail(w http.ResponseWriter, r *http.Request, e *refusal, client string) {
	p.note(r, e, client)
	status := e.fault.Kind.Status
	if status == http.StatusUnauthorized && w.Header().Get("WWW-Authenticate") == "" {
		// RFC 6749 section 5.2; RFC 9110 section 15.5.2: every 401 says how to come
		// back.
		w.Header().Set("WWW-Authenticate", `Basic realm="Carekey", charset="UTF-8"`)
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	writeJSON(w, status, e.body())
}

// retryAfter is how many seconds a program waits after a 503.
const retryAfter = 5

// writeJSON writes an answer that nobody may keep (RFC 6749 section 5.1).
func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // texts, numbers and lists of them always encode
	}
	write(w, status, "application/json", body)
}

func write(w http.ResponseWriter, status int, kind string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Cache-Control", "no-store")
	h.Set("Pragma", "no-cache")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	w.Write(body)
}
