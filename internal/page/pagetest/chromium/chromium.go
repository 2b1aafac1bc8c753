// Package chromium opens pages in a real headless Chromium and lets axe-core
// judge them. It stands apart from pagetest because the protocol of Chromium is
// a large thing to link into every test. Only tests use it.
package chromium

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// Tab starts Chromium with a profile of its own and returns the context of
// its first tab. A machine without Chromium fails the test and says so.
func Tab(t testing.TB, more ...chromedp.ExecAllocatorOption) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("this test needs chromium: apt-get install chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, // tests run as root in containers, and open only their own pages
		chromedp.DisableGPU,
		chromedp.IgnoreCertErrors, // the test server's own
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
	)
	// The first context may not have a deadline: it is the browser's life.
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), append(options, more...)...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	t.Cleanup(func() { chromedp.Cancel(ctx) }) // waits, so that the profile can be removed
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("starting chromium: %v", err)
	}
	return ctx
}

// axeTags are the rules of the bar for pages (docs/sources.md): WCAG 2.2 AA and best practice.
const axeTags = `["wcag2a","wcag2aa","wcag21a","wcag21aa","wcag22a","wcag22aa","best-practice"]`

// Axe runs axe-core on the page that the tab shows, and reports each violation
// with the element.
func Axe(t testing.TB, tab context.Context, page string) {
	t.Helper()
	// Without its style sheets a page has other contrasts and sizes.
	if sheets, err := chromedp.Run(tab, chromedp.Evaluate[int](`document.styleSheets.length`)); err != nil || sheets < 3 {
		t.Fatalf("%s has %d style sheets, not 3 (%v): does the server call Kit.Routes?", page, sheets, err)
	}
	found, err := chromedp.Run(tab, chromedp.Evaluate[string](
		axeSource(t)+`;axe.run(document, {runOnly: {type: "tag", values: `+axeTags+`}}).then(r => JSON.stringify(r.violations))`,
		chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("running axe on %s: %v", page, err)
	}
	var violations []struct {
		ID, Help string
		Nodes    []struct{ HTML, FailureSummary string }
	}
	if err := json.Unmarshal([]byte(found), &violations); err != nil {
		t.Fatalf("reading what axe found on %s: %v", page, err)
	}
	for _, v := range violations {
		var nodes []string
		for _, n := range v.Nodes {
			nodes = append(nodes, fmt.Sprintf("%s\n\t%s", n.HTML, n.FailureSummary))
		}
		t.Errorf("axe on %s: %s (%s)\n%s", page, v.Help, v.ID, strings.Join(nodes, "\n"))
	}
}

// axeSource finds axe-core in the project's node_modules.
func axeSource(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		source, err := os.ReadFile(filepath.Join(dir, "node_modules", "axe-core", "axe.min.js"))
		if err == nil {
			return string(source)
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("this test needs axe-core: run npm ci")
		}
		dir = parent
	}
}
