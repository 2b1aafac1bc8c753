package care

import "slices"

// ACR is an authentication context class that a relying party can ask for
// (domain, 1.8): which methods may be offered and which level must result.
type ACR string

// The classes. Single-method values (AAL3_FIDO2 …) are in acrTable too.
const (
	AAL3Any       ACR = "AAL3_ANY"
	AAL2OrAAL3Any ACR = "AAL2_OR_AAL3_ANY"
	AAL2Any       ACR = "AAL2_ANY"
)

type acrFacts struct {
	methods []Method
	least   AAL
}

// AAL1_USERPASS is missing on purpose: a password alone signs nobody in.
var acrTable = map[ACR]acrFacts{
	AAL3Any:               {[]Method{Smartcard, WindowsHello, SecurityKey, IPadApp}, AAL3},
	AAL2OrAAL3Any:         {Methods(), AAL2},
	AAL2Any:               {[]Method{AuthenticatorApp, NHSmail, Passkey}, AAL2},
	"AAL3_IOS":            {[]Method{IPadApp}, AAL3},
	"AAL3_FIDO2":          {[]Method{WindowsHello, SecurityKey}, AAL3},
	"AAL3_N3_SMARTCARD":   {[]Method{Smartcard}, AAL3},
	"AAL3_CIS2_SMARTCARD": {[]Method{Smartcard}, AAL3},
	"AAL3_SMARTCARD":      {[]Method{Smartcard}, AAL3},
	"AAL2_TOTP":           {[]Method{AuthenticatorApp}, AAL2},
	"AAL2_NHSMAIL":        {[]Method{NHSmail}, AAL2},
}

// KnownACR reports whether a is supported.
func KnownACR(a ACR) bool {
	_, ok := acrTable[a]
	return ok
}

// ACRs returns the supported values, classes first, in a fixed order.
func ACRs() []ACR {
	all := []ACR{AAL3Any, AAL2OrAAL3Any, AAL2Any}
	var single []ACR
	for a := range acrTable {
		if !slices.Contains(all, a) {
			single = append(single, a)
		}
	}
	slices.Sort(single)
	return append(all, single...)
}

// Least is the level that a session must have to satisfy a; AAL3 for a value
// that is not known, so that a mistake never lowers a level.
func (a ACR) Least() AAL {
	if facts, ok := acrTable[a]; ok {
		return facts.least
	}
	return AAL3
}

// Offers returns the methods of a that allowed holds too, in seed 0's order:
// what the login-method page shows.
func (a ACR) Offers(allowed []Method) []Method {
	var some []Method
	for _, m := range acrTable[a].methods {
		if slices.Contains(allowed, m) {
			some = append(some, m)
		}
	}
	return InOrder(some)
}

// Satisfied reports whether a sign-in by method at level meets a.
func (a ACR) Satisfied(method Method, level AAL) bool {
	facts, ok := acrTable[a]
	return ok && level >= facts.least && slices.Contains(facts.methods, method)
}
