package config

import (
	"os"
	"strings"
	"testing"
)

func TestTheOperatorsGuideNamesEverySetting(t *testing.T) {
	guide, err := os.ReadFile("../../../docs/operators.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range new(file).settings() {
		if !strings.Contains(string(guide), "`"+s.name+"`") {
			t.Errorf("docs/operators.md does not say what %s is", s.name)
		}
	}
}
