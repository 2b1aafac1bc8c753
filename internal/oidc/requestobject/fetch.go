package requestobject

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"carekey.dev/carekey/internal/relyingparty"
)

const (
	// fetchWithin is how long a browser is kept waiting for a request object.
	fetchWithin = 5 * time.Second
	// mostFetches is how many are fetched at once: anybody can make us fetch
	// by opening an address.
	mostFetches = 16
	// MostOfOne is how many of one relying party are: its server may hang.
	MostOfOne = 4
	// longestURI is what OpenID Connect Core section 6.2 gives a request_uri.
	longestURI = 512
)

// Fetch returns the request object at an address that the relying party has
// registered (OpenID Connect Core section 6.2; require_request_uri_registration).
// The fragment only tells versions of its content apart, and nothing is cached
// here. The error is a *Refused.
func (o *Reader) Fetch(ctx context.Context, rp relyingparty.RelyingParty, uri string) (string, error) {
	address, _, _ := strings.Cut(uri, "#")
	registered := slices.ContainsFunc(rp.RequestURIs, func(one string) bool {
		known, _, _ := strings.Cut(one, "#")
		return known == address
	})
	if len(uri) > longestURI || !registered {
		return "", &Refused{Code: InvalidURI, Reason: "request_uri is not registered for this client"}
	}
	ctx, cancel := context.WithTimeout(ctx, fetchWithin)
	defer cancel()
	for _, places := range []chan struct{}{o.placesOf(rp.ClientID), o.fetching} {
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
		case <-ctx.Done():
			return "", &Refused{Code: Unavailable, Reason: "too many request objects are being fetched: try again in a few seconds"}
		}
	}
	text, err := o.get(ctx, address)
	if err != nil {
		return "", &Refused{Code: InvalidURI, Reason: "the request object at request_uri cannot be fetched", Cause: err}
	}
	return text, nil
}

// placesOf returns those of a relying party. Only one that registered an address
// to fetch from comes here, so there are few.
func (o *Reader) placesOf(clientID string) chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	places := o.places[clientID]
	if places == nil {
		places = make(chan struct{}, MostOfOne)
		o.places[clientID] = places
	}
	return places
}

// get reads an address, whatever content type it has: RFC 9101 section 5.2.3
// names one, OpenID Connect Core none.
func (o *Reader) get(ctx context.Context, address string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", fmt.Errorf("asking for a request object: %w", err)
	}
	r.Header.Set("Accept", "application/oauth-authz-req+jwt, application/jwt, */*;q=0.1")
	answer, err := o.Client.Do(r)
	if err != nil {
		return "", fmt.Errorf("asking for a request object: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("asking for a request object: the answer is %d", answer.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, Most+1))
	if err != nil {
		return "", fmt.Errorf("reading a request object: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
