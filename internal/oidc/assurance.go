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

// acceptable returns the classes that would do for acr_values, the preferred
// first. acr_values is voluntary (OpenID Connect Core section 5.5.1.1): of
// several values, those count that are known and that the relying party's
// methods can meet; unknown ones alone mean its default. What cannot be met
// ends in an error and never in a lower level.
func acceptable(asked []string, rp relyingparty.RelyingParty) ([]care.ACR, *refusal) {
	var able []care.ACR
	known, floor := false, care.AALNone
	for _, value := range asked {
		acr := care.ACR(value)
		switch {
		case value == "AAL1_USERPASS": // known, and switched off (decision 10)
			known = true
		case !care.KnownACR(acr):
			floor = max(floor, namedLevel(value))
		default:
			known = true
			if len(acr.Offers(rp.Methods)) > 0 && !slices.Contains(able, acr) {
				able = append(able, acr)
			}
		}
	}
	switch {
	case len(able) > 0:
		return able, nil
	case known:
		return nil, unmet()
	}
	// CIS2 assumes AAL3 where nothing is asked and nothing is configured.
	fallback := cmp.Or(rp.DefaultACR, care.AAL3Any)
	if fallback.Least() < floor {
		fallback = care.AAL3Any
	}
	if len(fallback.Offers(rp.Methods)) == 0 {
		return nil, unmet()
	}
	return []care.ACR{fallback}, nil
}

func unmet() *refusal {
	return refused("unmet_authentication_requirements", "none of acr_values can be met with the methods that this client accepts")
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

// requirement is what must be true for one of the classes.
func (req request) requirement(acr care.ACR, after time.Time) care.Requirement {
	origin, err := relyingparty.Origin(req.redirectURI)
	if err != nil {
		origin = "" // an app's own scheme: no form leads there
	}
	return care.Requirement{
		ClientID: req.rp.ClientID, Service: cmp.Or(req.rp.ShortName, req.rp.Name),
		ACR: acr, Methods: acr.Offers(req.rp.Methods), AuthenticatedAfter: after,
		Role: req.role, LoginHint: string(req.loginHint), FormTarget: origin,
	}
}

// satisfied returns the first class that the session meets, and false if it
// meets none or there is no session.
func (req request) satisfied(s *session.Session, after time.Time) (care.ACR, bool) {
	if s == nil {
		return "", false
	}
	for _, acr := range req.acrs {
		if s.Satisfies(req.requirement(acr, after)) {
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
