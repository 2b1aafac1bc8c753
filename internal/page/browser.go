package page

import (
	"context"
	"net/http"
	"regexp"

	"carekey.dev/carekey/internal/keys"
)

// browserCookie marks one browser for one browser session, signed in or not.
// Sealed journeys and CSRF tokens are bound to it. It proves nothing about a
// person.
const browserCookie = "__Host-browser"

// browserBytes is its size: 128 bits (ASVS 7.2.3).
const browserBytes = 16

var browserForm = regexp.MustCompile(`^[A-Za-z0-9_-]{22}$`)

type browserKey struct{}

// visitor is a browser during one request.
type visitor struct {
	kit *Kit
	w   http.ResponseWriter
	// value is the cookie's, or "" until somebody needs it.
	value string
	// foreign is set when the cookie may exist but was not sent to us.
	foreign bool
}

func (k *Kit) withBrowser(w http.ResponseWriter, r *http.Request) *http.Request {
	v := &visitor{kit: k, w: w, value: cookieOf(r), foreign: r.Method == http.MethodPost && k.exempt[r.URL.Path]}
	return r.WithContext(context.WithValue(r.Context(), browserKey{}, v))
}

func cookieOf(r *http.Request) string {
	cookie, err := r.Cookie(browserCookie)
	if err != nil || !browserForm.MatchString(cookie.Value) {
		return ""
	}
	return cookie.Value
}

// Browser returns the mark of the request's browser. Where it has none yet it
// gets one with this answer, so call it before the answer is begun. It is ""
// outside Wrap, and for a POST from elsewhere to an exempt path that came
// without the cookie: the browser may have one and just not send it across
// sites (SameSite=Lax), and a new one would end its other journeys.
func Browser(r *http.Request) string {
	v, ok := r.Context().Value(browserKey{}).(*visitor)
	if !ok {
		return cookieOf(r)
	}
	if v.value == "" && !v.foreign {
		v.value = keys.Token(v.kit.options.Rand, browserBytes)
		http.SetCookie(v.w, &http.Cookie{
			Name: browserCookie, Value: v.value, Path: "/",
			Secure: true, HttpOnly: true,
			// Lax and not Strict: a relying party's link must not look like
			// a new browser and so end the journeys of other tabs.
			SameSite: http.SameSiteLaxMode,
		})
	}
	return v.value
}
