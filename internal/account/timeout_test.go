package account

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/session"
)

// TestPagesSayWhenTheSignInEnds: WCAG 2.2, 2.2.1, without JavaScript too.
func TestPagesSayWhenTheSignInEnds(t *testing.T) {
	h := newHouse(t)
	h.Level = care.AAL3
	b := h.browser().get("/cim/profile").sees(http.StatusOK, "you will be signed out at 9:15am unless you open another page here before then")
	shows := func(words string) bool { return !strings.Contains(b.Page, `data-until="`+words+`" hidden`) }
	if !shows("idle") || shows("final") {
		t.Error("the page says that nothing puts the end off")
	}
	for h.Clock.Now().Hour() < 20 || h.Clock.Now().Minute() < 50 { // UTC and London are the same in November
		h.Clock.Later(10 * time.Minute)
		b.get("/cim/profile").sees(http.StatusOK)
	}
	b.sees(http.StatusOK, "you will be signed out at 9:00pm", "opening another page does not change that", "sign in again")
	if shows("idle") || !shows("final") {
		t.Error("the page says that another page puts the end off")
	}
}

// TestAskingIsNoActivityAndAKeyIs: N4.
func TestAskingIsNoActivityAndAKeyIs(t *testing.T) {
	h := newHouse(t)
	h.Level = care.AAL3
	b := h.browser().get("/cim/profile")
	csrf := url.Values{"csrf": {b.Field("csrf")}}
	says := func(want string) {
		t.Helper()
		if b.Page != want || b.Header.Get("Content-Type") != "application/json" || b.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s: %s, want %s", b.Header.Get("Content-Type"), b.Header.Get("Cache-Control"), b.Page, want)
		}
	}
	h.Clock.Later(13 * time.Minute)
	b.Get("/cim/time-left")
	says(`{"left":120,"at":"9:15am","final":false}`)
	h.Clock.Later(time.Minute)
	b.Get("/cim/time-left")
	says(`{"left":60,"at":"9:15am","final":false}`)
	b.Post("/cim/time-left", csrf)
	says(`{"left":900,"at":"9:29am","final":false}`)
	h.Clock.Later(15 * time.Minute)
	for range 2 {
		b.Get("/cim/time-left")
		says(`{"left":0,"at":"","final":false}`)
		b.Post("/cim/time-left", csrf) // too late
	}
	b.Post("/cim/time-left", url.Values{"csrf": {"forged"}})
	b.sees(http.StatusForbidden)
}

func TestAfterTheTimeOutAPageLeadsBack(t *testing.T) {
	h := newHouse(t)
	b := h.browser().get("/cim/profile")
	over := "/cim/timed-out?back=" + url.QueryEscape("/cim/password?x=1")
	b.get(over).isAt("/cim/password").sees(http.StatusOK) // alive after all
	h.Clock.Later(2 * time.Hour)
	b.get(over).isAt("/cim/timed-out").sees(http.StatusOK, "You have been signed out", "What you had not saved is lost")
	b.get("/cim/again?back=" + url.QueryEscape("/cim/password?x=1")).isAt("/cim/password")
	if b.At != "/cim/password?x=1" {
		t.Errorf("came back to %s", b.At)
	}
	h.Clock.Later(5 * time.Minute)
	signedIn := h.Clock.Now()
	b.get("/cim/again?back=/register/replace")
	if asked := h.Asked[len(h.Asked)-1]; !asked.AuthenticatedAfter.Equal(signedIn) || asked.ReturnTo != "/register/replace" {
		t.Errorf("who is still signed in is asked for %+v", asked)
	}
}

// TestTheWayBackLeadsNowhereElse is ASVS 3.7.2.
func TestTheWayBackLeadsNowhereElse(t *testing.T) {
	for back, want := range map[string]string{
		"/cim/profile": "/cim/profile", "/register/replace?j=x": "/register/replace?j=x", "/cim/": "/cim/",
		"": home, "https://evil.example/": home, "//evil.example": home, "/\\evil.example": home, "/cim/\\..": home, "/cim/a\r\nSet-Cookie: x": home,
		"/signout": home, "/cim/again?back=/cim/": home, "/cim/timed-out": home,
	} {
		r, err := http.NewRequest(http.MethodGet, "/cim/timed-out?back="+url.QueryEscape(back), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := cameFrom(r); got != want {
			t.Errorf("%q leads to %q, want %q", back, got, want)
		}
	}
}

// TestOnASharedComputerTheSignInForAServiceIsNoneHere is decision 8.
func TestOnASharedComputerTheSignInForAServiceIsNoneHere(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	ward := h.EnterAs(session.Opening{UID: amara, AAL: care.AAL2, Client: "ers", Shared: true})
	b.SetCookie(&http.Cookie{Name: session.Cookie, Value: ward, Path: "/", Secure: true})
	h.Who = ""
	b.Get("/cim/profile")
	b.isAt("/signin")
	b.Get("/cim/time-left")
	if b.Page != `{"left":0,"at":"","final":false}` {
		t.Errorf("a page of nobody is told %s", b.Page)
	}
	// But who is there can leave, and the service hears of it.
	b.get("/signout").sees(http.StatusOK, "Dr Amara OSEI").submit("/signout").sees(http.StatusOK, "You have signed out")
	if told := h.told(); len(told) != 1 {
		t.Errorf("relying parties are told of %d", len(told))
	}
}
