package signin

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/fido/fidotest"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/gate/gatetest"
	"carekey.dev/carekey/internal/page/pagetest"
	"carekey.dev/carekey/internal/session"
)

// pickKey chooses a method of a key, and comes to its page.
func (v *visitor) pickKey(m care.Method, pairs ...string) *visitor {
	v.h.t.Helper()
	return v.submit("/signin", append(pairs, "method", string(m))...).isAt("/signin/key")
}

// ceremony is the form of the page that asks for a key.
func (v *visitor) ceremony() *html.Node {
	v.h.t.Helper()
	var found *html.Node
	v.nodes("form", func(n *html.Node) {
		if attr(n, "data-carekey-fido") == "get" {
			found = n
		}
	})
	if found == nil {
		v.h.t.Fatalf("%s asks for no key:\n%s", v.At, v.Text())
	}
	return found
}

// begins reports whether the page asks by itself.
func (v *visitor) begins() bool {
	v.h.t.Helper()
	_, auto := attribute(v.ceremony(), "data-carekey-auto")
	return auto
}

// options are what the page asks of the browser.
func (v *visitor) options() json.RawMessage {
	v.h.t.Helper()
	return json.RawMessage(attr(v.ceremony(), "data-options"))
}

// touch lets the browser ask a key and sends what it answers.
func (v *visitor) touch(key *fidotest.Key) *visitor {
	v.h.t.Helper()
	response, err := key.Get(v.options())
	if err != nil {
		return v.submit("/signin/key", "error", err.Error())
	}
	return v.submit("/signin/key", "response", string(response))
}

// keyOf gives somebody a key of a method.
func (h *house) keyOf(who gatetest.Who, m care.Method) *fidotest.Key {
	h.t.Helper()
	key := map[care.Method]func(string) *fidotest.Key{
		care.SecurityKey: fidotest.New, care.WindowsHello: fidotest.NewPlatform, care.Passkey: fidotest.NewSynced,
	}[m](gatetest.Base)
	h.Key(who, m, key)
	return key
}

// TestSigningInWithAKey: each of the three, without an address, at the level
// that the key has shown.
func TestSigningInWithAKey(t *testing.T) {
	for m, c := range map[care.Method]struct {
		title string
		level care.AAL
	}{
		care.SecurityKey:  {"Use your security key", care.AAL3},
		care.WindowsHello: {"Use Windows Hello", care.AAL3},
		care.Passkey:      {"Use your passkey", care.AAL2}, // N8: it may be copied
	} {
		t.Run(string(m), func(t *testing.T) {
			h := newHouse(t)
			key := h.keyOf(amara, m)
			v := h.asked(ers()).pickKey(m).sees(http.StatusOK, c.title, "to sign in to e-Referral Service", "Terms and Conditions", "Use another way to sign in", "This page needs JavaScript", "Help with this way to sign in")
			if v.session() != nil {
				t.Fatal("signed in before the key")
			}
			if v.touch(key); v.At != ers().ReturnTo {
				t.Fatalf("the browser is at %s:\n%s", v.At, v.Text())
			}
			s := v.session()
			if s == nil || s.UID != amara.UID || s.AAL != c.level || s.Method != m || s.Terms != "2026-10" || s.Client != "ers" {
				t.Errorf("session %+v", s)
			}
			if v.cookie("__Host-device") != "" {
				t.Error("a key made the browser known for passwords")
			}
		})
	}
}

// TestTwoInteractionsAreEnough: e-RS's button, and a touch. Who remembers the
// choice has no page to press on.
func TestTwoInteractionsAreEnough(t *testing.T) {
	for _, m := range []care.Method{care.SecurityKey, care.WindowsHello, care.Passkey} {
		h := newHouse(t)
		key := h.keyOf(amara, m)
		v := h.asked(ers()).pickKey(m, "remember", "yes")
		if v.begins() != (m != care.Passkey) {
			t.Errorf("%s, chosen now: asks by itself: %t", m, v.begins())
		}
		v.touch(key).isAt("/authorize")
		again := ers()
		again.AuthenticatedAfter = h.Clock.Now().Add(time.Second)
		h.Clock.Later(time.Minute)
		v.get("/signin?req=" + h.sealed(again)).isAt("/signin/key")
		if !v.begins() {
			t.Errorf("%s, remembered: waits for the button", m)
		}
		if v.touch(key); v.At != ers().ReturnTo {
			t.Errorf("%s: at %s:\n%s", m, v.At, v.Text())
		}
	}
}

// TestAKeySignInCostsOneCommitAndSixStatements is the budget of a passkey:
// the key is read with all that it is judged by, and the gate does the rest.
func TestAKeySignInCostsOneCommitAndSixStatements(t *testing.T) {
	h := newHouse(t)
	for _, m := range []care.Method{care.SecurityKey, care.Passkey} {
		key := h.keyOf(amara, m)
		v := h.visitor()
		commits, statements, reads := h.spent(func() {
			v.get("/signin?req=" + h.sealed(ers())).pickKey(m).touch(key).isAt("/authorize")
		})
		t.Logf("%s: %d commits, %d statements, %d reads", m, commits, statements, reads)
		if commits != 1 || statements != 6 {
			t.Errorf("%s: %d commits and %d statements, want 1 and 6", m, commits, statements)
		}
	}
}

// TestAKeyThatDoesNotKnowItsHolderIsAskedForByAddress.
func TestAKeyThatDoesNotKnowItsHolderIsAskedForByAddress(t *testing.T) {
	h := newHouse(t)
	key := fidotest.New(gatetest.Base)
	key.Discoverable = false
	h.Key(amara, care.SecurityKey, key)
	req := ers()
	req.LoginHint = string(amara.Email)
	v := h.asked(req).pickKey(care.SecurityKey)
	if v.Field("email") != string(amara.Email) {
		t.Errorf("the service's hint is not filled in: %q", v.Field("email"))
	}
	v.touch(key).isAt("/signin/key").sees(http.StatusUnprocessableEntity, "Your browser", "Reference")
	if v.begins() {
		t.Error("the page asks by itself again after a mistake")
	}
	v.submit("/signin/key/email", "email", "nobody").isAt("/signin/key").sees(http.StatusUnprocessableEntity, "Enter an email address in the correct format")
	if v.Field("email") != "nobody" {
		t.Errorf("what was typed is gone: %q", v.Field("email"))
	}
	v.submit("/signin/key/email", "email", string(amara.Email)).isAt("/signin/key").sees(http.StatusOK, "You are signing in as "+string(amara.Email))
	if v.touch(key); v.At != ers().ReturnTo || v.session().UID != amara.UID {
		t.Errorf("at %s:\n%s", v.At, v.Text())
	}
}

// TestAKeyOfSomebodyElseThanTheAddress, and ASVS 6.3.8: an address that nobody
// has looks as one that somebody has.
func TestAKeyOfSomebodyElseThanTheAddress(t *testing.T) {
	h := newHouse(t)
	key := h.keyOf(amara, care.SecurityKey)
	asked := func(address care.Email) *visitor {
		return h.asked(ers()).pickKey(care.SecurityKey).submit("/signin/key/email", "email", string(address)).isAt("/signin/key")
	}
	stranger, other := asked("nobody@northgate.example.nhs.uk"), asked(helen.Email)
	for name, v := range map[string]*visitor{"nobody": stranger, "without a key": other} {
		var o struct {
			PublicKey struct{ AllowCredentials []struct{ ID string } }
		}
		if err := json.Unmarshal(v.options(), &o); err != nil || len(o.PublicKey.AllowCredentials) == 0 {
			t.Errorf("%s: the browser is asked for %+v (%v)", name, o, err)
		}
	}
	// A browser that answers with another key all the same.
	response, err := key.Get(json.RawMessage(strings.Replace(string(other.options()), `"allowCredentials"`, `"other"`, 1)))
	h.must(err)
	other.submit("/signin/key", "response", string(response)).isAt("/signin/key").sees(http.StatusUnprocessableEntity, "not for this email address")
	if other.session() != nil {
		t.Error("signed in")
	}
}

// TestEachWordOfABrowserHasANextStep: the page says what happened and what to
// do, with a reference, and asks again.
func TestEachWordOfABrowserHasANextStep(t *testing.T) {
	h := newHouse(t)
	seen := map[string]bool{}
	for _, name := range []string{"NotAllowedError", "TimeoutError", "ConstraintError", "NotSupportedError", "SecurityError", "unsupported", "UnknownError"} {
		v := h.asked(ers()).pickKey(care.SecurityKey)
		v.submit("/signin/key", "error", name).isAt("/signin/key").sees(http.StatusUnprocessableEntity, "There is a problem", "Reference", "Use another way to sign in")
		words := pagetest.Unreferenced(v.Text())
		if seen[words] {
			t.Errorf("%s has the words of another", name)
		}
		seen[words] = true
		if strings.Contains(v.Text(), name) {
			t.Errorf("the page says %s", name)
		}
		if v.begins() {
			t.Errorf("%s: the page asks by itself again", name)
		}
		v.follow("Use another way to sign in").isAt("/signin").sees(http.StatusOK, "Select your login method")
	}
	h.asked(ers()).pickKey(care.SecurityKey).submit("/signin/key").isAt("/signin/key").sees(http.StatusUnprocessableEntity, "JavaScript")
}

// TestAChallengeIsForOneJourneyAndOneUse: 5 minutes, this browser, this tab,
// once (WebAuthn section 13.4.3).
func TestAChallengeIsForOneJourneyAndOneUse(t *testing.T) {
	h := newHouse(t)
	key := h.keyOf(amara, care.SecurityKey)
	over := func(name string, v *visitor, c, response string, ok bool) {
		t.Helper()
		v.submit("/signin/key", "c", c, "response", response)
		if signedIn := v.At == ers().ReturnTo; signedIn != ok {
			t.Errorf("%s: at %s:\n%s", name, v.At, v.Text())
		}
	}
	answer := func(v *visitor) (c, response string) {
		t.Helper()
		got, err := key.Get(v.options())
		h.must(err)
		return v.Field("c"), string(got)
	}
	v := h.asked(ers()).pickKey(care.SecurityKey)
	c, response := answer(v)
	over("in another tab", v.get("/signin?choose=1&req="+h.sealed(ers())).pickKey(care.SecurityKey), c, response, false)
	over("in another browser", h.asked(ers()).pickKey(care.SecurityKey), c, response, false)

	v = h.asked(ers()).pickKey(care.SecurityKey)
	page := v.At
	c, response = answer(v)
	over("the first time", v, c, response, true)
	v.get(page)
	over("the second time", v, c, response, false)

	v = h.asked(ers()).pickKey(care.SecurityKey)
	c, response = answer(v)
	h.Clock.Later(5*time.Minute - time.Second)
	over("after 4:59", v, c, response, true)
	v = h.asked(ers()).pickKey(care.SecurityKey)
	c, response = answer(v)
	h.Clock.Later(5 * time.Minute)
	over("after 5:00", v, c, response, false)
	v.sees(http.StatusUnprocessableEntity, "five minutes")
	v.touch(key).isAt("/authorize") // the page has a new one
}

// TestAKeyThatCountsForLessIsToldSo: N8. A key that may be copied opens nothing
// that needs AAL3, and the page says why and what to do.
func TestAKeyThatCountsForLessIsToldSo(t *testing.T) {
	h := newHouse(t)
	key := fidotest.New(gatetest.Base)
	key.Format = fidotest.None
	h.Key(amara, care.SecurityKey, key)
	strict := ers()
	strict.ACR = care.AAL3Any
	v := h.asked(strict).pickKey(care.SecurityKey).touch(key)
	v.sees(http.StatusForbidden, "Your key counts for less", "Registration Authority", "Reference")
	if v.session() != nil {
		t.Error("signed in")
	}
	v.follow("Use another way to sign in").isAt("/signin")
}

// TestAKeyThatMustNotBeUsedIsRefused with a page of its own.
func TestAKeyThatMustNotBeUsedIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(h *house, key *fidotest.Key)
		words string
	}{
		"suspended": {func(h *house, _ *fidotest.Key) {
			held := h.Held(amara.UID)
			i := slices.IndexFunc(held, func(r credential.Record) bool { return r.Method == care.SecurityKey })
			h.Write(func(tx *db.Tx) error { return credential.Suspend(tx, held[i].ID, "lost") })
		}, "This key was suspended"},
		"copied": {func(h *house, key *fidotest.Key) {
			copied := key.Copy()
			h.asked(ers()).pickKey(care.SecurityKey).touch(key).isAt("/authorize")
			h.asked(ers()).pickKey(care.SecurityKey).touch(key).isAt("/authorize")
			*key = *copied
		}, "There may be a copy of your key"},
	} {
		h := newHouse(t)
		key := h.keyOf(amara, care.SecurityKey)
		c.spoil(h, key)
		v := h.asked(ers()).pickKey(care.SecurityKey).touch(key)
		v.sees(http.StatusForbidden, c.words, "Reference").follow("Use another way to sign in").isAt("/signin")
		if v.session() != nil {
			t.Errorf("%s: signed in", name)
		}
	}
}

// TestAKeyOfAnotherMethodIsSentThere.
func TestAKeyOfAnotherMethodIsSentThere(t *testing.T) {
	h := newHouse(t)
	key := h.keyOf(amara, care.Passkey)
	h.asked(ers()).pickKey(care.SecurityKey).touch(key).isAt("/signin/key").sees(http.StatusUnprocessableEntity, "registered as another type")
}

// TestPasskeysAreInPrivateBeta: open to the services and the people that the
// operator lets in, and to nobody else, whatever the browser sends.
func TestPasskeysAreInPrivateBeta(t *testing.T) {
	for name, c := range map[string]struct {
		services, people []string
		offered, in      bool
	}{
		"nobody":           {nil, nil, false, false},
		"the service":      {[]string{"ers"}, nil, true, false},
		"the person":       {nil, []string{string(amara.UID)}, false, false},
		"both":             {[]string{"ers"}, []string{string(amara.UID)}, true, true},
		"where they work":  {[]string{"ers"}, []string{"RX1"}, true, true},
		"another service":  {[]string{"ncrs"}, []string{"all"}, false, false},
		"another person":   {[]string{"ers"}, []string{string(helen.UID), "RX9"}, true, false},
		"everybody":        {[]string{"all"}, []string{"all"}, true, true},
		"the service only": {[]string{"ers"}, []string{"X"}, true, false},
	} {
		h := newHouse(t)
		h.roles(amara.UID, 2)
		h.SignIn.Passkeys = access.NewCohort(c.services, c.people)
		key := h.keyOf(amara, care.Passkey)
		v := h.asked(ers())
		if v.choices("method")[6].Disabled == c.offered {
			t.Errorf("%s: offered: %t", name, !c.offered)
		}
		if !c.offered {
			v.sees(http.StatusOK, "In private beta, and not open here yet.")
			v.Post("/signin", pagetest.Fields("req", v.Field("req"), "method", "passkey"))
			v.check().isAt("/signin")
			continue
		}
		v.pickKey(care.Passkey).touch(key)
		if signedIn := v.session() != nil; signedIn != c.in {
			t.Errorf("%s: signed in: %t\n%s", name, signedIn, v.Text())
		}
		if !c.in {
			v.sees(http.StatusForbidden, "Passkeys are in private beta", "Reference")
		}
	}
}

// TestAPasskeyByAnotherNameSignsInAsOne: a key that may be copied opens only what
// passkeys open, whatever it was registered as, and is kept as one for single
// sign-on.
func TestAPasskeyByAnotherNameSignsInAsOne(t *testing.T) {
	all := []string{access.Everyone}
	without := ers()
	without.Methods = []care.Method{care.SecurityKey, care.WindowsHello, care.AuthenticatorApp}
	for name, c := range map[string]struct {
		req              care.Requirement
		services, people []string
		in               bool
	}{
		"open to both":                         {ers(), all, all, true},
		"not to the service":                   {ers(), []string{"ncrs"}, all, false},
		"not to the person any more":           {ers(), all, []string{string(helen.UID)}, false},
		"the service does not accept passkeys": {without, all, all, false},
	} {
		for method, attachment := range map[care.Method]string{care.SecurityKey: "cross-platform", care.WindowsHello: "platform"} {
			h := newHouse(t)
			h.SignIn.Passkeys = access.NewCohort(c.services, c.people)
			key := fidotest.NewSynced(gatetest.Base)
			key.Attachment = attachment
			h.Key(amara, method, key)
			v := h.asked(c.req).pickKey(method).touch(key)
			if s := v.session(); c.in && (s == nil || s.Method != care.Passkey || s.AAL != care.AAL2) || !c.in && s != nil {
				t.Errorf("%s, %s: session %+v\n%s", name, method, s, v.Text())
			}
			if !c.in {
				v.sees(http.StatusForbidden, "Passkeys are in private beta", "Use another way to sign in", "Reference")
			}
		}
	}
}

// TestAPasskeyIsOfferedInTheAddressField too, until an address is typed.
func TestAPasskeyIsOfferedInTheAddressField(t *testing.T) {
	h := newHouse(t)
	conditional := func(v *visitor) bool {
		_, on := attribute(v.ceremony(), "data-carekey-conditional")
		return on
	}
	v := h.asked(ers()).pickKey(care.Passkey)
	autocomplete := ""
	v.nodes("input", func(n *html.Node) {
		if attr(n, "name") == "email" {
			autocomplete = attr(n, "autocomplete")
		}
	})
	if !conditional(v) || autocomplete != "username webauthn" {
		t.Errorf("conditional: %t, autocomplete %q", conditional(v), autocomplete)
	}
	if conditional(v.submit("/signin/key/email", "email", string(amara.Email))) {
		t.Error("the list of all passkeys is offered for one address")
	}
	if conditional(h.asked(ers()).pickKey(care.SecurityKey)) {
		t.Error("a security key is offered in the address field")
	}
}

// TestAJourneyOfAnAppHasNoKeyPage: what is verified is what was chosen.
func TestAJourneyOfAnAppHasNoKeyPage(t *testing.T) {
	h := newHouse(t)
	v := h.asked(ers()).choose()
	v.get("/signin/key?j="+v.sealedAt()).sees(http.StatusConflict, "Reference")
	v = h.asked(ers()).pickKey(care.SecurityKey)
	v.get("/signin/code?j="+v.sealedAt()).sees(http.StatusConflict, "Reference")
}

// TestAKeyOnASharedComputer signs in for one service, and no choice is
// remembered (decision 8).
func TestAKeyOnASharedComputer(t *testing.T) {
	h := newHouse(t)
	h.network = ward
	key := h.keyOf(amara, care.SecurityKey)
	v := h.asked(ers()).pickKey(care.SecurityKey, "remember", "yes").touch(key)
	if s := h.Alive(v.cookie(session.Cookie)); s == nil || !s.Shared {
		t.Errorf("%+v", s)
	}
	other := ers()
	other.ClientID = "ncrs"
	v.get("/signin?req="+h.sealed(other)).isAt("/signin").sees(http.StatusOK, "Select your login method")
}
