// Package chromium opens pages in a real headless Chromium and lets axe-core
// judge them. It stands apart from pagetest because the protocol of Chromium is
// a large thing to link into every test. Only tests use it.
package chromium

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// shared is the browser of all tabs: starting one takes longer than most tests.
var shared struct {
	once sync.Once
	ctx  context.Context // its life
	end  func()
	err  error
}

// Main runs the tests of a package, and ends the browser that their tabs share.
// Its TestMain exits with what Main returns.
func Main(m *testing.M) int {
	shared.end = func() {}
	code := m.Run()
	shared.end()
	return code
}

// Tab opens a tab with cookies and a cache of its own. A machine without Chromium
// fails the test and says so.
func Tab(t testing.TB) context.Context {
	t.Helper()
	if shared.end == nil {
		t.Fatal("the TestMain of this package has to be chromium.Main")
	}
	shared.once.Do(func() {
		dir, err := os.MkdirTemp("", "carekey-chromium-")
		if err != nil {
			shared.err = err
			return
		}
		var end func()
		shared.ctx, end, shared.err = start(dir)
		shared.end = func() { end(); os.RemoveAll(dir) }
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	ctx, cancel := chromedp.NewContext(shared.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		t.Fatalf("opening a tab: %v", err)
	}
	return ctx
}

// start starts Chromium with its profile in dir. end waits, so that dir can be
// removed.
func start(dir string) (tab context.Context, end func(), err error) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		return nil, func() {}, errors.New("this test needs chromium: apt-get install chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.UserDataDir(dir),
		chromedp.NoSandbox, // tests run as root in containers, and open only their own pages
		chromedp.DisableGPU,
		chromedp.IgnoreCertErrors, // the test server's own
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.WSURLReadTimeout(Patience),
	)
	// The first context may not have a deadline: it is the browser's life.
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, stop := chromedp.NewContext(allocator)
	end = func() { chromedp.Cancel(ctx); stop(); stopAllocator() }
	if err := chromedp.Do(ctx, chromedp.Navigate("about:blank")); err != nil {
		return nil, end, fmt.Errorf("starting chromium: %w", err)
	}
	return ctx, end, nil
}

// Patience is how long a browser may take for anything before a test gives up. It
// only bounds a hang: a machine that runs other tests beside may be slow.
const Patience = 2 * time.Minute

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
