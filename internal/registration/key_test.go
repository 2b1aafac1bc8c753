package registration

import (
	"encoding/json"
	"html"
	"regexp"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/fido"
	"carekey.dev/carekey/internal/credential/fido/fidotest"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/gate/gatetest"
	"carekey.dev/carekey/internal/outbox"
)

var optionsOfPage = regexp.MustCompile(`data-options="([^"]+)"`)

// options is what the page of a key tells the browser.
func (b *browser) options() json.RawMessage {
	b.h.t.Helper()
	found := optionsOfPage.FindStringSubmatch(b.Page)
	if found == nil {
		b.h.t.Fatalf("no options on %s:\n%s", b.At, b.Text())
	}
	return json.RawMessage(html.UnescapeString(found[1]))
}

// touches answers the page of a key, as its script does, with fields beside.
func (b *browser) touches(key *fidotest.Key, pairs ...string) *browser {
	b.h.t.Helper()
	response, err := key.Create(b.options())
	if err != nil {
		return b.submit(pathKey, append(pairs, "error", err.Error())...)
	}
	return b.submit(pathKey, append(pairs, "response", string(response))...)
}

// toKey walks from the instructions of a type to the page of the key.
func (b *browser) toKey(path string, address care.Email) *browser {
	b.h.t.Helper()
	b.get(path).sees(200, "Register this device").submit("", "confirm", "yes").isAt(pathEmail)
	return b.toInbox(address).submit("", "code", b.h.Emailed(address)).isAt(pathKey)
}

// openPasskeys opens the private beta to everybody.
func (h *house) openPasskeys() {
	h.Passkeys = access.NewCohort([]string{access.Everyone}, []string{access.Everyone})
}

// keysOf are a person's keys.
func (h *house) keysOf(uid care.UID) (found []fido.Key) {
	h.t.Helper()
	h.Read(func(tx *db.Tx) (err error) {
		found, err = fido.Of(tx, uid)
		return err
	})
	return found
}

// TestWorkerRegistersAKey by seed 0's screens: a key of a known model counts as
// AAL3 for who is signed in at AAL3, and as AAL2 for who is not (N6, N23).
func TestWorkerRegistersAKey(t *testing.T) {
	attested, synced := fidotest.New, fidotest.NewSynced
	for name, c := range map[string]struct {
		method      care.Method
		device      func(origin string) *fidotest.Key
		signedIn    care.AAL
		before, why string
		counts      care.AAL
	}{
		"security key":           {care.SecurityKey, attested, care.AAL3, "counts as AAL3", "", care.AAL3},
		"security key at AAL2":   {care.SecurityKey, attested, care.AAL2, "You are signed in at AAL2, so this security key will count as AAL2.", "because that is how you were signed in", care.AAL2},
		"Windows Hello":          {care.WindowsHello, fidotest.NewPlatform, care.AAL3, "counts as AAL3", "", care.AAL3},
		"Windows Hello at AAL2":  {care.WindowsHello, fidotest.NewPlatform, care.AAL2, "so this device will count as AAL2.", "because that is how you were signed in", care.AAL2},
		"passkey that is copied": {care.Passkey, synced, care.AAL3, "counts as AAL3", "It can be copied to your other devices", care.AAL2},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.openPasskeys()
			h.Who, h.Level = priya, c.signedIn
			b := h.browser()
			b.get(pathAdd).sees(200).hasSeedWords("type")
			if c.signedIn < care.AAL3 {
				b.sees(200, "AAL2 and AAL3 say how sure a service can be that it is you")
			}
			b.submit("", "type", string(c.method)).isAt(pathAdd+"/"+string(c.method)).sees(200, c.before, "check you have an email address saved", "The register link will expire after 3 minutes")
			b.submit("").sees(422, "Confirm that only you will have access to the")
			b.toKey(pathAdd+"/"+string(c.method), priyaMail).sees(200, c.before, "This page needs JavaScript")
			b.touches(c.device(gatetest.Base), "name", "Lanyard").isAt(pathDone).hasSeedWords("success")
			b.sees(200, "Name Lanyard", "Counts as "+c.counts.String(), c.why)

			held, keys := h.Held(priya), h.keysOf(priya)
			if len(held) != 1 || held[0].Method != c.method || held[0].Name != "Lanyard" || keys[0].Level != c.counts {
				t.Errorf("Priya holds %+v, %+v", held, keys)
			}
			if notice := h.Mail(priyaMail, outbox.AuthenticatorRegistered); !strings.Contains(notice.Text, c.method.TypeLabel()+" “Lanyard”") {
				t.Errorf("the notice does not name the authenticator:\n%s", notice.Text)
			}
			b.get(b.At).sees(200, "Registration successful") // reload
		})
	}
}

// TestWhoNeedsAAL3IsToldWhatToAskFor before they register less. Most passkeys
// can be copied, so a link for one leads nowhere.
func TestWhoNeedsAAL3IsToldWhatToAskFor(t *testing.T) {
	h := newHouse(t)
	h.openPasskeys()
	for method, want := range map[care.Method]string{
		care.SecurityKey: "will count as AAL2. Ask your Registration Authority for a link if you need AAL3.",
		care.Passkey:     "will count as AAL2. Ask your Registration Authority for a link for a security key if you need AAL3.",
	} {
		h.Who, h.Level = priya, care.AAL2
		h.browser().get(pathAdd+"/"+string(method)).sees(200, want)
	}
}

// TestLinkRegistersAKeyWithAllThatItCanShow: the RA's word carries it (N23).
func TestLinkRegistersAKeyWithAllThatItCanShow(t *testing.T) {
	for _, method := range []care.Method{care.SecurityKey, care.WindowsHello} {
		h := newHouse(t)
		path := h.linkTo(owen, method)
		b := h.browser()
		key := fidotest.New(gatetest.Base)
		if method == care.WindowsHello {
			key = fidotest.NewPlatform(gatetest.Base)
		}
		b.toKey(path, owenMail).touches(key).isAt(pathConfirm)
		id, number := h.waiting(path)
		b.sees(200, "Wait for your Registration Authority", number)
		if len(h.Held(owen)) != 0 {
			t.Fatal("registered before the number was confirmed")
		}
		h.must(h.Link.Confirm(t.Context(), id, "operator"))
		b.get(b.At).isAt(pathDone).sees(200, "Model "+fidotest.Model, "Counts as AAL3")
		if keys := h.keysOf(owen); len(keys) != 1 || keys[0].Level != care.AAL3 || h.Held(owen)[0].Name != fidotest.Model {
			t.Errorf("Owen holds %+v", keys)
		}
		if p := h.Person(owen); p.Email != owenMail {
			t.Errorf("the address is %q", p.Email)
		}
	}
}

// TestWhatTheBrowserSaysIsSaidWithItsNextStep: each DOMException has its text,
// the page stays, and another try succeeds.
func TestWhatTheBrowserSaysIsSaidWithItsNextStep(t *testing.T) {
	h := newHouse(t)
	h.Who = priya
	b := h.browser()
	b.toKey(pathAdd+"/security_key", priyaMail)
	for said, words := range map[string]string{
		"NotAllowedError": "Try again. When your browser asks", "TimeoutError": "within five minutes",
		"InvalidStateError": "registered already", "ConstraintError": "Set a PIN on the key first",
		"NotSupportedError": "For a security key, use one that you plug in", "unsupported": "Use a current version of Microsoft Edge",
		"UnknownError": "Take the key out, put it in again",
	} {
		b.submit(pathKey, "error", said, "name", "Lanyard").isAt(pathKey).sees(422, words)
		if b.Field("name") != "Lanyard" || b.Field("error") != "" {
			t.Errorf("after %s the page has forgotten the name, or still says %q", said, b.Field("error"))
		}
	}
	b.submit(pathKey).isAt(pathKey).sees(422, "JavaScript")
	b.touches(fidotest.New(gatetest.Base), "name", strings.Repeat("x", 41)).isAt(pathDone).sees(200, "We could not use the name that you typed")
	if h.Held(priya)[0].Name != fidotest.Model {
		t.Errorf("it is called %q", h.Held(priya)[0].Name)
	}
}

// TestAnswersThatDoNotCount: each is said on the page, and nothing is
// registered.
func TestAnswersThatDoNotCount(t *testing.T) {
	for name, c := range map[string]struct {
		method care.Method
		bend   func(k *fidotest.Key)
		says   string
	}{
		"no PIN asked":              {care.SecurityKey, func(k *fidotest.Key) { k.UserVerified = false }, "did not ask for your PIN"},
		"the computer for a key":    {care.SecurityKey, func(k *fidotest.Key) { k.Attachment = "platform" }, "not the kind of key that you chose"},
		"a key for Windows Hello":   {care.WindowsHello, func(k *fidotest.Key) {}, "not the kind of key that you chose"},
		"backed up, yet cannot be":  {care.SecurityKey, func(k *fidotest.Key) { k.BackupState = true }, "could not be accepted"},
		"a page at another address": {care.SecurityKey, func(k *fidotest.Key) { k.Origin = "https://evil.example" }, "Keys do not work at the address"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.Who = priya
			b := h.browser()
			key := fidotest.New(gatetest.Base)
			c.bend(key)
			b.toKey(pathAdd+"/"+string(c.method), priyaMail).touches(key).sees(422, c.says)
			if len(h.Held(priya)) != 0 {
				t.Error("it is registered")
			}
		})
	}
}

// TestAChallengeIsForOneBrowserOneJourneyAndFiveMinutes.
func TestAChallengeIsForOneBrowserOneJourneyAndFiveMinutes(t *testing.T) {
	h := newHouse(t)
	h.Who = priya
	b := h.browser()
	b.toKey(pathAdd+"/security_key", priyaMail)
	first, at := b.Field("c"), b.At
	response, err := fidotest.New(gatetest.Base).Create(b.options())
	h.must(err)

	h.Clock.Later(fido.Life)
	b.submit(pathKey, "c", first, "response", string(response)).isAt(pathKey).sees(422, "older than five minutes")

	// A reload has a challenge of its own; the other tab's is still good.
	b.get(at)
	tab, options := b.Field("c"), b.options()
	b.get(at)
	response, err = fidotest.New(gatetest.Base).Create(options)
	h.must(err)
	b.submit(pathKey, "response", string(response)).isAt(pathKey).sees(422) // for another challenge
	b.submit(pathKey, "c", tab, "response", string(response)).isAt(pathDone)

	// Of another journey it opens nothing.
	other := b.other()
	h.Clock.Later(time.Minute)
	other.toKey(pathAdd+"/windows_hello", priyaMail)
	other.submit(pathKey, "c", tab, "response", string(response)).isAt(pathKey).sees(422, "another tab or browser")
}

// TestFinishingAKeyTwiceRegistersOnce: a double click, or the back button.
func TestFinishingAKeyTwiceRegistersOnce(t *testing.T) {
	h := newHouse(t)
	h.Who = priya
	b := h.browser()
	b.toKey(pathAdd+"/security_key", priyaMail)
	at := b.At
	b.touches(fidotest.New(gatetest.Base)).isAt(pathDone)
	b.get(at).touches(fidotest.New(gatetest.Base)).isAt(pathDone).sees(200, "Registration successful")
	if n := len(h.Held(priya)); n != 1 {
		t.Errorf("Priya holds %d keys", n)
	}
}

// TestOneKeyIsNotRegisteredTwice: the browser is told which keys the person has,
// and one that answers in spite of it is refused.
func TestOneKeyIsNotRegisteredTwice(t *testing.T) {
	h := newHouse(t)
	h.Registration.Gate = h.GateOf(2)
	h.Who = priya
	key := fidotest.New(gatetest.Base)
	b := h.browser()
	b.toKey(pathAdd+"/security_key", priyaMail).touches(key).isAt(pathDone)
	h.Clock.Later(time.Minute)
	b.toKey(pathAdd+"/security_key", priyaMail).touches(key).isAt(pathKey).sees(422, "registered already")
	b.touches(fidotest.New(gatetest.Base), "name", "Second").isAt(pathDone)
	if n := len(h.Held(priya)); n != 2 {
		t.Errorf("Priya holds %d keys", n)
	}
}

// TestALinkSaysWhatItReplaces before anybody presses the button.
func TestALinkSaysWhatItReplaces(t *testing.T) {
	for limit, words := range map[int]string{
		1: "If you already have one, this one takes its place.",
		2: "If you have others, you keep them.",
	} {
		h := newHouse(t)
		h.Registration.Gate = h.GateOf(limit)
		h.browser().get(h.linkTo(priya, care.SecurityKey)).sees(200, words)
	}
}

// TestSeveralKeysIfTheOperatorAllowsThem, and one of each type if not (seed 0).
func TestSeveralKeysIfTheOperatorAllowsThem(t *testing.T) {
	for limit, words := range map[int]string{
		1: "You can register one of each type of authenticator.",
		2: "You can register one Microsoft Authenticator, and up to 2 of each other type.",
	} {
		h := newHouse(t)
		h.Registration.Gate = h.GateOf(limit)
		h.Who = priya
		b := h.browser()
		for range limit {
			h.Clock.Later(time.Minute)
			b.get(pathAdd).sees(200, words)
			b.toKey(pathAdd+"/security_key", priyaMail).touches(fidotest.New(gatetest.Base)).isAt(pathDone)
		}
		b.get(pathAdd).sees(200, "You have registered", "Replace it with another security key")
		b.get(pathAdd + "/security_key").isAt(pathAdd)
	}
}

// TestAnotherKeyReplacesTheOldOne in one transaction, and the session goes on.
func TestAnotherKeyReplacesTheOldOne(t *testing.T) {
	h := newHouse(t)
	h.Who = priya
	b := h.browser()
	b.toKey(pathAdd+"/security_key", priyaMail).touches(fidotest.New(gatetest.Base), "name", "Old").isAt(pathDone)
	old := h.Held(priya)[0]
	b.get(pathReplace + "?id=unknown").isAt(pathAdd)
	b.get(pathReplace).isAt(pathAdd) // she has no phone
	h.Clock.Later(time.Minute)
	b.get(replaceHref(old)).sees(200, "takes the place of the one that you have").submit("").sees(422, "Confirm that only you")
	b.toKey(replaceHref(old), priyaMail)
	if held := h.Held(priya); len(held) != 1 || held[0].ID != old.ID {
		t.Fatalf("before the key was touched she holds %+v", held)
	}
	b.touches(fidotest.New(gatetest.Base), "name", "New").isAt(pathDone).sees(200, "no longer works")
	held := h.Held(priya)
	if len(held) != 1 || held[0].ID == old.ID || held[0].Name != "New" {
		t.Errorf("she holds %+v", held)
	}
	h.Mail(priyaMail, outbox.AuthenticatorReplaced)
}

// TestPasskeysArePrivateBeta: whoever is not let in is not offered one, by no way.
func TestPasskeysArePrivateBeta(t *testing.T) {
	h := newHouse(t)
	h.Who = priya
	b := h.browser()
	b.get(pathAdd)
	if strings.Contains(b.Page, "asskey") {
		t.Error("the list offers one")
	}
	b.Post(pathAdd, map[string][]string{"type": {"passkey"}})
	b.sees(422)
	b.get(pathAdd + "/passkey").sees(404)
	b.other().get(h.linkTo(priya, care.Passkey)).sees(409, "This registration link does not work")
	h.openPasskeys()
	b.get(pathAdd).sees(200, "private beta")
	b.get(pathAdd+"/passkey").sees(200, "Register passkey with your Care Identity")
}

// TestAPasskeyByAnotherNameIsOneToo: a browser offers a phone for a security key,
// and a computer may copy what it calls its own.
func TestAPasskeyByAnotherNameIsOneToo(t *testing.T) {
	for method, attachment := range map[care.Method]string{care.SecurityKey: "cross-platform", care.WindowsHello: "platform"} {
		h := newHouse(t)
		h.Who = priya
		key := fidotest.NewSynced(gatetest.Base)
		key.Attachment = attachment
		b := h.browser()
		b.toKey(pathAdd+"/"+string(method), priyaMail).touches(key).isAt(pathKey).sees(422, "not the kind of key that you chose")
		if held := h.Held(priya); len(held) != 0 {
			t.Errorf("she holds %+v", held)
		}
		h.openPasskeys()
		b.touches(key).isAt(pathDone).sees(200, "Counts as AAL2")
	}
}

// TestAKeyNeedsAnAddressForItsNotices (N22).
func TestAKeyNeedsAnAddressForItsNotices(t *testing.T) {
	h := newHouse(t)
	h.Who = karl
	h.browser().get(pathAdd+"/security_key").sees(200, "Add an email address first", "before you register your security key")
}

// TestALinkReplacesALostKey: its holder reported it, and the RA sees them.
func TestALinkReplacesALostKey(t *testing.T) {
	h := newHouse(t)
	h.Who = priya
	b := h.browser()
	b.toKey(pathAdd+"/security_key", priyaMail).touches(fidotest.New(gatetest.Base)).isAt(pathDone)
	old := h.Held(priya)[0]
	h.Write(func(tx *db.Tx) error { return credential.Suspend(tx, old.ID, "reported lost") })
	h.Clock.Later(time.Minute)
	path := h.linkTo(priya, care.SecurityKey)
	c := b.other()
	c.toKey(path, priyaMail).touches(fidotest.New(gatetest.Base)).isAt(pathConfirm)
	id, _ := h.waiting(path)
	h.must(h.Link.Confirm(t.Context(), id, "operator"))
	c.get(c.At).isAt(pathDone)
	if held := h.Held(priya); len(held) != 1 || held[0].ID == old.ID || !held[0].Usable() {
		t.Errorf("she holds %+v", held)
	}
}

// TestTheSameKeyComesToCountForMore by a link of the RA, or for who replaces it
// by itself at AAL3 (record 0050). Its browser must not be told to refuse it.
func TestTheSameKeyComesToCountForMore(t *testing.T) {
	for name, by := range map[string]func(h *house, b *browser, key *fidotest.Key){
		"link": func(h *house, b *browser, key *fidotest.Key) {
			path := h.linkTo(priya, care.SecurityKey)
			b.toKey(path, priyaMail).touches(key).isAt(pathConfirm)
			id, _ := h.waiting(path)
			h.must(h.Link.Confirm(t.Context(), id, "operator"))
			b.get(b.At).isAt(pathDone)
		},
		"session": func(h *house, b *browser, key *fidotest.Key) {
			h.Level = care.AAL3
			b.other().toKey(replaceHref(h.Held(priya)[0]), priyaMail).touches(key).isAt(pathDone)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.Who, h.Level = priya, care.AAL2
			key := fidotest.New(gatetest.Base)
			b := h.browser()
			b.toKey(pathAdd+"/security_key", priyaMail).touches(key).isAt(pathDone)
			if keys := h.keysOf(priya); len(keys) != 1 || keys[0].Level != care.AAL2 {
				t.Fatalf("it began as %+v", keys)
			}
			h.Clock.Later(time.Minute)
			by(h, b, key)
			if keys := h.keysOf(priya); len(keys) != 1 || keys[0].Level != care.AAL3 {
				t.Errorf("it became %+v", keys)
			}
		})
	}
}
