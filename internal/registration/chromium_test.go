package registration

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"carekey.dev/carekey/internal/credential/fido/fidotest"
	"carekey.dev/carekey/internal/gate/gatetest"
	"carekey.dev/carekey/internal/page/pagetest"
	"carekey.dev/carekey/internal/page/pagetest/chromium"
	"carekey.dev/carekey/internal/throttle"
)

func TestMain(m *testing.M) { os.Exit(chromium.Main(m)) }

// pageState is a page as a walk has left it.
type pageState struct{ name, page string }

// album walks every page of the room and keeps each state of it.
func album(h *house) []pageState {
	h.t.Helper()
	var all []pageState
	keep := func(name string, b *browser) { all = append(all, pageState{name, b.Page}) }

	h.Who = priya
	b := h.browser()
	keep("types", b.get(pathAdd))
	keep("types-error", b.submit(""))
	keep("instructions", b.get(pathAdd+"/authenticator_app"))
	keep("instructions-error", b.submit(""))
	b.submit("", "confirm", "yes").isAt(pathEmail)
	keep("email", b)
	keep("email-error", b.submit("", "email", "x@nhs.net"))
	b.toInbox(priyaMail)
	keep("inbox", b)
	keep("inbox-error", b.submit("", "code", "12"))
	h.Emailed(priyaMail) // the code that the next one makes void
	h.Clock.Later(time.Minute)
	keep("inbox-again", b.submit(pathResend))
	b.submit("", "code", h.Emailed(priyaMail)).isAt(pathPassword)
	keep("password", b)
	keep("password-error", b.submit("", "password", "short", "confirm", "other"))
	b.submit("", "password", newPassword, "confirm", newPassword).isAt(pathScan)
	keep("scan", b)
	secret := b.scanned()
	b.submit("").isAt(pathVerify)
	keep("verify", b)
	keep("verify-error", b.submit("", "code", "12"))
	keep("done", b.submit("", "code", h.Code(secret)).isAt(pathDone))
	keep("codes", b.submit(pathMake))
	keep("codes-error", b.submit(""))
	keep("done-saved", b.submit("", "saved", "yes").isAt(pathDone))
	keep("types-held", b.get(pathAdd))
	keep("replace", b.get(pathReplace))
	h.Registration.Gate = h.GateOf(2)
	h.Clock.Later(time.Minute)
	keep("types of several", b.get(pathAdd))
	keep("instructions of a key", b.get(pathAdd+"/security_key"))
	keep("instructions of a key, error", b.submit(""))
	keep("key", b.toKey(pathAdd+"/security_key", priyaMail))
	keep("key refused", b.submit(pathKey, "error", "NotAllowedError"))
	keep("key done", b.touches(fidotest.New(gatetest.Base), "name", strings.Repeat("x", 50)).isAt(pathDone))
	keep("replace a key", b.get(replaceHref(h.Held(priya)[1])))
	h.Registration.Gate = h.Rig.Gate

	h.Who = karl
	keep("no-address", h.browser().get(pathAdd+"/authenticator_app"))

	path := h.linkFor(owen)
	b = h.browser()
	keep("link", b.get(path))
	b.submit("", "confirm", "yes").isAt(pathEmail)
	keep("resume", b.get(path))
	keep("link-used", b.other().get(path))
	b.submit("")
	secret = b.toVerify(owenMail)
	keep("confirm", b.submit("", "code", h.Code(secret)).isAt(pathConfirm))
	id, _ := h.waiting(path)
	h.must(h.Link.Confirm(h.t.Context(), id, "operator"))
	keep("done-by-link", b.get(b.At).isAt(pathDone))
	h.Clock.Later(doneLife)
	keep("expired", b.get(b.At).sees(410))

	ticket, err := h.App.PasswordStep(h.t.Context(), priyaMail, newPassword, throttle.Subject{})
	h.must(err)
	b = h.browser()
	keep("recover", b.handed(ticket))
	keep("recover-error", b.submit("", "code", "0000-0000-00000"))
	return all
}

func TestPagesForEveryReader(t *testing.T) { // the bar for pages: axe, and 320 pixels (WCAG 2.2, 1.4.10)
	h := newHouse(t)
	shown := album(h)
	mux := http.NewServeMux()
	h.Kit.Routes(mux)
	for i, s := range shown {
		mux.HandleFunc(fmt.Sprintf("GET /%d", i), func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			fmt.Fprint(w, s.page)
		})
	}
	server := pagetest.Client(t, mux)
	tab := chromium.Tab(t)
	for i, s := range shown {
		if err := chromedp.Do(tab, chromedp.EmulateViewport(320, 900), chromedp.Navigate(fmt.Sprintf("%s/%d", server.URL, i))); err != nil {
			t.Fatal(err)
		}
		overflow, err := chromedp.Run(tab, chromedp.Evaluate[int](`document.documentElement.scrollWidth - window.innerWidth`))
		if err != nil {
			t.Fatal(err)
		}
		if overflow > 0 {
			t.Errorf("%s is %d pixels too wide at 320", s.name, overflow)
		}
		chromium.Axe(t, tab, s.name)
	}
}
