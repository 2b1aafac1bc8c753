package clientauth

import (
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/url"

	"carekey.dev/carekey/internal/oidc/clientkeys"
)

// presented is how a caller says who it is.
type presented struct {
	clientID string
	// secrets are the readings of what was sent, the right one first.
	secrets []string
	// assertion is a JWT, assertionType what the caller says that it is.
	assertion, assertionType string
	// certificate is what it showed in the TLS handshake, chain what it showed
	// with it.
	certificate *x509.Certificate
	chain       []*x509.Certificate
}

// present reads who the caller says it is, and refuses a request that says it
// in more than one way (RFC 6749 section 2.3). A certificate is no way of its
// own: tokens can be bound to it besides.
func present(r *http.Request, form url.Values) (presented, *Refused) {
	who := presented{clientID: form.Get("client_id")}
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		who.certificate, who.chain = r.TLS.PeerCertificates[0], r.TLS.PeerCertificates[1:]
	}
	if r.Header.Get("Authorization") != "" {
		return basic(who, r, form)
	}
	if form.Get("client_secret") != "" {
		who.secrets = []string{form.Get("client_secret")}
	}
	if form.Get("client_assertion") == "" && form.Get("client_assertion_type") == "" {
		return who, nil
	}
	if who.secrets != nil {
		return presented{}, malformed("more than one way of client authentication was used: a secret and an assertion")
	}
	who.assertion, who.assertionType = form.Get("client_assertion"), form.Get("client_assertion_type")
	if who.assertion == "" {
		return presented{}, malformed("client_assertion is missing, and client_assertion_type was sent")
	}
	if who.clientID == "" {
		who.clientID = claimed(who.assertion) // wire rule 6
	}
	return who, nil
}

// basic reads an Authorization header. A client without a secret, which is
// known by its certificate, sends none.
func basic(who presented, r *http.Request, form url.Values) (presented, *Refused) {
	id, secret, ok := r.BasicAuth()
	if !ok {
		return presented{}, refuse(Malformed, "the Authorization header is not Basic credentials")
	}
	if form.Get("client_secret") != "" || form.Get("client_assertion") != "" {
		return presented{}, malformed("more than one way of client authentication was used")
	}
	inBody := who.clientID
	who.clientID, who.secrets = unescape(id), []string{unescape(secret), secret}
	if inBody != "" && inBody != who.clientID {
		return presented{}, malformed("client_id differs from the one in the Authorization header")
	}
	return who, nil
}

// unescape undoes the form encoding of Basic credentials (RFC 6749 section
// 2.3.1; wire rule 4). Clients that do not encode are understood too, as long
// as what they send is no encoding of something else.
func unescape(text string) string {
	plain, err := url.QueryUnescape(text)
	if err != nil {
		return text
	}
	return plain
}

// claimed is the client that an assertion names which nobody has verified.
func claimed(assertion string) string {
	_, payload, err := clientkeys.Read(assertion)
	if err != nil {
		return ""
	}
	var named struct {
		Subject string `json:"sub"`
	}
	if json.Unmarshal(payload, &named) != nil {
		return ""
	}
	return named.Subject
}

// Named is the client that a request names, for a log line: nobody has checked
// it.
func Named(r *http.Request, form url.Values) string {
	if id, _, ok := r.BasicAuth(); ok {
		return unescape(id)
	}
	if id := form.Get("client_id"); id != "" {
		return id
	}
	return claimed(form.Get("client_assertion"))
}
