package session_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/session"
)

var deviceRing = keys.NewRing(keys.Root{1})

// remember returns the device cookie after somebody signed in with a browser
// that had the cookie before.
func remember(t *testing.T, before *http.Cookie, address care.Email) *http.Cookie {
	t.Helper()
	w := httptest.NewRecorder()
	if err := session.NewDevices(deviceRing, rand.Reader).Remember(w, with(before), address); err != nil {
		t.Fatal(err)
	}
	return w.Result().Cookies()[0]
}

func with(c *http.Cookie) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if c != nil {
		r.AddCookie(c)
	}
	return r
}

func known(c *http.Cookie, address care.Email) (string, bool) {
	return session.NewDevices(deviceRing, rand.Reader).Known(with(c), address)
}

func TestBrowserIsKnownToWhoeverSignedInWithIt(t *testing.T) {
	if id, ok := known(nil, "amara@nhs.net"); ok || id != "" {
		t.Errorf("a browser without a cookie is known as %q", id)
	}
	c := remember(t, nil, "amara@nhs.net")
	first, ok := known(c, "amara@nhs.net")
	if !ok || first == "" {
		t.Error("the browser is not known")
	}
	if id, ok := known(c, "helen@nhs.net"); ok || id != "" {
		t.Error("the browser is known to somebody who never signed in with it")
	}
	c = remember(t, c, "helen@nhs.net")
	a, amaras := known(c, "amara@nhs.net")
	h, helens := known(c, "helen@nhs.net")
	if !amaras || !helens || a != h || a != first {
		t.Errorf("one browser has the names %q, %q and %q", first, a, h)
	}
	if id, _ := known(remember(t, nil, "amara@nhs.net"), "amara@nhs.net"); id == first {
		t.Error("two browsers have one name")
	}
}

func TestBrowserRemembersTwelvePeople(t *testing.T) {
	address := func(n int) care.Email { return care.Email(fmt.Sprintf("nurse%d@nhs.net", n)) }
	var c *http.Cookie
	for n := range 12 {
		c = remember(t, c, address(n))
	}
	c = remember(t, c, address(0)) // signs in again: now number 1 is the oldest
	c = remember(t, c, address(12))
	for n := range 13 {
		if _, ok := known(c, address(n)); ok != (n != 1) {
			t.Errorf("person %d is known: %t", n, ok)
		}
	}
	if len(c.Name)+len(c.Value) > 2048 {
		t.Errorf("the cookie has %d bytes: browsers and proxies have limits", len(c.Value))
	}
}

func TestDeviceCookieNamesNobody(t *testing.T) {
	c := remember(t, nil, "amara@nhs.net")
	sealed, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := deviceRing.Sealer("device").Open(sealed, nil)
	if err != nil {
		t.Fatal(err)
	}
	encoded := base64.StdEncoding.EncodeToString([]byte("amara@nhs.net"))
	if bytes.Contains(plain, []byte("amara")) || bytes.Contains(plain, []byte(encoded)) {
		t.Errorf("even who can open it reads an address: %s", plain)
	}
}

func TestTamperedDeviceCookieIsAnUnknownBrowser(t *testing.T) {
	c := remember(t, nil, "amara@nhs.net")
	for i := range c.Value {
		changed := *c
		letter := "A"
		if c.Value[i] == 'A' {
			letter = "B"
		}
		changed.Value = c.Value[:i] + letter + c.Value[i+1:]
		if id, ok := known(&changed, "amara@nhs.net"); ok && !sameBytes(changed.Value, c.Value) {
			t.Fatalf("changed at %d it is still known as %q", i, id)
		}
	}
	for _, value := range []string{"", "x", c.Value[:len(c.Value)/2], strings.Repeat("A", 4000)} {
		if _, ok := known(&http.Cookie{Name: c.Name, Value: value}, "amara@nhs.net"); ok {
			t.Errorf("%q is known", value)
		}
	}
	other := session.NewDevices(keys.NewRing(keys.Root{2}), rand.Reader)
	if _, ok := other.Known(with(c), "amara@nhs.net"); ok {
		t.Error("a cookie of another installation is known")
	}
	// A browser with a broken cookie begins anew and is no dead end.
	if _, ok := known(remember(t, &http.Cookie{Name: c.Name, Value: "broken"}, "amara@nhs.net"), "amara@nhs.net"); !ok {
		t.Error("a browser with a broken cookie is never known again")
	}
}

// sameBytes: the last letter of base64 has bits that mean nothing.
func sameBytes(a, b string) bool {
	x, _ := base64.RawURLEncoding.DecodeString(a)
	y, _ := base64.RawURLEncoding.DecodeString(b)
	return bytes.Equal(x, y)
}

func TestDeviceCookieIsBoundToThisHost(t *testing.T) {
	c := remember(t, nil, "amara@nhs.net")
	if c.Name != "__Host-device" || c.Path != "/" || c.Domain != "" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode {
		t.Errorf("%+v", c)
	}
	if c.MaxAge != 400*24*60*60 {
		t.Errorf("it lives %d seconds; browsers keep a cookie for 400 days at most", c.MaxAge)
	}
}
