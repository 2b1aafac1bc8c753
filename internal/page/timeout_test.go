package page_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/page/pagetest"
	"carekey.dev/carekey/internal/page/pagetest/chromium"
)

// signIn is the server's side of a time-out: how long a sign-in lasts.
type signIn struct {
	kit *page.Kit

	mu sync.Mutex // guards what follows
	// left is told when somebody asks; idle is what staying gives.
	left, idle  time.Duration
	final       bool
	asked, kept int
}

func (s *signIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if r.Method == http.MethodPost {
		s.kept++
		s.left = s.idle
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(s.kit.Left(s.left, nineThirty, s.final)); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

func (s *signIn) set(left time.Duration, final bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left, s.final = left, final
}

func (s *signIn) counts() (asked, kept int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked, s.kept
}

var nineThirty = time.Date(2026, 11, 20, 9, 30, 0, 0, time.UTC)

// watched is a page of somebody signed in, in a real browser whose time the
// test moves.
type watched struct {
	*signIn
	t   *testing.T
	h   *house
	tab context.Context
}

func watch(t *testing.T, left, idle time.Duration, final bool) *watched {
	t.Helper()
	s := &signIn{left: left, idle: idle, final: final}
	h := build(t)
	s.kit = h.kit
	h.view = page.View{Title: "Your profile", Person: &page.Person{
		Name: "Dr Amara OSEI", SignOut: "/signout",
		TimeOut: &page.TimeOut{Left: left, At: nineThirty, Final: final, Path: "/time-left", Over: "/over", Again: "/again"},
	}}
	h.mux.Handle("/time-left", s)
	h.mux.HandleFunc("GET /over", func(w http.ResponseWriter, r *http.Request) {
		h.pages.Render(w, r, http.StatusOK, "done", page.View{Title: "It is over"})
	})
	return &watched{signIn: s, t: t, h: h}
}

// open shows the page and stops its time.
func (w *watched) open() *watched {
	w.t.Helper()
	w.tab = chromium.Tab(w.t)
	if err := chromedp.Do(w.tab, chromedp.EmulateViewport(1200, 900), chromedp.Navigate(w.h.URL+"/done")); err != nil {
		w.t.Fatal(err)
	}
	return w
}

// later lets time go by in the browser.
func (w *watched) later(d time.Duration) {
	w.t.Helper()
	budget := float64(d.Milliseconds())
	pass := func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetVirtualTimePolicy, emulation.SetVirtualTimePolicyParams{
			Policy: emulation.VirtualTimePolicyPauseIfNetworkFetchesPending, Budget: &budget,
		})
		return chromedp.Void{}, err
	}
	ctx, cancel := context.WithTimeout(w.tab, chromium.Patience)
	defer cancel()
	over := func(emulation.EventVirtualTimeBudgetExpired) bool { return true }
	if _, err := chromedp.Run(ctx, chromedp.WaitEvent(emulation.VirtualTimeBudgetExpired, over, chromedp.Action[chromedp.Void](pass))); err != nil {
		w.t.Fatal(err)
	}
}

func (w *watched) eval(script string) string {
	w.t.Helper()
	got, err := chromedp.Run(w.tab, chromedp.Evaluate[string](script))
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

func (w *watched) warned() bool {
	return w.eval(`String(document.querySelector("dialog").open)`) == "true"
}

func (w *watched) press(key string) {
	w.t.Helper()
	if err := chromedp.Do(w.tab, chromedp.KeyEvent(key)); err != nil {
		w.t.Fatal(err)
	}
	w.later(time.Second) // for the answer
}

func TestTheEndOfASignInIsSaidInWords(t *testing.T) {
	for _, final := range []bool{false, true} {
		w := watch(t, 15*time.Minute, 15*time.Minute, final)
		w.h.Get("/done?x=1&y=2")
		pagetest.Check(t, w.h.Page)
		want := "For your security you will be signed out at 9:30am"
		if !strings.Contains(w.h.Text(), want) {
			t.Errorf("the page does not say %q:\n%s", want, w.h.Text())
		}
		if back := `data-over="/over?back=%2Fdone%3Fx%3D1%26y%3D2"`; !strings.Contains(w.h.Page, back) {
			t.Errorf("the page afterwards does not know where to go back to: no %s in\n%s", back, w.h.Page)
		}
	}
	h := build(t)
	h.view = everything() // a page that says who is signed in, and warns of nothing
	h.Get("/everything")
	if strings.Contains(h.Page, "timeout") {
		t.Error("a page without a time-out speaks of one")
	}
}

// TestOneKeyPutsTheEndOff: WCAG 2.2, 2.2.1, two minutes before at least.
func TestOneKeyPutsTheEndOff(t *testing.T) {
	for name, key := range map[string]string{"Enter": kb.Enter, "Space": " ", "Escape": kb.Escape} {
		t.Run(name, func(t *testing.T) {
			w := watch(t, 15*time.Minute, 15*time.Minute, false).open()
			w.later(15*time.Minute - page.WarnBefore - 2*time.Second)
			if asked, _ := w.counts(); w.warned() || asked != 0 {
				t.Fatalf("warned %t too early, and asked %d times", w.warned(), asked)
			}
			w.set(page.WarnBefore, false)
			w.later(4 * time.Second)
			if !w.warned() {
				t.Fatal("no warning two minutes before the end")
			}
			if focus := w.eval(`document.activeElement.innerText`); focus != "Stay signed in" {
				t.Errorf("the focus is on %q", focus)
			}
			w.press(key)
			if asked, kept := w.counts(); kept != 1 || asked != 2 || w.warned() {
				t.Errorf("asked %d times, of these to stay %d; warned %t", asked, kept, w.warned())
			}
			w.later(15*time.Minute - page.WarnBefore - 3*time.Second)
			if w.warned() {
				t.Error("warned again too early")
			}
		})
	}
}

func TestAnotherTabPutsTheEndOffWithoutAWarning(t *testing.T) {
	w := watch(t, 10*time.Minute, 15*time.Minute, false).open()
	w.set(12*time.Minute, false) // what the other tab has won
	w.later(8 * time.Minute)
	if asked, kept := w.counts(); w.warned() || asked != 1 || kept != 0 {
		t.Errorf("warned %t, asked %d times, of these to stay %d", w.warned(), asked, kept)
	}
}

func TestWhoDoesNothingIsTakenAwayFromThePage(t *testing.T) {
	w := watch(t, 5*time.Minute, 15*time.Minute, false).open()
	w.set(page.WarnBefore, false)
	w.later(3*time.Minute + 10*time.Second)
	if said := w.eval(`document.querySelector("[data-countdown]").innerText`); !w.warned() || said != "1 minute" {
		t.Errorf("less than two minutes before the end: warned %t, %q", w.warned(), said)
	}
	w.set(0, false)
	w.later(3 * time.Minute)
	if at := w.eval(`location.pathname + location.search`); at != "/over?back=%2Fdone" {
		t.Errorf("afterwards the page is %s", at)
	}
}

func TestAnEndThatNothingPutsOffOffersToSignInAgain(t *testing.T) {
	w := watch(t, 10*time.Minute, 15*time.Minute, false).open()
	w.set(page.WarnBefore, true) // activity went on until the limit of the whole sign-in
	w.later(8 * time.Minute)
	if focus := w.eval(`document.activeElement.innerText`); !w.warned() || focus != "Sign in again" {
		t.Fatalf("warned %t, with the focus on %q", w.warned(), focus)
	}
	w.press(kb.Escape)
	if _, kept := w.counts(); w.warned() || kept != 0 {
		t.Errorf("after Escape: warned %t, asked to stay %d times", w.warned(), kept)
	}
	w.later(30 * time.Second)
	if w.warned() {
		t.Error("a warning that was closed comes back")
	}
	w.set(0, true)
	w.later(3 * time.Minute)
	if at := w.eval(`location.pathname`); at != "/over" {
		t.Errorf("afterwards the page is %s", at)
	}
}

// TestAServiceOutOfReachSaysSo: and time goes on all the same.
func TestAServiceOutOfReachSaysSo(t *testing.T) {
	w := watch(t, page.WarnBefore+time.Minute, 15*time.Minute, false)
	w.h.view.Person.TimeOut.Path = "/nowhere"
	w.open()
	w.later(61 * time.Second)
	if !w.warned() {
		t.Fatal("no warning")
	}
	w.press(kb.Enter)
	if said := w.eval(`document.querySelector("dialog").innerText`); !strings.Contains(said, "We could not reach the service") {
		t.Errorf("the warning says %q", said)
	}
	w.later(page.WarnBefore)
	if at := w.eval(`location.pathname`); at != "/over" {
		t.Errorf("afterwards the page is %s", at)
	}
}

func TestTheWarningForEveryReader(t *testing.T) { // the bar for pages: axe, and 320 pixels (WCAG 2.2, 1.4.10)
	for name, final := range map[string]bool{"timeout": false, "timeout-final": true} {
		w := watch(t, time.Hour, time.Hour, final).open()
		for _, width := range []int64{1200, 320} {
			if err := chromedp.Do(w.tab, chromedp.EmulateViewport(width, 640)); err != nil {
				t.Fatal(err)
			}
			wide := w.eval(`var d = document.querySelector("dialog"); d.open || d.showModal();
				String(document.documentElement.scrollWidth) + " " + (d.scrollWidth <= d.clientWidth)`)
			if wide != fmt.Sprintf("%d true", width) {
				t.Errorf("%s at %d: %s", name, width, wide)
			}
			chromium.Axe(t, w.tab, name)
			keepPicture(t, w.tab, fmt.Sprintf("%s-%d", name, width))
		}
	}
}

// keepPicture saves a screenshot where CAREKEY_PICTURES says, for people to
// look at.
func keepPicture(t *testing.T, tab context.Context, name string) {
	t.Helper()
	dir := os.Getenv("CAREKEY_PICTURES")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(tab, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		t.Fatal(err)
	}
}
