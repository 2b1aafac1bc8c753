package e2e

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"carekey.dev/carekey/internal/care"
)

// tabTo presses Tab until the element has the focus, and fails if the focus
// cannot be seen there (WCAG 2.4.7) or never comes.
func (b *browser) tabTo(selector string) {
	b.t.Helper()
	for range 60 {
		b.do(chromedp.KeyEvent(kb.Tab))
		if b.eval(fmt.Sprintf(`String(document.activeElement.matches(%q))`, selector)) != "true" {
			continue
		}
		seen := b.eval(`(() => {
			const shows = s => s.outlineStyle !== "none" && s.outlineWidth !== "0px" || s.boxShadow !== "none"
			const e = document.activeElement
			const label = e.labels && e.labels[0]
			return String(shows(getComputedStyle(e)) || label && shows(getComputedStyle(label, "::before")))
		})()`)
		if seen != "true" {
			b.t.Errorf("the focus on %s cannot be seen", selector)
		}
		return
	}
	b.t.Fatalf("Tab never comes to %s\n%s", selector, b.scene())
}

// enter presses Enter and waits for the next page.
func (b *browser) enter() {
	b.t.Helper()
	b.load(chromedp.KeyEvent(kb.Enter))
}

// arrowTo moves along a group of radio buttons to the one with the value.
func (b *browser) arrowTo(value string) {
	b.t.Helper()
	for range care.Methods() {
		if b.eval(`document.activeElement.value`) == value {
			return
		}
		b.do(chromedp.KeyEvent(kb.ArrowDown))
	}
	b.t.Fatalf("the arrow keys never come to %s\n%s", value, b.scene())
}

func TestAKeyboardAloneIsEnough(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := newBrowser(t, withJavaScript)
	b.open(h.url + "/cim/")
	b.tabTo(`a.nhsuk-skip-link`)
	b.tabTo(`input[name="method"]`)
	b.do(chromedp.KeyEvent(" "))
	b.arrowTo("authenticator_app")
	b.tabTo(`main button`)
	b.enter()
	b.tabTo(`input[name="email"]`)
	b.do(chromedp.KeyEvent(amara.email))
	b.enter()
	b.tabTo(`input[name="password"]`)
	b.do(chromedp.KeyEvent("wrong"))
	b.enter()
	if focus := b.eval(`document.activeElement.className`); focus != "nhsuk-error-summary" {
		t.Errorf("after a mistake the focus is on %q, want the error summary", focus)
	}
	b.tabTo(`.nhsuk-error-summary a[href="#password"]`)
	b.tabTo(`input[name="password"]`)
	b.do(chromedp.KeyEvent(amara.password))
	b.enter()
	b.tabTo(`input[name="code"]`)
	b.do(chromedp.KeyEvent(h.phones.code(t, amara.secret)))
	b.enter()
	b.wantHeading("Care Identity Management")
}
