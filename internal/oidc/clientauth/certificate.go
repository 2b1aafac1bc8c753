package clientauth

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"carekey.dev/carekey/internal/oidc/clientkeys"
	"carekey.dev/carekey/internal/relyingparty"
)

// certificate checks the certificate by which the caller authenticates (RFC
// 8705 section 2). The handshake has shown that it holds the private key.
func (a *Authenticator) certificate(ctx context.Context, rp relyingparty.RelyingParty, who presented) (*Refused, error) {
	now, shown := a.Now(), who.certificate
	switch {
	case who.secrets != nil || who.assertion != "":
		return refuse(WrongMethod, "the client sent a secret or an assertion, and is registered for %s", rp.AuthMethod), nil
	case shown == nil:
		return refuse(NoCertificate, "no certificate was shown in the TLS handshake: call the endpoint in mtls_endpoint_aliases of the discovery document"), nil
	case now.Before(shown.NotBefore) || now.After(shown.NotAfter):
		return refuse(BadCertificate, "the certificate is valid from %s to %s", shown.NotBefore.Format(time.DateTime), shown.NotAfter.Format(time.DateTime)), nil
	}
	if rp.AuthMethod == relyingparty.TLSClientAuth {
		return a.trusted(rp, who), nil
	}
	err := a.Keys.Holds(ctx, rp, shown)
	switch {
	case err == nil:
		return nil, nil
	case errors.Is(err, clientkeys.ErrCertificate):
		return refuse(OtherCertificate, "the certificate of %.200q: %v", shown.Subject.String(), err), nil
	case errors.Is(err, clientkeys.ErrFetch):
		return refuse(KeysAway, "%v", err), nil
	}
	return nil, fmt.Errorf("looking for a client certificate: %w", err)
}

// trusted checks a certificate of an authority: its chain, that it is for
// clients, and its name (RFC 8705 section 2.1).
func (a *Authenticator) trusted(rp relyingparty.RelyingParty, who presented) *Refused {
	if a.Authorities == nil {
		return refuse(WrongMethod, "the operator named no authority for client certificates, so tls_client_auth is not offered")
	}
	between := x509.NewCertPool()
	for _, one := range who.chain {
		between.AddCert(one)
	}
	_, err := who.certificate.Verify(x509.VerifyOptions{
		Roots: a.Authorities(), Intermediates: between, CurrentTime: a.Now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return refuse(BadCertificate, "the certificate of %.200q is not trusted: %.200s", who.certificate.Subject.String(), err.Error())
	}
	if !rp.TLSSubject.Names(who.certificate) {
		return refuse(OtherCertificate, "the certificate is that of %.200q, which is not the registered name", who.certificate.Subject.String())
	}
	return nil
}
