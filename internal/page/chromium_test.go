package page_test

import (
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/page/pagetest/chromium"
)

func TestMain(m *testing.M) { os.Exit(chromium.Main(m)) }

func TestComponentsInARealBrowser(t *testing.T) { // the bar for pages
	h := build(t, func(o *page.Options) { o.Dev = true })
	tab := chromium.Tab(t)
	h.view = everything()
	for _, state := range []string{"good", "wrong"} {
		if state == "wrong" {
			h.view.Values = url.Values{"email": {"amara@"}}
			for _, field := range []string{"email", "password", "code", "method", "areas", "sole_access", "role"} {
				h.view.Errors = append(h.view.Errors, page.FieldError{Field: field, Message: "Mend " + strings.ReplaceAll(field, "_", " ")})
			}
		}
		for _, width := range []int64{1200, 320} { // WCAG 2.2, 1.4.10
			var overflow int
			err := chromedp.Do(tab, chromedp.EmulateViewport(width, 900), chromedp.Navigate(h.URL+"/everything"))
			if err == nil {
				overflow, err = chromedp.Run(tab, chromedp.Evaluate[int](`document.documentElement.scrollWidth - window.innerWidth`))
			}
			if err != nil {
				t.Fatal(err)
			}
			if overflow > 0 {
				t.Errorf("%s at %d pixels: the page is %d pixels too wide", state, width, overflow)
			}
			chromium.Axe(t, tab, state)
		}
	}
}

func TestErrorSummaryHasTheFocus(t *testing.T) {
	h := build(t)
	tab := chromium.Tab(t)
	h.view = question()
	h.view.Errors = []page.FieldError{{Field: "email", Message: "Enter your email address"}}
	if err := chromedp.Do(tab, chromedp.Navigate(h.URL+"/question")); err != nil {
		t.Fatal(err)
	}
	focus := `document.activeElement.className`
	if got, err := chromedp.Run(tab, chromedp.Evaluate[string](focus)); err != nil || !strings.Contains(got, "nhsuk-error-summary") {
		t.Errorf("the focus is on %q (%v)", got, err)
	}
	if err := chromedp.Do(tab, chromedp.Click(`a[href="#email"]`)); err != nil {
		t.Fatal(err)
	}
	if got, err := chromedp.Run(tab, chromedp.Evaluate[string](`document.activeElement.id`)); err != nil || got != "email" {
		t.Errorf("the link in the summary leads to %q (%v)", got, err)
	}
}

func TestPasswordCanBeShownAndIsHiddenAgainWhenSent(t *testing.T) { // N14
	h := build(t)
	tab := chromium.Tab(t)
	h.view = everything()
	kind := func(when, want string) {
		t.Helper()
		if got, err := chromedp.Run(tab, chromedp.Evaluate[string](`document.getElementById("password").type`)); err != nil || got != want {
			t.Errorf("%s the field is of type %q (%v), not %q", when, got, err, want)
		}
	}
	if err := chromedp.Do(tab, chromedp.Navigate(h.URL+"/everything")); err != nil {
		t.Fatal(err)
	}
	kind("at first", "password")
	if err := chromedp.Do(tab, chromedp.Click(`.nhsuk-password-input__toggle`)); err != nil {
		t.Fatal(err)
	}
	kind("after Show", "text")
	// A form that is kept from leaving, to look at it as it is sent.
	sent := `document.addEventListener("submit", e => e.preventDefault()); document.getElementById("password").form.requestSubmit(); 0`
	if _, err := chromedp.Run(tab, chromedp.Evaluate[int](sent)); err != nil {
		t.Fatal(err)
	}
	kind("when sent", "password")
}
