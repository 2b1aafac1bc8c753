package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/oidc/clientauth"
	"carekey.dev/carekey/internal/oidc/pushed"
	"carekey.dev/carekey/internal/oidc/requestobject"
)

// pushAnswer is what a relying party gets for a request that it pushed (RFC
// 9126 section 2.2).
type pushAnswer struct {
	RequestURI string `json:"request_uri"`
	ExpiresIn  int    `json:"expires_in"`
}

// push takes an authorization request from a relying party's server, judges it
// as the authorization endpoint would, and answers with its name (RFC 9126).
func (p *Provider) push(w http.ResponseWriter, r *http.Request) {
	form, caller, ok := p.fromClient(w, r)
	if !ok {
		return
	}
	answer, e := p.keep(r, caller, form)
	if e != nil {
		p.fail(w, r, e, caller.RP.ClientID)
		return
	}
	writeJSON(w, http.StatusCreated, answer)
}

// credentials are the fields of a request that say who sends it. They are no
// part of what is kept.
var credentials = []string{"client_secret", "client_assertion", "client_assertion_type"}

// keep keeps a request that its client may make.
func (p *Provider) keep(r *http.Request, caller clientauth.Caller, form url.Values) (pushAnswer, *refusal) {
	a, e := p.pushedBy(r.Context(), caller, form)
	if e != nil {
		return pushAnswer{}, e
	}
	if uri := a.query.Get("redirect_uri"); !a.rp.Redirects(uri) {
		// Required, also where one address is registered (FAPI 2.0 section
		// 5.3.2.2).
		return pushAnswer{}, refuse(fault.RequestRefused, "invalid_request", "redirect_uri is missing, or is not registered for this client",
			fmt.Errorf("it is %.200q", uri))
	}
	proof, e := p.boundBy(r, a.query)
	if e != nil {
		return pushAnswer{}, e
	}
	if _, e := p.read(a); e != nil {
		return pushAnswer{}, e
	}
	err := p.DB.Write(r.Context(), func(tx *db.Tx) (err error) {
		if e, err = admit(tx, caller); e != nil || err != nil {
			return err
		}
		refused, err := proof.use(tx)
		if refused != nil {
			e = badProof(refused.Error())
		}
		if e != nil || err != nil {
			return err
		}
		return pushed.Push(tx, a.kept, a.rp.ClientID, a.query)
	})
	if err != nil {
		return pushAnswer{}, unavailable(err)
	}
	if e != nil {
		return pushAnswer{}, e
	}
	return pushAnswer{a.kept, int(pushed.Life.Seconds())}, nil
}

// pushedBy returns the request in a form.
func (p *Provider) pushedBy(ctx context.Context, caller clientauth.Caller, form url.Values) (arrival, *refusal) {
	a := arrival{rp: caller.RP, kept: pushed.NewName(p.Random), query: url.Values{}}
	for name, values := range form {
		a.query[name] = values
	}
	for _, name := range credentials {
		a.query.Del(name)
	}
	switch {
	case a.query.Get("request_uri") != "":
		return a, invalidRequest("request_uri must not be pushed") // RFC 9126 section 2.1
	case a.query.Get("client_id") != "" && a.query.Get("client_id") != a.rp.ClientID:
		return a, invalidRequest("client_id differs from the client that authenticated")
	case len(a.query.Encode()) > maxQuery:
		return a, refuse(fault.FormTooLarge, "invalid_request", "the request is larger than 16 KiB", nil) // RFC 9126 section 2.3: 413
	}
	if text := a.query.Get("request"); text != "" {
		// What is beside the object is no part of the request (RFC 9126
		// section 3).
		values, err := p.objects.Open(ctx, a.rp, text)
		if refused, ok := errors.AsType[*requestobject.Refused](err); ok {
			return a, badObject(refused, false)
		}
		if err != nil {
			return a, unavailable(err)
		}
		a.query, a.object = values, true
	}
	a.query.Set("client_id", a.rp.ClientID)
	return a, nil
}

// boundBy binds the code of a request to the DPoP key of the proof that it was
// pushed with, which must be the one that it names (RFC 9449 section 10.1).
func (p *Provider) boundBy(r *http.Request, query url.Values) (sender, *refusal) {
	s, err := p.proofOf(r, pushPath, "")
	switch {
	case err != nil:
		return s, badProof(err.Error())
	case !s.proven:
		return s, nil
	case query.Get("dpop_jkt") != "" && query.Get("dpop_jkt") != s.JKT:
		return s, badProof("dpop_jkt names another key than the DPoP proof")
	}
	query.Set("dpop_jkt", s.JKT)
	return s, nil
}
