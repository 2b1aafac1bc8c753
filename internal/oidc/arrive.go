package oidc

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/oidc/pushed"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/relyingparty"
)

// arrival is an authorization request as a browser brings it.
type arrival struct {
	rp relyingparty.RelyingParty
	// own are the parameters of the address, query those of the request: the
	// same, unless it was pushed or is in a request object.
	own, query url.Values
	// kept is the name of a request that was pushed, or "". begun says that it
	// was given to this browser before.
	kept  string
	begun bool
	// object: the request is in a request object. vetted: how it came has been
	// judged before.
	object, vetted bool
	// refusal is what is wrong with how it came, or nil.
	refusal *refusal
}

// arrive returns the request, or a fault that is a page: without a known client
// and an exactly registered address there is nowhere safe to send the browser
// to (RFC 6749 section 4.1.2.1; RFC 9700 section 2.1; ASVS 10.4.1).
func (p *Provider) arrive(r *http.Request) (arrival, error) {
	var a arrival
	if len(r.URL.RawQuery) > maxQuery {
		return a, fault.New(fault.RequestUnreadable, fmt.Errorf("the query has %d bytes", len(r.URL.RawQuery)))
	}
	var err error
	if a.own, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		return a, fault.New(fault.RequestUnreadable, err)
	}
	for _, name := range []string{"client_id", "redirect_uri", "request_uri"} {
		if len(a.own[name]) > 1 {
			return a, fault.New(fault.RequestUnreadable, fmt.Errorf("%s was sent more than once", name))
		}
	}
	clientID := a.own.Get("client_id")
	a.rp, err = p.byID(r.Context(), clientID)
	if errors.Is(err, db.ErrNoRows) {
		return a, fault.New(fault.UnknownClient, fmt.Errorf("client_id %.64q is not registered", clientID))
	}
	if err != nil {
		return a, err
	}
	a.query = own(a.own)
	switch uri := a.own.Get("request_uri"); {
	case a.own.Get(objectParameter) != "":
		err = p.resume(r, &a)
	case pushed.Named(uri):
		err = p.recall(r, &a)
	case uri != "" || a.own.Get("request") != "":
		err = p.open(r.Context(), &a)
	}
	if err != nil {
		return a, err
	}
	if uri := a.query.Get("redirect_uri"); !a.rp.Redirects(uri) {
		if a.refusal != nil {
			return a, a.refusal.fault
		}
		return a, fault.New(fault.RedirectMismatch, fmt.Errorf("%s (%s) asked for redirect_uri %.200q", a.rp.ClientID, a.rp.ShortName, uri))
	}
	return a, nil
}

// recall reads a request that was pushed. What else the address says is no part
// of it (RFC 9126 section 4; RFC 9101 section 6.3).
func (p *Provider) recall(r *http.Request, a *arrival) error {
	a.kept, a.vetted = a.own.Get("request_uri"), true
	browser := pushed.BrowserOf(page.Browser(r))
	var refused error
	err := p.DB.Read(r.Context(), func(tx *db.Tx) (err error) {
		a.query, a.begun, refused, err = pushed.Read(tx, a.kept, a.rp.ClientID, browser)
		return err
	})
	if err != nil {
		return err
	}
	return over(refused)
}

// over is the page for a request that is kept here and good no more. It is no
// answer to the relying party: a browser that goes back would spoil the sign-in
// that it has just finished.
func over(refused error) error {
	if refused == nil {
		return nil
	}
	return fault.New(fault.RequestOver, refused)
}

// wayBack returns the parameters of the address that leads back to a request
// after a sign-in. A pushed one is given to the browser that brings it, for the
// time that a sign-in takes.
func (p *Provider) wayBack(r *http.Request, a arrival) (url.Values, error) {
	switch {
	case a.object:
		return p.carry(r, a)
	case a.kept != "" && !a.begun:
		return own(a.own), p.change(r, a, pushed.Begin)
	}
	return own(a.own), nil
}

// finish uses a pushed request up for its code (FAPI 2.0 section 5.3.2.2: not
// before, so that a page can be loaded again).
func (p *Provider) finish(r *http.Request, a arrival) error {
	if a.kept == "" {
		return nil
	}
	return p.change(r, a, pushed.Use)
}

func (p *Provider) change(r *http.Request, a arrival, to func(tx *db.Tx, name, clientID string, b pushed.Browser) (refused, err error)) error {
	browser := pushed.BrowserOf(page.Browser(r))
	var refused error
	err := p.DB.Write(r.Context(), func(tx *db.Tx) (err error) {
		refused, err = to(tx, a.kept, a.rp.ClientID, browser)
		return err
	})
	if err != nil {
		return err
	}
	return over(refused)
}

// read returns what a request asks, held to what its client registered.
func (p *Provider) read(a arrival) (request, *refusal) {
	req, e := parse(a.query, a.rp)
	if a.refusal != nil {
		return req, a.refusal // the request is good for nothing but an address
	}
	if e == nil {
		e = a.wrongWay()
	}
	if e == nil {
		e = p.readSubject(&req, a.query.Get("id_token_hint"))
	}
	return req, e
}

// wrongWay refuses a request that did not come by PAR where the client must use
// it (RFC 9126 sections 4 and 6; FAPI 2.0 section 5.3.2.2; ASVS 10.4.13), or that
// is not signed where it must be (RFC 9101 section 10.5).
func (a arrival) wrongWay() *refusal {
	switch {
	case a.vetted:
		return nil
	case a.kept == "" && (a.rp.Profile == relyingparty.Strict || a.rp.RequirePAR):
		return invalidRequest("this client must push its authorization requests (PAR): send them to pushed_authorization_request_endpoint first")
	case a.rp.RequireSignedRequest && !a.object:
		return invalidRequest("this client must sign its authorization requests: send a request object")
	}
	return nil
}

// readSubject reads id_token_hint: the person that an ID token of ours names
// must be the one who is signed in at the end (OpenID Connect Core section
// 3.1.2.1). It may have expired. Who holds a token of another client learns
// nothing with it.
func (p *Provider) readSubject(req *request, text string) *refusal {
	if text == "" {
		return nil
	}
	hint, err := p.readHint(text)
	switch {
	case err != nil:
		return refuse(fault.RequestRefused, "invalid_request", "id_token_hint is not an ID token that was issued here", err)
	case hint.ClientID != req.rp.ClientID:
		return invalidRequest("id_token_hint was issued to another client")
	case req.subject != "" && req.subject != hint.UID:
		return invalidRequest("id_token_hint and the sub in claims name two people")
	}
	req.subject = hint.UID
	return nil
}
