package gatetest

import (
	"net/http"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/session"
)

// Door stands where /signin is, for tests of ways that lead there: it signs
// Who in at Level, at once, and goes back.
type Door struct {
	// Who comes; "" for somebody who is shown a page and stays there.
	Who   care.UID
	Level care.AAL
	// Asked is what was asked for, the newest last.
	Asked []care.Requirement

	rig *Rig
	in  *journey.Requirements
}

// Door returns a door that uid comes in by, at AAL2.
func (r *Rig) Door(uid care.UID, in *journey.Requirements) *Door {
	return &Door{Who: uid, Level: care.AAL2, rig: r, in: in}
}

// SignInRoom is the handler of /signin.
func (d *Door) SignInRoom(w http.ResponseWriter, r *http.Request) {
	req, err := d.in.OpenRequirement(r.URL.Query().Get("req"))
	if err != nil || d.Who == "" {
		http.Error(w, "the sign-in page", http.StatusOK)
		return
	}
	d.Asked = append(d.Asked, req)
	session.SetCookie(w, d.rig.EnterAs(session.Opening{
		Previous: session.Token(r), UID: d.Who, AAL: d.Level, Browser: session.BrowserName(r.UserAgent()), Client: req.ClientID,
	}))
	http.Redirect(w, r, req.ReturnTo, http.StatusSeeOther)
}

// Enter opens a session and returns its token: with the first of the person's
// authenticators, or with a card of which this house knows nothing.
func (r *Rig) Enter(uid care.UID, level care.AAL) string {
	r.t.Helper()
	return r.EnterAs(session.Opening{UID: uid, AAL: level})
}

// EnterAs is Enter, in a browser and for a service.
func (r *Rig) EnterAs(o session.Opening) string {
	r.t.Helper()
	o.Token, o.SID = r.Opener.NewToken()
	o.Method, o.Terms = care.Smartcard, "1"
	if held := r.Held(o.UID); len(held) > 0 {
		o.Method, o.AuthenticatorID = held[0].Method, held[0].ID
	}
	r.Write(func(tx *db.Tx) error { _, err := r.Opener.Open(tx, o); return err })
	return o.Token
}
