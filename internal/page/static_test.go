package page_test

import (
	"regexp"
	"strings"
	"testing"

	"carekey.dev/carekey/internal/page"
	"carekey.dev/carekey/internal/page/pagetest"
)

var reference = regexp.MustCompile(`(?:href|src)="(/assets/[^"]+)"`)

func TestAssetsAreServedForEver(t *testing.T) {
	h := build(t)
	h.Get("/done")
	found := reference.FindAllStringSubmatch(h.Page, -1)
	if len(found) != 5 {
		t.Fatalf("the page refers to %d assets: %v", len(found), found)
	}
	for _, match := range found {
		h.Get(match[1])
		if h.Status != 200 || h.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" {
			t.Errorf("%s: %d, %s", match[1], h.Status, h.Header.Get("Cache-Control"))
		}
		old := strings.Replace(match[1], "/assets/", "/assets/0", 1)
		if h.Get(old); h.Status != 200 || h.Header.Get("Cache-Control") != "no-cache" {
			t.Errorf("during an upgrade, %s: %d, %s", old, h.Status, h.Header.Get("Cache-Control"))
		}
	}
	if h.Get("/assets/x/nosuch.css"); h.Status != 404 {
		t.Errorf("an unknown asset was answered with %d", h.Status)
	}
}

// A style sheet that still loads its fonts from assets.nhs.uk would tell a
// third party about every sign-in.
func TestNoAssetAsksAThirdParty(t *testing.T) {
	h := build(t)
	h.Get("/done")
	urls := regexp.MustCompile(`url\(([^)]*)\)`)
	for _, match := range reference.FindAllStringSubmatch(h.Page, -1) {
		h.Get(match[1])
		dir := match[1][:strings.LastIndexByte(match[1], '/')+1]
		for _, bad := range []string{"@import", "@font-face", "assets.nhs.uk", "sourceMappingURL"} {
			if strings.Contains(h.Page, bad) {
				t.Errorf("%s holds %s", match[1], bad)
			}
		}
		for _, inside := range urls.FindAllStringSubmatch(h.Page, -1) {
			if !strings.HasSuffix(match[1], ".css") {
				continue
			}
			if other := h.Other(); other.Get(dir+inside[1]).Status != 200 {
				t.Errorf("%s refers to %s, which is not there", match[1], inside[1])
			}
		}
	}
}

func TestAddressOfAssetsChangesWithTheOperatorsColours(t *testing.T) {
	address := func(h *house) string { return reference.FindStringSubmatch(h.Get("/done").Page)[1] }
	plain, coloured := build(t), build(t, func(o *page.Options) { o.Colours.Header = "#7c2855" })
	if address(plain) == address(coloured) {
		t.Error("two style sheets have one address, and browsers keep it for ever")
	}
	sheet := strings.Replace(address(coloured), "nhsuk.css", "operator.css", 1)
	if coloured.Get(sheet); !strings.Contains(coloured.Page, "#7c2855") {
		t.Errorf("the style sheet is\n%s", coloured.Page)
	}
}

func TestUnreadableColoursAreRefused(t *testing.T) { // WCAG 2.2, 1.4.3
	for _, test := range []struct {
		colours page.Colours
		want    string
	}{
		{page.Colours{}, ""},
		{page.Colours{Header: "#005eb8", Link: "#005eb8"}, ""},
		{page.Colours{Header: "#767676"}, ""}, // 4.54 to white
		{page.Colours{Header: "#777777"}, "the header colour #777777 has a contrast of 4.4 to white text on it: it must be at least 4.5"},
		{page.Colours{Header: "#ffffff"}, "contrast of 1.0"},
		{page.Colours{Link: "#767676"}, "the link colour"}, // good on white, not on the page's grey
		{page.Colours{Header: "blue"}, `"blue" is not a colour: write it as #1d3d5c`},
		{page.Colours{Header: "#12345g"}, "is not a colour"},
		{page.Colours{Header: "#fff;}x"}, "is not a colour"},
	} {
		err := test.colours.Check()
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%v was refused: %v", test.colours, err)
		case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%v: the error is %v, not %q", test.colours, err, test.want)
		}
	}
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	for broken, want := range map[string]string{
		`<h1>a</h1><h1>b</h1>`:                             "2 h1 elements",
		`<h1>a</h1><input name="x">`:                       `field "x" has no label`,
		`<h1 id="a">a</h1><p id="a"></p>`:                  "is used 2 times",
		`<h1>a</h1><a href="#b">b</a>`:                     "leads to #b",
		`<h1>a</h1><p style="color:red">`:                  "inline style",
		`<h1>a</h1><script>1</script>`:                     "inline script",
		`<h1>a</h1><img src="https://x/y" alt="">`:         "third party",
		`<h1>a</h1><img src="/y">`:                         "without alt",
		`<h1>a</h1><form method="post" action="/"></form>`: "without a CSRF token",
		`<h1>a</h1><button></button>`:                      "without a name",
		`<h1>a</h1><p aria-describedby="z">`:               `refers to "z"`,
	} {
		problems := strings.Join(pagetest.Problems(`<!DOCTYPE html><html lang="en"><title>t</title>`+broken), "\n")
		if !strings.Contains(problems, want) {
			t.Errorf("%s: found %q, not %q", broken, problems, want)
		}
	}
}
