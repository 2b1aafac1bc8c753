package fault

import "net/http"

// What a browser says instead of the answer of a security key, Windows Hello or
// a passkey (W3C Web Authentication level 3, sections 5.1.3 and 5.1.4). Nothing
// reached the service, so nothing is wrong with the person's authenticator yet.
var (
	ScriptMissing = &Kind{
		Number: 330, Name: "no answer of a browser", Status: http.StatusBadRequest,
		Title:    "This page needs JavaScript",
		Sentence: "Your browser did not ask your key or device, so there is nothing that we could check.",
		Next:     "Switch JavaScript on for this page and reload it, or use another way to sign in.",
		Desk:     "The form of a security key, Windows Hello or a passkey was sent empty: JavaScript is switched off or a script was blocked. The authenticator app works without it.",
	}
	PasskeyNotOpen = &Kind{
		Number: 331, Name: "passkey not open", Status: http.StatusForbidden,
		Title:    "Passkeys are in private beta",
		Sentence: "Your passkey was recognised, but passkeys are not open to you yet. You are not signed in.",
		Next:     "Use another way to sign in.",
		Desk:     "The operator opens passkeys to people and organisations by the setting passkey.people. Neither this person nor an organisation where they have a role is named there.",
	}
	FIDOCancelled = &Kind{
		Number: 332, Name: "key cancelled", Status: http.StatusUnprocessableEntity,
		Title:    "That was not finished",
		Sentence: "The request was cancelled, or your browser found no key or passkey that it could use. Nothing was changed.",
		Next:     "Try again and follow what your browser says: put in your key, touch it when it blinks, or use your face, fingerprint or PIN.",
		Desk:     "The browser tells nobody whether the person pressed cancel, the wrong key was put in, or the key has no PIN yet. Let them try again with the right key. A PIN is set in the settings of Windows (Accounts, Sign-in options, Security key) or of Chrome (Privacy and security, Security, Manage security keys).",
	}
	FIDOTimedOut = &Kind{
		Number: 333, Name: "key timed out", Status: http.StatusUnprocessableEntity,
		Title:    "That took too long",
		Sentence: "Your browser waited for your key or device, and then gave up. Nothing was changed.",
		Next:     "Have your key or device ready, then try again.",
		Desk:     "Nothing was touched for the few minutes that the browser waits. If a key does not react, try another USB port, or hold it to the reader for longer.",
	}
	FIDOAlreadyOnKey = &Kind{
		Number: 334, Name: "already on this key", Status: http.StatusUnprocessableEntity,
		Title:    "This device is registered already",
		Sentence: "This key or device is registered with your Care Identity already. Nothing was changed.",
		Next:     "Sign in with it, or use another key or device to register.",
		Desk:     "The key holds a credential of this person for this service. Look at their authenticators in Care Identity Management.",
	}
	FIDONoPIN = &Kind{
		Number: 335, Name: "key without PIN", Status: http.StatusUnprocessableEntity,
		Title:    "Your key needs a PIN",
		Sentence: "This key or device cannot check that it is you: it has no PIN, fingerprint or face set up.",
		Next:     "Set a PIN for it in the settings of Windows or of your browser, then try again.",
		Desk:     "User verification is required everywhere (a touch alone is one factor). In Windows: Settings, Accounts, Sign-in options, Security key. In Chrome: Settings, Privacy and security, Security, Manage security keys. Old U2F keys cannot have a PIN: a new key is needed.",
	}
	FIDOUnsupported = &Kind{
		Number: 336, Name: "browser cannot use keys", Status: http.StatusUnprocessableEntity,
		Title:    "This browser cannot do that",
		Sentence: "This browser or computer cannot use this kind of key or passkey on this page.",
		Next:     "Use a current version of Chrome or Edge, another computer, or another way to sign in.",
		Desk:     "The browser has no Web Authentication, is too old, or the page is not at the address that the service is set up for (settings base_url, fido.rp_id and fido.origins; never an IP address). A remote desktop must pass security keys on.",
	}
	FIDOWrongDevice = &Kind{
		Number: 337, Name: "device could not do it", Status: http.StatusUnprocessableEntity,
		Title:    "Your device could not do that",
		Sentence: "Your browser asked your key or device, and it could not answer. Nothing was changed.",
		Next:     "Check that it is the right one and is connected, then try again.",
		Desk:     "The device answered with an error of its own: it is not the right kind, is full, is locked after wrong PINs, or was taken out too early. Taking it out and putting it in again unlocks a key after three wrong PINs; after eight it has to be reset, which deletes what it holds. Windows Hello does not work while a laptop saves its battery.",
	}
)
