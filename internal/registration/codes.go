package registration

import (
	"net/http"
	"time"

	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/page"
)

// shown is a set of new recovery codes on its way to the page that shows it,
// and the journey to go back to. It opens in this browser, for shownLife.
type shown struct {
	Codes []string `json:"c"`
	// Back is the sealed journey of the last page.
	Back string    `json:"b"`
	Name string    `json:"n"`
	Made time.Time `json:"m"`
}

// postMake makes ten recovery codes for the authenticator that this journey
// has just registered.
func (g *Registration) postMake(w http.ResponseWriter, r *http.Request) {
	form, t, ok := g.form(w, r, stepDone)
	if !ok {
		return
	}
	codes, change, err := g.Recovery.Make(r.Context(), t.State.UID, t.State.Record)
	if err == nil {
		err = g.Gate.Change(r.Context(), gate.Changing{Change: change, Journey: t.ID})
	}
	if err != nil {
		g.stop(w, r, t, err)
		return
	}
	p, _, err := g.holder(r.Context(), t.State.UID)
	if err != nil {
		g.Kit.Fault(w, r, err)
		return
	}
	sealed, err := journey.Seal(g.codes, page.Browser(r), journey.Begin(g.codes, "show", shown{
		Codes: codes, Back: form.Get("j"), Name: p.DisplayName(), Made: g.DB.Now(),
	}))
	if err != nil {
		g.Kit.Fault(w, r, err)
		return
	}
	page.SeeOther(w, r, pathCodes+"?j="+sealed)
}

func (g *Registration) showCodes(w http.ResponseWriter, r *http.Request) {
	g.codesPage(w, r, r.URL.Query().Get("j"))
}

func (g *Registration) codesPage(w http.ResponseWriter, r *http.Request, sealed string, mistakes ...page.FieldError) {
	s, err := journey.Open[shown](g.codes, page.Browser(r), sealed, "show")
	if err != nil {
		g.Kit.Fault(w, r, err, page.Link{Text: "Make new recovery codes", Href: "/cim/recovery-codes"})
		return
	}
	g.render(w, r, "codes", sealed, page.View{Title: "Your recovery codes", Data: s.State, Errors: mistakes})
}

// postSaved goes back to the last page when the holder has saved the codes.
func (g *Registration) postSaved(w http.ResponseWriter, r *http.Request) {
	form, err := page.Form(w, r)
	if err != nil {
		g.Kit.Fault(w, r, err)
		return
	}
	if form.Get("saved") == "" {
		g.codesPage(w, r, form.Get("j"), page.FieldError{Field: "saved", Message: "Confirm that you have saved the codes"})
		return
	}
	s, err := journey.Open[shown](g.codes, page.Browser(r), form.Get("j"), "show")
	// They are saved; that the page is now too old to show them is no fault.
	if err != nil && !fault.Has(err, fault.JourneyExpired) {
		g.Kit.Fault(w, r, err)
		return
	}
	t, ok := g.open(w, r, s.State.Back, stepDone)
	if !ok {
		return
	}
	t.State.Saved = true
	g.next(w, r, t, stepDone, pathDone)
}
