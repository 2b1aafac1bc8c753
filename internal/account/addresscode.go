package account

import (
	"errors"
	"net/http"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/person"
)

// inboxData is what the page of an emailed code shows.
type inboxData struct {
	// Action is where the form leads.
	Action string
	// Address is where the code was sent to.
	Address care.Email
	// Again: another code was sent just now.
	Again bool
	// Other leads to a page for another address.
	Other string
	// Uniform: nothing may be said about whether the address is known.
	Uniform bool
}

func inboxView(trip addressTrip, sealed string) page.View {
	return page.View{
		Title: "Check your inbox", Journey: sealed,
		Data: inboxData{
			Action: "/cim/profile/email/code", Address: trip.State.Address, Again: trip.State.Again, Other: "/cim/profile/email",
		},
	}
}

func (a *Account) emailCode(w http.ResponseWriter, r *http.Request, v visit) error {
	trip, err := a.addressTrip(r, v, stepCode)
	if err != nil {
		return err
	}
	return a.ok(w, r, "inbox", v, inboxView(trip, token(r)))
}

// postEmailCode takes the code, or sends another. The gate makes the address
// the person's own, if nobody else has it.
func (a *Account) postEmailCode(w http.ResponseWriter, r *http.Request, v visit) error {
	trip, err := a.addressTrip(r, v, stepCode)
	if err != nil {
		return err
	}
	if r.PostForm.Has("again") {
		if err = a.sendAddressCode(r, trip); err == nil {
			trip.State.Again = true
			return next(w, r, a.addresses, trip, stepCode, "/cim/profile/email/code")
		}
	} else if err = a.prove(r, v, trip); err == nil || finished(err, v, trip) {
		return next(w, r, a.addresses, trip, stepDone, "/cim/profile/email/done")
	}
	problems := inboxMistakes(err)
	if problems == nil {
		return err
	}
	trip.State.Again = false
	view := inboxView(trip, token(r))
	view.Errors = problems
	return a.mend(w, r, "inbox", v, view)
}

// finished reports whether a form was sent twice: the first one counted.
func finished(err error, v visit, trip addressTrip) bool {
	return fault.Has(err, fault.MailCodeUsed) && v.person.Email == trip.State.Address
}

func (a *Account) prove(r *http.Request, v visit, trip addressTrip) error {
	mailbox, err := a.MailCode.Check(r.Context(), trip.ID, r.PostForm.Get("code"))
	if err != nil {
		return err
	}
	err = a.Gate.ProveAddress(r.Context(), v.session, mailbox)
	if errors.Is(err, person.ErrNotPending) {
		return fault.New(fault.AddressReplaced, err)
	}
	return err
}

func (a *Account) emailDone(w http.ResponseWriter, r *http.Request, v visit) error {
	trip, err := a.addressTrip(r, v, stepDone)
	if err != nil {
		return err
	}
	return a.ok(w, r, "email-done", v, page.View{Title: "Your email address is verified", Data: trip.State})
}
