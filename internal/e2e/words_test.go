package e2e

import (
	"maps"
	"slices"
	"testing"

	"carekey.dev/carekey/internal/page/pagetest"
)

// TestTheWordsThatWorkersKnowAreOnTheirPages walks every page of the golden
// file, and fails if it names one that was not walked.
func TestTheWordsThatWorkersKnowAreOnTheirPages(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	words := pagetest.SeedPages(t)
	b := newBrowser(t, withoutJavaScript)
	says := func(page string, unless ...string) {
		t.Helper()
		if len(words[page]) == 0 {
			t.Errorf("the golden file has no words for %s", page)
		}
		b.wantText(slices.DeleteFunc(words[page], func(said string) bool { return slices.Contains(unless, said) })...)
		delete(words, page)
	}

	b.open(h.face(3))
	b.press("Sign in to CDR")
	says("method-aal3")
	b.press("Continue")
	b.wantError("Select how you want to sign in")
	b.open(h.url + "/help/authenticator-app")
	says("help-app")
	b.open(h.url + "/cim/")
	says("method-aal2")
	h.signIn(b, amara)
	says("cim-home")
	b.open(h.url + "/cim/profile/email")
	says("profile-email")
	b.open(h.url + "/cim/authenticators/add")
	says("type", "Continue") // she holds the one type that is built: nothing is left to choose
	b.follow("Replace it with a new phone")
	says("instructions")
	b.choose("confirm", "yes")
	b.press("Register Microsoft Authenticator")
	says("email")
	b.fill("email", amara.email)
	b.press("Send One Time Password")
	says("inbox")
	b.fill("code", h.mail.code(t, amara.email))
	b.press("Continue")
	says("password")
	b.fill("password", chosen)
	b.fill("confirm", chosen)
	b.press("Continue")
	says("qr")
	secret := readQR(t, b.picture()).Query().Get("secret")
	b.press("Next")
	says("code")
	b.fill("code", h.phones.code(t, secret))
	b.press("Submit")
	says("success")
	if len(words) > 0 {
		t.Errorf("nobody walked to %v", slices.Collect(maps.Keys(words)))
	}
}
