package e2e

import (
	"net/url"
	"strings"
	"testing"

	"carekey.dev/carekey/internal/page/pagetest"
)

// TestAmaraSignsInToERS is the main job: from e-RS's button to e-RS signed in.
func TestAmaraSignsInToERS(t *testing.T) {
	t.Parallel()
	for name, js := range map[string]setting{"with JavaScript": withJavaScript, "without JavaScript": withoutJavaScript} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			b := newBrowser(t, js)
			b.open(h.face(0))
			b.keep("ers-start")
			b.press("Sign in to e-RS")
			b.wantHeading("Select your login method")
			b.wantText("Smartcard", "Windows Hello", "Security key", "iPad app", "Authenticator app", "NHSmail", "Passkey (private beta)",
				"Agree to our Terms of Use", "By continuing, you agree to our Terms and Conditions",
				"Remember my selection", "Do not check this box if you are on a shared computer.")
			b.keep("signin-method")
			b.narrow("signin-method")
			b.press("Continue")
			b.wantError("Select how you want to sign in")
			b.choose("remember", "yes")
			h.signIn(b, amara)
			b.wantText("Amara", "OSEI", "AAL2", "General Medical Practitioner")
			b.keep("ers-signed-in")

			// The choice is remembered, the proof is not: another way is one
			// link away.
			other := b.secondTab()
			other.open(h.url + "/cim/")
			other.press("Sign out")
			other.open(h.face(2))
			other.press("Sign in to MESH")
			other.wantHeading("What is your Care Identity email address?")
			other.follow("Use another way to sign in")
			other.wantHeading("Select your login method")
		})
	}
}

func TestFourMethodsWhereTheServiceWantsAAL3(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := newBrowser(t, withJavaScript)
	b.open(h.face(3))
	b.press("Sign in to CDR")
	b.wantHeading("Select your login method")
	b.wantText("Smartcard", "Windows Hello", "Security key", "iPad app", "Not available here yet.")
	if text := b.text(); strings.Contains(text, "Authenticator app") || strings.Contains(text, "NHSmail") || strings.Contains(text, "Passkey") {
		t.Errorf("more than the four methods of AAL3 are offered\n%s", text)
	}
	b.keep("signin-aal3")
	b.follow("Cancel and go back to CDR")
	b.wantText("access_denied")
}

func TestSeedsOwnLinkLandsInCareIdentityManagement(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := newBrowser(t, withJavaScript)
	link := h.url + "/openam/XUI/?realm=/nhsidentity/healthcare&authIndexType=service&authIndexValue=AAL2AuthDecisionTree&goto="
	b.open(link + url.QueryEscape(h.url))
	h.signIn(b, amara)
	b.wantHeading("Care Identity Management")

	stranger := newBrowser(t, withJavaScript)
	for _, bad := range []string{"https://evil.example/", "javascript:alert(1)", "//evil.example", h.url + "@evil.example/", h.url + "//evil.example"} {
		stranger.open(link + url.QueryEscape(bad))
		stranger.wantHeading("We cannot take you there")
		stranger.wantText("Reference")
	}
}

// TestRolesAreChosenAsTheSeedsServiceDoes: one role none asked, two to five a
// list, more a list with search, none goes on.
func TestRolesAreChosenAsTheServiceAsks(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	t.Run("three", func(t *testing.T) {
		b := newBrowser(t, withJavaScript)
		b.open(h.face(0))
		b.press("Sign in to e-RS")
		h.signIn(b, zoe)
		b.wantHeading("Select your role")
		b.keep("signin-role")
		b.press("Continue")
		b.wantError("Select the role that you want to use")
		b.choose("role", "555000200193")
		b.press("Continue")
		b.wantText("Zoë", "O'NEILL-MÜLLER", "Nurse Manager Access Role")
	})
	t.Run("seven", func(t *testing.T) {
		b := newBrowser(t, withoutJavaScript)
		b.open(h.face(0))
		b.press("Sign in to e-RS")
		h.signIn(b, ravi)
		b.wantHeading("Select your role")
		b.fill("q", "pharmacy")
		b.load(clickCSS(`button[aria-label="Search"]`))
		b.wantText("1 of your 7 roles match")
		b.keep("signin-role-search")
		b.narrow("signin-role-search")
		b.choose("role", "555000200155")
		b.press("Continue")
		b.wantText("Ravi", "Health Professional Access Role")
	})
	t.Run("none", func(t *testing.T) {
		b := newBrowser(t, withJavaScript)
		b.open(h.face(0))
		b.press("Sign in to e-RS")
		h.signIn(b, grace)
		b.wantText("Grace", "ADEYEMI")
	})
}

// TestMistakesAtSignInHaveAWayOn walks wrong, reused, mistyped and locked-out
// codes and passwords.
func TestMistakesAtSignInHaveAWayOn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := newBrowser(t, withJavaScript)
	b.open(h.url + "/cim/")
	b.choose("method", "authenticator_app")
	b.press("Continue")
	b.fill("email", "amara")
	b.press("Continue")
	b.wantError("Enter an email address in the correct format, like name@example.nhs.uk")
	b.keep("signin-email-error")
	b.fill("email", amara.email)
	b.press("Continue")
	b.press("Continue")
	b.wantError("Enter your password")
	b.fill("password", "wrong")
	b.press("Continue")
	wrong := flat(b.text())
	b.keep("signin-password-error")
	b.fill("password", amara.password)
	b.press("Continue")
	b.wantHeading("Check your authenticator app")
	b.fill("code", "12 34")
	b.press("Submit")
	b.wantError("6")
	b.fill("code", "000 000")
	b.press("Submit")
	b.wantHeading("Check your authenticator app")
	b.keep("signin-code-error")
	b.narrow("signin-code-error")

	// Reload, back and another tab: nothing is lost.
	code := b.where()
	b.open(code)
	b.back()
	tab := b.secondTab()
	tab.open(h.url + "/cim/")
	tab.wantHeading("Select your login method")

	// An address that nobody has gets the very same answer.
	nobody := newBrowser(t, withJavaScript)
	nobody.open(h.url + "/cim/")
	h.password(nobody, demoPerson{email: "nobody.here@nhs.net", password: "wrong"})
	if got := pagetest.Unreferenced(flat(nobody.text())); got != pagetest.Unreferenced(strings.ReplaceAll(wrong, amara.email, "nobody.here@nhs.net")) {
		t.Errorf("known:\n%s\nunknown:\n%s", wrong, got)
	}
}

func TestACodeCountsOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	first := newBrowser(t, withJavaScript)
	first.open(h.url + "/cim/")
	h.password(first, amara)
	code := h.phones.code(t, amara.secret)
	first.fill("code", code)
	first.press("Submit")
	first.wantHeading("Care Identity Management")

	second := newBrowser(t, withJavaScript)
	second.open(h.url + "/cim/")
	h.password(second, amara)
	second.fill("code", code)
	second.press("Submit")
	second.wantHeading("Check your authenticator app")
	second.wantError("used")
	second.fill("code", h.phones.code(t, amara.secret))
	second.press("Submit")
	second.wantHeading("Care Identity Management")
}

// TestJourneysOfOthersAndChangedOnesHaveAPage: another browser, a tampered and
// a cut address, and a link that was never one.
func TestJourneysOfOthersAndChangedOnesHaveAPage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := newBrowser(t, withJavaScript)
	b.open(h.url + "/cim/")
	b.choose("method", "authenticator_app")
	b.press("Continue")
	mine := b.where()

	thief := newBrowser(t, withJavaScript)
	thief.open(mine)
	thief.wantHeading("Start again in this browser")
	thief.wantText("Reference")
	thief.keep("fault-other-browser")
	thief.narrow("fault-other-browser")
	thief.open(mine[:len(mine)-6])
	thief.wantHeading("This page cannot go on")
	thief.open(h.url + "/no/such/page")
	thief.wantHeading("Page not found")
	thief.open(h.url + "/register?t=never-was-one")
	thief.wantText("Reference")
}
