package account

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/mailcode"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/person"
)

// The steps of a change of address.
const (
	stepEmail = "email"
	stepCode  = "code"
	stepDone  = "done"
)

// addressState is what a change of address has done so far.
type addressState struct {
	UID     care.UID   `json:"u"`
	Address care.Email `json:"a,omitempty"`
	// Old is the address that is replaced, or "".
	Old care.Email `json:"o,omitempty"`
	// Again: another code was sent, and the page says so.
	Again bool `json:"g,omitempty"`
}

type addressTrip = journey.Journey[addressState]

// emailData is what the page of the address shows.
type emailData struct {
	// Accepted are examples of the accepted domains.
	Accepted string
	// Old is the verified address that stays until the new one is, or "".
	Old care.Email
}

// email asks for the new address, after a fresh sign-in.
func (a *Account) email(w http.ResponseWriter, r *http.Request, v visit) error {
	if err := a.fresh(v); err != nil {
		return err
	}
	list, err := a.allowList(r)
	if err != nil {
		return err
	}
	trip := journey.Begin(a.addresses, stepEmail, addressState{UID: v.person.UID, Old: v.person.Email})
	sealed, err := journey.Seal(a.addresses, page.Browser(r), trip)
	if err != nil {
		return err
	}
	return a.ok(w, r, "email", v, emailView(v.person, list, sealed))
}

func emailView(p person.Person, list care.AllowList, sealed string) page.View {
	title := "Change your email address"
	if p.Email == "" {
		title = "Add an email address to your profile"
	}
	return page.View{
		Title: title, At: "/cim/profile/email", Back: "/cim/profile", Journey: sealed,
		Data: emailData{Accepted: accepted(list), Old: p.Email},
	}
}

// postEmail takes the address and sends its code. Whether somebody else has it
// is not said before the mailbox is proven (ASVS 6.3.8).
func (a *Account) postEmail(w http.ResponseWriter, r *http.Request, v visit) error {
	trip, err := a.addressTrip(r, v, stepEmail)
	if err != nil {
		return err
	}
	list, err := a.allowList(r)
	if err != nil {
		return err
	}
	address, problem := newAddress(r.PostForm.Get("email"), v.person, list)
	if problem != "" {
		view := emailView(v.person, list, token(r))
		view.Errors = []page.FieldError{{Field: "email", Message: problem}}
		view.Values = url.Values{"email": r.PostForm["email"]}
		return a.mend(w, r, "email", v, view)
	}
	trip.State.Address = address
	return a.sendFirst(w, r, v, trip)
}

// verify offers to send the code of an address that waits for it.
func (a *Account) verify(w http.ResponseWriter, r *http.Request, v visit) error {
	if v.person.Pending == "" {
		page.SeeOther(w, r, "/cim/profile")
		return nil
	}
	if err := a.fresh(v); err != nil {
		return err
	}
	sealed, err := journey.Seal(a.addresses, page.Browser(r), journey.Begin(a.addresses, stepEmail, addressState{
		UID: v.person.UID, Old: v.person.Email, Address: v.person.Pending,
	}))
	if err != nil {
		return err
	}
	return a.ok(w, r, "verify", v, page.View{
		Title: "Verify your email address", Back: "/cim/profile", Journey: sealed, Data: v.person.Pending,
	})
}

func (a *Account) postVerify(w http.ResponseWriter, r *http.Request, v visit) error {
	trip, err := a.addressTrip(r, v, stepEmail)
	if err != nil {
		return err
	}
	list, err := a.allowList(r)
	if err != nil {
		return err
	}
	if !list.Accepts(trip.State.Address) {
		view := emailView(v.person, list, token(r))
		view.Errors = []page.FieldError{{Field: "email", Message: refused(trip.State.Address, list)}}
		view.Values = url.Values{"email": {string(trip.State.Address)}}
		return a.mend(w, r, "email", v, view)
	}
	return a.sendFirst(w, r, v, trip)
}

// sendFirst notes the address as one that waits, sends its code and goes on to
// the page of the code.
func (a *Account) sendFirst(w http.ResponseWriter, r *http.Request, v visit, trip addressTrip) error {
	if err := a.await(r, v, trip.State.Address); err != nil {
		return err
	}
	if err := a.sendAddressCode(r, trip); err != nil {
		return err
	}
	return next(w, r, a.addresses, trip, stepCode, "/cim/profile/email/code")
}

// await makes address the one that waits for its code. It is used for nothing
// else, and the verified one stays what it is.
func (a *Account) await(r *http.Request, v visit, address care.Email) error {
	if v.person.Pending == address {
		return nil
	}
	err := a.DB.Write(r.Context(), func(tx *db.Tx) error {
		if err := person.SetPending(tx, v.person.UID, address); err != nil {
			return err
		}
		return audit.Record(tx, audit.Entry{
			Action: "address.added", Subject: v.person.UID, Actor: string(v.person.UID), Session: v.session.SID,
			Fields: []audit.Field{{Name: "new", Value: string(address), Personal: true}},
		})
	})
	if err != nil {
		return fmt.Errorf("noting a new address: %w", err)
	}
	return nil
}

func (a *Account) sendAddressCode(r *http.Request, trip addressTrip) error {
	return a.MailCode.Send(r.Context(), mailcode.Request{
		Journey: trip.ID, Purpose: "use this address for a Care Identity", UID: trip.State.UID, Address: trip.State.Address,
		Asker: "person " + string(trip.State.UID), Deliver: true,
	})
}

// newAddress is the rule for an address that somebody wants to sign in with:
// the address, or what is wrong with it.
func newAddress(typed string, p person.Person, list care.AllowList) (care.Email, string) {
	if strings.TrimSpace(typed) == "" {
		return "", "Enter your email address"
	}
	address, err := care.ParseEmail(typed)
	switch {
	case err != nil:
		return "", "Enter an email address in the correct format, like name@example.nhs.uk"
	case address == p.Email:
		return "", "This is your verified email address already. Enter another one to change it"
	case !list.Accepts(address):
		return "", refused(address, list)
	}
	return address, ""
}

func refused(address care.Email, list care.AllowList) string {
	return fmt.Sprintf("%s is not an accepted email domain. Accepted email domains include %s",
		address.Domain(), strings.TrimSuffix(accepted(list), "."))
}

// seedDomains are the examples of seed 0, in its order and words.
var seedDomains = []struct{ word, domain string }{
	{"nhs.net", "nhs.net"}, {"gov.uk", "gov.uk"}, {"ac.uk", "ac.uk"}, {"gmail", "gmail.com"},
	{"hotmail", "hotmail.com"}, {"yahoo", "yahoo.com"}, {"live", "live.com"}, {"outlook", "outlook.com"},
}

// accepted are examples of the domains that this installation accepts: those of
// seed 0 that are on its list, or else the first of the list.
func accepted(list care.AllowList) string {
	var words []string
	for _, d := range seedDomains {
		if list.Accepts(care.Email("name@" + d.domain)) {
			words = append(words, d.word)
		}
	}
	if len(words) == 0 {
		for _, entry := range list[:min(len(list), len(seedDomains))] {
			words = append(words, strings.TrimPrefix(entry, "."))
		}
	}
	text := strings.Join(words, ", ")
	if len(list) > len(words) {
		text += " etc"
	}
	return text + "."
}

func (a *Account) allowList(r *http.Request) (care.AllowList, error) {
	var list care.AllowList
	err := a.DB.Read(r.Context(), func(tx *db.Tx) error {
		var err error
		list, err = person.AllowList(tx)
		return err
	})
	return list, err
}

// addressTrip opens the visitor's own change of address.
func (a *Account) addressTrip(r *http.Request, v visit, steps ...string) (addressTrip, error) {
	trip, err := open[addressState](r, a.addresses, steps...)
	if err != nil {
		return trip, err
	}
	return trip, v.owns(trip.State.UID)
}
