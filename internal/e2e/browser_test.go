package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// patience is how long anything in the browser may take before a test gives
// up. It only bounds a hang: a machine that runs other tests beside may be slow.
const patience = 2 * time.Minute

// browser is one person's browser: its own cookies, one or more tabs.
type browser struct {
	t   *testing.T
	tab context.Context
	js  setting
}

// chromium is the one browser process that all tests share.
var chromium context.Context

// startChromium starts Debian's Chromium, without a network service of its own.
func startChromium(dir string) (context.CancelFunc, error) {
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath("chromium"), chromedp.UserDataDir(filepath.Join(dir, "chromium")), chromedp.Headless, chromedp.NoSandbox,
		chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1"),
		chromedp.WSURLReadTimeout(time.Minute),
	}
	allocator, stopAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, stop := chromedp.NewContext(allocator)
	if err := chromedp.Do(ctx); err != nil {
		stopAllocator()
		return nil, fmt.Errorf("starting chromium: %w", err)
	}
	chromium = ctx
	return func() { stop(); stopAllocator() }, nil
}

type setting int

const (
	withJavaScript setting = iota
	withoutJavaScript
)

// newBrowser opens a browser of its own for one person.
func newBrowser(t *testing.T, js setting) *browser {
	t.Helper()
	tab, stop := chromedp.NewContext(chromium, chromedp.WithNewBrowserContext())
	t.Cleanup(stop)
	b := &browser{t: t, tab: tab, js: js}
	b.prepare()
	return b
}

// secondTab opens another tab of the same browser.
func (b *browser) secondTab() *browser {
	b.t.Helper()
	tab, stop := chromedp.NewContext(b.tab)
	b.t.Cleanup(stop)
	other := &browser{t: b.t, tab: tab, js: b.js}
	other.prepare()
	return other
}

func (b *browser) prepare() {
	b.t.Helper()
	// The first run opens the tab, whose life is that of the context.
	if err := chromedp.Do(b.tab, chromedp.EmulateViewport(1200, 900)); err != nil {
		b.t.Fatal(err)
	}
	b.scripts(b.js == withJavaScript)
	err := chromedp.Listen(b.tab, func(event any) {
		if sent, ok := event.(*network.EventRequestWillBeSent); ok && !ours.MatchString(sent.Request.URL) {
			b.t.Errorf("a page asked a third party: %s", sent.Request.URL)
		}
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// scripts lets the page's scripts run, or keeps them from it.
func (b *browser) scripts(run bool) {
	b.t.Helper()
	b.do(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: !run})
		return chromedp.Void{}, err
	})
}

// ours are the addresses that pages may ask: this machine, and nothing else.
var ours = regexp.MustCompile(`^(https?://(localhost|127\.0\.0\.1)(:\d+)?/|data:|about:|blob:)`)

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.tab, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		b.t.Fatalf("%v\n%s", err, b.scene())
	}
}

// load does what leads to a new page and waits for that page.
func (b *browser) load(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.tab, patience)
	defer cancel()
	if _, err := chromedp.RunResponse(ctx, actions...); err != nil {
		b.t.Fatalf("%v\n%s", err, b.scene())
	}
	b.audit()
}

// scene says where the browser is, for a failure.
func (b *browser) scene() string {
	ctx, cancel := context.WithTimeout(b.tab, 5*time.Second)
	defer cancel()
	scene, err := chromedp.Run(ctx, chromedp.Evaluate[string](`"at " + location.href + "\n" + (document.body ? document.body.innerText : "")`))
	if err != nil {
		return "nowhere: " + err.Error()
	}
	return scene
}

func (b *browser) open(url string) {
	b.t.Helper()
	b.load(chromedp.Navigate(url))
}

func (b *browser) reload() {
	b.t.Helper()
	b.load(chromedp.Reload())
}

// back goes one page back, as the button of the browser does.
func (b *browser) back() {
	b.t.Helper()
	b.load(chromedp.NavigateBack())
}

// fill types into the field with the name, as a person would.
func (b *browser) fill(name, value string) {
	b.t.Helper()
	field := fmt.Sprintf(`input[name=%q]:not([type=hidden])`, name)
	b.eval(fmt.Sprintf(`document.querySelector(%q).value = ""`, field))
	b.do(chromedp.SendKeys(chromedp.CSS(field), value))
}

// choose selects the radio button or ticks the box.
func (b *browser) choose(name, value string) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(fmt.Sprintf(`input[name=%q][value=%q]`, name, value))))
}

// press presses the button with the text, of those that show, and waits for the
// next page.
func (b *browser) press(text string) {
	b.t.Helper()
	b.load(chromedp.Click(chromedp.Search(fmt.Sprintf(`//button[normalize-space()=%q][not(ancestor::dialog[not(@open)])]`, text))))
}

// follow clicks the link with the text and waits for the next page.
func (b *browser) follow(text string) {
	b.t.Helper()
	b.load(chromedp.Click(chromedp.Search(fmt.Sprintf(`//a[normalize-space()=%q]`, text))))
}

func clickCSS(selector string) chromedp.Action[chromedp.Void] {
	return chromedp.Click(chromedp.CSS(selector))
}

// eval asks the page. Some pages go on by themselves, or look for news: one that
// has just gone is asked again.
func (b *browser) eval(script string) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.tab, patience)
	defer cancel()
	for {
		result, err := chromedp.Run(ctx, chromedp.Evaluate[string](script, chromedp.EvalAwaitPromise))
		switch {
		case err == nil:
			return result
		case ctx.Err() != nil || !strings.Contains(err.Error(), "navigated") && !strings.Contains(err.Error(), "context"):
			b.t.Fatalf("%.80s: %v\n%s", script, err, b.scene())
		}
	}
}

func (b *browser) heading() string {
	return strings.TrimSpace(b.eval(`(document.querySelector("h1") || {innerText: ""}).innerText`))
}
func (b *browser) text() string  { return b.eval(`document.body.innerText`) }
func (b *browser) where() string { return b.eval(`location.href`) }
func (b *browser) title() string { return b.eval(`document.title`) }

// attribute returns an attribute of the first element that the selector finds.
func (b *browser) attribute(selector, name string) string {
	return b.eval(fmt.Sprintf(`document.querySelector(%q)?.getAttribute(%q) ?? ""`, selector, name))
}

// wantHeading fails unless the page is the one with this heading.
func (b *browser) wantHeading(want string) {
	b.t.Helper()
	if got := b.heading(); got != want {
		b.t.Fatalf("heading %q, want %q\n%s", got, want, b.scene())
	}
}

// wantText fails unless the page says every one of these.
func (b *browser) wantText(want ...string) {
	b.t.Helper()
	text := flat(b.text())
	for _, words := range want {
		if !strings.Contains(text, flat(words)) {
			b.t.Errorf("the page does not say %q\n%s", words, b.scene())
		}
	}
}

// wantError fails unless the page shows the message in its error summary, at
// the field, and in its title (security, pages).
func (b *browser) wantError(message string) {
	b.t.Helper()
	if !strings.HasPrefix(b.title(), "Error: ") {
		b.t.Errorf("title %q does not begin with Error:", b.title())
	}
	summary := b.eval(`(document.querySelector(".nhsuk-error-summary") || {innerText: ""}).innerText`)
	if !strings.Contains(flat(summary), flat(message)) {
		b.t.Errorf("the error summary says %q, want %q\n%s", summary, message, b.scene())
	}
}

func flat(text string) string {
	return strings.Join(strings.Fields(strings.NewReplacer("’", "'", "\u00a0", " ").Replace(text)), " ")
}

// picture takes a screenshot of the whole page.
func (b *browser) picture() []byte {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.tab, patience)
	defer cancel()
	png, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err != nil {
		b.t.Fatal(err)
	}
	return png
}

// keep saves a screenshot where CAREKEY_PICTURES says, for people to look at.
func (b *browser) keep(name string) {
	b.t.Helper()
	dir := os.Getenv("CAREKEY_PICTURES")
	if dir == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), b.picture(), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// narrow makes the window 320 pixels wide, which is also what 400% zoom of a
// 1280 pixel window leaves (WCAG 1.4.10), and fails if the page needs sideways
// scrolling.
func (b *browser) narrow(name string) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(320, 640))
	wide := b.eval(`String(document.documentElement.scrollWidth)`)
	if wide != "320" {
		b.t.Errorf("%s: the page is %s pixels wide in a window of 320", name, wide)
	}
	b.keep(name + "-320")
	b.do(chromedp.EmulateViewport(1200, 900))
}

var axeSource string

// loadAxe reads axe-core as npm has installed it.
func loadAxe() error {
	source, err := os.ReadFile(filepath.Join(root, "node_modules", "axe-core", "axe.min.js"))
	if err != nil {
		return fmt.Errorf("axe-core is missing, run npm ci: %w", err)
	}
	axeSource = string(source)
	return nil
}

type violation struct {
	ID    string `json:"id"`
	Help  string `json:"help"`
	Nodes []struct {
		HTML string `json:"html"`
	} `json:"nodes"`
}

// audited are the pages that axe found nothing wrong with. Every journey leads
// over the same few pages, and judging one takes longer than all else there.
var audited sync.Map

// likeness is the page without what is new each time that it is shown: numbers,
// times, names made at random, and what addresses carry.
const likeness = `(() => {
	const page = document.documentElement.cloneNode(true)
	page.querySelectorAll("input[type=hidden]").forEach(field => field.removeAttribute("value"))
	return innerWidth + page.outerHTML.replace(/[\w-]*\d[\w-]*/g, "0").replace(/([?&](?:amp;)?\w+=)[^"&]*/g, "$1")
})()`

// audit runs axe-core on the page, whatever its state (WCAG 2.2 AA and best
// practices), and checks what axe does not: one h1.
func (b *browser) audit() {
	b.t.Helper()
	if !strings.HasPrefix(b.eval(`document.contentType`), "text/html") {
		return
	}
	page := b.eval(likeness)
	if _, before := audited.Load(page); before {
		return
	}
	if b.js == withoutJavaScript {
		// The page has loaded without scripts and stays so; axe needs them.
		b.scripts(true)
		defer b.scripts(false)
	}
	found := b.eval(axeSource + `;
		axe.run(document, {
			runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"], resultTypes: ["violations"]
		}).then(result => JSON.stringify(result.violations))`)
	var violations []violation
	if err := json.Unmarshal([]byte(found), &violations); err != nil {
		b.t.Fatal(err)
	}
	for _, v := range violations {
		b.t.Errorf("axe %s: %s\n%+v\n%s", v.ID, v.Help, v.Nodes, b.scene())
	}
	n := b.eval(`String(document.querySelectorAll("h1").length)`)
	if n != "1" {
		b.t.Errorf("the page has %s h1\n%s", n, b.scene())
	}
	if n == "1" && len(violations) == 0 {
		audited.Store(page, true)
	}
}
