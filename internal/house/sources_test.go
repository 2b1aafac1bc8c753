package house

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// label finds the short names of sources in a text. A decision with four digits
// is a record, which has a page of its own.
var label = regexp.MustCompile(`\b([Dd]ecisions? [0-9]{1,2}( and [0-9]{1,2})?|[Ww]ire rules? [0-9]+( and [0-9]+)?|[Ss]eed [0-9]|[Dd]omain,? [0-9]\.[0-9]+|N[1-9][0-9]?)\b`)

// labels returns what a text cites, each in the form of docs/sources.md.
func labels(text string) []string {
	var all []string
	for _, found := range label.FindAllString(text, -1) {
		name, second, two := strings.Cut(found, " and ")
		name = strings.ToUpper(name[:1]) + name[1:]
		name = strings.Replace(strings.Replace(name, "isions ", "ision ", 1), "rules ", "rule ", 1)
		if kind, number, ok := strings.Cut(name, " "); ok && kind == "Domain" {
			name = "Domain, " + number
		}
		all = append(all, name)
		if two {
			all = append(all, name[:strings.LastIndex(name, " ")+1]+second)
		}
	}
	return all
}

// TestLabelsInCommentsAreExplained: who reads the code has nothing but the
// project, so what a comment cites stands in docs/sources.md, and nothing
// stands there that nobody cites.
func TestLabelsInCommentsAreExplained(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs/sources.md"))
	if err != nil {
		t.Fatal(err)
	}
	explained := map[string]bool{}
	for _, found := range regexp.MustCompile(`(?m)^- \*\*([^*]+)\*\*`).FindAllStringSubmatch(string(page), -1) {
		explained[found[1]] = false
	}
	for _, path := range cited(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range labels(string(text)) {
			if _, ok := explained[name]; !ok {
				t.Errorf("%s cites %q, which docs/sources.md does not explain", path, name)
			}
			explained[name] = true
		}
	}
	for name, used := range explained {
		if !used && len(labels(name)) > 0 {
			t.Errorf("docs/sources.md explains %q, which nobody cites", name)
		}
	}
}

// cited returns the files whose comments may cite a source: Go, SQL and the
// records.
func cited(t *testing.T) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || strings.HasPrefix(d.Name(), ".") && path != root) {
			return filepath.SkipDir
		}
		record := filepath.Base(filepath.Dir(path)) == "decisions"
		if !d.IsDir() && (record || slices.Contains([]string{".go", ".sql", ".html"}, filepath.Ext(path))) {
			all = append(all, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
