package session_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/session"
)

func computers(c *clock) *session.Computers {
	ward := []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16"), netip.MustParsePrefix("2001:db8:20::/48")}
	return session.NewComputers(deviceRing, ward, c.read)
}

var home = netip.MustParseAddr("198.51.100.4")

func TestComputersOfANamedNetworkAreShared(t *testing.T) { // decision 8
	c := computers(newClock())
	for address, want := range map[string]bool{
		"10.20.0.1": true, "10.20.255.254": true, "::ffff:10.20.1.2": true, "2001:db8:20:1::7": true,
		"10.21.0.1": false, "198.51.100.4": false, "2001:db8:21::1": false,
	} {
		if got := c.Shared(with(nil), netip.MustParseAddr(address)); got != want {
			t.Errorf("%s is shared: %t", address, got)
		}
	}
	if c.Shared(with(nil), netip.Addr{}) {
		t.Error("an address that nobody knows is shared")
	}
	if session.NewComputers(deviceRing, nil, newClock().read).Shared(with(nil), netip.MustParseAddr("10.20.0.1")) {
		t.Error("a computer is shared although no network is named")
	}
}

// markWith opens a link's form in a browser and returns the cookie that it
// sets.
func markWith(t *testing.T, c *session.Computers, link string) *http.Cookie {
	t.Helper()
	w := httptest.NewRecorder()
	if _, err := c.Mark(w, link); err != nil {
		t.Fatal(err)
	}
	return w.Result().Cookies()[0]
}

func link(t *testing.T, c *session.Computers, shared bool) string {
	t.Helper()
	made, err := c.Link(shared)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestITMarksAComputerAndTakesTheMarkAway(t *testing.T) { // decision 8
	c := computers(newClock())
	cookie := markWith(t, c, link(t, c, true))
	if !c.Shared(with(cookie), home) || !c.Marked(with(cookie)) {
		t.Error("the computer is not shared")
	}
	if cookie.Name != "__Host-shared-computer" || cookie.Path != "/" || cookie.Domain != "" || !cookie.Secure || !cookie.HttpOnly ||
		cookie.SameSite != http.SameSiteLaxMode || cookie.MaxAge != 400*24*60*60 {
		t.Errorf("%+v", cookie)
	}
	if gone := markWith(t, c, link(t, c, false)); gone.Name != cookie.Name || gone.MaxAge >= 0 {
		t.Errorf("the mark stays: %+v", gone)
	}
}

func TestALinkForSharedComputersWorksForADay(t *testing.T) {
	clock := newClock()
	c := computers(clock)
	made := link(t, c, true)
	clock.later(session.MarkLife - time.Second)
	if shared, err := c.Open(made); err != nil || !shared {
		t.Errorf("one second before its end: %t, %v", shared, err)
	}
	clock.later(time.Second)
	if _, err := c.Open(made); !fault.Has(err, fault.MarkLinkUnusable) {
		t.Errorf("at its end: %v", err)
	}
	for _, forged := range []string{"", "x", made[:len(made)/2], strings.Repeat("A", 4000)} {
		w := httptest.NewRecorder()
		if _, err := c.Mark(w, forged); !fault.Has(err, fault.MarkLinkUnusable) || len(w.Result().Cookies()) != 0 {
			t.Errorf("%.20q: %v, %v", forged, err, w.Result().Cookies())
		}
	}
}

// A link is no mark, and neither is that of another installation.
func TestOnlyTheMarkIsTheMark(t *testing.T) {
	c := computers(newClock())
	other := session.NewComputers(keys.NewRing(keys.Root{2}), nil, newClock().read)
	cookie := markWith(t, c, link(t, c, true))
	for _, value := range []string{"", "true", link(t, c, true), markWith(t, other, link(t, other, true)).Value, cookie.Value + "x"} {
		if c.Marked(with(&http.Cookie{Name: cookie.Name, Value: value})) {
			t.Errorf("%.20q marks a computer", value)
		}
	}
}

func TestAMarkLivesAsLongAsTheComputerIsInUse(t *testing.T) {
	c := computers(newClock())
	w := httptest.NewRecorder()
	if err := c.Renew(w, with(markWith(t, c, link(t, c, true)))); err != nil {
		t.Fatal(err)
	}
	if renewed := w.Result().Cookies(); len(renewed) != 1 || renewed[0].MaxAge != 400*24*60*60 || !c.Marked(with(renewed[0])) {
		t.Errorf("the mark is not renewed: %+v", renewed)
	}
	w = httptest.NewRecorder()
	if err := c.Renew(w, with(nil)); err != nil || len(w.Result().Cookies()) != 0 {
		t.Errorf("a computer that nobody marked gets %v (%v)", w.Result().Cookies(), err)
	}
}
