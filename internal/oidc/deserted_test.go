package oidc_test

import (
	"net/http"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/session"
)

// The word of a relying party that the operator took away counts no more: the
// ID tokens that it keeps end nobody's session (ASVS 10.6.2).
func TestARelyingPartyThatIsGoneSignsNobodyOut(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		s, hint := b.atERS(amara)
		h.write(func(tx *db.Tx) error { return relyingparty.Delete(tx, ers) })
		h.pass(relyingparty.Fresh)
		if a := h.post("/connect/endSession", form("id_token_hint", hint)); a.status != http.StatusBadRequest || h.over(s) {
			t.Errorf("its server is answered %d %s, and the session is over: %t", a.status, a.body, h.over(s))
		}
		if a := b.leave("id_token_hint", hint); a.status != http.StatusOK || h.over(s) {
			t.Errorf("the person was not asked: %d %s, and the session is over: %t", a.status, a.header.Get("Location"), h.over(s))
		}
	})
}

// N2, N3: idle is who does nothing. A page that asks with prompt=none every ten
// minutes shows nobody at the keyboard, and must not keep the sign-in of
// somebody who left it open alive until its absolute limit (decision 7; ASVS
// 7.3.1).
func TestSilentRequestsAreNoActivity(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		b.signIn(amara, care.SecurityKey, care.AAL3)
		h.pass(10 * time.Minute)
		b.code(b.authorize(ask("prompt", "none")))
		h.pass(6 * time.Minute)
		if a := b.authorize(ask("prompt", "none")); a.to().Query().Get("error") != "login_required" {
			t.Errorf("after 16 minutes without anybody: %d %s", a.status, a.header.Get("Location"))
		}

		b.signIn(amara, care.SecurityKey, care.AAL3)
		h.pass(10 * time.Minute)
		b.code(b.authorize(ask()))
		h.pass(6 * time.Minute)
		b.code(b.authorize(ask("prompt", "none"))) // a service was opened meanwhile
	})
}

// Decision 8: on a shared computer no single sign-on outlives one relying
// party's sign-in. The page of the sign-in stays in the browser's history:
// whoever goes back to it once its person has left must not be sent on as them,
// with the very request that was answered already.
func TestOnASharedComputerGoingBackDoesNotSignInAgain(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		b := h.browser()
		back := b.atSignIn(b.authorize(ask())).ReturnTo
		b.opened(session.Opening{UID: amara, AAL: care.AAL2, Method: care.AuthenticatorApp, Client: ers, Shared: true})
		code := b.code(b.get(back))
		h.tokens(code) // the sign-in itself goes on: tokens and sign-out hang on it
		for range 2 {
			b.atSignIn(b.get(back))
		}
		b.signInAgain(amara, care.AuthenticatorApp, care.AAL2)
		b.code(b.get(back))
	})
}
