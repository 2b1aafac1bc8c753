package page

import (
	"strings"
	"testing"
	"time"
)

// Decision 14; ASVS 3.4.3: no frame but of the origins that a page names.
func TestFramesAreAllowedByOriginAndNoOthers(t *testing.T) {
	if policy := contentPolicy(nil, nil); strings.Contains(policy, "frame-src") || !strings.HasPrefix(policy, "default-src 'none';") {
		t.Errorf("without frames: %s", policy)
	}
	policy := contentPolicy(nil, []string{
		"https://a.example/leave?sid=1", "https://a.example/other", "https://b.example:8443/", "javascript:alert(1)", "data:text/html,x", "https://*/", "https://c.example;script-src x/", "::",
	})
	if !strings.HasSuffix(policy, "; frame-src https://a.example https://b.example:8443") {
		t.Errorf("with frames: %s", policy)
	}
}

func TestAPageLeadsOnAfterItsTime(t *testing.T) {
	for want, view := range map[string]View{
		"5":                             {Refresh: 5 * time.Second},
		"3; url=https://a.example/?x=1": {Refresh: 3 * time.Second, Onward: "https://a.example/?x=1"},
	} {
		if got := refresh(view); got != want {
			t.Errorf("Refresh is %q, want %q", got, want)
		}
	}
}
