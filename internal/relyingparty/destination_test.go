package relyingparty_test

import (
	"net/url"
	"strings"
	"testing"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/relyingparty"
)

// Our own address, and the services whose pages goto may lead to.
const (
	base      = "https://id.example.nhs.uk"
	ersHome   = "https://ers.example.nhs.uk"
	localHome = "http://localhost:9090"
)

// destinations are where goto may lead: to, and its origin, if that is not our
// own.
var destinations = []struct{ text, to, origin string }{
	{"", "", ""},
	{base, "", ""},
	{base + "/", "", ""},
	{base + ":443/", "", ""},
	{base + "/cim/profile?tab=2&x=%2F%2F#here", "/cim/profile?tab=2&x=%2F%2F", ""},
	{"HTTPS://ID.EXAMPLE.NHS.UK/cim/", "/cim/", ""},
	{base + "/a%5Cb", "/a%5Cb", ""},
	{ersHome, ersHome, ersHome},
	{ersHome + "/patients?q=1#top", ersHome + "/patients?q=1#top", ersHome},
	{ersHome + ":443/x", ersHome + ":443/x", ersHome},
	{"HTTPS://ERS.example.nhs.uk/x", "HTTPS://ERS.example.nhs.uk/x", ersHome},
	{localHome + "/x", localHome + "/x", localHome},
	{ersHome + "?next=@evil.example", ersHome + "?next=@evil.example", ersHome},
}

// elsewhere is where goto never leads.
var elsewhere = []string{
	"https://evil.example/",
	"https://evil.example/" + ersHome,
	"https://ers.example.nhs.uk.evil.example/",
	"https://evil.example#" + ersHome,
	"https://sub.ers.example.nhs.uk/",
	"http://ers.example.nhs.uk/",
	"https://ers.example.nhs.uk:8443/",
	"http://localhost:9091/",
	"http://localhost/",
	"https://ers.example.nhs.uk@evil.example/",
	"https://ers.example.nhs.uk:pw@evil.example/",
	"https://someone@ers.example.nhs.uk/",
	base + "@evil.example/",
	base + "//evil.example/",
	base + "///evil.example/",
	base + `/\evil.example`,
	base + `\@evil.example/`,
	"https:" + `\\evil.example`,
	"//evil.example",
	"///evil.example",
	"////evil.example",
	`/\evil.example`,
	"/cim/",
	"cim/",
	"javascript:alert(1)",
	"JaVaScRiPt:alert(1)//" + ersHome,
	"data:text/html,x",
	"https:evil.example",
	"https:/evil.example",
	"https:///evil.example",
	"https://",
	"https://%65vil.example/",
	"https://ers.example.nhs.uk%00.evil.example/",
	"https://ers.example.nhs.uk%2f@evil.example/",
	"https://ers.example.nhs\u3002uk/",
	" " + ersHome,
	ersHome + "\r\nSet-Cookie: x=y",
	"java\tscript:alert(1)",
	"https://ers.example.nhs.uk\n.evil.example/",
	"https://[::1]:9090/",
	"ftp://ers.example.nhs.uk/",
	"%",
	"\xff",
}

// registered returns a directory that knows one service at two origins.
func registered(t testing.TB) *relyingparty.Directory {
	t.Helper()
	d := dbtest.Open(t, schemas...)
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		return relyingparty.Put(tx, relyingparty.RelyingParty{
			ClientID: "ers", Name: "e-Referral Service", RedirectURIs: []string{ersHome + "/callback", localHome + "/callback"},
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return relyingparty.NewDirectory(d)
}

func TestWhereGotoMayLead(t *testing.T) {
	directory := registered(t)
	for _, c := range destinations {
		to, origin, err := directory.Destination(t.Context(), base, c.text)
		if err != nil || to != c.to || origin != c.origin {
			t.Errorf("%q leads to %q at %q, %v; want %q at %q", c.text, to, origin, err, c.to, c.origin)
		}
	}
	for _, text := range elsewhere {
		if to, origin, err := directory.Destination(t.Context(), base, text); !fault.Has(err, fault.GotoRefused) || to+origin != "" {
			t.Errorf("%q leads to %q at %q, %v", text, to, origin, err)
		}
	}
}

// FuzzDestination: whatever goto is, nobody leaves for anywhere but this
// server or a registered service (RFC 9700 section 4.11), judged by what
// browsers make of an address.
func FuzzDestination(f *testing.F) {
	for _, c := range destinations {
		f.Add(c.text)
	}
	for _, text := range elsewhere {
		f.Add(text)
	}
	directory := registered(f)
	f.Fuzz(func(t *testing.T, text string) {
		to, origin, err := directory.Destination(t.Context(), base, text)
		if err != nil {
			if !fault.Has(err, fault.GotoRefused) || to != "" {
				t.Fatalf("%q: %v, to %q", text, err, to)
			}
			return
		}
		landed, err := landing(to)
		if err != nil {
			t.Fatalf("%q leads to %q: %v", text, to, err)
		}
		switch {
		case origin == "" && landed == base:
		case origin == ersHome && landed == ersHome, origin == localHome && landed == localHome:
		default:
			t.Fatalf("%q leads to %q, which is at %q; the page says %q", text, to, landed, origin)
		}
	})
}

// landing is the origin that a browser goes to for a Location header, after
// the steps of the WHATWG URL standard that a Go parser does not take: control
// characters and spaces are cut off or out, a backslash is a slash, and any
// number of slashes may follow the scheme.
func landing(location string) (string, error) {
	text := strings.Map(func(r rune) rune {
		switch r {
		case '\t', '\n', '\r':
			return -1
		case '\\':
			return '/'
		}
		return r
	}, strings.TrimFunc(location, func(r rune) bool { return r <= ' ' }))
	lower := strings.ToLower(text)
	for _, scheme := range []string{"https:", "http:"} {
		if strings.HasPrefix(lower, scheme) {
			text = scheme + "//" + strings.TrimLeft(text[len(scheme):], "/")
		}
	}
	if strings.HasPrefix(text, "//") {
		text = "https://" + strings.TrimLeft(text, "/")
	}
	here, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	at, err := here.Parse(text)
	if err != nil {
		return "", err
	}
	return relyingparty.Origin(at.String())
}
