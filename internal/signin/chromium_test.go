package signin

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/fido"
	"carekey.dev/carekey/internal/credential/fido/fidotest"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/gate/gatetest"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/page/pagetest"
	"carekey.dev/carekey/internal/page/pagetest/chromium"
)

func TestMain(m *testing.M) { os.Exit(chromium.Main(m)) }

// desk is a computer with a real browser. Web Authentication wants a name, so
// the house is at https://localhost there.
type desk struct {
	h    *house
	t    *testing.T
	tab  context.Context
	base string
}

func (h *house) desk(t *testing.T) *desk {
	t.Helper()
	base := strings.Replace(pagetest.Client(t, h.handler).URL, "127.0.0.1", "localhost", 1)
	h.SignIn.FIDO = fido.New(fido.Options{
		DB: h.Rig.DB, Ring: h.Rig.Ring, Random: rand.Reader, RPID: "localhost", RPName: "Care Identity", Origins: []string{base},
		Models: fidotest.Known(), Suspend: h.Rig.Gate.Doubt,
	})
	d := &desk{h: h, t: t, tab: chromium.Tab(t), base: base}
	d.do(chromedp.EmulateViewport(320, 900)) // WCAG 2.2, 1.4.10
	return d
}

func (d *desk) do(steps ...chromedp.Action[chromedp.Void]) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.tab, chromium.Patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		d.t.Fatalf("%v; the page says %q", err, d.text())
	}
}

func (d *desk) eval(script string) string {
	d.t.Helper()
	got, err := chromedp.Run(d.tab, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
	if err != nil {
		d.t.Fatal(err)
	}
	return got
}

func (d *desk) text() string {
	text, err := chromedp.Run(d.tab, chromedp.Evaluate[string](`document.body.innerText`))
	if err != nil {
		return err.Error()
	}
	return text
}

func (d *desk) open(req care.Requirement) {
	d.t.Helper()
	d.do(chromedp.Navigate(d.base + "/signin?req=" + d.h.sealed(req)))
}

// until waits for an element; sees for words too, and judges the page.
func (d *desk) until(selector string) { d.t.Helper(); d.do(chromedp.WaitVisible(selector)) }

func (d *desk) sees(name string, words ...string) {
	d.t.Helper()
	text := d.text()
	for _, w := range words {
		if !strings.Contains(text, w) {
			d.t.Errorf("%s does not say %q:\n%s", name, w, text)
		}
	}
	if wide := d.eval(`String(document.documentElement.scrollWidth - window.innerWidth)`); wide != "0" && !strings.HasPrefix(wide, "-") {
		d.t.Errorf("%s is %s pixels too wide at 320", name, wide)
	}
	chromium.Axe(d.t, d.tab, name)
}

// pick chooses a method, and remembers the choice if that is wanted.
func (d *desk) pick(m care.Method, remember bool) {
	d.t.Helper()
	if remember {
		d.do(chromedp.Click("#remember"))
	}
	d.do(chromedp.Click(fmt.Sprintf(`input[value=%s]`, m)), chromedp.Click("main form button[type=submit]"))
}

// arrived waits until the browser is back at the service.
func (d *desk) arrived() {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.tab, chromium.Patience)
	defer cancel()
	for {
		at, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.readyState === "complete" ? document.body.innerText : ""`))
		if err == nil && at == "arrived" {
			return
		}
		if ctx.Err() != nil {
			d.t.Fatalf("never arrived; the page says %q", d.text())
		}
	}
}

// register registers a key of the virtual authenticator, with an RA's word.
func (d *desk) register(who gatetest.Who, m care.Method) credential.Record {
	d.t.Helper()
	d.do(chromedp.Navigate(d.base + "/cim/"))
	ctx := d.t.Context()
	c, err := d.h.SignIn.FIDO.BeginRegistration(ctx, fido.Holder{UID: who.UID, Name: "Dr Amara OSEI", Address: who.Email}, m, "browser")
	d.h.must(err)
	options, err := json.Marshal(string(c.Options))
	d.h.must(err)
	response := d.eval(`navigator.credentials.create({publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(JSON.parse(` + string(options) + `).publicKey)}).then(c => JSON.stringify(c.toJSON()))`)
	proven, err := d.h.SignIn.FIDO.FinishRegistration(ctx, c.Sealed, "browser", []byte(response))
	d.h.must(err)
	enrolment, err := d.h.SignIn.FIDO.Enrolment(proven, "")
	d.h.must(err)
	journey := keys.Token(rand.Reader, 16)
	record, err := d.h.Rig.Gate.Bind(ctx, gate.Binding{Journey: journey, Enrolment: enrolment, Proofs: []credential.Proof{
		d.h.Introduce(journey, who.UID, m), d.h.Mailbox(journey, who.UID, who.Email),
	}})
	d.h.must(err)
	return record
}

// again asks for a new sign-in.
func (d *desk) again() {
	d.t.Helper()
	d.h.Clock.Later(time.Minute)
	req := ers()
	req.AuthenticatedAfter = d.h.Clock.Now()
	d.open(req)
}

// TestKeysInARealBrowser: each method with an authenticator of its kind. The
// choice, a touch; then the remembered choice, which needs the touch alone; then
// the button, after the person has cancelled.
func TestKeysInARealBrowser(t *testing.T) {
	for m, options := range map[care.Method]func() *webauthn.VirtualAuthenticatorOptions{
		care.SecurityKey: chromium.SecurityKey, care.WindowsHello: chromium.Platform, care.Passkey: chromium.Synced,
	} {
		t.Run(string(m), func(t *testing.T) {
			h := newHouse(t)
			d := h.desk(t)
			key := chromium.Plug(t, d.tab, options())
			d.register(amara, m)
			d.open(ers())
			d.pick(m, true)
			d.arrived() // a passkey by the list of the address field: this browser picks its one

			d.again() // and a touch
			d.arrived()

			key.Touch(false)
			d.again()
			d.until("[data-carekey-waiting]:not(:empty)")
			d.sees(string(m)+", waiting", keyPages[m].Waiting)

			key.Touch(true)
			key.Verify(false) // a wrong PIN
			d.again()
			d.until("#fido:enabled") // what began by itself and failed was nobody's mistake
			d.do(chromedp.Click("#fido"))
			d.until(".nhsuk-error-summary")
			d.sees(string(m)+", cancelled", keyPages[m].Title, "There is a problem", "Reference", "Use another way to sign in")
			d.do(chromedp.Click(".nhsuk-error-summary a"))
			if at := d.eval(`document.activeElement.id`); at != "fido" {
				t.Errorf("the summary leads to %q", at)
			}
			key.Verify(true)
			d.do(chromedp.Click("#fido"))
			d.arrived()
		})
	}
}

// TestAnOldKeyByItsAddressInARealBrowser: a key without room for who holds it.
func TestAnOldKeyByItsAddressInARealBrowser(t *testing.T) {
	h := newHouse(t)
	d := h.desk(t)
	old := chromium.SecurityKey()
	old.HasResidentKey = false
	chromium.Plug(t, d.tab, old)
	d.register(amara, care.SecurityKey)
	d.open(ers())
	d.pick(care.SecurityKey, false)
	d.until("#email")
	d.do(chromedp.SendKeys("#email", "amara"), chromedp.Click(`form[action="/signin/key/email"] button`))
	d.until(".nhsuk-error-summary")
	d.sees("address mistyped", "Enter an email address in the correct format")
	d.eval(`document.getElementById("email").value = ""`)
	d.do(chromedp.SendKeys("#email", string(amara.Email)), chromedp.Click(`form[action="/signin/key/email"] button`))
	d.arrived()
}

// TestABrowserThatCannotSaysSo: on the login-method page and on the page of the
// key, with and without JavaScript, and with another way each time.
func TestABrowserThatCannotSaysSo(t *testing.T) {
	h := newHouse(t)
	d := h.desk(t)
	chromium.Virtual(t, d.tab) // a computer with nothing set up
	d.open(ers())
	d.until(".carekey-reason")
	d.sees("methods", "This browser cannot use Windows Hello, or it is not set up on this computer.", "AAL3 or AAL2")

	hello := h.visitor().get("/signin?req=" + h.sealed(ers())).pickKey(care.WindowsHello)
	if !strings.Contains(hello.Page, "Accounts, Sign-in options") {
		t.Error("the page does not say where Windows Hello is set up")
	}

	d.scripts(false)
	d.open(ers())
	d.pick(care.SecurityKey, false)
	d.until("[data-carekey-without]")
	d.scripts(true) // for axe
	d.sees("a key without JavaScript", "This page needs JavaScript", "Use another way to sign in")
	if strings.Contains(d.text(), "Use my security key") {
		t.Error("there is a button that does nothing")
	}
}

func (d *desk) scripts(run bool) {
	d.t.Helper()
	d.do(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !run})
		return chromedp.Void{}, err
	})
}
