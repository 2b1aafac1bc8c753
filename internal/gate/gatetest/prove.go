package gatetest

import (
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"time"

	"github.com/pquerna/otp/totp"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/fido"
	"carekey.dev/carekey/internal/credential/fido/fidotest"
	"carekey.dev/carekey/internal/credential/mailcode"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/session"
	"carekey.dev/carekey/internal/throttle"
)

// Stranger is a browser that nobody has signed in with.
var Stranger = throttle.Subject{Network: netip.MustParseAddr("192.0.2.7")}

// Step is how long the app shows a code.
const Step = 30 * time.Second

// Code is what a phone with the secret shows now.
func (r *Rig) Code(secret string) string {
	r.t.Helper()
	code, err := totp.GenerateCode(secret, r.Clock.Now())
	r.must(err)
	return code
}

// Ticket is the app's, after the password.
func (r *Rig) Ticket(who Who) string {
	r.t.Helper()
	ticket, err := r.App.PasswordStep(r.t.Context(), who.Email, Password, Stranger)
	r.must(err)
	return ticket
}

// AppProof waits for the next code and proves password and code.
func (r *Rig) AppProof(who Who) credential.Proof {
	r.t.Helper()
	r.Clock.Later(Step)
	p, err := r.App.CodeStep(r.t.Context(), r.Ticket(who), r.Code(who.Secret), Stranger)
	r.must(err)
	return p
}

// PasswordProof proves the password alone.
func (r *Rig) PasswordProof(who Who) credential.Proof {
	r.t.Helper()
	p, err := r.App.PasswordOnly(r.Ticket(who))
	r.must(err)
	return p
}

// CodeProof waits for the next code and proves the code alone.
func (r *Rig) CodeProof(who Who) credential.Proof {
	r.t.Helper()
	r.Clock.Later(Step)
	p, err := r.App.CheckCode(r.t.Context(), who.UID, who.Email, r.Code(who.Secret), Stranger)
	r.must(err)
	return p
}

// Mailbox proves that the person reads the address, for a journey.
func (r *Rig) Mailbox(journey string, uid care.UID, address care.Email) credential.Proof {
	r.t.Helper()
	r.must(r.MailCode.Send(r.t.Context(), mailcode.Request{Journey: journey, Purpose: "register", UID: uid, Address: address, Deliver: true}))
	p, err := r.MailCode.Check(r.t.Context(), journey, r.Emailed(address))
	r.must(err)
	return p
}

// Introduce makes a link for a journey, starts it, and lets the RA confirm its
// number.
func (r *Rig) Introduce(journey string, uid care.UID, method care.Method) credential.Proof {
	r.t.Helper()
	ctx := r.t.Context()
	token, err := r.Link.Create(ctx, uid, method, "operator")
	r.must(err)
	started, err := r.Link.Start(ctx, token, journey, "browser of "+journey)
	r.must(err)
	_, err = r.Link.Await(ctx, journey)
	r.must(err)
	r.must(r.Link.Confirm(ctx, started.ID, "operator"))
	p, err := r.Link.Proof(ctx, journey)
	r.must(err)
	return p
}

// RecoveryCodes are a person's new ones.
func (r *Rig) RecoveryCodes(who Who) []string {
	r.t.Helper()
	codes, change, err := r.Recovery.Make(r.t.Context(), who.UID, r.Held(who.UID)[0].ID)
	r.must(err)
	s := r.SignIn(who).Session
	r.must(r.Gate.Change(r.t.Context(), gate.Changing{Change: change, Session: &s}))
	return codes
}

// RecoveryProof proves a code.
func (r *Rig) RecoveryProof(who Who, code string) credential.Proof {
	r.t.Helper()
	p, err := r.Recovery.Check(r.t.Context(), who.UID, code, Stranger)
	r.must(err)
	return p
}

// NewApp sets up an app, and returns it with its secret.
func (r *Rig) NewApp(uid care.UID, address care.Email) (credential.Enrolment, string) {
	r.t.Helper()
	pending, err := r.App.Begin(uid, address)
	r.must(err)
	pending, err = r.App.SetPassword(r.t.Context(), pending, Password)
	r.must(err)
	card, err := r.App.Card(pending)
	r.must(err)
	u, err := url.Parse(card.URI)
	r.must(err)
	secret := u.Query().Get("secret")
	enrolment, err := r.App.Finish(pending, r.Code(secret))
	r.must(err)
	return enrolment, secret
}

// Enrol registers a credential on a key of the test's, for the gate to bind.
func (r *Rig) Enrol(who Who, method care.Method, key *fidotest.Key) credential.Enrolment {
	r.t.Helper()
	c, err := r.FIDO.BeginRegistration(r.t.Context(), fido.Holder{UID: who.UID, Name: "Somebody", Address: who.Email}, method, "browser")
	r.must(err)
	response, err := key.Create(c.Options)
	r.must(err)
	proven, err := r.FIDO.FinishRegistration(r.t.Context(), c.Sealed, "browser", response)
	r.must(err)
	enrolment, err := r.FIDO.Enrolment(proven, "")
	r.must(err)
	return enrolment
}

// Key gives somebody a key by the word of an RA.
func (r *Rig) Key(who Who, method care.Method, key *fidotest.Key) credential.Record {
	r.t.Helper()
	enrolment := r.Enrol(who, method, key)
	journey := keys.Token(rand.Reader, 16)
	record, err := r.Gate.Bind(r.t.Context(), gate.Binding{Journey: journey, Enrolment: enrolment, Proofs: []credential.Proof{
		r.Introduce(journey, who.UID, method), r.Mailbox(journey, who.UID, who.Email),
	}})
	r.must(err)
	return record
}

// KeyProof proves a key without an address.
func (r *Rig) KeyProof(key *fidotest.Key, methods ...care.Method) credential.Proof {
	r.t.Helper()
	c, err := r.FIDO.BeginSignIn(r.t.Context(), methods, "", "browser")
	r.must(err)
	response, err := key.Get(c.Options)
	r.must(err)
	p, err := r.FIDO.FinishSignIn(r.t.Context(), c.Sealed, "browser", response)
	r.must(err)
	return p
}

// Anything is what a service that accepts every method asks for.
func Anything() care.Requirement {
	return care.Requirement{ClientID: "ers", ACR: care.AAL2OrAAL3Any, Methods: care.Methods(), ReturnTo: "/authorize"}
}

// SignIn signs in with the app.
func (r *Rig) SignIn(who Who) gate.Admitted {
	r.t.Helper()
	in, err := r.Gate.SignIn(r.t.Context(), gate.Admission{
		Proofs: []credential.Proof{r.AppProof(who)}, Requirement: Anything(), Terms: "2026-10",
	})
	r.must(err)
	return in
}

// Request is one with this session's cookie.
func Request(token string) *http.Request {
	q := httptest.NewRequest(http.MethodGet, "/", nil)
	q.AddCookie(&http.Cookie{Name: session.Cookie, Value: token})
	return q
}

// Alive is the session of a cookie, or nil.
func (r *Rig) Alive(token string) *session.Session {
	r.t.Helper()
	s, err := r.Sessions.Current(r.t.Context(), Request(token))
	r.must(err)
	return s
}

// Held are a person's authenticators.
func (r *Rig) Held(uid care.UID) (all []credential.Record) {
	r.t.Helper()
	r.Read(func(tx *db.Tx) (err error) {
		all, err = credential.Of(tx, uid)
		return err
	})
	return all
}

// Person is how somebody stands in the database.
func (r *Rig) Person(uid care.UID) (p person.Person) {
	r.t.Helper()
	r.Read(func(tx *db.Tx) (err error) {
		p, err = person.ByUID(tx, uid)
		return err
	})
	return p
}

// Count counts the rows of a table ("session WHERE ended_at = 0").
func (r *Rig) Count(from string, args ...any) (n int) {
	r.t.Helper()
	r.Read(func(tx *db.Tx) error { return tx.Row(`SELECT count(*) FROM `+from, args...).Scan(&n) })
	return n
}
