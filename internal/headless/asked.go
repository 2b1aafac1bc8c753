package headless

import (
	"cmp"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/journey"
)

// ownHome is where a script lands that asked for no page in particular.
const ownHome = "/cim/"

// signInPath is where a browser is sent that has to sign in.
const signInPath = "/signin"

// begin reads what is asked for and answers with the first callbacks. Whether
// the caller has a session already does not matter: AM would answer with its
// token, but the token of a browser's session is not for scripts to read (N18),
// so whoever comes here signs in.
func (h *Headless) begin(r *http.Request) (any, error) {
	req, err := h.asked(r)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(req.ACR.Offers(req.Methods), care.AuthenticatorApp) {
		return nil, fault.New(fault.HeadlessMethod, fmt.Errorf("%q asks for %s by one of %v", req.ClientID, req.ACR, req.Methods))
	}
	t := journey.Begin(h.journeys, stagePassword, state{Requirement: req})
	return h.next(t, stagePassword, "Sign in",
		nameCallback("Email address", req.LoginHint), passwordCallback("Password"))
}

// asked is what the query asks for: a requirement that was sealed for /signin
// (req), else the address to go on to (goto) and the tree (authIndexValue),
// which are CIS2's own parameters.
func (h *Headless) asked(r *http.Request) (care.Requirement, error) {
	query := r.URL.Query()
	if sealed := query.Get("req"); sealed != "" {
		return h.Requirements.OpenRequirement(sealed)
	}
	tree, err := tree(query)
	if err != nil {
		return care.Requirement{}, err
	}
	to, origin, err := h.Directory.Destination(r.Context(), h.BaseURL, query.Get("goto"))
	if err != nil {
		return care.Requirement{}, err
	}
	if path, _, _ := strings.Cut(to, "?"); origin != "" || path != h.AuthorizePath {
		return care.Requirement{
			ACR: cmp.Or(tree, care.AAL2OrAAL3Any), Methods: care.Methods(), ReturnTo: cmp.Or(to, ownHome), FormTarget: origin,
		}, nil
	}
	req, err := h.authorization(r, to)
	if err == nil && tree != "" && tree.Least() > req.ACR.Least() {
		req.ACR = tree
	}
	return req, err
}

// tree is the class that authIndexType and authIndexValue name, or "" if they
// name none: what goto asks for decides then.
func tree(query url.Values) (care.ACR, error) {
	kind, name, realmName := query.Get("authIndexType"), query.Get("authIndexValue"), query.Get("realm")
	acr, known := care.Tree(name)
	if care.KnownACR(care.ACR(name)) {
		acr, known = care.ACR(name), true
	}
	switch {
	case realmName != "" && !strings.EqualFold(realmName, realm):
		return "", fault.New(fault.BookmarkUnknown, fmt.Errorf("realm %.64q", realmName))
	case kind == "" && name == "":
		return "", nil
	case kind != "service" || !known:
		return "", fault.New(fault.BookmarkUnknown, fmt.Errorf("tree %.64q of type %.64q", name, kind))
	}
	return acr, nil
}

// authorization asks the provider what an authorization request requires, as a
// browser that nobody is signed in with would: so a script is asked for exactly
// what a person is, prompt, max_age, role and all, and the rules stay in one
// place.
func (h *Headless) authorization(r *http.Request, to string) (care.Requirement, error) {
	var none care.Requirement
	ask, err := http.NewRequestWithContext(r.Context(), http.MethodGet, to, nil) // the context knows the browser's mark
	if err != nil {
		return none, fault.New(fault.GotoRefused, err)
	}
	ask.Host, ask.RemoteAddr = r.Host, r.RemoteAddr
	answer := httptest.NewRecorder()
	h.Authorize.ServeHTTP(answer, ask)
	where, err := url.Parse(answer.Header().Get("Location"))
	if err != nil {
		return none, fmt.Errorf("reading where an authorization request leads: %w", err)
	}
	refused := fault.New(fault.HeadlessRefused, fmt.Errorf("the authorization request got %d", answer.Code))
	switch because := where.Query(); {
	case answer.Code >= http.StatusInternalServerError:
		return none, fault.New(fault.Busy, fmt.Errorf("the authorization request got %d", answer.Code))
	case where.Host == "" && where.Path == signInPath:
		return h.Requirements.OpenRequirement(because.Get("req"))
	case because.Has("error"):
		return none, refused.With(fmt.Sprintf("The answer was %s: %s.", because.Get("error"), because.Get("error_description")))
	}
	return none, refused.With("Open the address of goto in a browser to read why.")
}
