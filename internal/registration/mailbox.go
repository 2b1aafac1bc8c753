package registration

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/mailcode"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/person"
)

// Titles of the pages, as seed 0 has them.
const (
	titleEmail = "What is your Care Identity email address?"
	titleInbox = "Check your inbox"
)

// errNotTheirs is the answer to a signed-in person who enters an address that
// is not their profile's.
var errNotTheirs = errors.New("not the address of the profile")

// errDomain is the answer where the profile's address has not been verified
// and its domain is not accepted (any more).
var errDomain = errors.New("the domain of the address is not accepted")

// judge says whether an address is the person's own and may be proven: it is
// their verified one, or the one that waits for its code and whose domain is
// accepted (decision 5).
func judge(p person.Person, list care.AllowList, address care.Email) error {
	switch {
	case p.Login() == "" || address != p.Login():
		return errNotTheirs
	case p.Email == "" && !list.Accepts(address):
		return errDomain
	}
	return nil
}

// email asks for the address. Who comes back here from the next page has
// mistyped it.
func (g *Registration) email(w http.ResponseWriter, r *http.Request) {
	sealed := r.URL.Query().Get("j")
	t, ok := g.open(w, r, sealed, stepEmail, stepCode)
	if !ok {
		return
	}
	g.render(w, r, "email", sealed, page.View{Title: titleEmail, Values: url.Values{"email": {string(t.State.Address)}}})
}

func (g *Registration) postEmail(w http.ResponseWriter, r *http.Request) {
	form, t, ok := g.form(w, r, stepEmail, stepCode)
	if !ok {
		return
	}
	mend := func(message string) {
		g.render(w, r, "email", form.Get("j"), page.View{
			Title: titleEmail, Values: form, Errors: []page.FieldError{{Field: "email", Message: message}},
		})
	}
	address, err := care.ParseEmail(form.Get("email"))
	if err != nil {
		mend("Enter an email address in the correct format, like name@example.nhs.uk")
		return
	}
	t.State.Address = address
	switch verdict, err := g.send(r.Context(), t); {
	case errors.Is(verdict, errNotTheirs):
		mend("Enter the email address that is saved on your Care Identity profile")
	case errors.Is(verdict, errDomain):
		mend("The email address on your profile ends in a domain that is not accepted. Change it on your profile first")
	case fault.Has(err, fault.MailCodeTooSoon) && !g.sentTo(r.Context(), t):
		mend("We have just sent you an email. Wait a minute, then enter the other address again")
	case err != nil && !fault.Has(err, fault.MailCodeTooSoon):
		g.stop(w, r, t, err)
	default:
		g.next(w, r, t, stepCode, pathCode)
	}
}

// sentTo reports whether the journey's newest code went to its address: then a
// second click on the button is no mistake.
func (g *Registration) sentTo(ctx context.Context, t trip) bool {
	address, err := g.MailCode.Address(ctx, t.ID)
	return err == nil && address == t.State.Address
}

// send mails a code to the address that was entered, if the verdict about it is
// good. By link nobody has signed in: there a wrong address gets everything
// but the mail, and no verdict (ASVS 6.3.8).
func (g *Registration) send(ctx context.Context, t trip) (verdict, err error) {
	var p person.Person
	err = g.DB.Read(ctx, func(tx *db.Tx) error {
		var err error
		if p, err = person.ByUID(tx, t.State.UID); err != nil {
			return err
		}
		list, err := person.AllowList(tx)
		if err != nil {
			return err
		}
		verdict = judge(p, list, t.State.Address)
		return nil
	})
	if err != nil || verdict != nil && t.State.By != byLink {
		return verdict, err
	}
	request := mailcode.Request{
		Journey: t.ID, Purpose: "register " + kindOf(t.State.Method).one(),
		UID: p.UID, Address: t.State.Address, Asker: "person " + string(p.UID), Deliver: verdict == nil,
	}
	if t.State.By != byLink {
		request.By = p.DisplayName()
	}
	return nil, g.MailCode.Send(ctx, request)
}

// inboxData is the page of the emailed code.
type inboxData struct {
	// Change leads back to the address, or is "" where it was not asked.
	Change string
	Again  bool
}

func (g *Registration) inboxPage(w http.ResponseWriter, r *http.Request, t trip, sealed string, again bool, mistakes ...page.FieldError) {
	d := inboxData{Again: again}
	if t.State.By != byRecovery {
		d.Change = pathEmail + "?j=" + sealed
	}
	g.render(w, r, "inbox", sealed, page.View{At: pathCode, Title: titleInbox, Data: d, Errors: mistakes, Back: d.Change})
}

func (g *Registration) code(w http.ResponseWriter, r *http.Request) {
	sealed := r.URL.Query().Get("j")
	if t, ok := g.open(w, r, sealed, stepCode); ok {
		g.inboxPage(w, r, t, sealed, r.URL.Query().Has("again"))
	}
}

// postCode checks the emailed code, which from then on belongs to this
// journey and is used up by the gate.
func (g *Registration) postCode(w http.ResponseWriter, r *http.Request) {
	form, t, ok := g.form(w, r, stepCode)
	if !ok {
		return
	}
	mailbox, err := g.MailCode.Check(r.Context(), t.ID, form.Get("code"))
	if mistakes := page.Mistakes(err, "code", page.AndNext, fault.WrongMailCode, fault.MailCodeMistyped, fault.MailCodeExpired, fault.MailCodeSpent); mistakes != nil {
		g.inboxPage(w, r, t, form.Get("j"), false, mistakes...)
		return
	}
	if err != nil {
		g.stop(w, r, t, err)
		return
	}
	// The one that was proven, in case another tab entered another one.
	t.State.Address = mailbox.Address()
	k := kindOf(t.State.Method)
	g.next(w, r, t, k.first, k.path)
}

// postResend sends another code, once a minute.
func (g *Registration) postResend(w http.ResponseWriter, r *http.Request) {
	form, t, ok := g.form(w, r, stepCode)
	if !ok {
		return
	}
	_, err := g.send(r.Context(), t)
	if mistakes := page.Mistakes(err, "", page.AndNext, fault.MailCodeTooSoon, fault.MailCodeTooMany); mistakes != nil {
		g.inboxPage(w, r, t, form.Get("j"), false, mistakes...)
		return
	}
	if err != nil {
		g.stop(w, r, t, err)
		return
	}
	page.SeeOther(w, r, pathCode+"?again=1&j="+form.Get("j"))
}
