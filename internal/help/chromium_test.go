package help_test

import (
	"os"
	"testing"

	"github.com/chromedp/chromedp"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/page/pagetest/chromium"
)

func TestMain(m *testing.M) { os.Exit(chromium.Main(m)) }

func TestHelpPagesForEveryReader(t *testing.T) { // the bar for pages: axe, and 320 pixels (WCAG 2.2, 1.4.10)
	b := shelf(t, care.AllowList{"nhs.net", ".nhs.uk"}, nil)
	tab := chromium.Tab(t)
	if err := chromedp.Do(tab, chromedp.EmulateViewport(320, 900)); err != nil {
		t.Fatal(err)
	}
	for _, path := range append([]string{"/help/errors/390"}, paths...) {
		if err := chromedp.Do(tab, chromedp.Navigate(b.URL+path)); err != nil {
			t.Fatal(err)
		}
		overflow, err := chromedp.Run(tab, chromedp.Evaluate[int](`document.documentElement.scrollWidth - window.innerWidth`))
		if err != nil {
			t.Fatal(err)
		}
		if overflow > 0 {
			t.Errorf("%s is %d pixels too wide at 320", path, overflow)
		}
		chromium.Axe(t, tab, path)
	}
}
