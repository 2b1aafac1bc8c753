package e2e

import (
	"context"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/fetch"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

const (
	realm = "/openam/oauth2/realms/root/realms/NHSIdentity/realms/Healthcare"
	ers   = "555000000001.apps.national"
)

// shows looks at a page as it is: picture, narrow window, keyboard focus that is
// not lost in the middle of the page.
func (b *browser) shows(name, heading string) {
	b.t.Helper()
	b.wantHeading(heading)
	if title := b.title(); !strings.HasPrefix(title, heading) && !strings.HasPrefix(title, "Error: "+heading) {
		b.t.Errorf("%s: the title is %q, the heading %q", name, title, heading)
	}
	b.keep(name)
	b.narrow(name)
}

// stays keeps the pages that follow from going on by themselves, so that they
// can be looked at for as long as that takes.
func (b *browser) stays() {
	b.t.Helper()
	paused := func(target *chromedp.Target, event *fetch.EventRequestPaused) {
		answer := fetch.ContinueResponseParams{RequestID: event.RequestID}
		isRefresh := func(h *fetch.HeaderEntry) bool { return strings.EqualFold(h.Name, "Refresh") }
		if slices.ContainsFunc(event.ResponseHeaders, isRefresh) {
			answer.ResponseCode = event.ResponseStatusCode
			answer.ResponseHeaders = slices.DeleteFunc(event.ResponseHeaders, isRefresh)
		}
		if _, err := cdp.Call(b.tab, target, fetch.ContinueResponse, answer); err != nil && b.tab.Err() == nil {
			b.t.Errorf("letting %s through: %v", event.Request.URL, err)
		}
	}
	b.do(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		err := chromedp.Listen(b.tab, func(event any) {
			if event, ok := event.(*fetch.EventRequestPaused); ok {
				go paused(target, event)
			}
		})
		if err != nil {
			return chromedp.Void{}, err
		}
		_, err = cdp.Call(ctx, target, fetch.Enable, fetch.EnableParams{Patterns: []*fetch.RequestPattern{
			{ResourceType: network.ResourceTypeDocument, RequestStage: fetch.RequestStageResponse},
		}})
		return chromedp.Void{}, err
	})
}

// TestEachPageOfASignOutSaysWhatHappens walks the sign-out pages that people
// meet when a service asks for it, with and without scripts.
func TestEachPageOfASignOutSaysWhatHappens(t *testing.T) {
	both(t, func(t *testing.T, h *house, js setting) {
		end := h.url + realm + "/connect/endSession"
		b := newBrowser(t, js)
		b.open(h.face(0))
		b.press("Sign in to e-RS")
		h.signIn(b, amara)
		b.wantText("You are signed in to e-RS")
		b.keep("demo-signed-in")
		b.narrow("demo-signed-in")

		b.open(end + "?client_id=" + ers)
		b.shows("sign-out-confirm", "Do you want to sign out?")
		b.wantText("e-Referral Service asked us to sign you out", "Dr Amara OSEI")
		b.follow("No, stay signed in")
		b.wantHeading("Care Identity Management")

		b.open(end)
		b.shows("sign-out-confirm-alone", "Do you want to sign out?")

		b.open(end + "?state=a&state=b")
		b.shows("sign-out-unreadable", b.heading())

		b.open(end + "?client_id=" + ers + "&post_logout_redirect_uri=" + url.QueryEscape("https://elsewhere.example/"))
		b.shows("sign-out-confirm-wrong-way-back", "Do you want to sign out?")
		b.press("Yes, sign out")
		b.shows("signed-out-wrong-way-back", "You have signed out")
		b.wantText("We could not send you back")
		b.follow("Sign in again")
		h.signIn(b, amara)
		b.wantHeading("Care Identity Management")
		b.load(clickCSS(`header form[action="/signout"] button`))
		b.shows("signed-out", "You have signed out")
	})
}

// TestServicesInFramesHoldNobodyUp: a service hears of the sign-out in a frame,
// and the way back leads on, by itself and by the button.
func TestServicesInFramesHoldNobodyUp(t *testing.T) {
	both(t, func(t *testing.T, h *house, js setting) {
		h.changeWorld(`client_id: "`+ers+`"`, `client_id: "`+ers+`"
    frontchannel_logout_uri: `+h.face(0)+"frontchannel")
		b := newBrowser(t, js)
		b.open(h.face(0))
		b.press("Sign in to e-RS")
		h.signIn(b, amara)
		b.stays()
		b.press("Sign out everywhere")
		b.shows("signed-out-on-the-way-back", "You have signed out")
		b.follow("Continue")
		b.wantText("Sign in to e-RS")
	})
}

// changeWorld changes the world file, which each start applies.
func (h *house) changeWorld(old, now string) {
	h.t.Helper()
	path := h.args[len(h.args)-1]
	world, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(world), old) {
		h.t.Fatalf("the world file does not say %q (%v)", old, err)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(world), old, now)), 0o600); err != nil {
		h.t.Fatal(err)
	}
	h.restart()
}

// TestAnAnswerByFormNeedsNoScript: response_mode=form_post with a button.
func TestAnAnswerByFormNeedsNoScript(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := h.signedIn(amara, withoutJavaScript)
	b.open(h.url + realm + "/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {ers}, "redirect_uri": {h.face(0) + "callback"}, "scope": {"openid"},
		"acr_values": {"AAL2_OR_AAL3_ANY"}, "response_mode": {"form_post"}, "state": {strings.Repeat("long", 40)},
	}.Encode())
	b.shows("onward", "Continue to e-RS")
	b.press("Continue")
}

// TestEndingAllOtherSignIns shows the page before it is done.
func TestEndingAllOtherSignIns(t *testing.T) {
	both(t, func(t *testing.T, h *house, js setting) {
		h.signedIn(amara, js)
		h.signedIn(amara, js)
		own := h.signedIn(amara, js)
		own.open(h.url + "/cim/sign-ins")
		own.shows("sign-ins-three", "Where you are signed in")
		own.follow("End all other sign-ins")
		own.shows("sign-ins-end", own.heading())
		own.press("End all other sign-ins")
		own.shows("sign-ins-ended", "Where you are signed in")
		own.wantText("You are signed in nowhere else")
		own.open(h.url + "/cim/sign-ins/end?id=unknown")
		own.shows("sign-in-unknown", own.heading())
		own.open(h.url + "/shared-computer?t=nonsense")
		own.shows("shared-computer-bad-link", own.heading())
		own.open(h.url + "/shared-computer")
		own.shows("shared-computer-no", own.heading())
		link := markLink.FindString(h.clerk("shared-computer", "--private").ends())
		own.open(h.url + link)
		own.shows("shared-computer-private", own.heading())
	})
}

// TestTheLastWarningOffersWhatHelps: at the absolute limit no key puts the end
// off; and a warning that cannot reach the service says so.
func TestTheLastWarningOffersWhatHelps(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.env = append(h.env, "CAREKEY_SESSIONS_AAL2_IDLE=135s")
	h.restart()
	isOpen := func(b *browser) func() bool {
		return func() bool { return b.eval(`String(document.querySelector("dialog").open)`) == "true" }
	}
	b := h.signedIn(amara, withJavaScript)
	eventually(t, "the warning", isOpen(b))
	h.prog.stop()
	b.do(chromedp.KeyEvent(kb.Enter))
	eventually(t, "the message", func() bool { return strings.Contains(b.text(), "We could not reach the service") })
	b.keep("time-out-unreached")
	b.narrow("time-out-unreached")
	h.env = append(h.env, "CAREKEY_SESSIONS_AAL2_TOTAL=135s")
	h.start()
	b = h.signedIn(ravi, withJavaScript)
	eventually(t, "the last warning", isOpen(b))
	b.audit()
	b.keep("time-out-final")
	b.narrow("time-out-final")
}
