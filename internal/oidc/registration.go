package oidc

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/oidc/register"
)

// registrationRoutes adds the endpoint. A bearer token guards each request, so
// none carries a CSRF token.
func (p *Provider) registrationRoutes(mux *http.ServeMux) {
	p.Kit.Exempt(registerPath)
	mux.HandleFunc("POST "+registerPath, p.registerClient)
	mux.HandleFunc("GET "+registerPath, p.readClient)
	mux.HandleFunc("PUT "+registerPath, p.replaceClient)
	mux.HandleFunc("DELETE "+registerPath, p.removeClient)
}

// registerClient makes a relying party for a program that the operator gave an
// initial access token to (RFC 7591 section 3).
func (p *Provider) registerClient(w http.ResponseWriter, r *http.Request) {
	body, e := jsonBody(r)
	if e != nil {
		p.fail(w, r, e, "")
		return
	}
	made, err := p.registry.Register(r.Context(), bearer(r), body)
	if err != nil {
		p.failRegistration(w, r, err)
		return
	}
	writeJSON(w, http.StatusCreated, made)
}

// readClient, replaceClient and removeClient are how a program looks after what
// it registered (RFC 7592 section 2).
func (p *Provider) readClient(w http.ResponseWriter, r *http.Request) {
	found, err := p.registry.Read(r.Context(), ownClient(r), bearer(r))
	if err != nil {
		p.failRegistration(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, found)
}

func (p *Provider) replaceClient(w http.ResponseWriter, r *http.Request) {
	body, e := jsonBody(r)
	if e != nil {
		p.fail(w, r, e, ownClient(r))
		return
	}
	replaced, err := p.registry.Replace(r.Context(), ownClient(r), bearer(r), body)
	if err != nil {
		p.failRegistration(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, replaced)
}

func (p *Provider) removeClient(w http.ResponseWriter, r *http.Request) {
	if err := p.registry.Remove(r.Context(), ownClient(r), bearer(r)); err != nil {
		p.failRegistration(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// ownClient is the client that registration_client_uri names; "" for a text
// that no client_id can be.
func ownClient(r *http.Request) string {
	id := r.URL.Query().Get("client_id")
	if !possibleID(id) {
		return ""
	}
	return id
}

// bearer is the token of the Authorization header (RFC 6750 section 2.1), or
// "".
func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// jsonBody reads the metadata that a program sends (RFC 7591 section 3.1).
func jsonBody(r *http.Request) ([]byte, *refusal) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, refuse(fault.RegistrationRefused, register.InvalidMetadata, "send the metadata as application/json", err)
	}
	body, err := io.ReadAll(r.Body) // page.Kit has limited it
	if err != nil {
		return nil, refuse(fault.RegistrationRefused, register.InvalidMetadata, "the metadata could not be read, or is longer than 64 KiB", err)
	}
	return body, nil
}

// failRegistration answers with an error of RFC 7591 section 3.2.2. A token
// that is not good is the error of RFC 6750 section 3.1, and the
// challenge to a request without one has no code.
func (p *Provider) failRegistration(w http.ResponseWriter, r *http.Request, err error) {
	refused, ok := errors.AsType[*register.Refused](err)
	switch {
	case !ok:
		p.fail(w, r, unavailable(err), ownClient(r))
	case refused.Code != register.InvalidToken:
		p.fail(w, r, refuse(fault.RegistrationRefused, refused.Code, refused.Description, nil), ownClient(r))
	default:
		challenge := "Bearer"
		if bearer(r) != "" {
			challenge = `Bearer error="invalid_token"`
		}
		w.Header().Set("WWW-Authenticate", challenge)
		p.fail(w, r, refuse(fault.RegistrationTokenRefused, refused.Code, refused.Description, nil), ownClient(r))
	}
}
