package world_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/notice"
	"carekey.dev/carekey/internal/organisation"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/session"
	"carekey.dev/carekey/internal/world"
)

var schemas = []fs.FS{
	access.Schema, audit.Schema, credential.Schema, notice.Schema, organisation.Schema, person.Schema,
	relyingparty.Schema, session.Schema,
}

// Each file of testdata says at the end of a line what is wrong with it, after
// "# wrong: ". Files whose name begins with serve are read outside dev mode.
func TestEveryMistakeInAFileIsNamedWithItsLine(t *testing.T) {
	names, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, name := range names {
		t.Run(filepath.Base(name), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for i, line := range strings.Split(string(text), "\n") {
				if _, reason, found := strings.Cut(line, "# wrong: "); found {
					want = append(want, filepath.Base(name)+":"+strconv.Itoa(i+1)+": "+reason)
				}
			}
			mode := world.Mode(!strings.HasPrefix(filepath.Base(name), "serve"))
			w, err := world.Parse(filepath.Base(name), text, mode)
			if err == nil {
				_, err = w.Preview(t.Context(), world.Options{DB: dbtest.Open(t, schemas...)})
			}
			if err == nil {
				t.Fatal("no mistake was found")
			}
			got := strings.Split(err.Error(), "\n")
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("mistakes (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheDemoWorldHasNoMistake(t *testing.T) {
	if _, err := world.Parse(world.DemoName, world.Demo, world.Dev); err != nil {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(string(world.Demo))
	names, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, mode := range []world.Mode{world.Dev, world.Serve} {
			_, _ = world.Parse("fuzz.yaml", []byte(text), mode)
		}
	})
}
