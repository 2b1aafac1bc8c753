package pagetest

import (
	"net/url"
	"strings"
)

// Fields are the fields of a form: a name, its value, and so on.
func Fields(pairs ...string) url.Values {
	fields := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		fields.Set(pairs[i], pairs[i+1])
	}
	return fields
}

// Check fails the test if what is shown is a page of ours with a fault in it.
func (b *Browser) Check() {
	b.t.Helper()
	if strings.Contains(b.Page, "<main") {
		Check(b.t, b.Page)
	}
}

// Sees fails the test unless the page has this status and says these words.
func (b *Browser) Sees(status int, words ...string) {
	b.t.Helper()
	if b.Status != status {
		b.t.Fatalf("%s answered %d, want %d:\n%s", b.At, b.Status, status, b.Text())
	}
	for _, w := range words {
		if !strings.Contains(b.Text(), w) {
			b.t.Fatalf("%s does not say %q:\n%s", b.At, w, b.Text())
		}
	}
}

// IsAt fails the test unless the browser is at the path.
func (b *Browser) IsAt(path string) {
	b.t.Helper()
	if at, _, _ := strings.Cut(b.At, "?"); at != path {
		b.t.Fatalf("the browser is at %s (%d), want %s:\n%s", at, b.Status, path, b.Text())
	}
}
