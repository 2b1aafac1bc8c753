package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// specifications are those whose demands docs/conformance.md holds against
// tests, and plans are those of the OpenID Foundation's conformance suite.
var (
	specifications = []string{
		"OpenID Connect Core 1.0", "OpenID Connect Discovery 1.0", "OpenID Connect RP-Initiated Logout 1.0",
		"OpenID Connect Back-Channel Logout 1.0", "OpenID Connect Front-Channel Logout 1.0", "OAuth 2.0 Form Post Response Mode",
		"RFC 6749", "RFC 6750", "RFC 7009", "RFC 7523", "RFC 7591", "RFC 7592", "RFC 7636", "RFC 7662", "RFC 8414", "RFC 8705",
		"RFC 9101", "RFC 9126", "RFC 9207", "RFC 9449", "RFC 9700", "FAPI 2.0 Security Profile",
		"Web Authentication Level 3", "FIDO Metadata Service 3.0",
	}
	plans = []string{
		"oidcc-basic", "oidcc-config", "oidcc-formpost-basic", "oidcc-dynamic", "oidcc-rp-initiated-logout",
		"oidcc-backchannel-rp-initiated-logout", "oidcc-frontchannel-rp-initiated-logout", "fapi2-security-profile-final",
	}
)

// testName finds a test as the page names it: by its directory and function.
var testName = regexp.MustCompile("`((?:internal|cmd|build)/[a-z0-9/]+)\\.((?:Test|Fuzz)[A-Za-z0-9]+)`")

// TestEveryDemandHasItsTest: each row of docs/conformance.md names a test that
// is there, and each specification and each plan has its table.
func TestEveryDemandHasItsTest(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs/conformance.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]int{}
	heading := ""
	for i, line := range strings.Split(string(page), "\n") {
		if name, found := strings.CutPrefix(line, "### "); found {
			heading = name
			continue
		}
		if strings.HasPrefix(line, "## ") {
			heading = ""
		}
		cells, isRow := row(line)
		if heading == "" || !isRow {
			continue
		}
		rows[heading]++
		switch {
		case len(cells) != 3:
			t.Errorf("line %d has %d cells, not 3: %s", i+1, len(cells), line)
		case cells[0] == "" || cells[1] == "":
			t.Errorf("line %d does not say what is demanded and where: %s", i+1, line)
		case !testName.MatchString(cells[2]):
			t.Errorf("line %d names no test: %s", i+1, line)
		}
	}
	for _, wanted := range append(specifications, plans...) {
		if count(rows, wanted) == 0 {
			t.Errorf("there is no table for %s", wanted)
		}
	}
	there := testsByRoom(t, string(page))
	for _, found := range testName.FindAllStringSubmatch(string(page), -1) {
		if !there[found[1]][found[2]] {
			t.Errorf("there is no test %s.%s", found[1], found[2])
		}
	}
}

// row returns the cells of a line that is a row of a table and no head of one.
func row(line string) ([]string, bool) {
	inner, isRow := strings.CutPrefix(line, "| ")
	if !isRow || strings.HasPrefix(line, "| Section |") || strings.HasPrefix(line, "| Module |") {
		return nil, false
	}
	cells := strings.Split(strings.TrimSuffix(strings.TrimSpace(inner), "|"), " | ")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return cells, true
}

// count returns how many rows stand under the heading of that name, which may
// go on after it.
func count(rows map[string]int, name string) int {
	n := 0
	for heading, some := range rows {
		if heading == name || strings.HasPrefix(heading, name+" ") || strings.HasPrefix(heading, name+":") {
			n += some
		}
	}
	return n
}

// testsByRoom returns the tests of each directory that the page names.
func testsByRoom(t *testing.T, page string) map[string]map[string]bool {
	t.Helper()
	all := map[string]map[string]bool{}
	for _, found := range testName.FindAllStringSubmatch(page, -1) {
		if all[found[1]] == nil {
			all[found[1]] = testsIn(t, found[1])
		}
	}
	return all
}

// testsIn returns the tests of a directory, whichever of its two packages they
// belong to.
func testsIn(t *testing.T, room string) map[string]bool {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, room, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, path := range paths {
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range parsed.Decls {
			if fn, ok := one.(*ast.FuncDecl); ok && fn.Recv == nil {
				all[fn.Name.Name] = true
			}
		}
	}
	return all
}

// TestWhatWasWrittenForTheTableStandsInIt: a test of a conformance file that no
// row names would prove what nobody looks for.
func TestWhatWasWrittenForTheTableStandsInIt(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs/conformance.md"))
	if err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob(filepath.Join(root, "internal/oidc/*conformance_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Fatal("there are no conformance tests: the test looks in the wrong place")
	}
	for _, path := range paths {
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range parsed.Decls {
			fn, ok := one.(*ast.FuncDecl)
			if ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Test") && !strings.Contains(string(page), "`internal/oidc."+fn.Name.Name+"`") {
				t.Errorf("docs/conformance.md does not name internal/oidc.%s", fn.Name.Name)
			}
		}
	}
}
