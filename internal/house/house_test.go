// Package house holds the project to its own plan: which room may import
// which, and that nobody gets round the gate.
package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "carekey.dev/carekey/"
	root   = "../.."
)

// lines are the storeys of the house, the lowest first. A room imports rooms of
// lower lines only. Rooms below a named room belong to its line.
var lines = [][]string{
	{"internal/care", "internal/porttest"},
	{"internal/fault", "internal/db", "internal/keys", "internal/hsm", "internal/page", "internal/yamldoc"},
	{"internal/journey", "internal/throttle", "internal/lease", "internal/audit", "internal/outbox", "internal/fetch"},
	{"internal/person", "internal/access", "internal/organisation", "internal/relyingparty", "internal/notice", "internal/terms"},
	{"internal/credential", "internal/session"},
	{"internal/gate"},
	{"internal/oidc", "internal/signin", "internal/headless", "internal/registration", "internal/account", "internal/help", "internal/dev", "internal/world", "internal/connection"},
	{"internal/server"},
	{"cmd", "build", "internal/house", "internal/e2e"},
}

// drawn are the exceptions: arrows along a line that the plan shows.
var drawn = map[[2]string]string{
	{"internal/page", "internal/fault"}:   "a page renders a fault",
	{"internal/page", "internal/keys"}:    "a form carries a token that the key ring made",
	{"internal/audit", "internal/lease"}:  "one node numbers the entries",
	{"internal/outbox", "internal/lease"}: "one node clears up",
}

func storey(path string) (int, string) {
	for i, line := range lines {
		for _, room := range line {
			if path == room || strings.HasPrefix(path, room+"/") {
				return i, room
			}
		}
	}
	return -1, ""
}

type file struct {
	path string // relative to the root
	ast  *ast.File
}

// files parses every Go file that is not a test.
func files(t *testing.T) []file {
	t.Helper()
	var all []file
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != root) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		all = append(all, file{filepath.ToSlash(rel), parsed})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("found only %d files: the test looks in the wrong place", len(all))
	}
	return all
}

// forTests are rooms that only tests come into.
func forTests(path string) bool {
	return strings.HasSuffix(path, "test") || strings.Contains(path, "test/")
}

func TestRoomsImportLowerLinesOnly(t *testing.T) {
	for _, f := range files(t) {
		dir := filepath.ToSlash(filepath.Dir(f.path))
		from, room := storey(dir)
		if from < 0 {
			t.Errorf("%s is in no line of the house", f.path)
			continue
		}
		if forTests(dir) || dir == "build/withpostgres" {
			continue
		}
		for _, spec := range f.ast.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			target, ours := strings.CutPrefix(path, module)
			if !ours {
				continue
			}
			to, other := storey(target)
			switch {
			case to < 0:
				t.Errorf("%s imports %s, which is in no line of the house", f.path, target)
			case forTests(target):
				t.Errorf("%s imports %s, which is for tests", f.path, target)
			case other == room:
			case to >= from && drawn[[2]string{room, other}] == "":
				t.Errorf("%s imports %s, which is not below it", f.path, target)
			}
		}
	}
}

// TestOnlyTheGateOpensSessionsAndBindsAuthenticators: decision "one gate". The
// capabilities are handed out by wiring; nobody else names them.
func TestOnlyTheGateOpensSessionsAndBindsAuthenticators(t *testing.T) {
	guarded := map[string][]string{
		"session.Opener":       {"internal/gate", "internal/server"},
		"session.New":          {"internal/server"},
		"credential.Binder":    {"internal/gate"},
		"credential.NewBinder": {"internal/server"},
		"gate.New":             {"internal/server"},
	}
	met := map[string]bool{}
	for _, f := range files(t) {
		dir := filepath.ToSlash(filepath.Dir(f.path))
		_, room := storey(dir)
		if forTests(dir) {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := sel.X.(*ast.Ident)
			if !ok {
				return true
			}
			name := pkg.Name + "." + sel.Sel.Name
			allowed, isGuarded := guarded[name]
			if isGuarded {
				met[name] = true
			}
			if isGuarded && !slices.Contains(allowed, room) {
				t.Errorf("%s uses %s, which belongs to %v", f.path, name, allowed)
			}
			return true
		})
	}
	for name := range guarded {
		if !met[name] {
			t.Errorf("nobody uses %s: the test guards a name that is gone", name)
		}
	}
}

// TestOnlyVerifiersMakeProofs: proof is unforgeable by construction. The
// compiler keeps rooms outside credential from importing the package; this
// test keeps the record itself and the rooms that do no verifying out of it.
func TestOnlyVerifiersMakeProofs(t *testing.T) {
	allowed := []string{
		"internal/credential", "internal/credential/app", "internal/credential/mailcode",
		"internal/credential/link", "internal/credential/recovery", "internal/credential/fido",
	}
	for _, f := range files(t) {
		for _, spec := range f.ast.Imports {
			if spec.Path.Value == `"`+module+`internal/credential/internal/proof"` &&
				!slices.Contains(allowed, filepath.ToSlash(filepath.Dir(f.path))) {
				t.Errorf("%s makes proofs and is no verifier", f.path)
			}
		}
	}
}
