package page

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"

	"carekey.dev/carekey/internal/fault"
)

// permissions closes what no page of Carekey uses, and keeps WebAuthn to us.
const permissions = "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=(), " +
	"publickey-credentials-create=(self), publickey-credentials-get=(self)"

// Exempt names paths whose POST carries no CSRF token because another program
// or another site sends it (decision 14: the OIDC endpoints). Call it before
// serving.
func (k *Kit) Exempt(paths ...string) {
	for _, path := range paths {
		k.exempt[path] = true
	}
}

// Programs names paths to which programs post JSON, so that no form of ours
// stands before them. Unlike an exempt path, one of these is closed to other
// sites: the room behind it takes application/json alone, which a form of
// another site cannot send, and here the browser's own word is asked (decision
// 14). Call it before serving.
func (k *Kit) Programs(paths ...string) {
	for _, path := range paths {
		k.programs[path] = true
	}
}

// Wrap puts the security headers on every answer, limits every form, refuses
// forms that this browser did not get from us, and turns an unknown path or a
// wrong method of a ServeMux into a fault page.
func (k *Kit) Wrap(next http.Handler) http.Handler {
	if mux, ok := next.(*http.ServeMux); ok {
		k.routes = mux
		next = k.mux(mux)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		k.setHeaders(w.Header())
		r.Body = http.MaxBytesReader(w, r.Body, MaxForm)
		r = k.withBrowser(w, r)
		if err := k.admit(r); err != nil {
			k.Fault(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// setHeaders puts decision 14 on an answer. Render and Static replace what
// differs for them.
func (k *Kit) setHeaders(h http.Header) {
	h.Set("Content-Security-Policy", contentPolicy(nil, nil))
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Permissions-Policy", permissions)
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if k.options.Secure {
		// ASVS 3.4.1: a year at least, and the subdomains too.
		h.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
	}
}

// admit refuses a changing request that is not a form of ours, sent by the
// browser that we gave it to (N18; ASVS 3.5.1, 3.5.3). The token and the
// browser's own word (Sec-Fetch-Site, Origin) must both agree.
func (k *Kit) admit(r *http.Request) error {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return nil
	}
	if k.exempt[r.URL.Path] {
		return nil
	}
	if err := k.guard.Check(r); err != nil {
		return fault.New(fault.FormForged, err)
	}
	if k.programs[r.URL.Path] {
		return nil
	}
	if err := parse(r); err != nil {
		return err
	}
	browser := cookieOf(r)
	mac, err := base64.RawURLEncoding.DecodeString(r.PostForm.Get(csrfField))
	if browser == "" || err != nil || !k.csrf.Verify(mac, []byte(browser)) {
		return fault.New(fault.FormForged, errors.New("the form's token does not belong to this browser"))
	}
	return nil
}

// csrfField is the name of the hidden field that {{form}} writes.
const csrfField = "csrf"

// token is the CSRF token of a browser: a MAC of its cookie, so that nothing
// is stored and any node can check it.
func (k *Kit) token(browser string) string {
	return base64.RawURLEncoding.EncodeToString(k.csrf.Sum([]byte(browser)))
}

// mux asks a ServeMux first whether it knows the request. What it does not
// know gets a page instead of the mux's own line of plain text.
func (k *Kit) mux(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		unknown, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		unknown.ServeHTTP(answer, r)
		switch answer.Code {
		case http.StatusMethodNotAllowed:
			w.Header().Set("Allow", answer.Header().Get("Allow"))
			k.Fault(w, r, fault.New(fault.MethodNotAllowed, nil))
		case http.StatusNotFound:
			k.Fault(w, r, fault.New(fault.NotFound, nil))
		default:
			mux.ServeHTTP(w, r)
		}
	})
}
