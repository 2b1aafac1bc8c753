package registration

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/app"
	"carekey.dev/carekey/internal/credential/fido"
	"carekey.dev/carekey/internal/credential/link"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/page"
)

// postVerify checks the app's first code. The app is then proven to hold the
// secret.
func (g *Registration) postVerify(w http.ResponseWriter, r *http.Request) {
	form, t, ok := g.form(w, r, stepApp)
	if !ok {
		return
	}
	proven, err := g.App.Prove(t.State.Pending, form.Get("code"))
	if mistakes := page.Mistakes(err, "code", page.AndNext, fault.WrongAppCode, fault.AppCodeMistyped); mistakes != nil {
		g.verifyPage(w, r, form.Get("j"), mistakes...)
		return
	}
	if err != nil {
		g.stop(w, r, t, err)
		return
	}
	t.State.Pending, t.State.Proven = app.Pending{}, proven
	g.proven(w, r, t)
}

// proven goes on from a new authenticator that has shown that it works: a
// signed-in person is done, by link the RA has to confirm.
func (g *Registration) proven(w http.ResponseWriter, r *http.Request, t trip) {
	if t.State.By != byLink {
		g.finish(w, r, t)
		return
	}
	if _, err := g.Link.Await(r.Context(), t.ID); err != nil {
		g.stop(w, r, t, err)
		return
	}
	g.next(w, r, t, stepConfirm, pathConfirm)
}

// confirm shows the number and waits. The worker has asked for the
// registration with the form before; as soon as the RA has confirmed it is
// carried out, with no further button to find (decision 4).
func (g *Registration) confirm(w http.ResponseWriter, r *http.Request) {
	sealed := r.URL.Query().Get("j")
	t, ok := g.open(w, r, sealed, stepConfirm)
	if !ok {
		return
	}
	l, err := g.Link.Of(r.Context(), t.ID)
	if err == nil && (l.State == link.Confirmed || l.State == link.Finished) {
		g.finish(w, r, t)
		return
	}
	number := ""
	if err == nil {
		number, err = g.Link.Await(r.Context(), t.ID)
	}
	if err != nil {
		g.stop(w, r, t, err)
		return
	}
	g.render(w, r, "confirm", sealed, page.View{
		Title: "Wait for your Registration Authority", Refresh: askEvery,
		Data: struct{ Number, Here string }{number, r.URL.RequestURI()},
	})
}

// finish passes the gate and goes on to the last page. A journey that was
// finished before, in another tab or by a second click, is finished: nothing
// is registered twice.
func (g *Registration) finish(w http.ResponseWriter, r *http.Request, t trip) {
	if t.State.By == byLink {
		// The RA has seen the person: the new device takes the place of one that
		// they have (N10: after a disable only binding again helps).
		var err error
		if t.State.Replaces, err = g.replaces(r.Context(), t); err != nil {
			g.Kit.Fault(w, r, err)
			return
		}
	}
	record, err := g.bind(r, t)
	if err != nil {
		before, found := g.finished(r.Context(), t)
		if !found {
			g.stopLate(w, r, t, err)
			return
		}
		record = before
	}
	// What was proven has done its work.
	t.State.Ticket, t.State.Recovery, t.State.Proven, t.State.Key.Sealed = "", "", app.Proven{}, ""
	t.State.Record, t.State.Made = record.ID, record.RegisteredAt
	t.Expires = record.RegisteredAt.Add(doneLife)
	g.next(w, r, t, stepDone, pathDone)
}

// stopLate is stop for the last page. If another tab has asked for a newer
// emailed code, this journey goes on from that one.
func (g *Registration) stopLate(w http.ResponseWriter, r *http.Request, t trip, err error) {
	if fault.Has(err, fault.MailCodeMissing) || fault.Has(err, fault.MailCodeExpired) {
		t.Step = stepCode
		if sealed, sealing := journey.Seal(g.journeys, page.Browser(r), t); sealing == nil {
			g.Kit.Fault(w, r, err, page.Link{Text: "Enter the newest One Time Password", Href: pathCode + "?j=" + sealed})
			return
		}
	}
	g.stop(w, r, t, err)
}

// bind gives the gate what the journey has proven.
func (g *Registration) bind(r *http.Request, t trip) (credential.Record, error) {
	ctx := r.Context()
	enrolment, err := g.enrolment(t)
	if err != nil {
		return credential.Record{}, err
	}
	proofs, err := g.proofs(ctx, t)
	if err != nil {
		return credential.Record{}, err
	}
	b := gate.Binding{Journey: t.ID, Enrolment: enrolment, Proofs: proofs, Replaces: t.State.Replaces}
	if t.State.By == bySession {
		if b.Session, err = g.Sessions.Own(ctx, r); err != nil {
			return credential.Record{}, err
		}
	}
	return g.Gate.Bind(ctx, b)
}

// enrolment is the new authenticator, of its verifier.
func (g *Registration) enrolment(t trip) (credential.Enrolment, error) {
	if kindOf(t.State.Method).key() {
		return g.FIDO.Enrolment(t.State.Key, t.State.Name)
	}
	return g.App.Enrolment(t.State.Proven)
}

// replaces is the record that goes when the new one comes, or "".
func (g *Registration) replaces(ctx context.Context, t trip) (string, error) {
	if t.State.By != byLink {
		return t.State.Replaces, nil
	}
	var held []credential.Record
	var usable func(credential.Record) bool
	err := g.DB.Read(ctx, func(tx *db.Tx) error {
		var err error
		if held, err = credential.Of(tx, t.State.UID); err != nil {
			return err
		}
		usable, err = g.Gate.Usable(tx, t.State.UID)
		return err
	})
	if err != nil {
		return "", err
	}
	return replaced(held, usable, t.State.Method, g.Gate.Limit(t.State.Method)), nil
}

// replaced is the record of a type that a new one by link replaces, or "": one
// that can sign in no more, or, where there is no room for another, the one that
// was not used for the longest time.
func replaced(held []credential.Record, usable func(credential.Record) bool, method care.Method, limit int) string {
	var same []credential.Record
	for _, r := range held {
		if r.Method == method {
			same = append(same, r)
		}
	}
	if i := slices.IndexFunc(same, func(r credential.Record) bool { return !usable(r) }); i >= 0 {
		return same[i].ID
	}
	if len(same) < limit {
		return ""
	}
	return slices.MinFunc(same, func(a, b credential.Record) int { return a.LastUsed.Compare(b.LastUsed) }).ID
}

// proofs asks each verifier again for what it has verified in this journey.
func (g *Registration) proofs(ctx context.Context, t trip) ([]credential.Proof, error) {
	mailbox, err := g.MailCode.Proof(ctx, t.ID)
	if err != nil {
		return nil, err
	}
	proofs := []credential.Proof{mailbox}
	switch t.State.By {
	case byLink:
		introduced, err := g.Link.Proof(ctx, t.ID)
		if err != nil {
			return nil, err
		}
		proofs = append(proofs, introduced)
	case byRecovery:
		password, err := g.App.PasswordOnly(t.State.Ticket)
		if err != nil {
			return nil, err
		}
		code, err := g.Recovery.Proof(ctx, t.State.Recovery)
		if err != nil {
			return nil, err
		}
		proofs = append(proofs, password, code)
	}
	return proofs, nil
}

// finished returns the record that this journey has registered already.
func (g *Registration) finished(ctx context.Context, t trip) (credential.Record, bool) {
	_, held, err := g.holder(ctx, t.State.UID)
	if err != nil {
		return credential.Record{}, false
	}
	for _, r := range held {
		if r.Journey == t.ID {
			return r, true
		}
	}
	return credential.Record{}, false
}

// doneData is the last page.
type doneData struct {
	Kind               kind
	Replaced, SignedIn bool
	// Offer: recovery codes can be made here. Saved: they were.
	Offer, Saved bool
	// Rows are what a key is, and Why what it counts for and why not for more.
	Rows []page.Row
	Why  string
	// Unnamed: the name that was typed could not be used.
	Unnamed bool
}

func (g *Registration) done(w http.ResponseWriter, r *http.Request) {
	sealed := r.URL.Query().Get("j")
	t, ok := g.open(w, r, sealed, stepDone)
	if !ok {
		return
	}
	s, err := g.Sessions.Own(r.Context(), r)
	if err != nil {
		g.Kit.Fault(w, r, err)
		return
	}
	d := doneData{
		Kind: kindOf(t.State.Method), Replaced: t.State.Replaces != "",
		SignedIn: s != nil && s.UID == t.State.UID, Saved: t.State.Saved,
		Offer: t.State.Method == care.AuthenticatorApp && g.DB.Now().Before(t.State.Made.Add(offerLife)),
	}
	if d.Unnamed = t.State.Unnamed; d.Kind.key() {
		if err := g.describe(r.Context(), t.State, &d); err != nil {
			g.Kit.Fault(w, r, err)
			return
		}
	}
	g.render(w, r, "done", sealed, page.View{Title: "Registration successful", Data: d})
}

// describe says what was registered and what it counts for. Whoever comes back
// after its removal reads the rest of the page.
func (g *Registration) describe(ctx context.Context, s state, d *doneData) error {
	var found []fido.Key
	var record credential.Record
	err := g.DB.Read(ctx, func(tx *db.Tx) error {
		var err error
		if found, err = fido.Of(tx, s.UID); err != nil {
			return err
		}
		record, err = credential.ByID(tx, s.Record)
		if errors.Is(err, db.ErrNoRows) {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	i := slices.IndexFunc(found, func(k fido.Key) bool { return k.AuthenticatorID == s.Record })
	if i < 0 {
		return nil
	}
	d.Rows = []page.Row{{Key: "Name", Value: record.Name}}
	if found[i].Model != "" {
		d.Rows = append(d.Rows, page.Row{Key: "Model", Value: found[i].Model})
	}
	d.Rows = append(d.Rows, page.Row{Key: "Counts as", Value: found[i].Level.String()})
	if d.Why = s.Key.Why; found[i].Level < s.Key.Level {
		d.Why = "It counts as " + found[i].Level.String() + " because that is how you were signed in. If you need " + s.Key.Level.String() +
			", ask your Registration Authority for a registration link and register it again."
	}
	return nil
}
