package session_test

import (
	"strings"
	"testing"

	"carekey.dev/carekey/internal/session"
)

func TestABrowserIsCalledWhatItsUserCallsIt(t *testing.T) {
	for agent, want := range map[string]string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0":                          "Edge on Windows",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36":                                        "Chrome on Windows",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/142.0.0.0 Safari/537.36":                                          "Chrome on Linux",
		"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36":                                         "Chrome on ChromeOS",
		"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36":                                        "Chrome on Android",
		"Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/28.0 Chrome/130.0.0.0 Mobile Safari/537.36":                    "Samsung Internet on Android",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:145.0) Gecko/20100101 Firefox/145.0":                                                                       "Firefox on Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Safari/605.1.15":                                  "Safari on Mac",
		"Mozilla/5.0 (iPad; CPU OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1":                         "Safari on iPad",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0.7444.77 Mobile/15E148 Safari/604.1":         "Chrome on iPhone",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/145.0 Mobile/15E148 Safari/605.1.15":              "Firefox on iPhone",
		"Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko":                                                                                   "Internet Explorer on Windows",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 OPR/124.0.0.0":                          "Opera on Windows",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 EdgA/1 <script>alert(1)</script>": "Edge on Mac",
		"Something (Windows)": "A browser on Windows",
		"Firefox/1":           "Firefox",
		"curl/8.14.1":         "",
		"":                    "",
	} {
		if got := session.BrowserName(agent); got != want {
			t.Errorf("%q for %s, want %q", got, agent, want)
		}
	}
}

// FuzzBrowserName: whatever a browser sends, its name is one of a few short
// texts and holds nothing of it.
func FuzzBrowserName(f *testing.F) {
	for _, agent := range []string{"", "Firefox/1", "Mozilla/5.0 (iPad) Edg/ Chrome/", "\x00\xff Windows <b>"} {
		f.Add(agent)
	}
	words := map[string]bool{"": true, "A": true, "browser": true, "on": true, "Internet": true}
	for _, word := range strings.Fields("Edge Opera Samsung Firefox Chrome Explorer Safari iPad iPhone Android Windows ChromeOS Mac Linux") {
		words[word] = true
	}
	f.Fuzz(func(t *testing.T, agent string) {
		for word := range strings.SplitSeq(session.BrowserName(agent), " ") {
			if !words[word] {
				t.Errorf("%q is in the name of %q", word, agent)
			}
		}
	})
}
