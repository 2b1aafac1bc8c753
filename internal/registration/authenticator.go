package registration

import (
	"encoding/base64"
	"html/template"
	"net/http"

	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/page"
)

// Titles of the pages. Seed 0 has none for the page of the QR code.
const (
	titlePassword = "Create a password"
	titleScan     = "Scan the QR code"
	titleVerify   = "Check your authenticator app"
)

func (g *Registration) password(w http.ResponseWriter, r *http.Request) {
	sealed := r.URL.Query().Get("j")
	if t, ok := g.open(w, r, sealed, stepPassword); ok {
		g.passwordPage(w, r, t, sealed)
	}
}

func (g *Registration) passwordPage(w http.ResponseWriter, r *http.Request, t trip, sealed string, mistakes ...page.FieldError) {
	g.render(w, r, "password", sealed, page.View{
		Title: titlePassword, Data: struct{ Email string }{string(t.State.Address)}, Errors: mistakes,
	})
}

// postPassword makes the new authenticator's secret and hashes its password.
// Both travel on sealed by the app; nothing is stored before the gate.
func (g *Registration) postPassword(w http.ResponseWriter, r *http.Request) {
	form, t, ok := g.form(w, r, stepPassword)
	if !ok {
		return
	}
	p, _, err := g.holder(r.Context(), t.State.UID)
	if err != nil {
		g.Kit.Fault(w, r, err)
		return
	}
	err = g.App.CheckPassword(form.Get("password"), form.Get("confirm"), t.State.Address, p.DisplayName())
	if mistakes := passwordMistake(err); mistakes != nil {
		g.passwordPage(w, r, t, form.Get("j"), mistakes...)
		return
	}
	if err == nil {
		t.State.Pending, err = g.App.Begin(t.State.UID, t.State.Address)
	}
	if err == nil {
		t.State.Pending, err = g.App.SetPassword(r.Context(), t.State.Pending, form.Get("password"))
	}
	if err != nil {
		g.stop(w, r, t, err)
		return
	}
	g.next(w, r, t, stepApp, pathScan)
}

// passwordMistake puts the reason for refusing a password at the box that is
// to be changed (N13).
func passwordMistake(err error) []page.FieldError {
	if m := page.Mistakes(err, "confirm", (*fault.Error).Message, fault.PasswordsDiffer); m != nil {
		return m
	}
	return page.Mistakes(err, "password", (*fault.Error).Message,
		fault.PasswordMissing, fault.PasswordTooShort, fault.PasswordTooLong,
		fault.PasswordCommon, fault.PasswordPersonal, fault.PasswordUnusable)
}

// qrSize is the QR code's size on the page, in CSS pixels.
const qrSize = 240

// scanData is the page of the QR code.
type scanData struct {
	// QR is a data: address, so that the secret has no address of its own.
	QR, URI      template.URL
	Key, Account string
	Size         int
}

func (g *Registration) scan(w http.ResponseWriter, r *http.Request) {
	sealed := r.URL.Query().Get("j")
	t, ok := g.open(w, r, sealed, stepApp)
	if !ok {
		return
	}
	card, err := g.App.Card(t.State.Pending)
	var picture []byte
	if err == nil {
		picture, err = card.QR()
	}
	if err != nil {
		g.stop(w, r, t, err)
		return
	}
	g.render(w, r, "scan", sealed, page.View{Title: titleScan, Data: scanData{
		QR:  template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(picture)),
		URI: template.URL(card.URI), Key: card.Key, Account: string(t.State.Address), Size: qrSize,
	}})
}

// postScan is the "Next" button: nothing is kept, the code proves the scan.
func (g *Registration) postScan(w http.ResponseWriter, r *http.Request) {
	form, _, ok := g.form(w, r, stepApp)
	if ok {
		page.SeeOther(w, r, pathVerify+"?j="+form.Get("j"))
	}
}

func (g *Registration) verify(w http.ResponseWriter, r *http.Request) {
	sealed := r.URL.Query().Get("j")
	if _, ok := g.open(w, r, sealed, stepApp); ok {
		g.verifyPage(w, r, sealed)
	}
}

func (g *Registration) verifyPage(w http.ResponseWriter, r *http.Request, sealed string, mistakes ...page.FieldError) {
	scan := pathScan + "?j=" + sealed
	g.render(w, r, "verify", sealed, page.View{
		Title: titleVerify, Data: struct{ Scan string }{scan}, Errors: mistakes, Back: scan,
	})
}
