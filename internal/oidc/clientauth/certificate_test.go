package clientauth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"math/big"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"carekey.dev/carekey/internal/oidc/clientauth"
	"carekey.dev/carekey/internal/relyingparty"
)

// authority issues certificates.
type authority struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
}

func newKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

func newAuthority(name string, of *authority) *authority {
	key := newKey()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if of == nil {
		of = &authority{template, key}
	}
	raw := must(x509.CreateCertificate(rand.Reader, template, of.Certificate, key.Public(), of.key))
	return &authority{must(x509.ParseCertificate(raw)), key}
}

// issue returns a client certificate for a host; change may alter it. Without
// an authority it is self-signed.
func (a *authority) issue(host string, change func(*x509.Certificate)) (*x509.Certificate, *ecdsa.PrivateKey) {
	key := newKey()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(template)
	}
	parent, signer := template, key
	if a != nil {
		parent, signer = a.Certificate, a.key
	}
	raw := must(x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer))
	return must(x509.ParseCertificate(raw)), key
}

// shown is a request of a client that showed certificates in the handshake.
func shown(chain ...*x509.Certificate) *http.Request {
	r := request(mutual + path + "/access_token")
	r.TLS = &tls.ConnectionState{PeerCertificates: chain}
	return r
}

const host = "ers.northmoor.example"

// RFC 8705 section 2.1.
func TestACertificateOfAnAuthorityIsKnownByChainUseTimeAndName(t *testing.T) {
	root, other := newAuthority("Northmoor root", nil), newAuthority("Another root", nil)
	between := newAuthority("Northmoor issuing", root)
	a := authenticator(registered())
	authorities := x509.NewCertPool()
	authorities.AddCert(root.Certificate)
	a.Authorities = func() *x509.CertPool { return authorities }
	good, _ := root.issue(host, nil)
	under, _ := between.issue(host, nil)
	ask := url.Values{"client_id": {authed}}
	if c := mustPass(t, a, shown(good), ask, authed); c.Certificate != good {
		t.Error("the endpoint does not learn the certificate to bind tokens to")
	}
	mustPass(t, a, shown(under, between.Certificate), ask, authed)
	for name, test := range map[string]struct {
		of     *authority
		host   string
		change func(*x509.Certificate)
		cause  clientauth.Cause
		says   string
	}{
		"another name":           {root, "pas.northmoor.example", nil, clientauth.OtherCertificate, "pas.northmoor.example"},
		"another authority":      {other, host, nil, clientauth.BadCertificate, "not trusted"},
		"self-signed":            {nil, host, nil, clientauth.BadCertificate, "not trusted"},
		"a link missing":         {between, host, nil, clientauth.BadCertificate, "not trusted"},
		"for servers":            {root, host, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, clientauth.BadCertificate, "incompatible key usage"},
		"expired":                {root, host, func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) }, clientauth.BadCertificate, "valid from"},
		"not yet":                {root, host, func(c *x509.Certificate) { c.NotBefore = now.Add(time.Second) }, clientauth.BadCertificate, "valid from"},
		"a name that would pass": {root, "*.northmoor.example", nil, clientauth.OtherCertificate, "not the registered name"},
	} {
		t.Run(name, func(t *testing.T) {
			certificate, _ := test.of.issue(test.host, test.change)
			mustRefuse(t, a, shown(certificate), ask, test.cause, test.says)
		})
	}
	mustRefuse(t, a, request(endpoint), ask, clientauth.NoCertificate, "mtls_endpoint_aliases")
	mustRefuse(t, a, shown(good), url.Values{"client_id": {authed}, "client_secret": {"x"}}, clientauth.WrongMethod, "secret")
	mustRefuse(t, a, shown(good), form(signature{}.of(claims(authed)), "client_id", authed), clientauth.WrongMethod, "assertion")
	mustRefuse(t, a, shown(good), url.Values{}, clientauth.Unknown, "names no client") // RFC 8705 section 2: client_id REQUIRED
	a.Authorities = nil
	mustRefuse(t, a, shown(good), ask, clientauth.WrongMethod, "named no authority")
}

// RFC 8705 section 2.2.
func TestASelfSignedCertificateIsKnownIfItWasRegistered(t *testing.T) {
	registeredOne, key := (*authority)(nil).issue(host, nil)
	another, _ := (*authority)(nil).issue(host, nil)
	expired, expiredKey := (*authority)(nil).issue(host, func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Second) })
	onlyKey, bare := (*authority)(nil).issue(host, nil)
	all := registered()
	keys := func(some ...jose.JSONWebKey) {
		rp := all[pinned]
		rp.JWKS = must(json.Marshal(jose.JSONWebKeySet{Keys: append([]jose.JSONWebKey{}, some...)}))
		all[pinned] = rp
	}
	a := authenticator(all)
	ask := url.Values{"client_id": {pinned}}
	keys(
		jose.JSONWebKey{Key: key.Public(), Certificates: []*x509.Certificate{registeredOne}},
		jose.JSONWebKey{Key: expiredKey.Public(), Certificates: []*x509.Certificate{expired}},
		jose.JSONWebKey{Key: bare.Public()},
	)
	if c := mustPass(t, a, shown(registeredOne), ask, pinned); c.Certificate != registeredOne {
		t.Error("the endpoint does not learn the certificate to bind tokens to")
	}
	mustPass(t, a, shown(onlyKey), ask, pinned)
	mustRefuse(t, a, shown(another), ask, clientauth.OtherCertificate, host)
	mustRefuse(t, a, shown(expired), ask, clientauth.BadCertificate, "valid from")
	mustRefuse(t, a, request(endpoint), ask, clientauth.NoCertificate, "no certificate")
	keys()
	mustRefuse(t, a, shown(registeredOne), ask, clientauth.OtherCertificate, "no key that can be used")
	rp := all[pinned]
	rp.JWKS, rp.JWKSURI = nil, "https://127.0.0.1:1/keys"
	all[pinned] = rp
	mustRefuse(t, a, shown(registeredOne), ask, clientauth.KeysAway, "127.0.0.1")
}

// RFC 8705 section 3: a certificate beside another way of authentication is
// there for tokens to be bound to.
func TestACertificateBesideASecretOrAnAssertionIsNotASecondWay(t *testing.T) {
	certificate, _ := (*authority)(nil).issue(host, nil)
	a := authenticator(registered())
	for client, body := range map[string]url.Values{
		ers:  {"client_id": {ers}, "client_secret": {ersSecret}},
		ncrs: form(signature{}.of(claims(ncrs, "aud", mutual+path+"/access_token"))),
	} {
		if c := mustPass(t, a, shown(certificate), body, client); c.Certificate != certificate || c.RP.AuthMethod == relyingparty.SelfSignedTLS {
			t.Errorf("%s: the certificate is %v", client, c.Certificate)
		}
	}
}
