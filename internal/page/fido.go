package page

import (
	"errors"
	"fmt"
	"html/template"
	"net/url"

	"carekey.dev/carekey/internal/fault"
)

// FIDOField is where a mistake of a ceremony is mended: its button.
const FIDOField = "fido"

// fidoForm opens the form of a ceremony with a security key, Windows Hello or
// a passkey: kind is "create" or "get", options are the JSON for the browser.
// What the ceremony's answer must be judged by travels sealed in field "c".
func (k *Kit) fidoForm(s *scene, action, kind, options, sealed string, list ...any) (template.HTML, error) {
	p := optionsOf("fido", list)
	data := struct {
		Kind, Action, Options, Sealed, CSRF, Journey, Needs string
		Auto, Conditional                                   bool
	}{
		Kind: kind, Action: action, Options: options, Sealed: sealed,
		Needs: p.oneOf("needs", "webauthn", "platform"), Auto: p.flag("auto"), Conditional: p.flag("conditional"),
	}
	if err := p.done(); err != nil {
		return "", err
	}
	if s == nil || kind != "create" && kind != "get" {
		return "", errors.New("fido: needs the page ($) and create or get")
	}
	data.CSRF, data.Journey = s.CSRF, s.Journey
	return k.part("fido", data)
}

// fidoButton starts the ceremony of the form around it. waiting is what the
// page says meanwhile.
func (k *Kit) fidoButton(text, waiting string) (template.HTML, error) {
	return k.part("fidobutton", map[string]string{"ID": FIDOField, "Text": text, "Waiting": waiting})
}

// FIDOResponse returns what the browser answered to a ceremony, or the fault of
// what it said instead (the name of a DOMException). Web Authentication level 3
// sections 5.1.3 and 5.1.4 say when a browser uses which name.
func FIDOResponse(form url.Values) ([]byte, error) {
	if name := form.Get("error"); name != "" {
		return nil, fault.New(saidBy(name), fmt.Errorf("the browser said %.60q", name))
	}
	if response := form.Get("response"); response != "" {
		return []byte(response), nil
	}
	return nil, fault.New(fault.ScriptMissing, errors.New("neither an answer nor an error: the page's script did not run"))
}

// saidBy is the fault of a DOMException's name.
func saidBy(name string) *fault.Kind {
	switch name {
	case "NotAllowedError", "AbortError":
		return fault.FIDOCancelled
	case "TimeoutError":
		return fault.FIDOTimedOut
	case "InvalidStateError":
		return fault.FIDOAlreadyOnKey
	case "ConstraintError":
		return fault.FIDONoPIN
	case "NotSupportedError", "SecurityError", "TypeError":
		return fault.FIDOUnsupported
	default:
		return fault.FIDOWrongDevice
	}
}
