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
	session.SetCookie(w, d.rig.Enter(d.Who, d.Level))
	http.Redirect(w, r, req.ReturnTo, http.StatusSeeOther)
}

// Enter opens a session and returns its token: with the first of the person's
// authenticators, or with a card of which this house knows nothing.
func (r *Rig) Enter(uid care.UID, level care.AAL) string {
	r.t.Helper()
	token, sid := r.Opener.NewToken()
	o := session.Opening{Token: token, SID: sid, UID: uid, AAL: level, Method: care.Smartcard, Terms: "1"}
	if held := r.Held(uid); len(held) > 0 {
		o.Method, o.AuthenticatorID = held[0].Method, held[0].ID
	}
	r.Write(func(tx *db.Tx) error { _, err := r.Opener.Open(tx, o); return err })
	return token
}
