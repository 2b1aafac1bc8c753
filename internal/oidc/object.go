package oidc

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/journey"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/oidc/requestobject"
	"carekey.dev/carekey/internal/relyingparty"
)

// open reads the request in a request object: the address has it, or names
// where it lies.
func (p *Provider) open(ctx context.Context, a *arrival) error {
	text, uri := a.own.Get("request"), a.own.Get("request_uri")
	values, err := url.Values(nil), error(nil)
	switch {
	case text != "" && uri != "", len(a.own["request"]) > 1:
		a.refusal = invalidRequest("send request or request_uri, and once") // OpenID Connect Core section 6.1
		return nil
	case uri != "":
		text, err = p.objects.Fetch(ctx, a.rp, uri)
	}
	if err == nil {
		values, err = p.objects.Open(ctx, a.rp, text)
	}
	refused, ok := errors.AsType[*requestobject.Refused](err)
	switch {
	case ok:
		a.refusal = badObject(refused, uri != "")
		a.query = answerable(a.rp, a.own, requestobject.Peek(text))
	case err != nil:
		return err
	case !alone(a.rp) && differ(a.own, values, "response_type"):
		a.refusal = invalidRequest("response_type differs from the one in the request object") // OpenID Connect Core section 6.1
		a.query = together(a.own, values)
	case alone(a.rp):
		a.query, a.object = values, true
	default:
		a.query, a.object = together(a.own, values), true
	}
	a.query.Set("client_id", a.rp.ClientID)
	return nil
}

func badObject(why *requestobject.Refused, byReference bool) *refusal {
	code := why.Code
	if code == requestobject.NotSupported && byReference {
		code = requestobject.URINotSupported
	}
	return refuse(fault.RequestRefused, code, why.Reason, why.Cause)
}

// alone reports whether what the object does not say is not said at all (RFC
// 9101 section 6.3), and not what the address says (OpenID Connect Core section
// 6.1: state and nonce beside an object that was signed once for all).
func alone(rp relyingparty.RelyingParty) bool {
	return rp.Profile == relyingparty.Strict || rp.RequireSignedRequest
}

// together returns the parameters of an address and an object. Those of the
// object count where both have one (OpenID Connect Core section 6.1).
func together(address, object url.Values) url.Values {
	all := own(address)
	all.Del("request")
	all.Del("request_uri")
	for name, values := range object {
		all[name] = values
	}
	return all
}

func differ(address, object url.Values, name string) bool {
	return address.Get(name) != "" && object.Get(name) != "" && address.Get(name) != object.Get(name)
}

// answerable returns where the error about an object goes: to the address that
// the browser brought, or that the object names, if it is registered. Nothing
// else of an object that is not verified is used.
func answerable(rp relyingparty.RelyingParty, address, object url.Values) url.Values {
	target := url.Values{}
	for _, name := range []string{"redirect_uri", "state", "response_mode"} {
		target.Set(name, address.Get(name))
		if target.Get(name) == "" || name == "redirect_uri" && !rp.Redirects(target.Get(name)) {
			target.Set(name, object.Get(name))
		}
	}
	return target
}

// objectParameter carries, in the address to come back to, the request that came
// in a request object. The object itself may expire during a sign-in, and may
// not be fetched twice.
const objectParameter = "carekey_request"

type carried struct {
	Expires    time.Time `json:"e"`
	Parameters string    `json:"p"`
}

// carry returns the parameters of the address to come back to.
func (p *Provider) carry(r *http.Request, a arrival) (url.Values, error) {
	address := url.Values{"client_id": {a.rp.ClientID}}
	sealed, err := keys.SealJSON(p.carried, boundTo(r, address), carried{p.DB.Now().Add(journey.RequirementLife), a.query.Encode()})
	if err != nil {
		return nil, err
	}
	address.Set(objectParameter, sealed)
	return address, nil
}

// resume reads a request that was carried. It is for the browser that brought
// the object.
func (p *Provider) resume(r *http.Request, a *arrival) error {
	address := url.Values{"client_id": {a.rp.ClientID}}
	c, err := keys.OpenJSON[carried](p.carried, boundTo(r, address), a.own.Get(objectParameter))
	if err == nil && !p.DB.Now().Before(c.Expires) {
		err = errors.New("the sign-in took too long")
	}
	if err != nil {
		return fault.New(fault.RequestOver, err)
	}
	a.query, err = url.ParseQuery(c.Parameters)
	a.vetted = true
	return err
}
