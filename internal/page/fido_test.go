package page_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	browser "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/page/pagetest"
	"carekey.dev/carekey/internal/page/pagetest/chromium"
)

// TestTheFormOfACeremonySaysOneThing: an answer, or what the browser said
// instead; a form with neither comes from a page whose script did not run.
func TestTheFormOfACeremonySaysOneThing(t *testing.T) {
	for name, c := range map[string]struct {
		form           url.Values
		response, said string
		missing        bool
	}{
		"an answer":  {form: url.Values{"response": {`{"id":"a"}`}}, response: `{"id":"a"}`},
		"an error":   {form: url.Values{"error": {"NotAllowedError"}}, said: "NotAllowedError"},
		"both":       {form: url.Values{"error": {"NotAllowedError"}, "response": {"{}"}}, said: "NotAllowedError"},
		"neither":    {form: url.Values{"response": {""}}, missing: true},
		"not a form": {missing: true},
	} {
		response, said, err := page.FIDOAnswer(c.form)
		if string(response) != c.response || said != c.said || fault.Has(err, fault.ScriptMissing) != c.missing {
			t.Errorf("%s: %s, %q, %v", name, response, said, err)
		}
	}
}

// ceremony is a page with the form of a ceremony, in a real browser.
type ceremony struct {
	t    *testing.T
	h    *house
	tab  context.Context
	sent chan url.Values
	data ceremonyData
}

type ceremonyData struct {
	Kind, Options, Needs string
	Auto, Conditional    bool
}

const (
	creation  = `{"publicKey":{"challenge":"Y2hhbGxlbmdl","rp":{"name":"Carekey"},"user":{"id":"aGFuZGxl","name":"amara@nhs.net","displayName":"Amara"},"pubKeyCredParams":[{"type":"public-key","alg":-7}],"timeout":60000,"authenticatorSelection":{"residentKey":"required","userVerification":"required"},"attestation":"direct"}}`
	assertion = `{"publicKey":{"challenge":"Y2hhbGxlbmdl","timeout":60000,"userVerification":"required"}}`
)

func openCeremony(t *testing.T) *ceremony {
	t.Helper()
	h := build(t)
	c := &ceremony{t: t, h: h, sent: make(chan url.Values, 1), tab: chromium.Tab(t)}
	h.mux.HandleFunc("GET /ceremony", func(w http.ResponseWriter, r *http.Request) {
		h.pages.Render(w, r, http.StatusOK, "ceremony", page.View{Title: "Use your security key", Journey: "sealed-journey", Data: c.data})
	})
	h.mux.HandleFunc("POST /ceremony", func(w http.ResponseWriter, r *http.Request) {
		form, err := page.Form(w, r)
		if err != nil {
			h.kit.Fault(w, r, err)
			return
		}
		c.sent <- form
		page.SeeOther(w, r, "/done")
	})
	return c
}

// show opens the page of a ceremony. Web Authentication refuses IP addresses.
func (c *ceremony) show(d ceremonyData) {
	c.t.Helper()
	c.data = d
	c.do(chromedp.Navigate(strings.Replace(c.h.URL, "127.0.0.1", "localhost", 1) + "/ceremony"))
}

func (c *ceremony) do(steps ...chromedp.Action[chromedp.Void]) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.tab, chromium.Patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		c.t.Fatal(err)
	}
}

// press presses the button, as soon as the script lets it.
func (c *ceremony) press() { c.t.Helper(); c.do(chromedp.Click("#fido")) }

// answer is the form that the page sends.
func (c *ceremony) answer() url.Values {
	c.t.Helper()
	select {
	case form := <-c.sent:
		c.do(chromedp.WaitVisible(".nhsuk-panel"))
		return form
	case <-time.After(chromium.Patience):
		c.t.Fatalf("the page sent nothing and says %q", c.text())
		return nil
	}
}

// quietUntil fails the test if the page has sent a form before script is true.
func (c *ceremony) quietUntil(script string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.tab, chromium.Patience)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](script)); err != nil {
		c.t.Fatalf("waiting for %s: %v", script, err)
	}
	select {
	case form := <-c.sent:
		c.t.Fatalf("the page sent %v", form)
	default:
	}
}

func (c *ceremony) text() string {
	c.t.Helper()
	text, err := chromedp.Run(c.tab, chromedp.Evaluate[string](`document.querySelector("main").innerText`))
	if err != nil {
		c.t.Fatal(err)
	}
	return text
}

// fieldsOf is what a credential in a form says, which must be whole.
func fieldsOf(t *testing.T, form url.Values) map[string]any {
	t.Helper()
	if form.Get("error") != "" || form.Get("c") != "sealed" || form.Get("j") != "sealed-journey" {
		t.Fatalf("the form holds %v", form)
	}
	var credential struct {
		ID, RawID, Type         string
		AuthenticatorAttachment string
		ClientExtensionResults  map[string]any
		Response                map[string]any
	}
	if err := json.Unmarshal([]byte(form.Get("response")), &credential); err != nil {
		t.Fatalf("%v: %s", err, form.Get("response"))
	}
	if credential.ID == "" || credential.ID != credential.RawID || credential.Type != "public-key" || credential.AuthenticatorAttachment != "cross-platform" || credential.ClientExtensionResults == nil {
		t.Errorf("%+v", credential)
	}
	return credential.Response
}

func has(t *testing.T, fields map[string]any, names ...string) {
	t.Helper()
	for _, name := range names {
		if fields[name] == nil || fields[name] == "" {
			t.Errorf("the answer has no %s: %v", name, fields)
		}
	}
}

// TestTheScriptSendsWhatTheBrowserAnswers, or what it says instead, with the
// sealed challenge and the journey.
func TestTheScriptSendsWhatTheBrowserAnswers(t *testing.T) {
	c := openCeremony(t)
	key := chromium.Plug(t, c.tab, chromium.SecurityKey())
	c.show(ceremonyData{Kind: "create", Options: creation})
	c.press()
	has(t, fieldsOf(t, c.answer()), "clientDataJSON", "attestationObject", "transports")
	held := key.Credentials()
	if len(held) != 1 || string(held[0].UserHandle) != "handle" {
		t.Fatalf("the key holds %+v", held)
	}

	c.show(ceremonyData{Kind: "get", Options: assertion})
	c.press()
	has(t, fieldsOf(t, c.answer()), "clientDataJSON", "authenticatorData", "signature", "userHandle")

	// The second interaction of a worker is the touch.
	c.show(ceremonyData{Kind: "get", Options: assertion, Auto: true})
	has(t, fieldsOf(t, c.answer()), "signature")

	// Passkeys are offered in the address field. A headless browser has no list to
	// show there and says that it cannot; asked all the same, it picks its one.
	c.inNewPages(`PublicKeyCredential.isConditionalMediationAvailable = () => Promise.resolve(true)`)
	c.show(ceremonyData{Kind: "get", Options: assertion, Conditional: true})
	has(t, fieldsOf(t, c.answer()), "signature")

	key.Verify(false)
	c.show(ceremonyData{Kind: "get", Options: assertion})
	c.press()
	if form := c.answer(); form.Get("error") != "NotAllowedError" || form.Get("response") != "" {
		t.Errorf("a wrong PIN: %v", form)
	}
}

// TestTheBrowserRefusesToRegisterAKeyTwice, by the list of what the person has.
func TestTheBrowserRefusesToRegisterAKeyTwice(t *testing.T) {
	c := openCeremony(t)
	chromium.Plug(t, c.tab, chromium.SecurityKey())
	c.show(ceremonyData{Kind: "create", Options: creation})
	c.press()
	var made struct{ ID string }
	if err := json.Unmarshal([]byte(c.answer().Get("response")), &made); err != nil {
		t.Fatal(err)
	}
	c.show(ceremonyData{Kind: "create", Options: strings.Replace(creation, `"timeout"`, `"excludeCredentials":[{"type":"public-key","id":"`+made.ID+`"}],"timeout"`, 1)})
	c.press()
	if form := c.answer(); form.Get("error") != "InvalidStateError" {
		t.Errorf("%v", form)
	}
}

// TestATouchThatNeverComes: the browser gives one name to a person who cancels
// and to one who does nothing; the script tells them apart.
func TestATouchThatNeverComes(t *testing.T) {
	c := openCeremony(t)
	chromium.Plug(t, c.tab, chromium.SecurityKey()).Touch(false)
	c.show(ceremonyData{Kind: "create", Options: strings.Replace(creation, "60000", "5000", 1)})
	c.press()
	c.quietUntil(`document.querySelector("[data-carekey-waiting]").textContent === "Touch your key when it blinks."`)
	if form := c.answer(); form.Get("error") != "TimeoutError" {
		t.Errorf("%v", form)
	}
}

// TestAPageThatStoodForTooLongGetsANewChallenge before anybody types a PIN.
func TestAPageThatStoodForTooLongGetsANewChallenge(t *testing.T) {
	c := openCeremony(t)
	chromium.Plug(t, c.tab, chromium.SecurityKey())
	c.show(ceremonyData{Kind: "create", Options: strings.Replace(creation, "60000", "0", 1)})
	c.data = ceremonyData{Kind: "create", Options: creation}
	c.press()
	c.do(chromedp.WaitVisible(`form[data-options*="60000"] #fido`))
	c.press()
	has(t, fieldsOf(t, c.answer()), "attestationObject")
}

// TestAnOfferThatStoodForTooLongIsMadeAgain as soon as somebody comes to the
// page, and not after they have entered their PIN.
func TestAnOfferThatStoodForTooLongIsMadeAgain(t *testing.T) {
	c := openCeremony(t)
	c.inNewPages(`PublicKeyCredential.isConditionalMediationAvailable = () => Promise.resolve(true)
		navigator.credentials.get = () => { window.offered = true; return new Promise(() => {}) }`)
	c.show(ceremonyData{Kind: "get", Options: strings.Replace(assertion, "60000", "0", 1), Conditional: true})
	c.quietUntil(`window.offered === true`)
	c.data = ceremonyData{Kind: "get", Options: assertion, Conditional: true}
	c.do(evaluate(`document.getElementById("fido").focus()`), chromedp.WaitVisible(`form[data-options*="60000"] #fido`))
	// A request by the button is left alone.
	c.show(ceremonyData{Kind: "get", Options: assertion, Conditional: true})
	c.quietUntil(`window.offered === true`)
	c.press()
	c.do(evaluate(`window.here = true; document.forms[0].dataset.options = document.forms[0].dataset.options.replace("60000", "0")
		navigation.onnavigate = () => { window.here = false }
		document.body.tabIndex = -1; document.body.focus()`))
	c.quietUntil(`window.here === true`)
}

// TestAPageThatAFormMadeGetsANewChallenge without sending that form again.
func TestAPageThatAFormMadeGetsANewChallenge(t *testing.T) {
	c := openCeremony(t)
	chromium.Plug(t, c.tab, chromium.SecurityKey())
	c.h.mux.HandleFunc("POST /again", func(w http.ResponseWriter, r *http.Request) {
		data := ceremonyData{Kind: "create", Options: strings.Replace(creation, "60000", "0", 1)}
		c.h.pages.Render(w, r, http.StatusUnprocessableEntity, "ceremony", page.View{Title: "Try again", Journey: "sealed-journey", Data: data})
	})
	c.show(ceremonyData{Kind: "create", Options: creation})
	c.do(evaluate(`document.forms[0].action = "/again"; document.forms[0].submit()`), chromedp.WaitVisible(`form[data-options*="\"timeout\":0,"] #fido`))
	c.press()
	c.do(chromedp.WaitVisible(`form[data-options*="60000"] #fido`))
	c.press()
	has(t, fieldsOf(t, c.answer()), "attestationObject")
}

// TestAnAnswerComesWithoutWhatWasSaidBefore: Firefox fills in again what the
// script wrote before a person came back to the page.
func TestAnAnswerComesWithoutWhatWasSaidBefore(t *testing.T) {
	c := openCeremony(t)
	key := chromium.Plug(t, c.tab, chromium.SecurityKey())
	c.show(ceremonyData{Kind: "create", Options: creation})
	c.do(evaluate(`document.forms[0].elements.error.value = "NotAllowedError"`))
	c.press()
	has(t, fieldsOf(t, c.answer()), "attestationObject")

	key.Verify(false)
	c.show(ceremonyData{Kind: "get", Options: assertion})
	c.do(evaluate(`document.forms[0].elements.response.value = "{}"`))
	c.press()
	if form := c.answer(); form.Get("error") != "NotAllowedError" || form.Get("response") != "" {
		t.Errorf("%v", form)
	}
}

// TestARequestThatRanOutHasOneNameInAllBrowsers: Firefox calls it AbortError.
func TestARequestThatRanOutHasOneNameInAllBrowsers(t *testing.T) {
	for said, want := range map[string]string{
		"NotAllowedError": "TimeoutError", "AbortError": "TimeoutError", "NotReadableError": "NotReadableError",
	} {
		c := openCeremony(t)
		c.inNewPages(`let hours = 0
			performance.now = () => 3600000 * hours++
			navigator.credentials.get = () => Promise.reject(new DOMException("over", "` + said + `"))`)
		c.show(ceremonyData{Kind: "get", Options: assertion})
		c.press()
		if form := c.answer(); form.Get("error") != want {
			t.Errorf("%s: %v", said, form)
		}
	}
}

func evaluate(script string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := chromedp.Run(ctx, chromedp.Evaluate[any](script+"; true"))
		return chromedp.Void{}, err
	}
}

// TestAPageThatBeganByItselfWaitsForTheButton where the browser wants a person
// to press first, or finds nothing: that is no mistake of anybody's.
func TestAPageThatBeganByItselfWaitsForTheButton(t *testing.T) {
	c := openCeremony(t)
	c.inNewPages(`navigator.credentials.get = () => Promise.reject(new DOMException("press first", "NotAllowedError"))`)
	c.show(ceremonyData{Kind: "get", Options: assertion, Auto: true})
	c.quietUntil(`document.getElementById("fido").offsetHeight > 0 && !document.getElementById("fido").disabled`)
	c.press()
	if form := c.answer(); form.Get("error") != "NotAllowedError" {
		t.Errorf("%v", form)
	}
}

// inNewPages runs a script before those of each page.
func (c *ceremony) inNewPages(script string) {
	c.t.Helper()
	c.do(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, browser.AddScriptToEvaluateOnNewDocument, browser.AddScriptToEvaluateOnNewDocumentParams{Source: script})
		return chromedp.Void{}, err
	})
}

// TestAPageSaysWhatItNeeds: without JavaScript, in a browser without Web
// Authentication, and on a computer without Windows Hello.
func TestAPageSaysWhatItNeeds(t *testing.T) {
	scripts := func(c *ceremony, on bool) {
		c.do(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
			_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !on})
			return chromedp.Void{}, err
		})
	}
	for name, test := range map[string]struct {
		before func(c *ceremony)
		needs  string
		says   string
	}{
		"without JavaScript":         {func(c *ceremony) { scripts(c, false) }, "webauthn", "You need JavaScript for this."},
		"without Web Authentication": {func(c *ceremony) { c.inNewPages(`delete window.PublicKeyCredential`) }, "webauthn", "This browser cannot do it."},
		"without Windows Hello":      {func(c *ceremony) { chromium.Virtual(c.t, c.tab) }, "platform", "This browser cannot do it."},
		"with what it needs":         {func(c *ceremony) { chromium.Plug(c.t, c.tab, chromium.Platform()) }, "platform", "Use my security key"},
		"a key and no Windows Hello": {func(c *ceremony) { chromium.Plug(c.t, c.tab, chromium.SecurityKey()) }, "platform", "This browser cannot do it."},
		"a key where that is all":    {func(c *ceremony) { chromium.Plug(c.t, c.tab, chromium.SecurityKey()) }, "webauthn", "Use my security key"},
		"a browser that fails itself": {func(c *ceremony) {
			c.inNewPages(`PublicKeyCredential.isUserVerifyingPlatformAuthenticatorAvailable = () => Promise.reject(new Error("no"))`)
		}, "platform", "This browser cannot do it."},
	} {
		t.Run(name, func(t *testing.T) {
			c := openCeremony(t)
			test.before(c)
			c.show(ceremonyData{Kind: "get", Options: assertion, Needs: test.needs})
			if test.says == "You need JavaScript for this." {
				scripts(c, true) // for the test's own
			} else {
				c.quietUntil(`document.querySelector("[data-carekey-without]").hidden`)
			}
			for _, words := range []string{"You need JavaScript for this.", "This browser cannot do it.", "Use my security key"} {
				if strings.Contains(c.text(), words) != (words == test.says) {
					t.Errorf("the page says %q, want %q", c.text(), test.says)
				}
			}
			chromium.Axe(t, c.tab, name)
		})
	}
}

// TestAChoiceThatTheBrowserCannotDoSaysWhy and can be chosen where it can.
func TestAChoiceThatTheBrowserCannotDoSaysWhy(t *testing.T) {
	c := openCeremony(t)
	chromium.Plug(t, c.tab, chromium.SecurityKey())
	c.h.view = page.View{Title: "Select your login method", Data: map[string]any{"Methods": []page.Choice{
		{Value: "windows_hello", Label: "Windows Hello", Hint: "Your face", Needs: "platform", Unable: "This computer has no Windows Hello.", Checked: true},
		{Value: "security_key", Label: "Security key", Hint: "A small device", Needs: "webauthn", Unable: "This browser is too old."},
	}}}
	c.do(chromedp.Navigate(strings.Replace(c.h.URL, "127.0.0.1", "localhost", 1) + "/method"))
	c.quietUntil(`document.querySelector("[value=windows_hello]").disabled`)
	text := c.text()
	if !strings.Contains(text, "This computer has no Windows Hello.") || strings.Contains(text, "This browser is too old.") {
		t.Errorf("the page says %q", text)
	}
	if got, err := chromedp.Run(c.tab, chromedp.Evaluate[string](`[...document.querySelectorAll("input[type=radio]")].map(i => i.value + i.disabled + i.checked).join()`)); err != nil || got != "windows_hellotruefalse,security_keyfalsefalse" {
		t.Errorf("%s, %v", got, err)
	}
	chromium.Axe(t, c.tab, "a choice that cannot be made")
}

// TestTheFormOfACeremonyIsAFormOfOurs, with a token and no inline script.
func TestTheFormOfACeremonyIsAFormOfOurs(t *testing.T) {
	h := build(t)
	h.mux.HandleFunc("GET /ceremony", func(w http.ResponseWriter, r *http.Request) {
		h.pages.Render(w, r, http.StatusOK, "ceremony", page.View{
			Title: "Use your security key", Journey: "sealed-journey",
			Data: ceremonyData{Kind: "get", Options: assertion, Needs: "platform", Auto: true, Conditional: true},
		})
	})
	h.Get("/ceremony")
	pagetest.Check(t, h.Page)
	golden(t, "ceremony", h.Page)
}
