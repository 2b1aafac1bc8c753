package account

import (
	"net/http"
	"net/netip"
	"net/url"
	"testing"

	"carekey.dev/carekey/internal/session"
)

// mark is the secret of a link that marks browsers, or takes the mark away.
func (h *house) mark(shared bool) string {
	h.t.Helper()
	made, err := h.Computers.Link(shared)
	h.must(err)
	return url.QueryEscape(made)
}

func TestITMarksAComputerWithALink(t *testing.T) { // decision 8
	h := newHouse(t)
	b := h.browser().get(pathShared).sees(http.StatusOK, "Do people share this computer?", "No.")
	link := func(shared bool) string { return pathShared + "?t=" + h.mark(shared) }
	b.get(link(true)).sees(http.StatusOK, "Mark this computer as shared", "every service asks its user to sign in")
	b.get(pathShared).sees(http.StatusOK, "No.") // opening a link changes nothing
	b.get(link(true)).submit(pathShared).isAt(pathShared).sees(http.StatusOK, "Yes.", "marked this browser")
	b.get(link(true)).sees(http.StatusOK, "It is marked already")
	h.browser().get(pathShared).sees(http.StatusOK, "No.") // another computer
	b.get(link(false)).sees(http.StatusOK, "Take the mark of a shared computer away").submit(pathShared).sees(http.StatusOK, "No.")
	if h.Count("audit_entry WHERE action IN ('computer.shared', 'computer.private')") != 2 {
		t.Error("want an audit entry for each")
	}

	old := link(true)
	h.Clock.Later(session.MarkLife)
	b.get(old).sees(http.StatusGone, "This link does not work", "Ask your IT service for a new one")
	b.get(pathShared)
	b.get(link(true))
	h.Clock.Later(session.MarkLife)
	b.submit(pathShared).sees(http.StatusGone, "This link does not work")
}

func TestAComputerOfANamedNetworkIsShared(t *testing.T) { // decision 8
	h := newHouse(t)
	h.network = netip.MustParseAddr("203.0.113.9")
	h.browser().get(pathShared).sees(http.StatusOK, "Yes.", "named the network")
}
