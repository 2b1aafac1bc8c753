package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/oidc"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/server/config"
)

// clientCertificate is a certificate with its key; parent nil: self-signed.
func clientCertificate(t *testing.T, name string, parent *tls.Certificate) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		IsCA:        parent == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	above, signer := template, any(key)
	if parent != nil {
		above, signer = parent.Leaf, parent.PrivateKey
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, above, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key, Leaf: leaf}
}

// mutualHouse is a running house with an mTLS host, two relying parties that
// use it, and an authority.
type mutualHouse struct {
	*House
	t     *testing.T
	ca    *tls.Certificate
	own   *tls.Certificate // registered by the second one
	roots *x509.CertPool
}

func newMutualHouse(t *testing.T) *mutualHouse {
	t.Helper()
	m := &mutualHouse{t: t, ca: clientCertificate(t, "Northmoor root", nil), own: clientCertificate(t, "self.northmoor.example", nil)}
	caFile := filepath.Join(t.TempDir(), "clients.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.ca.Certificate[0]})
	if err := os.WriteFile(caFile, text, 0o600); err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	m.House = furnished(t, config.Demo{Listen: freeAddress(t), TLS: true}, func(name string) (string, bool) {
		value, ok := map[string]string{
			"CAREKEY_MTLS_LISTEN": address, "CAREKEY_MTLS_BASE_URL": "https://" + address, "CAREKEY_MTLS_CLIENT_CA_FILE": caFile,
		}[name]
		return value, ok
	})
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: m.own.Leaf.PublicKey, Certificates: []*x509.Certificate{m.own.Leaf}}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, rp := range []relyingparty.RelyingParty{
		{ClientID: "by-authority", AuthMethod: relyingparty.TLSClientAuth, Metadata: relyingparty.Metadata{TLSSubject: relyingparty.TLSSubject{DNS: "ers.northmoor.example"}}},
		{ClientID: "by-itself", AuthMethod: relyingparty.SelfSignedTLS, JWKS: keys},
	} {
		rp.Name, rp.RedirectURIs = rp.ClientID, []string{"https://rp.example/callback"}
		rp.Complete()
		if found := relyingparty.Check(rp); found != nil {
			t.Fatal(found)
		}
		if err := m.DB.Write(t.Context(), func(tx *db.Tx) error { return relyingparty.Put(tx, rp) }); err != nil {
			t.Fatal(err)
		}
	}
	stop := serving(t, m.House)
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	local, err := os.ReadFile(filepath.Join(m.Config.DataDir, "tls", "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	m.roots = x509.NewCertPool()
	m.roots.AppendCertsFromPEM(local)
	return m
}

// send makes a request with a certificate, or with none.
func (m *mutualHouse) send(r *http.Request, certificate *tls.Certificate) (int, string) {
	m.t.Helper()
	settings := &tls.Config{RootCAs: m.roots}
	if certificate != nil {
		settings.Certificates = []tls.Certificate{*certificate}
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: settings, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	response, err := client.Do(r)
	if err != nil {
		m.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		m.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func (m *mutualHouse) get(url string) (int, string) {
	m.t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	return m.send(r, nil)
}

// redeem sends a code that nobody gave out, so that whoever authenticates gets
// invalid_grant.
func (m *mutualHouse) redeem(base, client string, certificate *tls.Certificate) (int, string) {
	m.t.Helper()
	form := url.Values{"client_id": {client}, "grant_type": {"authorization_code"}, "code": {"x"}, "redirect_uri": {"https://rp.example/callback"}}
	r, err := http.NewRequest(http.MethodPost, base+oidc.RealmPath+"/access_token", strings.NewReader(form.Encode()))
	if err != nil {
		m.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	status, text := m.send(r, certificate)
	var answer struct {
		Code string `json:"error"`
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		m.t.Fatalf("%d %s", status, text)
	}
	return status, answer.Code
}

// RFC 8705 sections 2.1 and 2.2, by real handshakes.
func TestACertificateOfTheHandshakeAuthenticates(t *testing.T) {
	m := newMutualHouse(t)
	stranger := clientCertificate(t, "Another root", nil)
	for name, test := range map[string]struct {
		base, client string
		certificate  *tls.Certificate
		want         string
	}{
		"of the authority":           {m.Config.MutualTLS.BaseURL, "by-authority", clientCertificate(t, "ers.northmoor.example", m.ca), "invalid_grant"},
		"registered, self-signed":    {m.Config.MutualTLS.BaseURL, "by-itself", m.own, "invalid_grant"},
		"another name":               {m.Config.MutualTLS.BaseURL, "by-authority", clientCertificate(t, "pas.northmoor.example", m.ca), "invalid_client"},
		"another authority":          {m.Config.MutualTLS.BaseURL, "by-authority", clientCertificate(t, "ers.northmoor.example", stranger), "invalid_client"},
		"self-signed, not the one":   {m.Config.MutualTLS.BaseURL, "by-itself", clientCertificate(t, "self.northmoor.example", nil), "invalid_client"},
		"none":                       {m.Config.MutualTLS.BaseURL, "by-itself", nil, "invalid_client"},
		"on the host of the browser": {m.Config.BaseURL, "by-itself", m.own, "invalid_client"},
	} {
		status, got := m.redeem(test.base, test.client, test.certificate)
		if got != test.want || (status == http.StatusUnauthorized) != (test.want == "invalid_client") {
			t.Errorf("%s: %d %s, want %s", name, status, got, test.want)
		}
	}
}

// RFC 8705 section 5; decision 11.
func TestDiscoveryNamesTheMutualHostAndWhatIsThere(t *testing.T) {
	m := newMutualHouse(t)
	_, text := m.get(m.Config.Link(oidc.RealmPath + "/.well-known/openid-configuration"))
	var doc struct {
		Token   string            `json:"token_endpoint"`
		Methods []string          `json:"token_endpoint_auth_methods_supported"`
		Aliases map[string]string `json:"mtls_endpoint_aliases"`
		Bound   bool              `json:"tls_client_certificate_bound_access_tokens"`
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(doc.Methods, " "); got != "client_secret_post client_secret_basic private_key_jwt tls_client_auth self_signed_tls_client_auth" {
		t.Errorf("the methods are %s", got)
	}
	if !strings.HasPrefix(doc.Token, m.Config.BaseURL) || len(doc.Aliases) != 5 || !doc.Bound {
		t.Errorf("the token endpoint is %s, the aliases %v, bound tokens %v", doc.Token, doc.Aliases, doc.Bound)
	}
	for name, alias := range doc.Aliases {
		status, text := m.get(alias)
		if !strings.HasPrefix(alias, m.Config.MutualTLS.BaseURL) || status == http.StatusNotFound {
			t.Errorf("%s is %s: %d %s", name, alias, status, text)
		}
	}
	for _, page := range []string{"/cim/", "/signin", oidc.RealmPath + "/authorize", oidc.RealmPath + "/connect/endSession"} {
		if status, _ := m.get(m.Config.MutualTLS.BaseURL + page); status != http.StatusNotFound {
			t.Errorf("%s is served where browsers are asked for certificates: %d", page, status)
		}
	}
}

func TestWithoutAMutualHostNothingOfItIsNamed(t *testing.T) {
	h := furnished(t, config.Demo{Listen: freeAddress(t)}, nothing)
	stop := serving(t, h)
	text := body(t, h.Config.Link(oidc.RealmPath+"/.well-known/openid-configuration"))
	if strings.Contains(text, "mtls_endpoint_aliases") || strings.Contains(text, "tls_client_") {
		t.Errorf("discovery names it:\n%s", text)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestAnAuthorityThatIsTakenOffTheListIsTrustedNoLonger, without a restart: at
// the next look or at a SIGHUP, which both ask the same list.
func TestAnAuthorityThatIsTakenOffTheListIsTrustedNoLonger(t *testing.T) {
	h := furnished(t, config.Demo{Listen: "localhost:8080"}, nothing)
	first, second := clientCertificate(t, "Northmoor root", nil), clientCertificate(t, "Southmoor root", nil)
	file := filepath.Join(t.TempDir(), "clients.pem")
	put := func(of *tls.Certificate) {
		t.Helper()
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: of.Certificate[0]}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(first)
	h.Config.MutualTLS = config.MutualTLS{BaseURL: "https://mtls.example", ClientCAFile: file}
	s, err := newSite(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ trusted, not *tls.Certificate }{{first, second}, {second, first}} {
		put(c.trusted)
		for _, reload := range s.reloads {
			reload()
		}
		for one, want := range map[*tls.Certificate]bool{c.trusted: true, c.not: false} {
			_, err := one.Leaf.Verify(x509.VerifyOptions{Roots: s.provider.Mutual.Authorities(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
			if (err == nil) != want {
				t.Errorf("%s: %v, want trusted: %t", one.Leaf.Subject, err, want)
			}
		}
	}
}

func TestABadListOfAuthoritiesKeepsTheServerFromStarting(t *testing.T) {
	h := furnished(t, config.Demo{Listen: freeAddress(t)}, nothing)
	for _, file := range []string{filepath.Join(t.TempDir(), "none.pem"), h.Config.RootKeyFile} {
		h.Config.MutualTLS = config.MutualTLS{BaseURL: "https://mtls.example", Listen: freeAddress(t), ClientCAFile: file}
		if err := Serve(t.Context(), h, func() {}); err == nil || !strings.Contains(err.Error(), "mtls.client_ca_file") {
			t.Errorf("%s: %v", file, err)
		}
	}
}
