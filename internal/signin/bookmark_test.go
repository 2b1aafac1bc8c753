package signin

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/gate/gatetest"
	"carekey.dev/carekey/internal/page/pagetest"
	"carekey.dev/carekey/internal/relyingparty"
)

// The services whose pages a bookmark may lead to.
const ersHome, localHome = "https://ers.example.nhs.uk", "http://localhost:9090"

func register(r *gatetest.Rig) {
	r.Write(func(tx *db.Tx) error {
		return relyingparty.Put(tx, relyingparty.RelyingParty{
			ClientID: "ers", Name: "e-Referral Service", RedirectURIs: []string{ersHome + "/callback", localHome + "/callback"},
			Methods: care.Methods(), DefaultACR: care.AAL2OrAAL3Any,
		})
	})
}

// destinations are where goto may lead: to (and its origin, if that is not our
// own), or nowhere.
var destinations = []struct{ text, to, origin string }{
	{"", "/cim/", ""},
	{gatetest.Base, "/cim/", ""},
	{gatetest.Base + "/", "/cim/", ""},
	{gatetest.Base + ":443/", "/cim/", ""},
	{gatetest.Base + "/cim/profile?tab=2&x=%2F%2F#here", "/cim/profile?tab=2&x=%2F%2F", ""},
	{"HTTPS://ID.EXAMPLE.NHS.UK/cim/", "/cim/", ""},
	{gatetest.Base + "/a%5Cb", "/a%5Cb", ""},
	{ersHome, ersHome, ersHome},
	{ersHome + "/patients?q=1#top", ersHome + "/patients?q=1#top", ersHome},
	{ersHome + ":443/x", ersHome + ":443/x", ersHome},
	{"HTTPS://ERS.example.nhs.uk/x", "HTTPS://ERS.example.nhs.uk/x", ersHome},
	{localHome + "/x", localHome + "/x", localHome},
	{ersHome + "?next=@evil.example", ersHome + "?next=@evil.example", ersHome},

	{text: "https://evil.example/"},
	{text: "https://evil.example/" + ersHome},
	{text: "https://ers.example.nhs.uk.evil.example/"},
	{text: "https://evil.example#" + ersHome},
	{text: "https://sub.ers.example.nhs.uk/"},
	{text: "http://ers.example.nhs.uk/"},
	{text: "https://ers.example.nhs.uk:8443/"},
	{text: "http://localhost:9091/"},
	{text: "http://localhost/"},
	{text: "https://ers.example.nhs.uk@evil.example/"},
	{text: "https://ers.example.nhs.uk:pw@evil.example/"},
	{text: "https://someone@ers.example.nhs.uk/"},
	{text: gatetest.Base + "@evil.example/"},
	{text: gatetest.Base + "//evil.example/"},
	{text: gatetest.Base + "///evil.example/"},
	{text: gatetest.Base + `/\evil.example`},
	{text: gatetest.Base + `\@evil.example/`},
	{text: "https:" + `\\evil.example`},
	{text: "//evil.example"},
	{text: "///evil.example"},
	{text: "////evil.example"},
	{text: `/\evil.example`},
	{text: "/cim/"},
	{text: "cim/"},
	{text: "javascript:alert(1)"},
	{text: "JaVaScRiPt:alert(1)//" + ersHome},
	{text: "data:text/html,x"},
	{text: "https:evil.example"},
	{text: "https:/evil.example"},
	{text: "https:///evil.example"},
	{text: "https://"},
	{text: "https://%65vil.example/"},
	{text: "https://ers.example.nhs.uk%00.evil.example/"},
	{text: "https://ers.example.nhs.uk%2f@evil.example/"},
	{text: "https://ers.example.nhs\u3002uk/"},
	{text: " " + ersHome},
	{text: ersHome + "\r\nSet-Cookie: x=y"},
	{text: "java\tscript:alert(1)"},
	{text: "https://ers.example.nhs.uk\n.evil.example/"},
	{text: "https://[::1]:9090/"},
	{text: "ftp://ers.example.nhs.uk/"},
	{text: "%"},
	{text: "\xff"},
}

func TestWhereABookmarkMayLead(t *testing.T) {
	h := newHouse(t)
	register(h.Rig)
	r := httptest.NewRequest(http.MethodGet, "/openam/XUI/", nil)
	for _, c := range destinations {
		to, origin, err := h.destination(r, c.text)
		if c.to == "" && !fault.Has(err, fault.GotoRefused) || c.to != "" && err != nil {
			t.Errorf("%q: %v", c.text, err)
		}
		if to != c.to || origin != c.origin {
			t.Errorf("%q leads to %q at %q, want %q at %q", c.text, to, origin, c.to, c.origin)
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
	r := gatetest.Open(f, relyingparty.Schema)
	register(r)
	s := &SignIn{Options: Options{BaseURL: gatetest.Base, Directory: relyingparty.NewDirectory(r.DB)}}
	f.Fuzz(func(t *testing.T, text string) {
		to, origin, err := s.destination(httptest.NewRequest(http.MethodGet, "/openam/XUI/", nil), text)
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
		case origin == "" && landed == gatetest.Base:
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
	base, err := url.Parse(gatetest.Base)
	if err != nil {
		return "", err
	}
	at, err := base.Parse(text)
	if err != nil {
		return "", err
	}
	return relyingparty.Origin(at.String())
}

// TestBookmarkOfTheSeed: /openam/XUI/ with the realm and the tree, to the page
// that it names.
func TestBookmarkOfTheSeed(t *testing.T) {
	h := newHouse(t)
	register(h.Rig)
	const address = "/openam/XUI/?realm=%2Fnhsidentity%2Fhealthcare&authIndexType=service&authIndexValue="
	v := h.visitor().get(address+"AAL2AuthDecisionTree&goto="+url.QueryEscape(gatetest.Base)).isAt("/signin").sees(http.StatusOK, "Select your login method")
	if n := len(v.choices("method")); n != 7 {
		t.Errorf("AAL2: %d methods", n)
	}
	v.toCode(amara).code(amara).isAt("/cim/")

	v = h.visitor().get(address + "AAL3AuthDecisionTree").isAt("/signin")
	if n := len(v.choices("method")); n != 4 {
		t.Errorf("AAL3: %d methods", n)
	}

	v = h.visitor().get(address + "AAL2AuthDecisionTree&goto=" + url.QueryEscape(ersHome+"/patients"))
	if policy := v.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' "+ersHome) {
		t.Errorf("the form may not lead to the service: %s", policy)
	}
	v.toCode(amara).Stay()
	v.code(amara)
	if got := v.Header.Get("Location"); v.Status != http.StatusSeeOther || got != ersHome+"/patients" {
		t.Errorf("%d to %s", v.Status, got)
	}
}

func TestBookmarkThatDoesNotExistHere(t *testing.T) {
	h := newHouse(t)
	register(h.Rig)
	good := pagetest.Fields("realm", "/nhsidentity/healthcare", "authIndexType", "service", "authIndexValue", "AAL2AuthDecisionTree")
	for name, c := range map[string]struct {
		field, value string
		status       int
	}{
		"another tree":            {"authIndexValue", "PasswordOnly", http.StatusBadRequest},
		"no tree":                 {"authIndexValue", "", http.StatusBadRequest},
		"another realm":           {"realm", "/patients", http.StatusBadRequest},
		"another kind":            {"authIndexType", "module", http.StatusBadRequest},
		"a realm in capitals":     {"realm", "/NHSIdentity/Healthcare", http.StatusOK},
		"no realm":                {"realm", "", http.StatusOK},
		"a place of nobody known": {"goto", "https://evil.example", http.StatusBadRequest},
	} {
		query := maps.Clone(good)
		query.Set(c.field, c.value)
		v := h.visitor().get("/openam/XUI/?" + query.Encode())
		if v.Status != c.status || c.status != http.StatusOK && !strings.Contains(v.Text(), "Reference") {
			t.Errorf("%s: %d\n%s", name, v.Status, v.Text())
		}
	}
}
