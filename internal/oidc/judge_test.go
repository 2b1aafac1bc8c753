package oidc

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/session"
)

// meets says which sign-ins meet each class, as method/level (domain, 1.8).
// Anything that is not here does not.
var meets = map[care.ACR]string{
	"AAL3_ANY":            "smartcard/3 windows_hello/3 security_key/3 ipad_app/3",
	"AAL2_OR_AAL3_ANY":    "smartcard/2 smartcard/3 windows_hello/2 windows_hello/3 security_key/2 security_key/3 ipad_app/2 ipad_app/3 authenticator_app/2 nhsmail/2 passkey/2 passkey/3",
	"AAL2_ANY":            "authenticator_app/2 nhsmail/2 passkey/2 passkey/3",
	"AAL3_IOS":            "ipad_app/3",
	"AAL3_FIDO2":          "windows_hello/3 security_key/3",
	"AAL3_N3_SMARTCARD":   "smartcard/3",
	"AAL3_CIS2_SMARTCARD": "smartcard/3",
	"AAL3_SMARTCARD":      "smartcard/3",
	"AAL2_TOTP":           "authenticator_app/2",
	"AAL2_NHSMAIL":        "nhsmail/2",
}

// ages are how long ago a session's sign-in was.
var ages = []time.Duration{
	0, time.Second, time.Minute, 299 * time.Second, 300 * time.Second, 301 * time.Second,
	599 * time.Second, 600 * time.Second, 601 * time.Second, time.Hour, 23 * time.Hour,
}

// requests are what a relying party can say about the age of a sign-in; the
// column tells for each of ages whether the sign-in counts. since is how long
// ago this very request first sent the person to sign in, negative for never.
var requests = []struct {
	prompt, maxAge, defaultMaxAge string
	since                         time.Duration
	counts                        string
}{
	{"", "", "", -1, "yyyyyyyyyyy"},
	{"consent", "", "", -1, "yyyyyyyyyyy"},
	{"none", "", "", -1, "yyyyyyyyyyy"},
	{"", "", "", 300 * time.Second, "yyyyyyyyyyy"},

	{"", "300", "", -1, "yyyyy......"}, // OpenID Connect Core section 3.1.2.1
	{"none", "300", "", -1, "yyyyy......"},
	{"consent", "300", "", -1, "yyyyy......"},
	{"", "3600000", "", -1, "yyyyyyyyyyy"}, // wire rule 13
	{"", "9223372036854775807", "", -1, "yyyyyyyyyyy"},
	{"", "300", "", 60 * time.Second, "yyyyy......"},
	{"", "300", "", 300 * time.Second, "yyyyy......"},
	{"", "300", "", 599 * time.Second, "yyyyyyy...."}, // the sign-in that it asked for counts
	{"", "300", "", 20 * time.Minute, "yyyyyyyy..."},  // for ten minutes

	{"", "", "300", -1, "yyyyy......"}, // OpenID Connect Registration section 2
	{"none", "", "300", -1, "yyyyy......"},
	{"", "3600", "300", -1, "yyyyyyyyyy."},
	{"", "60", "300", -1, "yyy........"},
	{"", "", "0", -1, "..........."},

	{"", "0", "", -1, "..........."},
	{"none", "0", "", -1, "..........."},
	{"", "0", "", 300 * time.Second, "yyyyy......"},
	{"", "0", "", 20 * time.Minute, "yyyyyyyy..."},

	{"login", "", "", -1, "..........."}, // wire rule 18
	{"login", "3600", "", -1, "..........."},
	{"login consent", "", "", -1, "..........."},
	{"select_account", "", "", -1, "..........."},
	{"login", "", "", 0, "y.........."},
	{"login", "", "", 300 * time.Second, "yyyyy......"},
	{"login", "3600", "", 300 * time.Second, "yyyyy......"},
	{"login", "60", "", 300 * time.Second, "yyyyy......"}, // answered, if slowly
	{"login", "", "", 20 * time.Minute, "yyyyyyyy..."},
	{"select_account", "", "", 300 * time.Second, "yyyyy......"},
}

// TestEveryLevelAgeAndRequest goes through every class, every method at every
// level that it reaches, every age and everything that a request can say about age: a class is
// met exactly where both tables say so, and what is not met asks the person or
// ends in an error (OpenID Connect Core section 3.1.2.6), never in a lower class.
func TestEveryLevelAgeAndRequest(t *testing.T) {
	now := time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	cases := 0
	for class := range meets {
		for _, asks := range requests {
			req := requestFor(t, class, asks.prompt, asks.maxAge, asks.defaultMaxAge)
			var asked time.Time
			if asks.since >= 0 {
				asked = now.Add(-asks.since)
			}
			if is := req.judge(nil, asked, now); is.acr != "" || (is.missing == nil) != req.silent {
				t.Errorf("%s without a session: %+v", class, is)
			}
			for i, age := range ages {
				for _, s := range everySession(now.Add(-age)) {
					cases++
					want := asks.counts[i] == 'y' && slices.Contains(strings.Fields(meets[class]), fmt.Sprintf("%s/%d", s.Method, s.AAL))
					what := fmt.Sprintf("%s, prompt %q, max_age %q (default %q), asked %v ago, %s at %s %v old",
						class, asks.prompt, asks.maxAge, asks.defaultMaxAge, asks.since, s.Method, s.AAL, age)
					checkVerdict(t, what, class, req, req.judge(&s, asked, now), want)
				}
			}
		}
	}
	if want := len(meets) * len(requests) * len(ages) * 19; cases != want {
		t.Errorf("%d cases, want %d", cases, want)
	}
	if len(meets) != len(care.ACRs()) {
		t.Errorf("the table has %d classes of %d", len(meets), len(care.ACRs()))
	}
}

func requestFor(t *testing.T, acrs care.ACR, prompt, maxAge, defaultMaxAge string) request {
	t.Helper()
	rp := relyingparty.RelyingParty{Scopes: relyingparty.Scopes(), Methods: care.Methods(), DefaultACR: care.AAL3Any}
	if defaultMaxAge != "" {
		var seconds int64
		if _, err := fmt.Sscan(defaultMaxAge, &seconds); err != nil {
			t.Fatal(err)
		}
		rp.DefaultMaxAge = &seconds
	}
	req, e := parse(url.Values{
		"response_type": {"code"}, "scope": {"openid"}, "acr_values": {string(acrs)}, "prompt": {prompt}, "max_age": {maxAge},
	}, rp)
	if e != nil {
		t.Fatal(e.description)
	}
	return req
}

// everySession returns a session of each method at each level that it can have:
// the gate opens no other (N6, N9).
func everySession(at time.Time) (all []session.Session) {
	for _, method := range care.Methods() {
		for level := care.AAL1; level <= method.Highest(); level++ {
			all = append(all, session.Session{UID: "555000100101", Method: method, AAL: level, AuthTime: at})
		}
	}
	return all
}

func checkVerdict(t *testing.T, what string, class care.ACR, req request, is verdict, want bool) {
	t.Helper()
	switch {
	case want:
		if is.acr != class || is.missing != nil || is.refusal != nil {
			t.Errorf("%s: %+v, want it met", what, is)
		}
	case is.acr != "":
		t.Errorf("%s: met as %s", what, is.acr)
	case req.silent:
		if is.refusal == nil || is.refusal.code != "login_required" {
			t.Errorf("%s: %+v, want login_required", what, is)
		}
	case is.missing == nil || is.missing.ACR != class || is.refusal != nil:
		t.Errorf("%s: %+v, want the person asked for %s", what, is, class)
	}
}

// TestOnASharedComputerEveryRequestIsSignedInFor is decision 8: no single
// sign-on outlives one relying party's sign-in.
func TestOnASharedComputerEveryRequestIsSignedInFor(t *testing.T) {
	now := time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		prompt, client string
		// since and age are how long ago the request sent the person to sign in
		// (negative: never), and how long ago they did.
		since, age time.Duration
		want       bool
	}{
		"signed in for it":                          {"", "ers", time.Minute, time.Second, true},
		"signed in for it, with consent":            {"consent", "ers", time.Minute, time.Second, true},
		"signed in for another request":             {"", "ers", -1, time.Second, false},
		"signed in before it asked":                 {"", "ers", time.Minute, 2 * time.Minute, false},
		"nobody may be asked":                       {"none", "ers", -1, time.Second, false},
		"signed in for another relying party":       {"", "ncrs", -1, time.Second, false},
		"signed in for another in the meantime":     {"", "ncrs", time.Minute, time.Second, false},
		"signed in for Carekey's own pages":         {"", "", -1, time.Second, false},
		"the request is opened again an hour later": {"", "ers", time.Hour, 59 * time.Minute, false},
	} {
		req := requestFor(t, care.AAL2OrAAL3Any, c.prompt, "", "")
		req.rp.ClientID = "ers"
		var asked time.Time
		if c.since >= 0 {
			asked = now.Add(-c.since)
		}
		s := session.Session{
			UID: "555000100101", Method: care.AuthenticatorApp, AAL: care.AAL2, AuthTime: now.Add(-c.age), Client: c.client, Shared: true,
		}
		is := req.judge(&s, asked, now)
		checkVerdict(t, name, care.AAL2OrAAL3Any, req, is, c.want)
		if is.missing != nil && s.Satisfies(*is.missing) {
			t.Errorf("%s: the sign-in room would be content with the session there is", name)
		}
	}
}

// OpenID Connect Core section 3.1.2.1: acr_values in order of preference.
func TestOfSeveralClassesTheFirstThatIsMetCounts(t *testing.T) {
	now := time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	for first := range meets {
		for second := range meets {
			req := requestFor(t, first+" "+second, "", "", "")
			for _, s := range everySession(now) {
				how := fmt.Sprintf("%s/%d", s.Method, s.AAL)
				var want care.ACR
				for _, class := range []care.ACR{first, second} {
					if want == "" && slices.Contains(strings.Fields(meets[class]), how) {
						want = class
					}
				}
				is := req.judge(&s, time.Time{}, now)
				if is.acr != want || (is.missing == nil) != (want != "") {
					t.Fatalf("%s then %s with %s: %+v, want %q", first, second, how, is, want)
				}
				// Who is asked can choose among the methods of both, and what
				// they then reach is what the sign-in room judges by.
				asks := req.requirement(now)
				if asks.Reaches(s.Method, s.AAL) != (want != "") {
					t.Fatalf("%s then %s: the sign-in room lets %s in: %t", first, second, how, want == "")
				}
				if want != "" && !slices.Contains(asks.Offers(), s.Method) {
					t.Fatalf("%s then %s: %s is not offered", first, second, s.Method)
				}
			}
		}
	}
}

// A relying party that does not accept a method is not satisfied by its level.
func TestAMethodThatIsNotAcceptedMeetsNothing(t *testing.T) {
	now := time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	for _, refused := range care.Methods() {
		req := requestFor(t, care.AAL2OrAAL3Any, "", "", "")
		req.rp.Methods = slices.DeleteFunc(care.Methods(), func(m care.Method) bool { return m == refused })
		for _, s := range everySession(now) {
			want := s.Method != refused && s.AAL >= care.AAL2
			if is := req.judge(&s, time.Time{}, now); (is.acr != "") != want {
				t.Errorf("without %s, %s at %s: %+v", refused, s.Method, s.AAL, is)
			}
		}
		if slices.Contains(req.requirement(now).Offers(), refused) {
			t.Errorf("%s is offered all the same", refused)
		}
	}
}

// OpenID Connect Core sections 3.1.2.1 and 3.1.2.2: an answer about the person
// that the request names, or none.
func TestOnlyThePersonThatTheRequestNamesWillDo(t *testing.T) {
	now := time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	right := session.Session{UID: "555000100101", Method: care.AuthenticatorApp, AAL: care.AAL2, AuthTime: now.Add(-time.Hour)}
	wrong, since := right, right
	wrong.UID = "555000100109"
	since = wrong
	since.AuthTime = now.Add(-time.Minute)
	asked := now.Add(-5 * time.Minute)
	for name, test := range map[string]struct {
		prompt  string
		session *session.Session
		asked   time.Time
		want    string
	}{
		"the right one":                       {"", &right, time.Time{}, "met"},
		"the right one, silently":             {"none", &right, time.Time{}, "met"},
		"another":                             {"", &wrong, time.Time{}, "asked"},
		"another, silently":                   {"none", &wrong, time.Time{}, "login_required"},
		"another, who came back as they were": {"", &wrong, asked, "asked"},
		"another, who signed in for it":       {"", &since, asked, "login_required"},
		"nobody":                              {"", nil, time.Time{}, "asked"},
		"nobody, silently":                    {"none", nil, time.Time{}, "login_required"},
	} {
		req := requestFor(t, care.AAL2OrAAL3Any, test.prompt, "", "")
		req.subject = right.UID
		is := req.judge(test.session, test.asked, now)
		got := "met"
		switch {
		case is.refusal != nil:
			got = is.refusal.code
		case is.missing != nil:
			got = "asked"
			if test.session != nil && !is.missing.AuthenticatedAfter.Equal(now) {
				t.Errorf("%s: the sign-in room would be content with the session there is", name)
			}
		}
		if got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}
