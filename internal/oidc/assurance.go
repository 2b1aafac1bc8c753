package oidc

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"carekey.dev/carekey/internal/access"
	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/relyingparty"
	"carekey.dev/carekey/internal/session"
)

// settled is how long a person may take from the sign-in to the way back, to
// choose a role, before a sign-in that was asked for counts as old.
const settled = 10 * time.Minute

// acceptable returns the classes that would do, the preferred first. What cannot
// be met ends in an error and never in a lower level.
func acceptable(w wish, rp relyingparty.RelyingParty) ([]care.ACR, *refusal) {
	if len(w.essential) > 0 {
		return essential(w, rp)
	}
	return voluntary(w.acrs, rp)
}

// essential returns the classes of an essential acr claim: one of them must
// result, so an unknown one can only be missed, and no default takes its place
// (OpenID Connect Core section 5.5.1.1). acr_values beside it choose among them.
func essential(w wish, rp relyingparty.RelyingParty) ([]care.ACR, *refusal) {
	named := classes(w.essential)
	if some := among(classes(w.acrs), named); len(some) > 0 {
		named = some
	}
	able := within(named, rp)
	if len(able) == 0 {
		return nil, unmet("none of the values of the essential acr claim")
	}
	return able, nil
}

// voluntary returns the classes for acr_values, which are voluntary (section
// 5.5.1.1): of several values, those count that are known and that the relying
// party's methods can meet; unknown ones alone mean its default.
func voluntary(asked []string, rp relyingparty.RelyingParty) ([]care.ACR, *refusal) {
	known := classes(asked)
	able := within(known, rp)
	switch {
	case len(able) > 0:
		return able, nil
	case len(known) > 0, slices.Contains(asked, passwordAlone):
		return nil, unmet("none of acr_values")
	}
	floor := care.AALNone
	for _, value := range asked {
		floor = max(floor, namedLevel(value))
	}
	// CIS2 assumes AAL3 where nothing is asked and nothing is configured.
	fallback := cmp.Or(rp.DefaultACR, care.AAL3Any)
	if fallback.Least() < floor {
		fallback = care.AAL3Any
	}
	if able = within([]care.ACR{fallback}, rp); len(able) == 0 {
		return nil, unmet("none of acr_values")
	}
	return able, nil
}

// passwordAlone is a class of CIS2's development realm: known, and switched off
// (decision 10).
const passwordAlone = "AAL1_USERPASS"

// classes returns the values that are classes, in their order, each once.
func classes(values []string) []care.ACR {
	var known []care.ACR
	for _, value := range values {
		if acr := care.ACR(value); care.KnownACR(acr) && !slices.Contains(known, acr) {
			known = append(known, acr)
		}
	}
	return known
}

// among returns those of some that all holds too.
func among(some, all []care.ACR) []care.ACR {
	return slices.DeleteFunc(some, func(acr care.ACR) bool { return !slices.Contains(all, acr) })
}

// within returns the classes that the relying party's methods can meet.
func within(known []care.ACR, rp relyingparty.RelyingParty) []care.ACR {
	var able []care.ACR
	for _, acr := range known {
		if len(acr.Offers(rp.Methods)) > 0 {
			able = append(able, acr)
		}
	}
	return able
}

func unmet(what string) *refusal {
	return refused("unmet_authentication_requirements", what+" can be met with the methods that this client accepts")
}

// namedLevel is the level that the name of an unknown class claims, so that a
// mistyped AAL3 class is never met by less.
func namedLevel(value string) care.AAL {
	switch {
	case strings.HasPrefix(value, "AAL3"):
		return care.AAL3
	case strings.HasPrefix(value, "AAL2"):
		return care.AAL2
	}
	return care.AALNone
}

// after is the earliest sign-in that counts now. asked is when this very
// request first sent the person to sign in, or zero: a sign-in since then is
// what prompt=login and max_age wanted (wire rule 18).
func (req request) after(now, asked time.Time) time.Time {
	answered := now
	if !asked.IsZero() {
		answered = latest(asked, now.Add(-settled))
	}
	switch {
	case req.again:
		return answered
	case req.maxAge < 0:
		return time.Time{}
	}
	if oldest := now.Add(-req.maxAge); oldest.Before(answered) {
		return oldest
	}
	return answered
}

// unanswered reports whether the person has to sign in for this request and has
// not been sent to do so, however recent their session is.
func (req request) unanswered(asked time.Time) bool {
	return asked.IsZero() && (req.again || req.maxAge == 0)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// requirement is what must be true before the browser is sent back here.
func (req request) requirement(after time.Time) care.Requirement {
	origin, err := relyingparty.Origin(req.redirectURI)
	if err != nil {
		origin = "" // an app's own scheme: no form leads there
	}
	return care.Requirement{
		ClientID: req.rp.ClientID, Service: cmp.Or(req.rp.ShortName, req.rp.Name),
		ACR: req.acrs[0], Also: req.acrs[1:], Methods: req.methods(), AuthenticatedAfter: after,
		Role: req.role, LoginHint: string(req.loginHint), FormTarget: origin,
	}
}

// methods are those that can lead to one of the classes.
func (req request) methods() []care.Method {
	return care.Requirement{ACR: req.acrs[0], Also: req.acrs[1:], Methods: req.rp.Methods}.Offers()
}

// verdict is what a request comes to with the session that a browser has: a
// class that is met, or what the person has to do first, or a refusal.
type verdict struct {
	acr     care.ACR
	missing *care.Requirement
	refusal *refusal
}

// judge is the rule of the authorization endpoint: which sign-in is good enough
// for a request. asked is when this very request first sent the person to sign
// in, or zero.
//
// On a shared computer each request asks for a sign-in of its own, as with
// prompt=login (decision 8).
func (req request) judge(s *session.Session, asked, now time.Time) verdict {
	req.again = req.again || s != nil && s.Shared
	acr, ok := req.satisfied(s, req.after(now, asked))
	switch {
	case !ok, req.unanswered(asked):
		return req.ask(req.after(now, time.Time{}))
	case req.subject == "" || req.subject == s.UID:
		return verdict{acr: acr}
	case !asked.IsZero() && !s.AuthTime.Before(asked):
		// The person had their chance: whoever signed in is somebody else
		// (OpenID Connect Core sections 3.1.2.1 and 3.1.2.2).
		return verdict{refusal: refused("login_required", "another person signed in than the one that the request names")}
	}
	return req.ask(now) // nobody's old session is of use
}

// ask sends the person to sign in, or refuses where nobody may be asked.
func (req request) ask(after time.Time) verdict {
	if req.silent {
		return verdict{refusal: silence("login_required")}
	}
	missing := req.requirement(after)
	return verdict{missing: &missing}
}

// silence refuses a request with prompt=none that would need the person (OpenID
// Connect Core section 3.1.2.6).
func silence(code string) *refusal {
	return refused(code, "nobody may be asked because of prompt=none, and the session does not meet the request")
}

// satisfied returns the first class that the session meets, and false if it
// meets none or there is no session.
func (req request) satisfied(s *session.Session, after time.Time) (care.ACR, bool) {
	if s == nil || !s.Serves(req.rp.ClientID) || s.AuthTime.Before(after) || !slices.Contains(req.rp.Methods, s.Method) {
		return "", false
	}
	for _, acr := range req.acrs {
		if acr.Satisfied(s.Method, s.AAL) {
			return acr, true
		}
	}
	return "", false
}

// chosenRole returns the role to tell, and false if the person has to choose
// first. One role is never asked for, and none at all is no obstacle (domain,
// 1.13). A wish for another role is met by a choice made since this request
// first asked.
func chosenRole(wish care.RoleWish, held []access.Role, s *session.Session, asked time.Time) (string, bool) {
	switch len(held) {
	case 0:
		return "", true
	case 1:
		return held[0].ID, true
	}
	if !slices.ContainsFunc(held, func(r access.Role) bool { return r.ID == s.Role }) {
		return "", false
	}
	if wish == care.AnotherRole && (asked.IsZero() || s.RoleAt.Before(asked)) {
		return "", false
	}
	return s.Role, true
}
