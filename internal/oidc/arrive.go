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
	// same, unless the address only names a request that was pushed.
	own, query url.Values
	// kept is the name of a request that is kept here, or "". begun says that
	// it was given to this browser before.
	kept  string
	begun bool
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
	a.query = a.own
	if pushed.Named(a.own.Get("request_uri")) {
		if err := p.recall(r, &a); err != nil {
			return a, err
		}
	}
	if uri := a.query.Get("redirect_uri"); !a.rp.Redirects(uri) {
		return a, fault.New(fault.RedirectMismatch, fmt.Errorf("%s (%s) asked for redirect_uri %.200q", a.rp.ClientID, a.rp.ShortName, uri))
	}
	return a, nil
}

// recall reads a request that was pushed. What else the address says is no part
// of it (RFC 9126 section 4; RFC 9101 section 6.3).
func (p *Provider) recall(r *http.Request, a *arrival) error {
	a.kept = a.own.Get("request_uri")
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

// begin gives a pushed request to the browser that brings it, for the time that
// a sign-in takes.
func (p *Provider) begin(r *http.Request, a arrival) error {
	if a.kept == "" || a.begun {
		return nil
	}
	return p.change(r, a, pushed.Begin)
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
	if e == nil && a.kept == "" {
		e = unpushed(a.rp)
	}
	if e == nil {
		e = p.readSubject(&req, a.query.Get("id_token_hint"))
	}
	return req, e
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

// unpushed refuses a request that did not come by PAR where the client must use
// it (RFC 9126 sections 4 and 6; FAPI 2.0 section 5.3.2.2; ASVS 10.4.13).
func unpushed(rp relyingparty.RelyingParty) *refusal {
	if rp.Profile == relyingparty.Strict || rp.RequirePAR {
		return invalidRequest("this client must push its authorization requests (PAR): send them to pushed_authorization_request_endpoint first")
	}
	return nil
}
