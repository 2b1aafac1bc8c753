package registration

import (
	"net/http"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/page"
)

const titleRecover = "Enter a recovery code"

// recover is the door of somebody whose phone is lost (decision 6). The
// sign-in room leads here, in the same browser, with the app's ticket for a
// right password; from then on it travels in a journey of the registration.
func (g *Registration) recover(w http.ResponseWriter, r *http.Request) {
	if sealed := r.URL.Query().Get("ticket"); sealed != "" {
		g.beginRecovery(w, r, sealed)
		return
	}
	sealed := r.URL.Query().Get("j")
	if _, ok := g.open(w, r, sealed, stepRecover); ok {
		g.render(w, r, "recover", sealed, page.View{Title: titleRecover})
	}
}

func (g *Registration) beginRecovery(w http.ResponseWriter, r *http.Request, sealed string) {
	handed, err := journey.Open[string](g.lost, page.Browser(r), sealed)
	if err != nil {
		g.stop(w, r, trip{State: state{By: byRecovery}}, fault.New(fault.SignInTooOld, err))
		return
	}
	ticket := handed.State
	password, err := g.App.PasswordOnly(ticket)
	if err != nil {
		g.stop(w, r, trip{State: state{By: byRecovery}}, err)
		return
	}
	p, _, err := g.holder(r.Context(), password.UID())
	if err != nil {
		g.Kit.Fault(w, r, err)
		return
	}
	j := journey.Begin(g.journeys, stepRecover, state{
		UID: password.UID(), Method: care.AuthenticatorApp, By: byRecovery,
		Replaces: password.AuthenticatorID(), Address: p.Email, Ticket: ticket,
	})
	// The password is the oldest proof that the gate will weigh.
	j.Expires = earlier(j.Expires, password.At().Add(journeyLife))
	g.next(w, r, j, stepRecover, pathRecover)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// postRecover checks a recovery code and sends the emailed code at once: the
// address was entered with the password.
func (g *Registration) postRecover(w http.ResponseWriter, r *http.Request) {
	form, t, ok := g.form(w, r, stepRecover)
	if !ok {
		return
	}
	ticket, err := g.Recovery.CheckFirst(r.Context(), t.State.UID, form.Get("code"), g.who(r, t.State.Address))
	mistakes := page.Mistakes(err, "code", page.AndNext, fault.WrongRecoveryCode, fault.RecoveryCodeUsed, fault.RecoveryCodeMistyped)
	if mistakes != nil {
		g.render(w, r, "recover", form.Get("j"), page.View{Title: titleRecover, Errors: mistakes})
		return
	}
	if err == nil {
		_, err = g.send(r.Context(), t)
	}
	if err != nil && !fault.Has(err, fault.MailCodeTooSoon) {
		g.stop(w, r, t, err)
		return
	}
	t.State.Recovery = ticket
	g.next(w, r, t, stepCode, pathCode)
}
