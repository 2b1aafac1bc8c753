package registration

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"
)

// wayOn is where a link with these words leads.
func wayOn(b *browser, words string) string {
	b.h.t.Helper()
	found := regexp.MustCompile(`href="([^"]+)"[^>]*>(?:<svg.*?</svg>)?(?:<span[^>]*>)?` + regexp.QuoteMeta(words)).FindStringSubmatch(b.Page)
	if found == nil {
		b.h.t.Fatalf("no link %q on %s:\n%s", words, b.At, b.Page)
	}
	return strings.ReplaceAll(found[1], "&amp;", "&")
}

func TestJourneyLivesForTwentyMinutes(t *testing.T) { // decision 5
	for _, c := range []struct {
		after time.Duration
		works bool
	}{{20*time.Minute - time.Second, true}, {20*time.Minute + time.Second, false}} {
		h := newHouse(t)
		b := h.browser()
		b.starts(pathReplace).toInbox(amaraMail)
		h.Clock.Later(c.after)
		b.get(b.At)
		if c.works {
			b.isAt(pathCode).sees(200)
			continue
		}
		b.sees(410, "You took longer than we allow", "Start again in Care Identity Management")
		if wayOn(b, "Start again in Care Identity Management") != pathAdd {
			t.Error("the way on leads elsewhere")
		}
	}
}

func TestJourneyBelongsToOneBrowser(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.starts(h.linkFor(priya))
	thief := b.other()
	thief.get(b.At).sees(403, "Start again in this browser", "open the link again in the browser where you began", "Help with registering")
	thief.get(pathLink) // a page of theirs, for its cookie
	thief.Post(pathEmail, url.Values{"j": {b.Field("j")}, "email": {string(priyaMail)}})
	if thief.Status != 403 || h.Count("mail_code") != 0 {
		t.Errorf("answered %d to another browser's form", thief.Status)
	}
}

func TestTamperedJourneyDoesNotGoOn(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.starts(pathReplace)
	sealed := b.Field("j")
	flipped := []byte(sealed)
	flipped[len(flipped)/2] ^= 1
	for _, bad := range []string{"", "x", string(flipped), sealed[:len(sealed)-8], sealed + "AAAA"} {
		for _, path := range []string{pathEmail, pathCode, pathPassword, pathScan, pathVerify, pathConfirm, pathDone} {
			b.get(path+"?j="+url.QueryEscape(bad)).sees(400, "This page cannot go on", "Start again in Care Identity Management", "Help with registering")
		}
	}
}

// TestJourneyOfAnotherKindDoesNotOpen: what seals the "Register" button or the
// recovery codes is no registration.
func TestJourneyOfAnotherKindDoesNotOpen(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.get(pathReplace)
	stamp := b.Field("j")
	b.get(pathEmail + "?j=" + stamp).sees(400)
	b.get(pathReplace).submit("", "confirm", "yes").isAt(pathEmail)
	running := b.Field("j")
	b.Post(pathReplace, url.Values{"j": {running}, "confirm": {"yes"}})
	b.sees(400, "Start again")
}

// TestStepsCannotBeSkipped: a journey opens the page of its step and those
// that lie before it in the same screen, and no other.
func TestStepsCannotBeSkipped(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.starts(pathReplace)
	email := b.Field("j")
	b.toInbox(amaraMail)
	inbox := b.Field("j")
	b.submit("", "code", h.Emailed(amaraMail)).isAt(pathPassword)
	password := b.Field("j")
	b.submit("", "password", newPassword, "confirm", newPassword).isAt(pathScan)
	scan := b.Field("j")
	for sealed, allowed := range map[string][]string{
		email: {pathEmail}, inbox: {pathEmail, pathCode}, password: {pathPassword}, scan: {pathScan, pathVerify},
	} {
		for _, path := range []string{pathEmail, pathCode, pathPassword, pathScan, pathVerify, pathConfirm, pathDone, pathRecover} {
			b.get(path + "?j=" + sealed)
			if may := strings.Contains(" "+strings.Join(allowed, " ")+" ", " "+path+" "); may != (b.Status == 200) {
				t.Errorf("%s answered %d", path, b.Status)
			} else if !may {
				b.sees(409, "That step is not the next one", "Start again")
			}
		}
	}
}

func TestOversizedForm(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.starts(pathReplace)
	b.submit("", "email", strings.Repeat("a", 70<<10)).sees(413, "That is too much text")
}

func TestSeveralTabsAreSeveralJourneys(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.starts(pathReplace)
	first := b.At
	b.starts(pathReplace)
	b.get(first).toPassword(amaraMail)
	secret := b.choosePassword()
	b.submit("", "code", h.Code(secret)).isAt(pathDone)
}

// TestBackToThePasswordMakesANewSecret: the QR code that was scanned last
// counts, and both ways end in one authenticator.
func TestBackToThePasswordMakesANewSecret(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.starts(pathReplace).toPassword(amaraMail)
	password := b.At
	first := b.choosePassword()
	b.get(password)
	second := b.choosePassword()
	if first == second {
		t.Error("the secret is the same")
	}
	b.submit("", "code", h.Code(second)).isAt(pathDone)
}
