package signin

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/gate/gatetest"
)

// ward is an address where all computers are shared.
var ward = netip.MustParseAddr("203.0.113.8")

// TestNoChoiceIsRememberedOnASharedComputer is decision 8.
func TestNoChoiceIsRememberedOnASharedComputer(t *testing.T) {
	h := newHouse(t)
	v := h.asked(ers())
	v.choose("remember", "yes") // before the computer was one of the ward's
	h.network = ward
	v.get("/signin?req="+h.sealed(ers())).isAt("/signin").sees(http.StatusOK, "Select your login method", "Continue")
	if strings.Contains(v.Text(), "Remember my selection") {
		t.Error("the page offers to remember the choice")
	}
	v.choose("remember", "yes") // sent all the same
	h.network = netip.MustParseAddr("198.51.100.4")
	v.get("/signin?req="+h.sealed(ers())).isAt("/signin").sees(http.StatusOK, "Remember my selection")
}

func TestASessionKnowsItsComputerBrowserAndService(t *testing.T) {
	h := newHouse(t)
	own := h.asked(ers())
	own.toCode(amara)
	own.code(amara)
	if s := own.session(); s == nil || s.Shared || s.Client != "ers" || s.Browser != "" { // Go's own client has no name
		t.Errorf("%+v", s)
	}
	h.network = ward
	shared := h.asked(care.SelfService(h.Clock.Now(), "/cim/"))
	shared.toCode(helen)
	shared.code(helen)
	if s := shared.session(); s == nil || !s.Shared || s.Client != "" {
		t.Errorf("%+v", s)
	}
}

// TestOnASharedComputerNobodyGoesOnFromASignInForAnother is decision 8.
func TestOnASharedComputerNobodyGoesOnFromASignInForAnother(t *testing.T) {
	h := newHouse(t)
	h.network = ward
	v := h.asked(ers())
	v.toCode(amara)
	v.code(amara).isAt("/authorize")
	other := ers()
	other.ClientID, other.Service = "ncrs", "NCRS"
	v.get("/signin?req="+h.sealed(other)).isAt("/signin").sees(http.StatusOK, "Select your login method")
	v.get("/signin?req="+h.sealed(care.SelfService(h.Clock.Now().Add(-gatetest.Step), "/cim/"))).isAt("/signin").sees(http.StatusOK, "Select your login method")
	before := v.session()
	v.get("/signin?req=" + h.sealed(other))
	v.toCode(amara)
	v.code(amara).isAt("/authorize")
	if after := v.session(); after.SID != before.SID || after.Client != "ncrs" {
		t.Errorf("the session was %+v and is %+v: want the same, for the other service", before, after)
	}
}
