package e2e

import (
	"strings"
	"testing"
)

// TestSigningOutOfOneServiceReachesTheOthers: a nurse signs in to e-RS, opens
// MESH and NCRS without another question, and signs out everywhere from e-RS.
// Carekey tells each of them by back-channel.
func TestSigningOutOfOneServiceReachesTheOthers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := newBrowser(t, withJavaScript)
	b.open(h.face(0))
	b.press("Sign in to e-RS")
	h.signIn(b, amara)
	b.wantText("You are signed in to e-RS")
	others := map[int]*browser{1: b.secondTab(), 2: b.secondTab()}
	for n, name := range map[int]string{1: "NCRS", 2: "MESH"} {
		others[n].open(h.face(n))
		others[n].press("Sign in to " + name)
		others[n].wantText("You are signed in to " + name)
	}
	b.press("Sign out everywhere")
	b.wantText("Sign in to e-RS")
	for n, name := range map[int]string{1: "NCRS", 2: "MESH"} {
		eventually(t, name+" is told", func() bool {
			others[n].open(h.face(n))
			return strings.Contains(others[n].text(), "Sign in to "+name)
		})
	}
	b.open(h.url + "/cim/")
	b.wantHeading("Select your login method")
}
