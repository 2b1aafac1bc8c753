package fido

import (
	"fmt"

	"carekey.dev/carekey/internal/fault"
)

// FromBrowser returns the fault of a ceremony that the browser ended without an
// answer. name is the DOMException's (WebAuthn, 5.1.3 and 5.1.4), "TimeoutError"
// where the time had run out, or "unsupported"; creating says that a key was to
// be registered.
func FromBrowser(name string, creating bool) error {
	kind := fault.FIDOCancelled
	switch name {
	case "NotAllowedError", "AbortError":
	case "TimeoutError":
		kind = fault.FIDOTimedOut
	case "InvalidStateError":
		kind = fault.FIDOBroken
		if creating {
			kind = fault.FIDOAlreadyOnKey
		}
	case "ConstraintError":
		kind = fault.FIDONoPIN
	case "NotSupportedError":
		kind = fault.FIDOWrongDevice
	case "SecurityError":
		kind = fault.FIDOOrigin
	case "unsupported":
		kind = fault.FIDOUnsupported
	default:
		kind = fault.FIDOBroken
	}
	if len(name) > 40 {
		name = name[:40]
	}
	return fault.New(kind, fmt.Errorf("the browser says %q", name))
}
