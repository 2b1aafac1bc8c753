package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func guide(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/operators.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheOperatorsGuideNamesEverySetting(t *testing.T) {
	for _, s := range new(file).settings() {
		if !strings.Contains(guide(t), "`"+s.name+"`") {
			t.Errorf("docs/operators.md does not say what %s is", s.name)
		}
	}
}

// TestTheOperatorsExampleIsCompleteAndGood: what the guide says to write is
// accepted, and the defaults that it shows are those of the program.
func TestTheOperatorsExampleIsCompleteAndGood(t *testing.T) {
	_, example, found := strings.Cut(guide(t), "# Complete example: ")
	example, _, ended := strings.Cut(example, "\n```")
	if !found || !ended {
		t.Fatal("docs/operators.md has no complete example")
	}
	example = "# " + example
	for _, s := range new(file).settings() {
		steps := strings.Split(s.name, ".")
		if name := steps[len(steps)-1]; !strings.Contains(example, strings.Repeat("  ", len(steps)-1)+name+":") {
			t.Errorf("the complete example has no %s", s.name)
		}
	}
	load := func(text string) *Config {
		path := filepath.Join(t.TempDir(), "carekey.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Load(path, func(string) (string, bool) { return "", false })
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	whole := load(example)
	least := load(`
base_url: https://id.northmoor.example
listen: 127.0.0.1:1
database: {url: "sqlite:/var/lib/carekey/carekey.db"}
root_key_file: /etc/carekey/root.key
smtp: {host: mail.northmoor.example, from: no-reply@northmoor.example}
`)
	if whole.Passwords != least.Passwords || whole.Operator.Service != least.Operator.Service || whole.SMTP.Security != least.SMTP.Security {
		t.Errorf("the defaults in the example are\n%+v, those without it\n%+v", whole, least)
	}
}
