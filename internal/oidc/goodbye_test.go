package oidc_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"carekey.dev/carekey/internal/page/pagetest/chromium"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/session"
)

func TestMain(m *testing.M) { os.Exit(chromium.Main(m)) }

// OpenID Connect Front-Channel Logout section 3, in a real browser: the policy
// lets the frame of the other service load, and the browser then goes back. And
// the bar for pages: axe in each state, and 320 pixels.
func TestSigningOutInARealBrowser(t *testing.T) {
	h := open(t)
	framed, back := make(chan url.Values, 10), make(chan url.Values, 10)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/leave":
			framed <- r.URL.Query()
		case "/signed-out":
			back <- r.URL.Query()
		}
	}))
	t.Cleanup(service.Close)
	h.withFarewell(func(rp *relyingparty.RelyingParty) {
		rp.FrontchannelLogoutURI = service.URL + "/leave"
		rp.PostLogoutRedirectURIs = []string{service.URL + "/signed-out"}
	})
	b := h.browser()
	tab := chromium.Tab(t)
	opens := func(name string, pairs ...string) {
		t.Helper()
		err := chromedp.Do(tab, h.carrying(b), chromedp.EmulateViewport(320, 900), chromedp.Navigate(h.server.URL+endSessionPath+"?"+form(pairs...).Encode()))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		judge(t, tab, name)
	}

	s, _ := b.atERS(amara)
	opens("the question", "client_id", ers, "post_logout_redirect_uri", service.URL+"/signed-out", "state", "s 1")
	if err := chromedp.Do(tab, chromedp.Click("main button")); err != nil {
		t.Fatal(err)
	}
	if heard := within(t, framed); heard.Get("sid") != s.SID || heard.Get("iss") != h.provider.Issuer() {
		t.Errorf("the frame of the other service was opened with %v", heard)
	}
	if came := within(t, back); came.Get("state") != "s 1" || !h.over(s) {
		t.Errorf("the browser came back with %v", came)
	}

	_, hint := b.atERS(amara)
	opens("the farewell", "id_token_hint", hint)
	within(t, framed)
	_, hint = b.atERS(amara)
	opens("the farewell after a mistake", "id_token_hint", hint, "post_logout_redirect_uri", "https://evil.example/")
	within(t, framed)
}

// A service that does not answer in its frame keeps nobody from going back: the
// browser counts the seconds of Refresh from when the frames have loaded.
func TestAServiceThatHangsInItsFrameHoldsNobodyUp(t *testing.T) {
	h := open(t)
	hang, back := make(chan struct{}), make(chan url.Values, 10)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/leave":
			<-hang
		case "/signed-out":
			back <- r.URL.Query()
		}
	}))
	t.Cleanup(service.Close)
	t.Cleanup(func() { close(hang) })
	h.withFarewell(func(rp *relyingparty.RelyingParty) {
		rp.FrontchannelLogoutURI = service.URL + "/leave"
		rp.PostLogoutRedirectURIs = []string{service.URL + "/signed-out"}
	})
	b := h.browser()
	tab := chromium.Tab(t)
	_, hint := b.atERS(amara)
	go func() { // it returns when the page has loaded, and so perhaps not before the test does
		_ = chromedp.Do(tab, h.carrying(b), chromedp.Navigate(h.server.URL+endSessionPath+"?"+
			form("id_token_hint", hint, "post_logout_redirect_uri", service.URL+"/signed-out", "state", "s 1").Encode()))
	}()
	if came := within(t, back); came.Get("state") != "s 1" {
		t.Errorf("the browser came back with %v", came)
	}
}

// carrying gives the real browser the session of another.
func (h *house) carrying(b *browser) chromedp.Action[chromedp.Void] {
	cookie := network.SetCookieParams{Name: session.Cookie, URL: h.server.URL + "/", Path: "/", Secure: new(true)}
	home, err := url.Parse(h.server.URL)
	if err != nil {
		h.t.Error(err)
		home = &url.URL{}
	}
	for _, one := range b.client.Jar.Cookies(home) {
		if one.Name == session.Cookie {
			cookie.Value = one.Value
		}
	}
	return func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, network.SetCookie, cookie)
		return chromedp.Void{}, err
	}
}

// judge looks at the page that is shown.
func judge(t *testing.T, tab context.Context, name string) {
	t.Helper()
	overflow, err := chromedp.Run(tab, chromedp.Evaluate[int](`document.documentElement.scrollWidth - window.innerWidth`))
	if err != nil {
		t.Fatal(err)
	}
	if overflow > 0 {
		t.Errorf("%s is %d pixels too wide at 320", name, overflow)
	}
	chromium.Axe(t, tab, name)
}

// within waits for a page of the other service to be asked for.
func within(t *testing.T, asked chan url.Values) url.Values {
	t.Helper()
	select {
	case query := <-asked:
		return query
	case <-time.After(chromium.Patience):
		t.Fatal("the other service heard nothing")
		return nil
	}
}
