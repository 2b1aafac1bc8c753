package signin

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/fault"
)

// ownHome is where somebody lands who asked for no page in particular.
const ownHome = "/cim/"

// bookmark is the door of seed 0's own link:
// /openam/XUI/?realm=/nhsidentity/healthcare&authIndexType=service&authIndexValue=AAL2AuthDecisionTree&goto=…
func (s *SignIn) bookmark(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	acr, known := care.Tree(query.Get("authIndexValue"))
	realm := strings.ToLower(query.Get("realm"))
	if !known || query.Get("authIndexType") != "service" || realm != "" && realm != "/nhsidentity/healthcare" {
		s.Kit.Fault(w, r, fault.New(fault.BookmarkUnknown, fmt.Errorf("tree %q of realm %q", query.Get("authIndexValue"), realm)))
		return
	}
	to, origin, err := s.Directory.Destination(r.Context(), s.BaseURL, query.Get("goto"))
	if err != nil {
		s.Kit.Fault(w, r, err)
		return
	}
	req, err := s.Requirements.SealRequirement(care.Requirement{
		ACR: acr, Methods: care.Methods(), ReturnTo: cmp.Or(to, ownHome), FormTarget: origin,
	})
	if err != nil {
		s.Kit.Fault(w, r, err)
		return
	}
	http.Redirect(w, r, "/signin?req="+req, http.StatusFound)
}
