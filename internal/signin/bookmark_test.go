package signin

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/gate/gatetest"
	"carekey.dev/carekey/internal/page/pagetest"
	"carekey.dev/carekey/internal/relyingparty"
)

// The services whose pages a bookmark may lead to.
const ersHome, localHome = "https://ers.example.nhs.uk", "http://localhost:9090"

func register(r *gatetest.Rig) {
	r.Write(func(tx *db.Tx) error {
		return relyingparty.Put(tx, relyingparty.RelyingParty{
			ClientID: "ers", Name: "e-Referral Service", RedirectURIs: []string{ersHome + "/callback", localHome + "/callback"},
			Methods: care.Methods(), DefaultACR: care.AAL2OrAAL3Any,
		})
	})
}

// TestBookmarkOfTheSeed: /openam/XUI/ with the realm and the tree, to the page
// that it names.
func TestBookmarkOfTheSeed(t *testing.T) {
	h := newHouse(t)
	register(h.Rig)
	const address = "/openam/XUI/?realm=%2Fnhsidentity%2Fhealthcare&authIndexType=service&authIndexValue="
	v := h.visitor().get(address+"AAL2AuthDecisionTree&goto="+url.QueryEscape(gatetest.Base)).isAt("/signin").sees(http.StatusOK, "Select your login method")
	if n := len(v.choices("method")); n != 7 {
		t.Errorf("AAL2: %d methods", n)
	}
	v.toCode(amara).code(amara).isAt("/cim/")

	v = h.visitor().get(address + "AAL3AuthDecisionTree").isAt("/signin")
	if n := len(v.choices("method")); n != 4 {
		t.Errorf("AAL3: %d methods", n)
	}

	v = h.visitor().get(address + "AAL2AuthDecisionTree&goto=" + url.QueryEscape(ersHome+"/patients"))
	if policy := v.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "form-action 'self' "+ersHome) {
		t.Errorf("the form may not lead to the service: %s", policy)
	}
	v.toCode(amara).Stay()
	v.code(amara)
	if got := v.Header.Get("Location"); v.Status != http.StatusSeeOther || got != ersHome+"/patients" {
		t.Errorf("%d to %s", v.Status, got)
	}
}

func TestBookmarkThatDoesNotExistHere(t *testing.T) {
	h := newHouse(t)
	register(h.Rig)
	good := pagetest.Fields("realm", "/nhsidentity/healthcare", "authIndexType", "service", "authIndexValue", "AAL2AuthDecisionTree")
	for name, c := range map[string]struct {
		field, value string
		status       int
	}{
		"another tree":            {"authIndexValue", "PasswordOnly", http.StatusBadRequest},
		"no tree":                 {"authIndexValue", "", http.StatusBadRequest},
		"another realm":           {"realm", "/patients", http.StatusBadRequest},
		"another kind":            {"authIndexType", "module", http.StatusBadRequest},
		"a realm in capitals":     {"realm", "/NHSIdentity/Healthcare", http.StatusOK},
		"no realm":                {"realm", "", http.StatusOK},
		"a place of nobody known": {"goto", "https://evil.example", http.StatusBadRequest},
	} {
		query := maps.Clone(good)
		query.Set(c.field, c.value)
		v := h.visitor().get("/openam/XUI/?" + query.Encode())
		if v.Status != c.status || c.status != http.StatusOK && !strings.Contains(v.Text(), "Reference") {
			t.Errorf("%s: %d\n%s", name, v.Status, v.Text())
		}
	}
}
