package oidc_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"carekey.dev/carekey/internal/oidc"
)

// mutual is the same provider behind a listener that asks for certificates.
func (h *house) mutual() *httptest.Server {
	h.t.Helper()
	server := httptest.NewUnstartedServer(h.server.Config.Handler)
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	h.t.Cleanup(server.Close)
	return server
}

// certificate is a new one that its holder signed.
func certificate(t testing.TB) tls.Certificate {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{}, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: private}
}

// with sends a request with a certificate, or without one.
func with(t testing.TB, server *httptest.Server, certificates []tls.Certificate, r *http.Request) answer {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: certificates}}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

func request(t testing.TB, server *httptest.Server, method, path string, form url.Values, token string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, server.URL+oidc.RealmPath+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

// RFC 8705 sections 3, 3.1 and 3.2: the token is bound to the certificate of the
// token request, introspection says so, and userinfo takes it with that alone.
func TestATokenIsBoundToTheCertificateOfItsRequest(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		server := h.mutual()
		rp := rotaParty()
		rp.TLSBound = true
		h.register(rp)
		b := h.browser()
		b.withApp(amara)
		form := rotaForm("grant_type", "authorization_code", "redirect_uri", callback,
			"code", b.code(b.authorize(ask("client_id", rota, "scope", "openid offline_access"))))
		mine := []tls.Certificate{certificate(t)}
		a := with(t, server, mine, request(t, server, "POST", "/access_token", form, ""))
		got := object(t, a.body)
		if a.status != http.StatusOK || got["token_type"] != "Bearer" {
			t.Fatalf("%d %s", a.status, a.body)
		}
		access := got["access_token"].(string)
		sum := sha256.Sum256(mine[0].Certificate[0])
		told := h.introspect(rota, rotaSecret, access)
		if cnf, _ := told["cnf"].(map[string]any); len(cnf) != 1 || cnf["x5t#S256"] != base64.RawURLEncoding.EncodeToString(sum[:]) {
			t.Errorf("introspection tells %v", told)
		}
		for name, test := range map[string]struct {
			certificates []tls.Certificate
			status       int
		}{"its certificate": {mine, 200}, "another": {[]tls.Certificate{certificate(t)}, 401}, "none": {nil, 401}} {
			a := with(t, server, test.certificates, request(t, server, "GET", "/userinfo", nil, access))
			if a.status != test.status || test.status != 200 && object(t, a.body)["error"] != "invalid_token" {
				t.Errorf("%s: %d %s", name, a.status, a.body)
			}
			form := rotaForm("grant_type", "refresh_token", "refresh_token", got["refresh_token"].(string))
			if test.status == 200 {
				continue // the last use of it is below
			}
			if a := with(t, server, test.certificates, request(t, server, "POST", "/access_token", form, "")); a.status != http.StatusBadRequest {
				t.Errorf("refreshing with %s: %d %s", name, a.status, a.body)
			}
		}
		if a := h.userinfo(access); a.status != http.StatusUnauthorized || !strings.Contains(a.body, "client certificate") {
			t.Errorf("where nobody asks for certificates: %d %s", a.status, a.body)
		}
		form = rotaForm("grant_type", "refresh_token", "refresh_token", got["refresh_token"].(string))
		if a := with(t, server, mine, request(t, server, "POST", "/access_token", form, "")); a.status != http.StatusOK {
			t.Errorf("refreshing with its certificate: %d %s", a.status, a.body)
		}
	})
}

// A client that shows a certificate and did not register for bound tokens gets
// those of CIS2.
func TestACertificateAloneBindsNothing(t *testing.T) {
	h := open(t)
	server := h.mutual()
	_, code := h.issue()
	a := with(t, server, []tls.Certificate{certificate(t)}, request(t, server, "POST", "/access_token", redemption(code), ""))
	if a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := h.userinfo(object(t, a.body)["access_token"].(string)); a.status != http.StatusOK {
		t.Errorf("userinfo: %d %s", a.status, a.body)
	}
}
