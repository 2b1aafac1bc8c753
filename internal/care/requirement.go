package care

import (
	"slices"
	"time"
)

// RoleWish says whether a relying party wants one of the person's roles
// (domain, 1.13).
type RoleWish string

// The wishes: none, the role of this session or a choice (scope
// "selectedrole"), a new choice (scope "changedrole").
const (
	NoRole      RoleWish = ""
	AnyRole     RoleWish = "selected"
	AnotherRole RoleWish = "changed"
)

// Requirement is what must be true before a person is sent back to who asked.
// The provider seals it; the sign-in room opens it and sends the browser to
// ReturnTo when it is met. It is the only thing that passes between them.
type Requirement struct {
	// ClientID is the relying party, or "" for Carekey's own pages.
	ClientID string `json:"c,omitempty"`
	// Service is the relying party's name, for the pages.
	Service string `json:"s,omitempty"`
	ACR     ACR    `json:"a"`
	// Also are further classes that would do, where a relying party names
	// several: the preferred one is ACR.
	Also    []ACR    `json:"o,omitempty"`
	Methods []Method `json:"m"`
	// AuthenticatedAfter is the earliest sign-in that counts (max_age, or the
	// moment of the request for prompt=login); zero: any live session.
	AuthenticatedAfter time.Time `json:"t,omitzero"`
	Role               RoleWish  `json:"r,omitempty"`
	// LoginHint is the address to fill in, if the relying party sent one.
	LoginHint string `json:"h,omitempty"`
	// ReturnTo is a path on this server, or the address of a registered
	// relying party.
	ReturnTo string `json:"u"`
	// FormTarget is the origin that the last form of the journey leads to
	// (Content-Security-Policy form-action), or "".
	FormTarget string `json:"f,omitempty"`
}

// Reaches reports whether a sign-in by method at level meets one of the classes.
// Whether the method is accepted is another question.
func (r Requirement) Reaches(method Method, level AAL) bool {
	return r.ACR.Satisfied(method, level) ||
		slices.ContainsFunc(r.Also, func(also ACR) bool { return also.Satisfied(method, level) })
}

// Offers returns the methods that are accepted and can lead to one of the
// classes, in seed 0's order: what the login-method page shows.
func (r Requirement) Offers() []Method {
	some := r.ACR.Offers(r.Methods)
	for _, also := range r.Also {
		some = append(some, also.Offers(r.Methods)...)
	}
	return InOrder(some)
}

// SelfService is what Care Identity Management asks for before it shows one
// of its pages: AAL2 is enough, because who has only an app must be able to look
// after it (decision 3). after is the oldest sign-in that will do; zero: any.
func SelfService(after time.Time, page string) Requirement {
	return Requirement{ACR: AAL2OrAAL3Any, Methods: Methods(), AuthenticatedAfter: after, ReturnTo: page}
}
