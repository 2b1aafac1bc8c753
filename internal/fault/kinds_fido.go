package fault

import "net/http"

// fido returns a kind of what can go wrong with a key: nobody is at fault, and
// another try or another way may help.
func fido(number int, name, title, sentence, next, desk string) *Kind {
	return &Kind{
		Number: number, Name: name, Status: http.StatusUnprocessableEntity,
		Title: title, Sentence: sentence, Next: next, Desk: desk,
	}
}

// What the browser says about a security key, Windows Hello or a passkey.
var (
	FIDOCancelled = fido(316, "key cancelled", "You did not answer your browser",
		"Your browser's question was closed, or nothing answered it.",
		"Try again. When your browser asks, use your key, your finger, your face or your PIN. If it happens each time, use another key or another type.",
		"The browser ended the request (NotAllowedError): cancelled, not answered, or no registered key was there. Browsers do not say which. If it happens each time, the key is not registered for this person or not on this computer.")
	FIDOTimedOut = fido(317, "key timed out", "You ran out of time",
		"Your browser's question was not answered within five minutes.",
		"Try again, with your key or device at hand.",
		"Nobody answered the browser's window in its time.")
	FIDOAlreadyOnKey = fido(318, "key registered already", "This key is registered already",
		"This key or device is registered already.",
		"Use it to log in, or register another one.",
		"The key holds a credential that is registered, for this person or for another. For another key of the same type, use that one; a key of somebody else has to be removed from their profile first.")
	FIDONoPIN = fido(319, "key without PIN", "Your key has no PIN yet",
		"Your key cannot check that it is you, because no PIN or fingerprint is set on it.",
		"Set a PIN on the key first: on Windows under Settings, Accounts, Sign-in options, Security key. Then try again. A key that takes no PIN is too old: use another one.",
		"The browser found no key that can verify its user or keep the credential (ConstraintError): the key has no PIN, no fingerprint, or no room, or it knows U2F alone. Setting a PIN needs no administrator.")
	FIDOWrongDevice = fido(350, "wrong kind of key", "That is another kind of key",
		"What you used is not the kind of key that you chose.",
		"For a security key, use one that you plug in or hold to the reader. For Windows Hello, use this computer's own PIN, finger or face. Or choose another type.",
		"The browser used the computer's own authenticator for a security key or the other way round, or the key knows none of our signature methods, or it may be copied to other devices, as passkeys are, and passkeys are not open to this person.")
	FIDOUnsupported = fido(351, "browser without keys", "Your browser cannot do this",
		"This browser does not support security keys, Windows Hello or passkeys.",
		"Use a current version of Microsoft Edge or Google Chrome, or choose another way to log in.",
		"The browser has no Web Authentication, or it is switched off by policy, or the page is not opened by https.")
	FIDOBroken = fido(352, "key not readable", "Your key could not be read",
		"Your browser could not read your key.",
		"Take the key out, put it in again and try again. On a laptop that saves battery, plug it in first: Windows Hello may be switched off.",
		"The browser reported another error of the key or of the computer; the log names it. Windows Hello needs the TPM, which battery savers switch off below 20 %.")
)

// What Carekey says about it.
var (
	FIDOAnotherTab = fido(353, "key request over", "That page was used already",
		"This request for your key was used already, is older than five minutes, or was made in another tab or browser.",
		"Go on in the tab that you used last, or try again here.",
		"Each request for a key works once, for five minutes, in the browser and journey that it was made for. Two tabs, the back button or a reload lead here; trying again helps.")
	FIDORefused = fido(354, "key answer refused", "Your key's answer was not right",
		"What your key or browser sent could not be accepted.",
		"Try again. If it happens each time, use another key or another way to log in.",
		"The answer failed a check of Web Authentication; the log names it. Suspect a broken key or browser extension, or an attack if there are many.")
	FIDOOrigin = fido(355, "key at another address", "This address cannot use keys",
		"Keys do not work at the address where this page was opened.",
		"Open the service by its usual address and try again.",
		"The page's origin is not the one that keys are registered for, nor one of fido.origins. The log names the origin.")
	FIDOUnknownKey = fido(356, "key not registered", "We do not know this key",
		"This key is not registered here, or not for this email address.",
		"Use the key that you registered, or another way to log in.",
		"No registered key has this credential, or it is registered for another person than the email address that was typed. Keys that were removed from the profile stay on the device until somebody deletes them there.")
	FIDOWrongMethod = fido(357, "key of another method", "That key is registered as another type",
		"You used a key that is registered as another type than the one that you chose.",
		"Choose that type, or use the right key.",
		"Security keys, Windows Hello and passkeys are registered apart. The key that answered belongs to another of the three.")
	FIDONotVerified = fido(358, "key did not verify its user", "Your key did not check that it is you",
		"Your key did not ask for your PIN, finger or face, so this does not count.",
		"Set a PIN on the key, then try again.",
		"The key signed without verifying its user. That is a single factor and opens nothing. A key without a PIN or with an old standard (U2F) does so.")
	FIDOSuspended = &Kind{
		Number: 359, Name: "key suspended", Status: http.StatusForbidden,
		Title:    "This key was suspended",
		Sentence: "This key was reported as lost or in doubt, so it cannot be used to log in.",
		Next:     "Use another way to log in, or ask your Registration Authority to register you again.",
		Desk:     "The key's answer was right. It was reported lost, answered with \"this wasn't me\", or its counter went back. Remove it and register it again, with the person present or by another authenticator of theirs.",
	}
	FIDOCounterBack = &Kind{
		Number: 360, Name: "key counter went back", Status: http.StatusForbidden,
		Title:    "There may be a copy of your key",
		Sentence: "Your key counts how often it is used, and this count went back. There may be a copy of it, so we did not accept it.",
		Next:     "Use another way to log in, and tell your service desk.",
		Desk:     "The signature counter was not above the last one: somebody may have copied the key (WebAuthn, 6.1.1). The key is suspended and its holder was told by email; if two sign-ins only overtook each other, nothing was suspended. Ask where the key is, remove it, and register a new one.",
	}
	FIDOModelRefused = &Kind{
		Number: 361, Name: "key model refused", Status: http.StatusForbidden,
		Title:    "This model of key is not accepted here",
		Sentence: "Your organisation does not accept this model of key.",
		Next:     "Ask your Registration Authority which keys are accepted.",
		Desk:     "The operator refuses this model by fido.models_refused, or accepts listed models alone. The log names the AAGUID.",
	}
	FIDOModelRevoked = &Kind{
		Number: 362, Name: "key model revoked", Status: http.StatusForbidden,
		Title:    "This model of key is no longer safe",
		Sentence: "A security problem is known for this model of key, so it is not accepted any more.",
		Next:     "Use another way to log in, and ask your Registration Authority for another key.",
		Desk:     "The FIDO metadata reports this model as revoked or compromised; the log names the report. Its holders were told by email when the metadata was imported.",
	}
	FIDOAttestationMissing = &Kind{
		Number: 363, Name: "key without trusted attestation", Status: http.StatusForbidden,
		Title:    "This key does not prove what it is",
		Sentence: "Only keys that prove their make and model are accepted here, and this one does not.",
		Next:     "If your browser asked whether the site may see the make and model of your key, try again and allow it. Or use another key.",
		Desk:     "The policy of this method wants an attestation that chains to a trusted root, and there was none: the browser or the person held it back, the key has none, or the metadata does not know its model. Import the newest FIDO metadata.",
	}
)
