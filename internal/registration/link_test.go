package registration

import (
	"errors"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/link"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/page/pagetest"
)

// toConfirm walks a link from its first page to the number.
func (b *browser) toConfirm(path string, address care.Email) (secret string) {
	b.h.t.Helper()
	b.starts(path)
	secret = b.toVerify(address)
	b.submit("", "code", b.h.Code(secret)).isAt(pathConfirm)
	return secret
}

func TestLinkRegistersWhenTheNumberIsConfirmed(t *testing.T) { // decision 4
	for uid, address := range map[care.UID]care.Email{priya: priyaMail, owen: owenMail} {
		h := newHouse(t)
		path := h.linkFor(uid)
		b := h.browser()
		b.get(path).sees(200).hasSeedWords("instructions")
		b.toConfirm(path, address)
		id, number := h.waiting(path)
		b.sees(200, "Wait for your Registration Authority", number)
		if b.Header.Get("Refresh") != "3" {
			t.Errorf("the page asks again with %q", b.Header.Get("Refresh"))
		}
		b.get(b.At).sees(200, number)
		if n := len(h.Held(uid)); n != 0 {
			t.Fatalf("%d authenticators before the number was confirmed", n)
		}
		h.must(h.Link.Confirm(t.Context(), id, "operator"))
		waiting := b.At
		b.get(waiting).isAt(pathDone).hasSeedWords("success").sees(200, "Sign in to Care Identity Management")
		if n := len(h.Held(uid)); n != 1 {
			t.Errorf("%d authenticators", n)
		}
		p := h.Person(uid)
		if p.Email != address || p.Pending != "" {
			t.Errorf("the address is %q, waiting %q", p.Email, p.Pending)
		}
		h.Mail(address, outbox.AuthenticatorRegistered)

		// Another reload of the waiting page, or the link again, registers nothing.
		b.get(waiting).isAt(pathDone).sees(200, "Registration successful")
		b.get(path).sees(409, "This registration link was used already")
		if n := len(h.Held(uid)); n != 1 {
			t.Errorf("%d authenticators", n)
		}
	}
}

// TestMailboxAndLinkAloneRegisterNothing is decision 4's negative test: whoever
// has the link and reads the mailbox gets no authenticator.
func TestMailboxAndLinkAloneRegisterNothing(t *testing.T) {
	h := newHouse(t)
	path := h.linkFor(priya)
	b := h.browser()
	b.toConfirm(path, priyaMail)
	waiting := b.At
	for range 5 {
		b.get(waiting).isAt(pathConfirm)
	}
	sealed := waiting[strings.Index(waiting, "=")+1:]
	for _, next := range []string{pathDone, pathCodes} {
		b.get(next + "?j=" + sealed)
		if b.Status < 400 {
			t.Errorf("%s answered %d to a journey that waits", next, b.Status)
		}
	}
	for _, form := range []string{pathVerify, pathMake, pathScan} {
		b.get(waiting)
		b.get(path) // a page with a form, for its token
		b.Post(form, map[string][]string{"j": {sealed}, "code": {"123456"}})
		if b.Status < 400 {
			t.Errorf("POST %s answered %d to a journey that waits", form, b.Status)
		}
	}
	h.Clock.Later(link.Limit)
	b.get(waiting).sees(410, "You took longer than we allow")
	if n := len(h.Held(priya)); n != 0 {
		t.Errorf("%d authenticators without a confirmation", n)
	}
}

func TestRefusedNumberRegistersNothing(t *testing.T) {
	h := newHouse(t)
	path := h.linkFor(priya)
	b := h.browser()
	b.toConfirm(path, priyaMail)
	id, _ := h.waiting(path)
	h.must(h.Link.Refuse(t.Context(), id, "operator"))
	b.get(b.At).sees(409, "Your registration was not confirmed", "Ask your Registration Authority for another link.")
	b.get(path).sees(409)
	if n := len(h.Held(priya)); n != 0 {
		t.Errorf("%d authenticators after a refusal", n)
	}
}

func TestConfirmationMayComeLate(t *testing.T) {
	h := newHouse(t)
	path := h.linkFor(priya)
	b := h.browser()
	b.toConfirm(path, priyaMail)
	id, _ := h.waiting(path)
	h.Clock.Later(journeyLife - time.Second)
	h.must(h.Link.Confirm(t.Context(), id, "operator"))
	b.get(b.At).isAt(pathDone)
	h.Clock.Later(time.Hour)
	b.get(b.At).sees(200, "Registration successful")

	h = newHouse(t)
	path = h.linkFor(priya)
	b = h.browser()
	b.toConfirm(path, priyaMail)
	h.Clock.Later(journeyLife + time.Second)
	b.get(b.At).sees(410, "You took longer than we allow", "Ask your Registration Authority for another link.", "Help with registering")
}

func TestLinkWorksForThreeMinutes(t *testing.T) { // seed 0; decision 5
	for _, c := range []struct {
		after time.Duration
		works bool
	}{{3*time.Minute - time.Second, true}, {3*time.Minute + time.Second, false}} {
		h := newHouse(t)
		path := h.linkFor(priya)
		b := h.browser()
		b.get(path).sees(200)
		h.Clock.Later(c.after)
		b.submit("", "confirm", "yes")
		if c.works {
			b.isAt(pathEmail)
			continue
		}
		b.sees(409, "This registration link has expired", "Ask your Registration Authority for another link.")
		b.get(path).sees(409, "This registration link has expired")
	}
}

func TestLookingAtALinkDoesNotUseIt(t *testing.T) { // decision 5
	h := newHouse(t)
	path := h.linkFor(priya)
	scanner := h.browser()
	for range 3 {
		scanner.get(path).sees(200)
	}
	scanner.submit("").sees(422, "Confirm that only you will have access to the device")
	scanner.other().starts(path)
}

func TestSecondUseOfALinkIsRefused(t *testing.T) {
	h := newHouse(t)
	path := h.linkFor(priya)
	b := h.browser()
	b.get(path)
	thief := b.other()
	thief.get(path).sees(200)
	b.submit("", "confirm", "yes").isAt(pathEmail)
	thief.submit("", "confirm", "yes").sees(409, "This registration link was used already", "Help with registering")
	thief.get(path).sees(409, "This registration link was used already")
}

func TestClosedTabGoesOnWithTheSameLink(t *testing.T) { // decision 5
	h := newHouse(t)
	path := h.linkFor(priya)
	b := h.browser()
	b.starts(path).toPassword(priyaMail)
	h.Clock.Later(journeyLife - time.Minute) // the link's 3 minutes are long over
	b.get(path).sees(200, "Continue your registration", "You started to register Microsoft Authenticator with this link")
	b.submit("").isAt(pathEmail)
	secret := b.toVerify(priyaMail)
	b.submit("", "code", h.Code(secret)).isAt(pathConfirm)
	id, _ := h.waiting(path)
	h.must(h.Link.Confirm(t.Context(), id, "operator"))
	b.get(b.At).isAt(pathDone)
	if n := len(h.Held(priya)); n != 1 {
		t.Errorf("%d authenticators", n)
	}

	h = newHouse(t)
	path = h.linkFor(priya)
	b = h.browser()
	b.starts(path)
	h.Clock.Later(journeyLife + time.Second) // opening the link again adds no time
	b.get(path)
	b.submit("").sees(410, "You took longer than we allow", "Help with registering")
}

func TestNewerLinkReplacesTheOlder(t *testing.T) {
	h := newHouse(t)
	older := h.linkFor(priya)
	b := h.browser()
	b.starts(older)
	newer := h.linkFor(priya)
	b.get(older).sees(409, "There is a newer registration link")
	b.other().starts(newer)
}

func TestUnknownLink(t *testing.T) {
	h := newHouse(t)
	for _, path := range []string{pathLink, pathLink + "?t=", pathLink + "?t=abc", pathLink + "?t=" + strings.Repeat("A", 43)} {
		h.browser().get(path).sees(409, "This registration link does not work", "Help with registering")
	}
}

func TestLinkForAnotherTypeIsNotForThisRoom(t *testing.T) {
	h := newHouse(t)
	h.browser().get(h.linkTo(priya, care.IPadApp)).sees(409, "This registration link does not work")
}

// TestLinkReplacesALostOrDisabledApp: after a disable only binding again helps
// (N10), and the RA's presence is the right to it.
func TestLinkReplacesALostOrDisabledApp(t *testing.T) {
	h := newHouse(t)
	old := h.Held(amara)[0]
	path := h.linkFor(amara)
	b := h.browser()
	b.toConfirm(path, amaraMail)
	id, _ := h.waiting(path)
	h.must(h.Link.Confirm(t.Context(), id, "operator"))
	b.get(b.At).isAt(pathDone).sees(200, "The Microsoft Authenticator that you had before no longer works.")
	if held := h.Held(amara); len(held) != 1 || held[0].ID == old.ID {
		t.Errorf("Amara holds %+v", held)
	}
}

// TestWrongAddressByLinkLooksLikeTheRightOne: nobody has signed in, so the
// pages never say whose the address is (ASVS 6.3.8).
func TestWrongAddressByLinkLooksLikeTheRightOne(t *testing.T) {
	right, wrong := newHouse(t), newHouse(t)
	pages := map[*house][]string{}
	for h, address := range map[*house]string{right: string(priyaMail), wrong: "somebody.else@nhs.net"} {
		b := h.browser()
		b.starts(h.linkFor(priya)).submit("", "email", address).isAt(pathCode)
		pages[h] = append(pages[h], b.Text())
		for range mailTries {
			b.submit("", "code", "0000 0000")
			pages[h] = append(pages[h], b.Text())
		}
		b.submit("/register/code/resend")
		pages[h] = append(pages[h], b.Text())
		if n := h.Count("mail_code"); n != 1 {
			t.Errorf("%d rows for %s", n, address)
		}
		if n := h.Count("outbox"); n != 1 {
			t.Errorf("%d messages for %s", n, address)
		}
	}
	for i := range pages[right] {
		if pagetest.Unreferenced(pages[right][i]) != pagetest.Unreferenced(pages[wrong][i]) {
			t.Errorf("page %d differs:\n%s\n---\n%s", i, pages[right][i], pages[wrong][i])
		}
	}
	right.Mail(priyaMail, outbox.OneTimePassword)
	wrong.NoMail()
}

func TestUnverifiedAddressOutsideTheAllowListGetsNoMail(t *testing.T) { // decision 5
	h := newHouse(t)
	b := h.browser()
	b.starts(h.linkFor(ines)).submit("", "email", string(inesMail)).isAt(pathCode)
	b.submit("", "code", "12345678").sees(422, "not right")

	h.Who = ines
	s := b.other()
	s.starts(pathAdd+"/authenticator_app").submit("", "email", string(inesMail)).sees(422, "domain that is not accepted")
	if n := h.Count("outbox WHERE kind = 'mail'"); n != 0 {
		t.Errorf("%d mails", n)
	}
}

func TestStrangersAddressIsNotPending(t *testing.T) {
	p := newHouse(t).Person(owen)
	list := care.AllowList{"nhs.net"}
	for _, c := range []struct {
		address care.Email
		want    error
	}{{owenMail, nil}, {priyaMail, errNotTheirs}, {"", errNotTheirs}} {
		if got := judge(p, list, c.address); !errors.Is(got, c.want) {
			t.Errorf("judge(%q) = %v, want %v", c.address, got, c.want)
		}
	}
	if got := judge(p, nil, owenMail); !errors.Is(got, errDomain) {
		t.Errorf("with no accepted domain: %v", got)
	}
}
