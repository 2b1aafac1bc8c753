package oidc_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// idTokenOf signs a person in to e-RS and returns the ID token.
func (h *house) idTokenOf(b *browser) string {
	h.t.Helper()
	return h.tokens(b.code(b.authorize(ask())))["id_token"].(string)
}

// OpenID Connect Core section 3.1.2.1: id_token_hint. The person that it names
// is answered about, or nobody; the token may have expired.
func TestAHintNamesWhoMustHaveSignedIn(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		b.withApp(amara)
		hint := h.idTokenOf(b)
		query := ask("id_token_hint", hint, "prompt", "none")
		b.code(b.authorize(query))

		h.pass(3 * time.Hour) // the token has expired, and the session is idle
		if a := b.authorize(query); a.to().Query().Get("error") != "login_required" {
			t.Errorf("without a session: %s", a.header.Get("Location"))
		}
		b.withApp(amara)
		b.code(b.authorize(query))

		other := h.browser()
		other.withApp(zoe)
		if a := other.authorize(query); a.to().Query().Get("error") != "login_required" || a.to().Query().Has("code") {
			t.Errorf("another person: %s", a.header.Get("Location"))
		}
		// Where somebody may be asked, they are; and whoever signs in then
		// must be that person.
		h.pass(time.Second)
		req := other.atSignIn(other.authorize(ask("id_token_hint", hint)))
		if !req.AuthenticatedAfter.Equal(h.Now()) || req.LoginHint != "" {
			t.Errorf("the person is asked for %+v", req)
		}
		h.pass(time.Minute)
		other.withApp(zoe)
		if a := other.get(req.ReturnTo); a.to().Query().Get("error") != "login_required" {
			t.Errorf("the other person signed in again: %s", a.header.Get("Location"))
		}
		other.withApp(amara)
		other.code(other.get(req.ReturnTo))
	})
}

func TestWhatIsNoHintIsRefused(t *testing.T) {
	h := open(t)
	b := h.browser()
	b.withApp(amara)
	hint := h.idTokenOf(b)
	parts := strings.Split(hint, ".")
	meshs := b.authorize(ask("client_id", mesh, "id_token_hint", hint))
	if got := meshs.to().Query(); got.Get("error") != "invalid_request" || !strings.Contains(got.Get("error_description"), "another client") {
		t.Errorf("a token of another client: %v", got)
	}
	for name, bad := range map[string]string{
		"no token":       "x",
		"no signature":   "eyJhbGciOiJub25lIn0." + parts[1] + ".",
		"another's":      h.assertion("1"),
		"a changed one":  parts[0] + "." + parts[1][:len(parts[1])-8] + "AAAAAAAA." + parts[2],
		"another person": hint, // with the sub of somebody else in claims
	} {
		query := ask("id_token_hint", bad)
		if name == "another person" {
			query.Set("claims", `{"id_token":{"sub":{"value":"`+string(zoe)+`"}}}`)
		}
		a := b.authorize(query)
		got := a.to().Query()
		if a.status != http.StatusFound || got.Get("error") != "invalid_request" || strings.Contains(got.Get("error_description"), bad) && len(bad) > 1 {
			t.Errorf("%s: %d %v", name, a.status, got)
		}
	}
}
