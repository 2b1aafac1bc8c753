package registration

import (
	"slices"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/page"
)

// kind is a type of authenticator, in the words of its pages. Those of the app
// are seed 0's; the others say the same of another thing.
type kind struct {
	method care.Method
	// about is what the list of types says of it.
	about string
	// first is the first step of its own, after those of the emailed code, and
	// path the page of that step. Both are empty for a type that has no pages
	// here yet.
	first, path string

	// Called completes "Register … with your Care Identity", Noun is the thing.
	Called, Noun string
	// Guide is the help with setting the thing up.
	Guide page.Link
	// Checks are what somebody looks at first, beside the email address and the
	// browser; Sole is what they confirm.
	Checks []string
	Sole   string
	// Needs is what the browser must be able to do, "" for nothing special;
	// Unable is what to say to somebody whose browser cannot.
	Needs, Unable string
	// Ask is what the page of a key says, Waiting what it says meanwhile, and
	// Named how a key may be called.
	Ask, Waiting, Named string
}

const tooOld = "This browser cannot do it. Use a current version of Microsoft Edge or Google Chrome."

// kinds are in the seed's order ("Select authenticator type"), the passkey of
// the login-method page at the end.
var kinds = []kind{
	{method: care.IPadApp, about: "Uses fingerprint biometrics on an iPad to authenticate"},
	{
		method: care.AuthenticatorApp,
		about:  "Uses an approved email and security code to access National Care Records Service",
		first:  stepPassword, path: pathPassword,
		Called: "Microsoft Authenticator", Noun: "phone",
		Guide:  page.Link{Text: "registering a Microsoft Authenticator device guidance", Href: "/help/authenticator-app"},
		Checks: []string{"check the Microsoft Authenticator app is installed on your phone"},
		Sole:   "I confirm only I will have access to the device with Microsoft Authenticator installed while it can connect to my Care Identity profile.",
	},
	{
		method: care.WindowsHello,
		about:  "Uses facial recognition, fingerprint or PIN on supported Windows devices",
		first:  stepKey, path: pathKey,
		Called: "Windows Hello", Noun: "device",
		Guide: page.Link{Text: "registering Windows Hello guidance", Href: "/help/windows-hello"},
		Checks: []string{
			"check you are using the device that you want to register",
			"check Windows Hello is set up on it with your face, your fingerprint or a PIN",
		},
		Sole:   "I confirm only I will have access to this device with my face, my fingerprint or my PIN while it can connect to my Care Identity profile.",
		Needs:  "platform",
		Unable: "Windows Hello is not set up on this device, or this browser cannot use it.",
		Ask:    "Your browser asks for Windows Hello. Use your face, your fingerprint or your PIN.", Waiting: "Waiting for Windows Hello.",
		Named: "Such as “Ward laptop”",
	},
	{
		method: care.SecurityKey,
		about:  "Uses a small physical device that is a software free alternative to smartcards",
		first:  stepKey, path: pathKey,
		Called: "security key", Noun: "security key",
		Guide: page.Link{Text: "registering a security key guidance", Href: "/help/security-key"},
		Checks: []string{
			"check you have the security key with you",
			"check it has a PIN, or reads your fingerprint",
		},
		Sole:  "I confirm only I will have access to the security key and its PIN while it can connect to my Care Identity profile.",
		Needs: "webauthn", Unable: tooOld,
		Ask: "Your browser asks for your security key. Plug it in or hold it to the reader, enter its PIN or use your fingerprint, then touch it.", Waiting: "Waiting for your security key. Touch it when it blinks.",
		Named: "Such as “Key on my lanyard”",
	},
	{
		method: care.Passkey,
		about:  "Uses a passkey that your phone, computer or password manager keeps (private beta)",
		first:  stepKey, path: pathKey,
		Called: "passkey", Noun: "passkey",
		Guide:  page.Link{Text: "registering a passkey guidance", Href: "/help/passkey"},
		Checks: []string{"check that the phone, computer or password manager that will keep the passkey is locked with your face, your fingerprint or a PIN"},
		Sole:   "I confirm only I will have access to whatever keeps the passkey while it can connect to my Care Identity profile.",
		Needs:  "webauthn", Unable: tooOld,
		Ask: "Your browser asks where to keep your passkey. Choose your phone, this computer or your password manager.", Waiting: "Waiting for your passkey.",
		Named: "Such as “My phone”",
	},
}

// one names the thing in the middle of a sentence.
func (k kind) one() string {
	if k.Called == k.Noun {
		return "a " + k.Called
	}
	return k.Called // a name
}

// kindOf is the kind of a type; the zero kind, if there is none.
func kindOf(m care.Method) kind {
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.method == m })
	if i < 0 {
		return kind{}
	}
	return kinds[i]
}

// built reports whether the type can be registered.
func (k kind) built() bool { return k.first != "" }

// key reports whether it is a key in a device, which has a level of its own.
func (k kind) key() bool { return k.first == stepKey }

// Methods are the types that can be registered.
func Methods() []care.Method {
	var all []care.Method
	for _, k := range kinds {
		if k.built() {
			all = append(all, k.method)
		}
	}
	return all
}
