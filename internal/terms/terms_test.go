package terms_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"carekey.dev/carekey/internal/page/pagetest"
	"carekey.dev/carekey/internal/terms"
)

var noon = time.Date(2026, 3, 22, 12, 0, 0, 0, time.UTC)

func versions(t *testing.T) *terms.Terms {
	t.Helper()
	loaded, err := terms.Load(fstest.MapFS{
		"2025-01-01.txt": {Data: []byte("The old words.")},
		"2026-03-01.txt": {Data: []byte("The words.\n\n# A heading\n- one\n- two\n\nThe <b>end</b>.")},
		"2026-04-01.txt": {Data: []byte("The new words.")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

func TestVersionComesIntoForceAtItsSecond(t *testing.T) {
	all := versions(t)
	start := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		at   time.Time
		want string
	}{
		{start.Add(-time.Second), "2026-03-01"}, {start, "2026-04-01"}, {start.Add(time.Second), "2026-04-01"},
		{time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), "2025-01-01"},
	} {
		if got := all.Current(test.at).ID; got != test.want {
			t.Errorf("at %v the version is %s, not %s", test.at, got, test.want)
		}
	}
}

func TestTermsThatCannotBeReadAreRefused(t *testing.T) {
	for name, files := range map[string]fstest.MapFS{
		"there are no terms":                 {},
		"are not named after a day":          {"terms.txt": {Data: []byte("x")}},
		"the terms 2026-01-01.txt are empty": {"2026-01-01.txt": {Data: []byte("\n \n")}},
	} {
		if _, err := terms.Load(files); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("the error is %v, not %q", err, name)
		}
	}
}

func TestTheProgramsOwnTermsCanBeRead(t *testing.T) {
	v := terms.Default().Current(noon)
	if v.ID != "2026-01-01" || len(v.Blocks) < 5 {
		t.Errorf("the version is %s with %d blocks", v.ID, len(v.Blocks))
	}
}

func TestEveryVersionHasItsPage(t *testing.T) {
	kit := pagetest.Kit(t)
	mux := http.NewServeMux()
	versions(t).Routes(mux, kit, func() time.Time { return noon })
	b := pagetest.Client(t, kit.Wrap(mux))
	for path, want := range map[string]string{
		"/terms":            "In force since 1 March 2026. The words. A heading one two The <b>end</b>.",
		"/terms/2026-03-01": "In force since 1 March 2026.",
		"/terms/2025-01-01": "This is an old version, in force from 1 January 2025.",
		"/terms/2026-04-01": "This version comes into force on 1 April 2026.",
	} {
		b.Get(path)
		if b.Status != http.StatusOK || !strings.Contains(b.Text(), want) {
			t.Errorf("%s: %d, %s", path, b.Status, b.Text())
		}
		pagetest.Check(t, b.Page)
	}
	if b.Get("/terms/1999-01-01"); b.Status != http.StatusNotFound {
		t.Errorf("an unknown version was answered with %d", b.Status)
	}
	pagetest.Check(t, b.Page)
}
