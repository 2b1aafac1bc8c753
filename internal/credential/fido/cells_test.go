package fido_test

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/fido"
	"carekey.dev/carekey/internal/credential/internal/credtest"
	"carekey.dev/carekey/internal/page/pagetest/chromium"
)

func TestMain(m *testing.M) { os.Exit(chromium.Main(m)) }

// cell is one kind of authenticator, asked for one method.
type cell struct {
	method    care.Method
	transport webauthn.AuthenticatorTransport
	// pin: it can verify its holder, right: and its holder can.
	pin, right bool
	// resident: it has room for discoverable credentials.
	resident bool
	// eligible and copied are its backup flags.
	eligible, copied bool
}

func (c cell) String() string {
	return fmt.Sprintf("%s over %s, pin %t right %t, resident %t, backup %t %t", c.method, c.transport, c.pin, c.right, c.resident, c.eligible, c.copied)
}

// cells are all of them: each method over each transport that its attachment
// allows.
func cells() []cell {
	roaming := []webauthn.AuthenticatorTransport{
		webauthn.AuthenticatorTransportUsb, webauthn.AuthenticatorTransportNfc, webauthn.AuthenticatorTransportBle, webauthn.AuthenticatorTransportCable,
	}
	transports := map[care.Method][]webauthn.AuthenticatorTransport{
		care.SecurityKey:  roaming,
		care.WindowsHello: {webauthn.AuthenticatorTransportInternal},
		care.Passkey:      append([]webauthn.AuthenticatorTransport{webauthn.AuthenticatorTransportInternal}, roaming...),
	}
	var all []cell
	for _, method := range fido.Methods() {
		for _, transport := range transports[method] {
			for _, verification := range [][2]bool{{false, false}, {true, false}, {true, true}} {
				for _, resident := range []bool{false, true} {
					for _, backup := range [][2]bool{{false, false}, {true, false}, {true, true}} {
						all = append(all, cell{method, transport, verification[0], verification[1], resident, backup[0], backup[1]})
					}
				}
			}
		}
	}
	return all
}

// wanted is the level that a cell reaches, AALNone where it cannot register:
// without its holder verified it is one factor (N8), Windows Hello and a passkey
// have to be discoverable, and what can be copied is AAL2 at most (decision 2).
func (c cell) wanted() care.AAL {
	switch {
	case !c.right, !c.resident && c.method != care.SecurityKey:
		return care.AALNone
	case c.eligible:
		return care.AAL2
	}
	return care.AAL3
}

// desk is a browser at an origin, and the room that verifies there.
type desk struct {
	*room
	tab context.Context
}

// TestEveryCellInARealBrowser registers and signs in with every kind of
// authenticator that Chromium can be, on http://localhost as developers have it
// and on https. The maker of the browser's keys is trusted.
func TestEveryCellInARealBrowser(t *testing.T) {
	for name, serve := range map[string]func(http.Handler) *httptest.Server{"http": httptest.NewServer, "https": httptest.NewTLSServer} {
		t.Run(name, func(t *testing.T) {
			server := serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprint(w, `<!DOCTYPE html><title>a desk</title>`)
			}))
			t.Cleanup(server.Close)
			origin := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)
			tab := chromium.Tab(t)
			if err := chromedp.Do(tab, chromedp.Navigate(origin)); err != nil {
				t.Fatal(err)
			}
			maker := makerOfKeys(t, tab)
			for i, c := range cells() {
				// A cell without its holder's word takes the browser a while to
				// give up: over https one transport of each kind is enough.
				wired := c.transport == webauthn.AuthenticatorTransportUsb || c.transport == webauthn.AuthenticatorTransportInternal
				if name == "https" && (!c.right || !wired) {
					continue
				}
				d := &desk{tab: tab, room: in(t, credtest.Open(t, fido.Schema), func(o *fido.Options) {
					o.RPID, o.Origins, o.Roots = "localhost", []string{origin}, []*x509.Certificate{maker}
				})}
				key := chromium.Plug(t, tab, &webauthn.VirtualAuthenticatorOptions{
					Protocol: webauthn.AuthenticatorProtocolCtap2, Ctap2version: webauthn.Ctap2versionCtap21, Transport: c.transport,
					HasResidentKey: c.resident, HasUserVerification: c.pin, IsUserVerified: c.right, AutomaticPresenceSimulation: true,
					DefaultBackupEligibility: c.eligible, DefaultBackupState: c.copied,
				})
				if got := d.reaches(fmt.Sprintf("key-%d", i), c); got != c.wanted() {
					t.Errorf("%s: reaches %s, want %s", c, got, c.wanted())
				}
				key.Unplug()
			}
		})
	}
}

// reaches registers the key that is plugged in, signs in with it, and returns
// the level of the sign-in.
func (d *desk) reaches(id string, c cell) care.AAL {
	d.t.Helper()
	begun, err := d.BeginRegistration(d.t.Context(), holder(amara), c.method, bound)
	must(d.t, err)
	response, ok := d.browser("create", begun)
	if !ok {
		return care.AALNone
	}
	proven, err := d.FinishRegistration(d.t.Context(), begun.Sealed, bound, response)
	must(d.t, err)
	enrolment, err := d.Enrolment(proven, "")
	must(d.t, err)
	d.Bind(d.t, id, enrolment)
	address := care.Email("")
	if !c.resident {
		address = amaraEmail // the key does not know whose it is
	}
	asked := d.ask(address, c.method)
	if response, ok = d.browser("get", asked); !ok {
		d.t.Errorf("%s: registered, and the browser will not use it", c)
		return care.AALNone
	}
	proof, err := d.FinishSignIn(d.t.Context(), asked.Sealed, bound, response)
	must(d.t, err)
	must(d.t, d.Use(d.t, proof))
	if level := care.Level(proof.Evidence()); level != proven.Level {
		d.t.Errorf("%s: said %s at registration, and signs in at %s", c, proven.Level, level)
	}
	return care.Level(proof.Evidence())
}

// browser lets the browser carry a ceremony out, and reports whether it did.
func (d *desk) browser(do string, c fido.Ceremony) (response []byte, ok bool) {
	d.t.Helper()
	options, err := json.Marshal(string(c.Options))
	must(d.t, err)
	reads := map[string]string{"create": "parseCreationOptionsFromJSON", "get": "parseRequestOptionsFromJSON"}[do]
	script := fmt.Sprintf(`navigator.credentials.%s({publicKey: PublicKeyCredential.%s(JSON.parse(%s).publicKey)})
		.then((made) => JSON.stringify(made.toJSON()), (error) => error.name)`, do, reads, options)
	ctx, cancel := context.WithTimeout(d.tab, chromium.Patience)
	defer cancel()
	said, err := chromedp.Run(ctx, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
	must(d.t, err)
	return []byte(said), strings.HasPrefix(said, "{")
}

// makerOfKeys is the certificate of whoever makes Chromium's keys: each key gets
// a new one, always of the same name and key.
func makerOfKeys(t *testing.T, tab context.Context) *x509.Certificate {
	t.Helper()
	key := chromium.Plug(t, tab, chromium.SecurityKey())
	defer key.Unplug()
	made, err := chromedp.Run(tab, chromedp.Evaluate[string](`navigator.credentials.create({publicKey: {
		attestation: 'direct', challenge: new Uint8Array(32), rp: {name: 'Shop', id: 'localhost'},
		user: {id: new Uint8Array(16), name: 'a', displayName: 'a'}, pubKeyCredParams: [{type: 'public-key', alg: -7}],
		authenticatorSelection: {userVerification: 'required'},
	}}).then((made) => made.toJSON().response.attestationObject)`, chromedp.EvalAwaitPromise))
	must(t, err)
	object, err := base64.RawURLEncoding.DecodeString(made)
	must(t, err)
	at := strings.Index(string(object), "x5c\x81\x59") // a list of one, whose length has two bytes
	if at < 0 {
		t.Fatalf("the browser's attestation has no certificate: %x", object)
	}
	length := int(object[at+5])<<8 | int(object[at+6])
	leaf, err := x509.ParseCertificate(object[at+7 : at+7+length])
	must(t, err)
	return leaf
}
