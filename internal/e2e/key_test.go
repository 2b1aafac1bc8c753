package e2e

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// key is what somebody has at hand: an authenticator of the browser's own
// making, that behaves as one of its kind does.
type key struct {
	platform bool // in the device, not on a key ring
	// resident: it can hold a discoverable credential. pin: it can verify its
	// holder; unverified: it does not.
	resident, pin, unverified bool
	// synced: its credentials can be copied and have been.
	synced bool
}

// The kinds of the three methods.
var (
	yubikey  = key{resident: true, pin: true}
	laptop   = key{platform: true, resident: true, pin: true}
	syncable = key{platform: true, resident: true, pin: true, synced: true}
)

// plugged is a key in a browser.
type plugged struct {
	b  *browser
	id webauthn.AuthenticatorID
}

// plug gives the browser a key.
func (b *browser) plug(k key) plugged {
	b.t.Helper()
	options := &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Ctap2version: webauthn.Ctap2versionCtap21,
		Transport: webauthn.AuthenticatorTransportUsb, HasResidentKey: k.resident,
		HasUserVerification: k.pin, IsUserVerified: k.pin && !k.unverified, AutomaticPresenceSimulation: true,
		DefaultBackupEligibility: k.synced, DefaultBackupState: k.synced,
	}
	if k.platform {
		options.Transport = webauthn.AuthenticatorTransportInternal
	}
	in := plugged{b: b}
	b.do(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		if _, err := cdp.Call(ctx, target, webauthn.Enable, webauthn.EnableParams{}); err != nil {
			return chromedp.Void{}, err
		}
		added, err := cdp.Call(ctx, target, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: options})
		in.id = added.AuthenticatorID
		return chromedp.Void{}, err
	})
	return in
}

// pull takes the key out again.
func (p plugged) pull() {
	p.b.t.Helper()
	p.b.do(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, webauthn.RemoveVirtualAuthenticator, webauthn.RemoveVirtualAuthenticatorParams{AuthenticatorID: p.id})
		return chromedp.Void{}, err
	})
}

// makerOfKeys writes the certificate of an authority behind the keys that the
// browser makes, and returns its file. The browser signs each key's certificate
// with a key of its own, of which that certificate tells the public part.
func makerOfKeys(t *testing.T) string {
	t.Helper()
	empty := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write([]byte(`<!DOCTYPE html><html lang="en"><title>A shop</title><main><h1>A shop for keys</h1></main></html>`))
	}))
	t.Cleanup(empty.Close)
	b := newBrowser(t, withJavaScript)
	b.open(strings.Replace(empty.URL, "127.0.0.1", "localhost", 1))
	b.plug(yubikey)
	made := b.eval(`navigator.credentials.create({publicKey: {
		attestation: 'direct', challenge: new Uint8Array(32), rp: {name: 'Shop', id: 'localhost'},
		user: {id: new Uint8Array(16), name: 'a', displayName: 'a'}, pubKeyCredParams: [{type: 'public-key', alg: -7}],
		authenticatorSelection: {userVerification: 'required'},
	}}).then((made) => made.toJSON().response.attestationObject)`)
	object, err := base64.RawURLEncoding.DecodeString(made)
	if err != nil {
		t.Fatal(err)
	}
	// "x5c", a list of one, a text of two bytes of length.
	at := strings.Index(string(object), "x5c\x81\x59")
	if at < 0 {
		t.Fatalf("the browser's attestation has no certificate: %x", object)
	}
	length := int(object[at+5])<<8 | int(object[at+6])
	leaf, err := x509.ParseCertificate(object[at+7 : at+7+length])
	if err != nil {
		t.Fatal(err)
	}
	signer := newAuthority(t)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), RawSubject: leaf.RawIssuer, Subject: pkix.Name{},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, signer.certificate, leaf.PublicKey, signer.key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "maker.pem")
	signer.write(path, "CERTIFICATE", der)
	return path
}
