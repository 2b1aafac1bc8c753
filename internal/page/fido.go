package page

import (
	"errors"
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

// FIDOAnswer returns what the browser answered to a ceremony, or the name of the
// DOMException that it said instead (W3C Web Authentication level 3, sections
// 5.1.3 and 5.1.4; "TimeoutError" where its time had run out). Fault:
// ScriptMissing, where it says neither.
func FIDOAnswer(form url.Values) (response []byte, said string, err error) {
	if said = form.Get("error"); said != "" {
		return nil, said, nil
	}
	if text := form.Get("response"); text != "" {
		return []byte(text), "", nil
	}
	return nil, "", fault.New(fault.ScriptMissing, errors.New("neither an answer nor an error: the page's script did not run"))
}
