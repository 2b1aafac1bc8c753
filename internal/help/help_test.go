package help_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/help"
	"carekey.dev/carekey/internal/page/pagetest"
)

func shelf(t *testing.T, list care.AllowList, err error) *pagetest.Browser {
	t.Helper()
	kit := pagetest.Kit(t)
	mux := http.NewServeMux()
	kit.Routes(mux)
	help.New(kit, func(context.Context) (care.AllowList, error) { return list, err }).Routes(mux)
	return pagetest.Client(t, kit.Wrap(mux))
}

var paths = []string{
	"/help", "/help/authenticator-app", "/help/lost-phone", "/help/authenticators", "/help/errors",
	"/help/security-key", "/help/windows-hello", "/help/passkey",
	"/help/email-domains", "/help/privacy", "/help/accessibility",
}

func TestHelpPagesAreWhole(t *testing.T) {
	b := shelf(t, care.AllowList{"nhs.net"}, nil)
	for _, path := range paths {
		if b.Get(path); b.Status != http.StatusOK {
			t.Errorf("%s was answered with %d", path, b.Status)
		}
		pagetest.Check(t, b.Page)
	}
}

// A fault page links to /help/errors/{number}: no kind may be without it.
func TestEveryKindOfFaultHasItsHelpPage(t *testing.T) {
	b := shelf(t, nil, nil)
	all := b.Get("/help/errors").Page
	for _, kind := range fault.Kinds() {
		path := fmt.Sprintf("/help/errors/%d", kind.Number)
		if !strings.Contains(all, path) {
			t.Errorf("%s is not on the list", path)
		}
		b.Get(path)
		says := func(text string) bool { return strings.Contains(b.Text(), strings.Join(strings.Fields(text), " ")) }
		for _, want := range []string{kind.Title, kind.Sentence, kind.Next} {
			if want == "" || !says(want) {
				t.Errorf("%s (%s) does not say %q", path, kind.Name, want)
			}
		}
		// Anybody can read these pages. What a service desk checks and does is
		// for `carekey explain`: here it would be a script for whoever calls
		// the desk in somebody's name (ASVS 16.5.1).
		if kind.Desk == "" || says(kind.Desk) {
			t.Errorf("%s (%s) tells the service desk's side, or there is none", path, kind.Name)
		}
		pagetest.Check(t, b.Page)
	}
	for _, path := range []string{"/help/errors/999", "/help/errors/x", "/help/errors/-1"} {
		if b.Get(path); b.Status != http.StatusNotFound {
			t.Errorf("%s was answered with %d", path, b.Status)
		}
	}
}

// Every link of the help pages to another help page, and to a place on it,
// leads somewhere.
func TestLinksBetweenHelpPagesLead(t *testing.T) {
	b := shelf(t, care.AllowList{"nhs.net"}, nil)
	pages := append([]string{}, paths...)
	for _, kind := range fault.Kinds() {
		pages = append(pages, fmt.Sprintf("/help/errors/%d", kind.Number))
	}
	link := regexp.MustCompile(`href="(/help[^"#]*)(?:#([^"]*))?"`)
	for _, path := range pages {
		for _, match := range link.FindAllStringSubmatch(b.Get(path).Page, -1) {
			other := b.Get(match[1])
			if other.Status != http.StatusOK {
				t.Errorf("%s links to %s, which is answered with %d", path, match[1], other.Status)
			}
			if match[2] != "" && !strings.Contains(other.Page, `id="`+match[2]+`"`) {
				t.Errorf("%s links to %s#%s, which is not there", path, match[1], match[2])
			}
		}
	}
}

func TestAllEmailDomainsAreListed(t *testing.T) { // seed 0, step 3
	b := shelf(t, care.AllowList{"nhs.net", "gov.uk", ".gov.uk", ".ac.uk"}, nil).Get("/help/email-domains")
	want := "@nhs.net @gov.uk @ac.uk Or in one of these, with anything in front of it: .gov.uk (for example name@example.gov.uk) .ac.uk (for example name@example.ac.uk)"
	if !strings.Contains(b.Text(), want) {
		t.Errorf("the page says: %s", b.Text())
	}
	if b := shelf(t, nil, nil).Get("/help/email-domains"); !strings.Contains(b.Text(), "No email domains have been set up yet.") {
		t.Errorf("an empty list says: %s", b.Text())
	}
	b = shelf(t, nil, errors.New("the database is away")).Get("/help/email-domains")
	if b.Status != http.StatusInternalServerError || strings.Contains(b.Page, "database") {
		t.Errorf("a failing list was answered with %d", b.Status)
	}
	pagetest.Check(t, b.Page)
}

// The page lists every cookie that the code can set, and no other.
func TestCookiePageTellsTheTruth(t *testing.T) {
	text := shelf(t, nil, nil).Get("/help/privacy").Text()
	name := regexp.MustCompile(`"(__Host-[a-z]+)`)
	found := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasPrefix(path, "../help/") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, match := range name.FindAllSubmatch(source, -1) {
			found[string(match[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for cookie := range found {
		if !strings.Contains(text, cookie) {
			t.Errorf("the page does not tell about %s", cookie)
		}
	}
	for _, match := range regexp.MustCompile(`(__Host-[a-z]+)`).FindAllString(text, -1) {
		if !found[match] {
			t.Errorf("the page tells about %s, which nobody sets", match)
		}
	}
}

func TestAuthenticatorsAreAllDescribed(t *testing.T) { // seed 0, "Learn more about NHS CIS2 authenticators"
	text := shelf(t, nil, nil).Get("/help/authenticators").Text()
	if got := strings.Count(text, "AAL3 or AAL2"); got != 2 {
		t.Errorf("%d types may count as either level, want security keys and Windows Hello", got)
	}
	for _, m := range care.Methods() {
		if !strings.Contains(text, m.Label()) {
			t.Errorf("the page does not tell about %s", m.Label())
		}
	}
	for _, want := range []string{"You can register one of each type", "a small physical device"} {
		if !strings.Contains(strings.ToLower(text), strings.ToLower(want)) {
			t.Errorf("the page does not say %q", want)
		}
	}
}
