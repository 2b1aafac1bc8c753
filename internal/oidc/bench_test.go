package oidc_test

import (
	"net/http"
	"strconv"
	"testing"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/oidc"
)

// per reports what one operation costs the database.
func (h *house) per(b *testing.B, do func()) {
	b.Helper()
	before := h.Counters()
	for b.Loop() {
		do()
	}
	after := h.Counters()
	b.ReportMetric(float64(after.Commits-before.Commits)/float64(b.N), "commits/op")
	b.ReportMetric(float64(after.Statements-before.Statements)/float64(b.N), "statements/op")
}

// codes signs somebody in and returns what gives one new code of a client after
// the other.
func (h *house) codes(client string) func() string {
	person := h.browser()
	person.signIn(amara, care.AuthenticatorApp, care.AAL2)
	return func() string {
		return person.code(person.authorize(ask("client_id", client, "scope", "openid nationalrbacaccess")))
	}
}

// BenchmarkAuthorize is single sign-on: a session, a request, a code.
func BenchmarkAuthorize(b *testing.B) {
	h := open(b)
	next := h.codes(ers)
	next()
	h.per(b, func() { next() })
}

// BenchmarkSingleSignOn is a whole sign-in of a person who has a session: code,
// tokens, userinfo.
func BenchmarkSingleSignOn(b *testing.B) {
	h := open(b)
	next := h.codes(ers)
	next()
	h.per(b, func() {
		bought := object(b, h.post("/access_token", redemption(next())).body)
		r, err := http.NewRequest(http.MethodGet, h.server.URL+oidc.RealmPath+"/userinfo", nil)
		if err != nil {
			b.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+bought["access_token"].(string))
		if a := h.browser().do(r); a.status != http.StatusOK {
			b.Fatal(a.status, a.body)
		}
	})
}

// BenchmarkAssertion is the same code, redeemed with a signed assertion.
func BenchmarkAssertion(b *testing.B) {
	h := open(b)
	next := h.codes(ncrs)
	n := 0
	h.per(b, func() {
		n++
		if a := h.post("/access_token", h.asserted(next(), h.assertion("bench-"+strconv.Itoa(n)))); a.status != http.StatusOK {
			b.Fatal(a.status, a.body)
		}
	})
}
