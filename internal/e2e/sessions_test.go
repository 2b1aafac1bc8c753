package e2e

import (
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// both runs a test with and without JavaScript, each in a house of its own.
func both(t *testing.T, test func(t *testing.T, h *house, js setting)) {
	t.Parallel()
	for name, js := range map[string]setting{"with JavaScript": withJavaScript, "without JavaScript": withoutJavaScript} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newHouse(t), js)
		})
	}
}

// signedOutOf waits until a demo relying party knows that the person has left.
func (b *browser) signedOutOf(h *house, face int, name string) {
	b.t.Helper()
	eventually(b.t, name+" is told", func() bool {
		b.open(h.face(face))
		return strings.Contains(b.text(), "Sign in to "+name)
	})
}

// TestAWorkerSeesTheirSignInsAndEndsOne: Amara has left e-RS and NCRS open on a
// ward, and ends both from her own browser.
func TestAWorkerSeesTheirSignInsAndEndsOne(t *testing.T) {
	both(t, func(t *testing.T, h *house, js setting) {
		ward := newBrowser(t, js)
		ward.open(h.face(0))
		ward.press("Sign in to e-RS")
		h.signIn(ward, amara)
		ward.wantText("You are signed in to e-RS")
		ward.open(h.face(1))
		ward.press("Sign in to NCRS")
		ward.wantText("You are signed in to NCRS") // single sign-on

		own := h.signedIn(amara, js)
		own.open(h.url + "/cim/profile")
		own.wantText("In this browser and 1 other")
		own.follow("View where you are signed in")
		own.wantHeading("Where you are signed in")
		own.wantText("Chrome on Linux", "This browser", "e-Referral Service", "National Care Records Service")
		own.keep("sign-ins")
		own.narrow("sign-ins")
		own.load(clickCSS(`main a[href^="/cim/sign-ins/end?"]`))
		own.wantHeading("End this sign-in")
		own.keep("sign-in-end")
		own.narrow("sign-in-end")
		own.press("End this sign-in")
		own.wantText("The sign-in with Chrome on Linux has ended", "You are signed in nowhere else")
		own.keep("sign-in-ended")
		own.open(h.url + "/cim/")
		own.wantHeading("Care Identity Management")

		ward.signedOutOf(h, 0, "e-RS")
		ward.signedOutOf(h, 1, "NCRS")
		ward.press("Sign in to NCRS")
		ward.wantHeading("Select your login method")
	})
}

// TestNotYouTellsTheServices: the next person on the ward says that they are
// not Amara, and her services are closed (decision 8).
func TestNotYouTellsTheServices(t *testing.T) {
	both(t, func(t *testing.T, h *house, js setting) {
		b := newBrowser(t, js)
		b.open(h.face(0))
		b.press("Sign in to e-RS")
		h.signIn(b, amara)
		b.open(h.url + "/cim/")
		b.wantHeading("Care Identity Management")
		b.press("Not you?")
		b.wantHeading("Dr Amara OSEI is signed out")
		b.keep("not-you")
		b.signedOutOf(h, 0, "e-RS")
	})
}

// TestATimeOutIsWarnedOf: WCAG 2.2, 2.2.1. The limit is so short here that the
// warning comes after five seconds.
func TestATimeOutIsWarnedOf(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	plain := h.signedIn(ravi, withoutJavaScript)
	plain.wantText("For your security you will be signed out at")
	plain.keep("time-out-in-words")
	plain.narrow("time-out-in-words")
	plain.open(h.url + "/cim/authenticators/add") // another room's page
	plain.wantText("For your security you will be signed out at")

	h.env = append(h.env, "CAREKEY_SESSIONS_AAL2_IDLE=155s")
	h.restart()
	b := h.signedIn(amara, withJavaScript)
	isOpen := func() bool { return b.eval(`String(document.querySelector("dialog").open)`) == "true" }
	eventually(t, "the warning", isOpen)
	b.wantText("You are about to be signed out", "in 2 minutes")
	b.audit()
	b.keep("time-out")
	b.narrow("time-out")
	b.eval(`document.querySelector("dialog").addEventListener("close", () => { document.body.dataset.putOff = "true" }); ""`)
	b.do(chromedp.KeyEvent(kb.Enter)) // the focus is there
	eventually(t, "one key puts the end off", func() bool { return b.eval(`document.body.dataset.putOff || ""`) == "true" })
	eventually(t, "the next warning", isOpen)
	b.load(clickCSS(`dialog form[action="/signout"] button`))
	b.wantHeading("You have signed out")

	h.env = append(h.env, "CAREKEY_SESSIONS_AAL2_IDLE=25s") // the sign-in ends, and its last page is looked at, well within that
	h.restart()
	b.open(h.url + "/cim/profile")
	h.signIn(b, amara)
	b.wantHeading("Your profile")
	b.arrives("You have been signed out") // what was on the screen is gone
	if at := b.eval(`location.pathname`); at != "/cim/timed-out" {
		t.Errorf("the page is %s", at)
	}
	b.wantHeading("You have been signed out")
	b.keep("timed-out")
	b.narrow("timed-out")
	b.follow("Sign in again")
	b.wantHeading("Select your login method")
}

var markLink = regexp.MustCompile(`/shared-computer\?t=\S+`)

// TestOnASharedComputerNobodyWorksAsThePersonBefore is decision 8.
func TestOnASharedComputerNobodyWorksAsThePersonBefore(t *testing.T) {
	both(t, func(t *testing.T, h *house, js setting) {
		link := markLink.FindString(h.clerk("shared-computer").ends())
		if link == "" {
			t.Fatal("the command prints no link")
		}
		b := newBrowser(t, js)
		b.open(h.url + link)
		b.wantHeading("Mark this computer as shared")
		b.keep("shared-computer")
		b.narrow("shared-computer")
		b.press("Mark as shared")
		b.wantText("Yes.", "Your IT service has marked this browser")
		b.keep("shared-computer-state")
		b.narrow("shared-computer-state")

		b.open(h.face(0))
		b.press("Sign in to e-RS")
		b.wantHeading("Select your login method")
		if strings.Contains(b.text(), "Remember my selection") {
			t.Error("the choice would be remembered")
		}
		b.keep("shared-computer-method")
		h.signIn(b, amara)
		b.wantText("You are signed in to e-RS")

		// The next person opens another service, and Care Identity Management.
		b.open(h.url + "/cim/")
		b.wantHeading("Select your login method")
		b.open(h.face(2))
		b.press("Sign in to MESH")
		h.signIn(b, zoe)
		b.wantText("You are signed in to MESH")
		if strings.Contains(b.text(), "Amara") {
			t.Error("MESH shows the person before")
		}
		b.signedOutOf(h, 0, "e-RS") // Amara's session ended with Zoë's sign-in
		b.press("Sign in to e-RS")
		b.wantHeading("Select your login method")
	})
}
