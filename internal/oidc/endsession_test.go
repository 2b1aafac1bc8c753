package oidc_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/oidc"
	"carekey.dev/carekey/internal/page/pagetest"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/session"
)

const (
	endSessionPath = oidc.RealmPath + "/connect/endSession"
	// signedOutAt is where e-RS wants its people after a sign-out.
	signedOutAt = "https://ers.example.nhs.uk/signed-out"
)

// withFarewell lets e-RS say where people go after a sign-out, and change more.
func (h *house) withFarewell(change ...func(*relyingparty.RelyingParty)) {
	h.t.Helper()
	h.change(ers, func(rp *relyingparty.RelyingParty) {
		rp.PostLogoutRedirectURIs = []string{signedOutAt, signedOutAt + "?from=carekey"}
		for _, f := range change {
			f(rp)
		}
	})
}

// atERS signs somebody in to e-RS and returns the session and the ID token.
func (b *browser) atERS(uid care.UID) (*session.Session, string) {
	b.h.t.Helper()
	s := b.withApp(uid)
	return s, b.h.tokens(b.code(b.authorize(ask())))["id_token"].(string)
}

// leave is a sign-out request, as a link or a redirect of e-RS sends it.
func (b *browser) leave(pairs ...string) answer {
	b.h.t.Helper()
	return b.read(endSessionPath + "?" + form(pairs...).Encode())
}

// read opens a page as a browser does.
func (b *browser) read(path string) answer {
	b.h.t.Helper()
	r, err := http.NewRequest(http.MethodGet, b.h.server.URL+path, nil)
	if err != nil {
		b.h.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	return b.do(r)
}

func form(pairs ...string) url.Values {
	all := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		all.Add(pairs[i], pairs[i+1])
	}
	return all
}

// follow goes where a redirect of ours leads.
func (b *browser) follow(a answer) answer {
	b.h.t.Helper()
	if a.status != http.StatusSeeOther || !strings.HasPrefix(a.header.Get("Location"), "/") {
		b.h.t.Fatalf("answered %d %s, want one of our pages\n%s", a.status, a.header.Get("Location"), a.body)
	}
	return b.read(a.header.Get("Location"))
}

// over reports whether a session has ended.
func (h *house) over(s *session.Session) (over bool) {
	h.t.Helper()
	err := h.Read(h.t.Context(), func(tx *db.Tx) error {
		found, err := session.StandingAs(tx, s.SID)
		over = found == nil
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return over
}

// OpenID Connect RP-Initiated Logout sections 2 and 3; wire rule 17.
func TestAFreshHintSignsOutAtOnceAndLeadsBack(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.withFarewell()
		b := h.browser()
		s, hint := b.atERS(amara)
		a := b.leave("id_token_hint", hint, "post_logout_redirect_uri", signedOutAt+"?from=carekey", "state", "s &1")
		if a.status != http.StatusSeeOther || a.header.Get("Location") != signedOutAt+"?from=carekey&state=s+%261" {
			t.Errorf("answered %d %s", a.status, a.header.Get("Location"))
		}
		if !h.over(s) {
			t.Error("the session goes on")
		}
		if cookies := strings.Join(a.header.Values("Set-Cookie"), "\n"); !strings.Contains(cookies, session.Cookie+"=;") {
			t.Errorf("the cookie stays: %s", cookies)
		}
		audited := strings.Join(h.audited(), "\n")
		if !strings.Contains(audited, "session.ended by "+ers) {
			t.Errorf("the audit log says\n%s", audited)
		}
		// Without state, without a way back, and when there is nobody to sign out.
		s, hint = b.atERS(amara)
		if a := b.leave("id_token_hint", hint, "post_logout_redirect_uri", signedOutAt); a.header.Get("Location") != signedOutAt {
			t.Errorf("without state the browser goes to %s", a.header.Get("Location"))
		}
		if a := b.leave("id_token_hint", hint, "post_logout_redirect_uri", signedOutAt); a.header.Get("Location") != signedOutAt || !h.over(s) {
			t.Errorf("a second time the browser goes to %s", a.header.Get("Location"))
		}
		s, hint = b.atERS(amara)
		a = b.follow(b.leave("id_token_hint", hint, "state", "alone"))
		if a.status != http.StatusOK || !strings.Contains(a.body, "You have signed out") || !h.over(s) {
			t.Errorf("answered %d\n%s", a.status, a.body)
		}
		pagetest.Check(t, a.body)
		const told = "We have told the services"
		if !strings.Contains(a.body, told) {
			t.Errorf("the page does not say that services were told\n%s", a.body)
		}
		if a := b.follow(b.leave()); strings.Contains(a.body, told) || !strings.Contains(a.body, "You have signed out") {
			t.Errorf("where nobody was signed in the page says\n%s", a.body)
		}
	})
}

// OpenID Connect RP-Initiated Logout section 2: a session of the present may be
// signed out of by an ID token that has expired. A nurse who signs out at the end
// of a shift walks away, and answers no question.
func TestAnExpiredHintSignsOutTheSessionThatTheBrowserHolds(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.withFarewell()
		b := h.browser()
		s, hint := b.atERS(amara)
		h.pass(9 * time.Hour)
		if a := h.browser().leave("id_token_hint", hint); h.over(s) {
			t.Fatalf("a stranger's browser signed Amara out by an old ID token: %d %s", a.status, a.body)
		}
		a := b.leave("id_token_hint", hint, "post_logout_redirect_uri", signedOutAt, "state", "s")
		if a.status != http.StatusSeeOther || a.header.Get("Location") != signedOutAt+"?state=s" || !h.over(s) {
			t.Errorf("answered %d %s\n%s", a.status, a.header.Get("Location"), a.body)
		}
	})
}

// ASVS 10.6.2, and OpenID Connect RP-Initiated Logout section 2: the person is
// asked unless a valid ID token names this very session.
func TestNobodyIsSignedOutWithoutAHintOrTheirYes(t *testing.T) {
	type scene struct {
		hint, other, old string // of this session, of another, and expired
	}
	for name, test := range map[string]struct {
		ask func(s scene) url.Values
		// back: after the yes, the browser goes back to e-RS. refused: the log
		// says what was wrong with the request.
		back    bool
		refused string
	}{
		"no parameter":          {ask: func(scene) url.Values { return nil }},
		"only state":            {ask: func(scene) url.Values { return form("state", "s-1") }},
		"a client, no hint":     {ask: func(scene) url.Values { return form("client_id", ers, "post_logout_redirect_uri", signedOutAt) }, back: true},
		"an address, no client": {ask: func(scene) url.Values { return form("post_logout_redirect_uri", signedOutAt) }, refused: "was sent without id_token_hint or client_id"},
		// An expired ID token may lie in anybody's log.
		"an expired hint of another session": {ask: func(s scene) url.Values {
			return form("id_token_hint", s.old, "post_logout_redirect_uri", signedOutAt)
		}, back: true},
		"a hint of another session": {ask: func(s scene) url.Values {
			return form("id_token_hint", s.other, "post_logout_redirect_uri", signedOutAt)
		}, back: true},
		// RP-Initiated Logout section 2: the OP must verify that it issued it.
		"a changed hint": {ask: func(s scene) url.Values {
			return form("id_token_hint", changed(s.hint), "post_logout_redirect_uri", signedOutAt)
		}, refused: "not an ID token that was issued here"},
		"a hint without signature": {ask: func(s scene) url.Values {
			return form("id_token_hint", unsigned(s.hint), "post_logout_redirect_uri", signedOutAt)
		}, refused: "not an ID token that was issued here"},
		"no token": {ask: func(scene) url.Values {
			return form("id_token_hint", "<script>", "post_logout_redirect_uri", signedOutAt)
		}, refused: "not an ID token that was issued here"},
		// Section 2: client_id must be the one that the hint was issued to.
		"the hint of another client": {ask: func(s scene) url.Values {
			return form("id_token_hint", s.hint, "client_id", mesh, "post_logout_redirect_uri", signedOutAt)
		}, refused: "client_id is not the client"},
		"an unknown client": {ask: func(scene) url.Values { return form("client_id", "nobody") }, refused: "client is not registered"},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			h.withFarewell()
			b := h.browser()
			_, old := h.browser().atERS(amara)
			h.pass(61 * time.Minute)
			s, hint := b.atERS(amara)
			theirs, other := h.browser().atERS(zoe)
			a := b.leave(flat(test.ask(scene{hint, other, old}))...)
			if a.status != http.StatusOK || !strings.Contains(a.body, "Do you want to sign out?") || !strings.Contains(a.body, "Dr Amara OSEI") {
				t.Fatalf("answered %d %s\n%s", a.status, a.header.Get("Location"), a.body)
			}
			pagetest.Check(t, a.body)
			if h.over(s) || h.over(theirs) {
				t.Fatal("somebody was signed out without being asked")
			}
			if log := h.log.String(); test.refused != "" && !strings.Contains(log, test.refused) {
				t.Errorf("the log does not say %q:\n%s", test.refused, log)
			}
			a = b.say(a, "Yes, sign out")
			if !h.over(s) || h.over(theirs) {
				t.Fatal("the yes did not sign out this session alone")
			}
			if back := a.header.Get("Location") == signedOutAt; back != test.back {
				t.Errorf("the browser goes to %s", a.header.Get("Location"))
			}
			if test.refused != "" {
				a = b.follow(a)
				if ref := h.faults.last().Ref; a.status != http.StatusBadRequest || !strings.Contains(a.body, ref) {
					t.Errorf("the page after the sign-out does not show %s: %d\n%s", ref, a.status, a.body)
				}
				pagetest.Check(t, a.body)
			}
		})
	}
}

// OpenID Connect RP-Initiated Logout section 3: no redirection to an address
// that does not match exactly. The sign-out itself was right.
func TestAnAddressThatIsNotRegisteredIsNeverRedirectedTo(t *testing.T) {
	for _, uri := range []string{
		"https://evil.example/", signedOutAt + "/", signedOutAt + "?more=1", callback, "javascript:alert(1)", "//evil.example",
		"https://ers.example.nhs.uk.evil.example/signed-out", strings.ToUpper(signedOutAt), "\x00",
	} {
		h := open(t)
		h.withFarewell()
		b := h.browser()
		s, hint := b.atERS(amara)
		a := b.follow(b.leave("id_token_hint", hint, "post_logout_redirect_uri", uri))
		if a.status != http.StatusBadRequest || !strings.Contains(a.body, "could not send you back") || !strings.Contains(a.body, h.faults.last().Ref) {
			t.Errorf("%q: answered %d\n%s", uri, a.status, a.body)
		}
		pagetest.Check(t, a.body)
		if strings.Contains(a.body, "evil") || strings.Contains(a.body, "alert") || a.header.Get("Refresh") != "" {
			t.Errorf("%q: the page leads there", uri)
		}
		if !h.over(s) {
			t.Errorf("%q: the session goes on", uri)
		}
		if !fault.Has(h.faults.last(), fault.SignOutRefused) || !strings.Contains(h.log.String(), "post_logout_redirect_uri is not registered") {
			t.Errorf("%q: the log says\n%s", uri, h.log.String())
		}
	}
}

// Wire rule 17: a relying party's server calls without a browser, and wants no
// page. What it may not do alone is said as an OAuth error.
func TestAProgramGetsNoPage(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		h.withFarewell()
		server := h.browser()
		program := func(pairs ...string) answer { return server.get(endSessionPath + "?" + form(pairs...).Encode()) }
		s, hint := h.browser().atERS(amara)
		for _, wrong := range []answer{program(), program("id_token_hint", "x"), program("id_token_hint", hint, "client_id", mesh), program("state", "1", "state", "2")} {
			if wrong.status != http.StatusBadRequest || object(t, wrong.body)["error"] != "invalid_request" || h.over(s) {
				t.Errorf("answered %d %s", wrong.status, wrong.body)
			}
		}
		if a := program("id_token_hint", hint); a.status != http.StatusNoContent || a.body != "" || !h.over(s) {
			t.Errorf("answered %d %q", a.status, a.body)
		}
		if a := program("id_token_hint", hint); a.status != http.StatusNoContent {
			t.Errorf("a second time: %d %q", a.status, a.body)
		}
		s, hint = h.browser().atERS(amara)
		a := h.post("/connect/endSession", form("id_token_hint", hint, "post_logout_redirect_uri", signedOutAt, "state", "s"))
		if a.status != http.StatusSeeOther || a.header.Get("Location") != signedOutAt+"?state=s" || !h.over(s) {
			t.Errorf("answered %d %s %s", a.status, a.header.Get("Location"), a.body)
		}
		s, hint = h.browser().atERS(amara)
		if a := program("id_token_hint", hint, "post_logout_redirect_uri", callback); a.status != http.StatusBadRequest || !h.over(s) {
			t.Errorf("an address that is not registered: %d %s", a.status, a.body)
		}
		s, hint = h.browser().atERS(amara)
		h.pass(61 * time.Minute)
		if a := program("id_token_hint", hint); a.status != http.StatusBadRequest || !strings.Contains(a.body, "has expired") || h.over(s) {
			t.Errorf("an expired hint: %d %s", a.status, a.body)
		}
	})
}

// OpenID Connect RP-Initiated Logout section 2: GET and POST. A browser sends
// no cookies with a form from another site, so it comes back with a GET.
func TestAFormFromAnotherSiteSignsOut(t *testing.T) {
	h := open(t)
	h.withFarewell()
	b := h.browser()
	s, hint := b.atERS(amara)
	a := h.post("/connect/endSession", form("id_token_hint", hint, "post_logout_redirect_uri", signedOutAt, "state", "s"),
		"Accept", "text/html", "Origin", "https://ers.example.nhs.uk", "Sec-Fetch-Site", "cross-site")
	if h.over(s) {
		t.Fatal("signed out before the browser showed its cookies")
	}
	if a = b.follow(a); a.header.Get("Location") != signedOutAt+"?state=s" || !h.over(s) {
		t.Errorf("answered %d %s", a.status, a.header.Get("Location"))
	}
}

func TestASignOutRequestThatCannotBeReadSaysSo(t *testing.T) {
	h := open(t)
	b := h.browser()
	s, hint := b.atERS(amara)
	for _, query := range []string{"state=1&state=2", "%zz", "id_token_hint=" + hint + "&id_token_hint=" + hint, "state=" + strings.Repeat("x", 17<<10)} {
		a := b.read(endSessionPath + "?" + query)
		if a.status != http.StatusBadRequest || !strings.Contains(a.body, "could not read that sign-out request") || h.over(s) {
			t.Errorf("%.40s: answered %d", query, a.status)
		}
		pagetest.Check(t, a.body)
		if !fault.Has(h.faults.last(), fault.SignOutUnreadable) {
			t.Errorf("%.40s: recorded %v", query, h.faults.last())
		}
	}
}

// Decision 7: idle expiry ended single sign-on alone, so there is still
// something to sign out of. Whoever sits there by now is not told a name.
func TestAnIdleSessionCanStillBeSignedOutOf(t *testing.T) {
	h := open(t)
	h.withFarewell()
	b := h.browser()
	s := b.signIn(amara, care.Smartcard, care.AAL3)
	hint := h.tokens(b.code(b.authorize(ask())))["id_token"].(string)
	h.pass(16 * time.Minute)
	asked := b.leave("client_id", ers)
	if !strings.Contains(asked.body, "Do you want to sign out?") || strings.Contains(asked.body, "OSEI") {
		t.Errorf("answered %d\n%s", asked.status, asked.body)
	}
	if b.leave("id_token_hint", hint); !h.over(s) {
		t.Error("the idle session goes on")
	}
}

func TestAYesSignsOutOnlyTheSessionThatWasAskedAbout(t *testing.T) {
	h := open(t)
	b := h.browser()
	b.atERS(amara)
	asked := b.leave()
	second, _ := b.atERS(zoe) // in another tab
	if a := b.say(asked, "Yes, sign out"); a.header.Get("Location") != "/signout" || h.over(second) {
		t.Errorf("answered %d %s", a.status, a.header.Get("Location"))
	}
	// A form of another site, or of another browser.
	asked = b.leave()
	stranger := h.browser()
	stranger.atERS(amara)
	if a := stranger.say(asked, "Yes, sign out"); a.status != http.StatusForbidden || h.over(second) {
		t.Errorf("answered %d", a.status)
	}
}

// FuzzSignOutRequest: whatever a stranger puts into the address, nobody is
// signed out by it, nobody is sent to an address that is not registered, and
// nothing breaks.
func FuzzSignOutRequest(f *testing.F) {
	h := open(f)
	h.withFarewell()
	b, stranger := h.browser(), h.browser()
	s, _ := b.atERS(amara)
	_, hint := h.browser().atERS(amara) // of another session
	h.pass(61 * time.Minute)
	f.Add("id_token_hint=" + hint + "&state=s&post_logout_redirect_uri=" + url.QueryEscape(signedOutAt))
	f.Add("client_id=" + ers + "&post_logout_redirect_uri=" + url.QueryEscape(signedOutAt+"?from=carekey") + "&state=%00%ff")
	f.Add("id_token_hint=a.b.c&client_id=%zz&logout_hint=x&ui_locales=cy")
	f.Add("state=1&state=2;&id_token_hint=" + unsigned(hint))
	f.Fuzz(func(t *testing.T, query string) {
		h.t = t
		if strings.ContainsFunc(query, func(r rune) bool { return r <= ' ' || r == '#' || r == 0x7f }) {
			return // no client can send that
		}
		for who, browser := range map[string]*browser{"a person": b, "a stranger": stranger} {
			u := &url.URL{Scheme: "https", Host: strings.TrimPrefix(h.server.URL, "https://"), Path: endSessionPath, RawQuery: query}
			a := browser.do(&http.Request{Method: http.MethodGet, URL: u, Header: http.Header{"Accept": {"text/html"}}})
			to := a.header.Get("Location")
			if a.status != http.StatusOK && a.status != http.StatusBadRequest && a.status != http.StatusSeeOther {
				t.Errorf("%s is answered %d", who, a.status)
			}
			if to != "" && !strings.HasPrefix(to, signedOutAt) && !strings.HasPrefix(to, endSessionPath+"/done?j=") {
				t.Errorf("%s is sent to %s", who, to)
			}
		}
		if h.over(s) {
			t.Error("signed out by a link")
		}
	})
}

// say sends the form of a page with the button of that name.
func (b *browser) say(a answer, button string) answer {
	b.h.t.Helper()
	if !strings.Contains(a.body, button) {
		b.h.t.Fatalf("there is no button %q on\n%s", button, a.body)
	}
	sent := url.Values{}
	for _, name := range []string{"csrf", "j"} {
		_, rest, _ := strings.Cut(a.body[strings.Index(a.body, endSessionPath+"/confirm"):], `name="`+name+`" value="`)
		value, _, _ := strings.Cut(rest, `"`)
		sent.Set(name, value)
	}
	r, err := http.NewRequest(http.MethodPost, b.h.server.URL+endSessionPath+"/confirm", strings.NewReader(sent.Encode()))
	if err != nil {
		b.h.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", "text/html")
	return b.do(r)
}

// flat turns parameters into pairs.
func flat(all url.Values) []string {
	var pairs []string
	for name, values := range all {
		for _, value := range values {
			pairs = append(pairs, name, value)
		}
	}
	return pairs
}

// changed breaks a token's signature.
func changed(token string) string {
	head, signature := token[:strings.LastIndex(token, ".")+1], token[strings.LastIndex(token, ".")+1:]
	if signature[0] == 'A' {
		return head + "B" + signature[1:]
	}
	return head + "A" + signature[1:]
}

// unsigned is a token that says it needs no signature.
func unsigned(token string) string {
	parts := strings.Split(token, ".")
	return "eyJhbGciOiJub25lIn0." + parts[1] + "."
}
