package house

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestLinkedModulesAreNamed: licences ask whoever passes a program on to name
// what is in it.
func TestLinkedModulesAreNamed(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs/third-party.md"))
	if err != nil {
		t.Fatal(err)
	}
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", "./cmd/...")
	list.Dir = root
	linked, err := list.Output()
	if err != nil {
		t.Fatalf("listing what is linked: %v", err)
	}
	modules := strings.Fields(string(linked))
	if len(modules) == 0 {
		t.Fatal("nothing is linked: the test looks in the wrong place")
	}
	for _, module := range modules {
		if !strings.Contains(string(page), "`"+module+"`") {
			t.Errorf("docs/third-party.md does not name %s", module)
		}
	}
}
