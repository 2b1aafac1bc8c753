package registration

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/fido"
	"carekey.dev/carekey/internal/credential/fido/fidotest"
	"carekey.dev/carekey/internal/page/pagetest"
	"carekey.dev/carekey/internal/page/pagetest/chromium"
)

// desk is a computer with a real browser. Web Authentication wants a name, so
// the house is at https://localhost there.
type desk struct {
	*house
	tab  context.Context
	base string
}

func (h *house) desk() *desk {
	h.t.Helper()
	base := strings.Replace(pagetest.Client(h.t, h.handler).URL, "127.0.0.1", "localhost", 1)
	h.Registration.FIDO = h.atLocalhost(base)
	d := &desk{house: h, tab: chromium.Tab(h.t), base: base}
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

func (d *desk) text() string {
	text, err := chromedp.Run(d.tab, chromedp.Evaluate[string](`document.readyState === "complete" ? document.body.innerText : ""`))
	if err != nil {
		return err.Error()
	}
	return text
}

// sees waits for words, and judges the page that has them.
func (d *desk) sees(name string, words ...string) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.tab, chromium.Patience)
	defer cancel()
	for _, w := range words {
		for !strings.Contains(d.text(), w) {
			if ctx.Err() != nil {
				d.t.Fatalf("%s never says %q: %s", name, w, d.text())
			}
		}
	}
	chromium.Axe(d.t, d.tab, name)
}

// toKey walks to the page of the key as a person does.
func (d *desk) toKey(method care.Method, address care.Email) {
	d.t.Helper()
	d.do(
		chromedp.Navigate(d.base+pathAdd+"/"+string(method)), chromedp.Click("#confirm"), chromedp.Click("main form button[type=submit]"),
		chromedp.WaitVisible("#email"), chromedp.SendKeys("#email", string(address)), chromedp.Click("main form button[type=submit]"),
		chromedp.WaitVisible("#code"))
	d.do(chromedp.SendKeys("#code", d.Emailed(address)), chromedp.Click("main form button[type=submit]"))
}

// TestKeysRegisterInARealBrowser: each of the three types with the authenticator
// that belongs to it; and with one that verifies nobody, a page that says so.
func TestKeysRegisterInARealBrowser(t *testing.T) {
	for name, c := range map[string]struct {
		method care.Method
		device *webauthn.VirtualAuthenticatorOptions
		noun   string
		why    string
	}{
		"security key":  {care.SecurityKey, chromium.SecurityKey(), "security key", "The model of your device is not known here"},
		"Windows Hello": {care.WindowsHello, chromium.Platform(), "device", "The model of your device is not known here"},
		"passkey":       {care.Passkey, chromium.Synced(), "passkey", "It can be copied to your other devices"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.openPasskeys()
			h.Who, h.Level = priya, care.AAL3
			d := h.desk()
			device := chromium.Plug(t, d.tab, c.device)
			d.toKey(c.method, priyaMail)
			d.do(chromedp.WaitVisible("#fido"))
			d.sees("the page of a "+name, "Register your "+c.noun, "counts as AAL3")
			d.do(chromedp.SendKeys("#name", "Lanyard"), chromedp.Click("#fido"))
			d.sees("the last page", "Registration successful", "Lanyard", "AAL2", c.why)
			if keys := h.keysOf(priya); len(keys) != 1 || keys[0].Level != care.AAL2 || len(device.Credentials()) != 1 {
				t.Errorf("Priya holds %+v, the device %d", keys, len(device.Credentials()))
			}
		})
	}
}

// TestARefusalOfTheBrowserIsOnThePageAndAnotherTrySucceeds.
func TestARefusalOfTheBrowserIsOnThePageAndAnotherTrySucceeds(t *testing.T) {
	h := newHouse(t)
	h.Who = priya
	d := h.desk()
	device := chromium.Plug(t, d.tab, chromium.SecurityKey())
	device.Verify(false)
	d.toKey(care.SecurityKey, priyaMail)
	d.do(chromedp.WaitVisible("#fido"), chromedp.Click("#fido"))
	d.sees("a refusal", "There is a problem", "Try again")
	device.Verify(true)
	d.do(chromedp.WaitVisible("#fido"), chromedp.Click("#fido"))
	d.sees("the last page", "Registration successful")
	// The same key once more: the browser itself refuses.
	h.Registration.Gate = h.GateOf(2)
	h.Clock.Later(time.Minute)
	d.toKey(care.SecurityKey, priyaMail)
	d.do(chromedp.WaitVisible("#fido"), chromedp.Click("#fido"))
	d.sees("the same key again", "There is a problem", "registered already")
}

// TestAKeyPageSaysWhatItNeeds without JavaScript, and on a computer that cannot.
func TestAKeyPageSaysWhatItNeeds(t *testing.T) {
	h := newHouse(t)
	h.Who = priya
	d := h.desk()
	chromium.Virtual(t, d.tab)
	d.toKey(care.WindowsHello, priyaMail)
	d.sees("a computer without Windows Hello", "Windows Hello is not set up on this device", "register another type")

	scripts := func(on bool) {
		d.do(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
			_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on})
			return chromedp.Void{}, err
		})
	}
	scripts(false)
	d.do(chromedp.Reload(), chromedp.WaitVisible("[data-carekey-without]"))
	scripts(true)
	text := d.text()
	if !strings.Contains(text, "This page needs JavaScript") || strings.Contains(text, "Windows Hello is not set up") {
		t.Errorf("without JavaScript the page says %q", text)
	}
}

// atLocalhost verifies keys for a server of the test's, without any metadata.
func (h *house) atLocalhost(base string) *fido.FIDO {
	return fido.New(fido.Options{
		DB: h.Rig.DB, Ring: h.Rig.Ring, Random: rand.Reader, RPID: "localhost", RPName: "Care Identity", Origins: []string{base}, Models: fidotest.Known(),
		Suspend: h.Rig.Gate.Doubt,
	})
}
