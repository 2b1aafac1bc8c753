package yamldoc_test

import (
	"testing"

	"carekey.dev/carekey/internal/yamldoc"
)

type shelf struct {
	Name  string `yaml:"name"`
	Books []struct {
		Title string `yaml:"title"`
		Pages int    `yaml:"pages"`
		Lent  bool   `yaml:"lent"`
	} `yaml:"books"`
	Tags map[string]string `yaml:"tags"`
}

func TestEachMistakeNamesItsLine(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"unknown field":   {"name: a\nbooks:\n  - title: b\n    pags: 3\n", `shelf.yaml:4: unknown field "pags"`},
		"field twice":     {"name: a\nname: b\n", `shelf.yaml:2: mapping key "name" already defined at [1:1]`},
		"no number":       {"books:\n  - pages: many\n", `shelf.yaml:2: a number is wanted here`},
		"no text":         {"name: [a]\n", `shelf.yaml:1: text is wanted here`},
		"no truth":        {"books:\n  - title: a\n    lent: maybe\n", `shelf.yaml:3: true or false is wanted here`},
		"no YAML":         {"name: a\nbooks: [\n", `shelf.yaml:2: sequence end token ']' not found`},
		"second document": {"name: a\n---\nname: b\n", `shelf.yaml:2: a second document begins here: keep everything in one`},
	} {
		t.Run(name, func(t *testing.T) {
			var s shelf
			d, err := yamldoc.Parse("shelf.yaml", []byte(c.text))
			if err == nil {
				err = d.Decode(&s)
			}
			if err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

func TestAMistakeFoundLaterNamesItsLine(t *testing.T) {
	d, err := yamldoc.Parse("shelf.yaml", []byte("name: a\nbooks:\n  - title: b\n    pages: 3\n  - {title: c,\n     pages: 0}\ntags:\n  a.b: c\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path []any
		want string
	}{
		{[]any{"books", 0, "pages"}, "shelf.yaml:4: wrong"},
		{[]any{"books", 1, "pages"}, "shelf.yaml:6: wrong"},
		{[]any{"books", 0, "missing"}, "shelf.yaml:3: wrong"},
		{[]any{"tags", "a.b"}, "shelf.yaml:8: wrong"},
		{[]any{"nothing", 3}, "shelf.yaml: wrong"},
	} {
		if got := d.Mistake(c.path, "wrong").Error(); got != c.want {
			t.Errorf("%v: got %q, want %q", c.path, got, c.want)
		}
	}
}

func TestAnEmptyFileIsNoMistake(t *testing.T) {
	for _, text := range []string{"", "# nothing yet\n", "---\n"} {
		var s shelf
		d, err := yamldoc.Parse("shelf.yaml", []byte(text))
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if err := d.Decode(&s); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("name: a\nbooks:\n  - {title: b, pages: 3}\n")
	f.Add("a: &x [*x]\n")
	f.Fuzz(func(t *testing.T, text string) {
		var s shelf
		d, err := yamldoc.Parse("shelf.yaml", []byte(text))
		if err != nil {
			return
		}
		_ = d.Decode(&s)
		_ = d.Mistake([]any{"books", 0, "title"}, "wrong").Error()
	})
}
