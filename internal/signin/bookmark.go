package signin

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/relyingparty"
)

// trees maps the names in the address that CIS2 users have bookmarked (seed 0,
// step 5) to what they ask for.
var trees = map[string]care.ACR{
	"AAL2AuthDecisionTree": care.AAL2OrAAL3Any,
	"AAL3AuthDecisionTree": care.AAL3Any,
}

// ownHome is where somebody lands who asked for no page in particular.
const ownHome = "/cim/"

// bookmark is the door of seed 0's own link:
// /openam/XUI/?realm=/nhsidentity/healthcare&authIndexType=service&authIndexValue=AAL2AuthDecisionTree&goto=…
func (s *SignIn) bookmark(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	acr, known := trees[query.Get("authIndexValue")]
	realm := strings.ToLower(query.Get("realm"))
	if !known || query.Get("authIndexType") != "service" || realm != "" && realm != "/nhsidentity/healthcare" {
		s.Kit.Fault(w, r, fault.New(fault.BookmarkUnknown, fmt.Errorf("tree %q of realm %q", query.Get("authIndexValue"), realm)))
		return
	}
	to, origin, err := s.destination(r, query.Get("goto"))
	if err != nil {
		s.Kit.Fault(w, r, err)
		return
	}
	req, err := s.Requirements.SealRequirement(care.Requirement{
		ACR: acr, Methods: care.Methods(), ReturnTo: to, FormTarget: origin,
	})
	if err != nil {
		s.Kit.Fault(w, r, err)
		return
	}
	http.Redirect(w, r, "/signin?req="+req, http.StatusFound)
}

// destination returns where goto leads: a path of our own, or an address at the
// origin of a registered relying party, whose origin is returned too. Anything
// else is refused (RFC 9700 section 4.11: no open redirector).
func (s *SignIn) destination(r *http.Request, text string) (to, origin string, err error) {
	if text == "" {
		return ownHome, "", nil
	}
	if strings.ContainsAny(text, "\\\r\n\t") {
		return "", "", fault.New(fault.GotoRefused, errors.New("goto is not an address"))
	}
	origin, err = relyingparty.Origin(text)
	if err != nil {
		return "", "", fault.New(fault.GotoRefused, err)
	}
	own, err := relyingparty.Origin(s.BaseURL)
	if err != nil {
		return "", "", err
	}
	if origin == own {
		to, err = ownPath(text)
		return to, "", err
	}
	_, err = s.Directory.ByOrigin(r.Context(), origin)
	if errors.Is(err, db.ErrNoRows) {
		return "", "", fault.New(fault.GotoRefused, fmt.Errorf("%s is no registered relying party", origin))
	}
	return text, origin, err
}

// ownPath is the path and query of an address of our own; a bare origin lands
// in Care Identity Management.
func ownPath(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil {
		return "", fault.New(fault.GotoRefused, err)
	}
	path := u.EscapedPath()
	if path == "" || path == "/" {
		return ownHome, nil
	}
	if strings.HasPrefix(path, "//") {
		return "", fault.New(fault.GotoRefused, errors.New("goto's path would leave this server"))
	}
	if u.RawQuery != "" {
		path += "?" + u.RawQuery
	}
	return path, nil
}
