package pagetest

import (
	_ "embed"
	"strings"
	"testing"
)

//go:embed seed-words.txt
var seedWords string

// SeedPages are the words that each page keeps, exactly (docs/seed-words.md):
// the page's name, then its words.
func SeedPages(t testing.TB) map[string][]string {
	t.Helper()
	pages := map[string][]string{}
	for line := range strings.Lines(seedWords) {
		page, words, ok := strings.Cut(strings.TrimRight(line, "\n"), "\t")
		if !ok {
			t.Fatalf("the golden file has the line %q", line)
		}
		pages[page] = append(pages[page], words)
	}
	return pages
}

// SeedWords are the words that one page keeps.
func SeedWords(t testing.TB, page string) []string {
	t.Helper()
	words := SeedPages(t)[page]
	if len(words) == 0 {
		t.Fatalf("the golden file has no words for %q", page)
	}
	return words
}
