package care

import (
	"fmt"
	"slices"
)

// Method is a way to sign in. Its text is the value of the radio button named
// "method" on the login-method page, and of `methods` in a world file.
type Method string

// The seven methods, in the order of the login-method page (seed 0).
const (
	Smartcard        Method = "smartcard"
	WindowsHello     Method = "windows_hello"
	SecurityKey      Method = "security_key"
	IPadApp          Method = "ipad_app"
	AuthenticatorApp Method = "authenticator_app"
	NHSmail          Method = "nhsmail"
	Passkey          Method = "passkey"
)

type methodFacts struct {
	label, registered, amr string
	most                   AAL
}

// Label texts are seed 0's: on the login-method page, and on the page where an
// authenticator type is chosen.
var methodTable = map[Method]methodFacts{
	Smartcard:        {"Smartcard", "Smartcard", "N3_SMARTCARD", AAL3},
	WindowsHello:     {"Windows Hello", "Windows Hello", "FIDO2", AAL3},
	SecurityKey:      {"Security key", "Security key", "FIDO2", AAL3},
	IPadApp:          {"iPad app", "iPad", "IOS", AAL3},
	AuthenticatorApp: {"Authenticator app", "Microsoft Authenticator", "TOTP", AAL2},
	NHSmail:          {"NHSmail", "NHSmail", "NHSMAIL", AAL2},
	Passkey:          {"Passkey (private beta)", "Passkey", "FIDO2", AAL3},
}

// Methods returns all seven, in the fixed order of seed 0.
func Methods() []Method {
	return []Method{Smartcard, WindowsHello, SecurityKey, IPadApp, AuthenticatorApp, NHSmail, Passkey}
}

// ParseMethod returns s as a Method, or an error that lists the right ones.
func ParseMethod(s string) (Method, error) {
	if _, ok := methodTable[Method(s)]; !ok {
		return "", fmt.Errorf("%q is not a method: use one of %v", s, Methods())
	}
	return Method(s), nil
}

// Label is the method's name on the login-method page (seed 0).
func (m Method) Label() string { return methodTable[m].label }

// TypeLabel is the name of the authenticator type (seed 0, "Select
// authenticator type"): the app is called by the product that workers know.
func (m Method) TypeLabel() string { return methodTable[m].registered }

// AMR is the authentication method reference of an ID token (domain, 1.8).
func (m Method) AMR() string { return methodTable[m].amr }

// Highest is the best level that the method can ever reach; what one sign-in
// reached is decided by Level.
func (m Method) Highest() AAL { return methodTable[m].most }

// InOrder returns those of all that are in some, in the fixed order of seed 0.
func InOrder(some []Method) []Method {
	var ordered []Method
	for _, m := range Methods() {
		if slices.Contains(some, m) {
			ordered = append(ordered, m)
		}
	}
	return ordered
}
