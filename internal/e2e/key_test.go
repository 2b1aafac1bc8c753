package e2e

import (
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	devices "carekey.dev/carekey/internal/page/pagetest/chromium"
)

// makerOfKeys writes the certificate of whoever makes the browser's keys, and
// returns its file: each key gets a new one, always of the same name and key.
func makerOfKeys(t *testing.T) string {
	t.Helper()
	empty := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write([]byte(`<!DOCTYPE html><html lang="en"><title>A shop</title><main><h1>A shop for keys</h1></main></html>`))
	}))
	t.Cleanup(empty.Close)
	b := newBrowser(t, withJavaScript)
	b.open(strings.Replace(empty.URL, "127.0.0.1", "localhost", 1))
	key := devices.Plug(t, b.tab, devices.SecurityKey())
	defer key.Unplug()
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
	path := filepath.Join(t.TempDir(), "maker.pem")
	(&authority{t: t}).write(path, "CERTIFICATE", leaf.Raw)
	return path
}

// arrives waits until a script of the page has led to another that says the
// words.
func (b *browser) arrives(words string) {
	b.t.Helper()
	eventually(b.t, "the page says "+words, func() bool {
		return strings.Contains(b.eval(`document.readyState === "complete" ? document.body.innerText : ""`), words)
	})
	b.audit()
}

// leaps presses a button that leads to a page which goes on by itself.
func (b *browser) leaps(text string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.Search(fmt.Sprintf(`//main//button[normalize-space()=%q]`, text))))
}

// keyed is a house that trusts the browser's keys.
func keyed(t *testing.T) *house {
	t.Helper()
	return newHouse(t, "CAREKEY_FIDO_ROOTS_FILE="+makerOfKeys(t))
}

// link opens a registration link of the operator for a type, and returns the
// operator who waits.
func (h *house) link(b *browser, p demoPerson, kind string) *clerk {
	h.t.Helper()
	clerk := h.clerk("registration-link", p.uid, kind)
	link := linkForm.FindString(clerk.reads("/register?t=") + clerk.reads("\n"))
	if link == "" {
		h.t.Fatal("the command printed no link")
	}
	b.open(link)
	return clerk
}

// TestAKeyThatARegistrationAuthorityStandsBehindReachesAAL3: a link, the screens
// of the registration, the number, and then the service that takes AAL3 alone:
// its button and a touch.
func TestAKeyThatARegistrationAuthorityStandsBehindReachesAAL3(t *testing.T) {
	t.Parallel()
	h := keyed(t)
	b := newBrowser(t, withJavaScript)
	devices.Plug(t, b.tab, devices.SecurityKey())
	clerk := h.link(b, amara, "security_key")
	b.keep("register-key-instructions")
	b.choose("confirm", "yes")
	b.press("Register security key")
	b.fill("email", amara.email)
	b.press("Send One Time Password")
	b.fill("code", h.mail.code(t, amara.email))
	b.press("Continue")
	b.keep("register-key")
	b.narrow("register-key")
	b.press("Register security key")
	clerk.reads("?")
	clerk.answers("y")
	clerk.ends()
	b.open(b.where())
	b.wantRegistered()
	b.keep("register-key-done")

	b.open(h.face(3))
	b.press("Sign in to CDR")
	b.wantHeading("Select your login method")
	b.choose("remember", "yes")
	b.choose("method", "security_key")
	b.leaps("Continue")
	b.arrives("You are signed in to CDR")
	b.wantText("Amara", "AAL3", "FIDO2")
	b.keep("cdr-signed-in")

	b.press("Sign out everywhere")
	b.arrives("Sign in to CDR")
	b.leaps("Sign in to CDR") // the one interaction beside the touch
	b.arrives("You are signed in to CDR")
}

// TestASyncedPasskeySignsInToERSByItself: registered by a worker who is signed in
// with the app, at a service that takes AAL2, without an address or a password.
func TestASyncedPasskeySignsInToERSByItself(t *testing.T) {
	t.Parallel()
	h := keyed(t)
	b := h.signedIn(amara, withJavaScript)
	devices.Plug(t, b.tab, devices.Synced())
	b.open(h.url + "/cim/authenticators/add")
	b.keep("types")
	b.choose("type", "passkey")
	b.press("Continue")
	b.wantText("AAL2")
	b.choose("confirm", "yes")
	b.press("Register passkey")
	b.fill("email", amara.email)
	b.press("Send One Time Password")
	b.fill("code", h.mail.code(t, amara.email))
	b.press("Continue")
	b.fill("name", "My phone")
	b.press("Register passkey")
	b.wantRegistered()
	b.open(h.url + "/cim/authenticators")
	b.wantText("My phone", "AAL2")
	b.keep("authenticators-with-passkey")
	b.narrow("authenticators-with-passkey")
	b.press("Sign out")

	b.open(h.face(0))
	b.press("Sign in to e-RS")
	b.choose("method", "passkey")
	b.leaps("Continue")
	b.arrives("You are signed in to e-RS")
	b.wantText("Amara", "AAL2", "FIDO2")
}

// TestAKeyNeedsAScriptAndSaysSo: without JavaScript the page says what is needed
// and leads to the other ways.
func TestAKeyNeedsAScriptAndSaysSo(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := newBrowser(t, withoutJavaScript)
	b.open(h.face(0))
	b.press("Sign in to e-RS")
	b.choose("method", "security_key")
	b.press("Continue")
	b.wantText("This page needs JavaScript")
	b.follow("Use another way to sign in")
	b.wantHeading("Select your login method")
}
