package oidc

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"net/http"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/oidc/clientauth"
	"carekey.dev/carekey/internal/oidc/dpop"
	"carekey.dev/carekey/internal/oidc/grant"
	"carekey.dev/carekey/internal/relyingparty"
)

// sender is what the sender of a request has proven to hold besides the
// client's credentials.
type sender struct {
	grant.Binding
	proof dpop.Proof
	// proven: there is a DPoP proof.
	proven bool
}

// badProof is the error of a DPoP proof at the endpoints that clients
// authenticate at (RFC 9449 section 5).
func badProof(why string) *refusal { return refuse(fault.ProofRefused, "invalid_dpop_proof", why, nil) }

// proofOf reads the DPoP proof of a request to the endpoint at path. token is
// the access token that the request carries, or "".
func (p *Provider) proofOf(r *http.Request, path, token string) (sender, error) {
	var addresses []string
	for _, origin := range p.origins {
		addresses = append(addresses, origin+path)
	}
	proof, proven, err := dpop.Read(r.Header, dpop.Expect{Method: r.Method, Addresses: addresses, Token: token, Now: p.DB.Now()})
	if err != nil {
		return sender{}, err
	}
	return sender{Binding: grant.Binding{JKT: proof.JKT}, proof: proof, proven: proven}, nil
}

// use uses the proof up, in the transaction of what the request achieves.
func (s sender) use(tx *db.Tx) (refused, err error) {
	if !s.proven {
		return nil, nil
	}
	return s.proof.Use(tx)
}

// senderOf returns what the tokens of a token request are bound to: to the key
// of its DPoP proof if it has one (RFC 9449 section 5), and to the client's
// certificate if that was registered, or if the profile strict wants a binding
// and there is no other (RFC 8705 section 3; FAPI 2.0 section 5.3.2.1; ASVS
// 10.4.14).
func (p *Provider) senderOf(r *http.Request, caller clientauth.Caller) (sender, *refusal) {
	s, err := p.proofOf(r, tokenPath, "")
	if err != nil {
		return s, badProof(err.Error())
	}
	rp, strict := caller.RP, caller.RP.Profile == relyingparty.Strict
	if caller.Certificate != nil && (rp.TLSBound || strict && !s.proven) {
		s.Certificate = thumbprint(caller.Certificate)
	}
	switch {
	case rp.DPoPBound && !s.proven:
		// RFC 9449 section 5.2. There is no proof that could be invalid, so it is
		// a parameter that is missing (RFC 6749 section 5.2).
		return s, refuse(fault.ProofRefused, "invalid_request", "a DPoP proof is missing: the access tokens of this client are bound to its DPoP key", nil)
	case rp.TLSBound && s.Certificate == "":
		return s, badToken("invalid_request", "the access tokens of this client are bound to its certificate: send the request with it to the token endpoint of mtls_endpoint_aliases")
	case strict && s.Binding == (grant.Binding{}):
		return s, badToken("invalid_request", "the profile strict binds access tokens: send a DPoP proof, or use your certificate at the token endpoint of mtls_endpoint_aliases")
	}
	return s, nil
}

// thumbprint is x5t#S256 of a certificate (RFC 8705 section 3.1).
func thumbprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
