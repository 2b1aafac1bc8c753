package oidc

import (
	"crypto/sha256"
	"net/http"
	"net/url"
	"time"

	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/page"
)

// askedParameter is what the address to come back to carries besides the
// relying party's own parameters: when this request first sent the person to
// sign in. Without it, prompt=login would ask for ever.
const askedParameter = "carekey_asked"

// sealAsked returns the parameter for a request of this browser.
func (p *Provider) sealAsked(r *http.Request, query url.Values, at time.Time) (string, error) {
	return keys.SealJSON(p.asked, boundTo(r, query), at)
}

// whenAsked returns when this very request of this browser first sent the
// person to sign in. It is zero if it never did, or if the parameter is old,
// was changed, or belongs to another request or another browser: the person is
// then asked again, which is always safe.
func (p *Provider) whenAsked(r *http.Request, query url.Values, now time.Time) time.Time {
	at, err := keys.OpenJSON[time.Time](p.asked, boundTo(r, query), query.Get(askedParameter))
	if err != nil || now.Sub(at) >= journey.RequirementLife {
		return time.Time{}
	}
	return at
}

// boundTo names a request and a browser.
func boundTo(r *http.Request, query url.Values) []byte {
	request := sha256.Sum256([]byte(own(query).Encode()))
	browser := sha256.Sum256([]byte(page.Browser(r)))
	return append(request[:], browser[:]...)
}

// own returns the relying party's own parameters.
func own(query url.Values) url.Values {
	its := url.Values{}
	for name, values := range query {
		if name != askedParameter && name != journey.RefusalParameter {
			its[name] = values
		}
	}
	return its
}
