package registration

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/fido"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/page"
)

// keyData is the page where the browser asks for the key.
type keyData struct {
	Kind kind
	// Options and Sealed are the ceremony's.
	Options, Sealed string
	// Standing says what the key will count for.
	Standing string
	// Another leads to a type that needs no script.
	Another string
}

// bound names the browser and the journey that a challenge is for.
func bound(r *http.Request, t trip) string {
	return base64.RawURLEncoding.EncodeToString(keys.Hash(page.Browser(r) + " registers " + t.ID))
}

func (g *Registration) key(w http.ResponseWriter, r *http.Request) {
	sealed := r.URL.Query().Get("j")
	if t, ok := g.open(w, r, sealed, stepKey); ok {
		g.keyPage(w, r, t, sealed, nil)
	}
}

// keyPage asks for the key. Each time it is shown it has a challenge of its own,
// which lives 5 minutes, so that a reload is another try.
func (g *Registration) keyPage(w http.ResponseWriter, r *http.Request, t trip, sealed string, typed url.Values, mistakes ...page.FieldError) {
	p, _, err := g.holder(r.Context(), t.State.UID)
	if err != nil {
		g.Kit.Fault(w, r, err)
		return
	}
	replaces, err := g.replaces(r.Context(), t)
	if err != nil {
		g.Kit.Fault(w, r, err)
		return
	}
	c, err := g.FIDO.BeginRegistration(r.Context(), fido.Holder{
		UID: t.State.UID, Name: p.DisplayName(), Address: t.State.Address, Replaces: replaces,
	}, t.State.Method, bound(r, t))
	if err != nil {
		g.stop(w, r, t, err)
		return
	}
	k := kindOf(t.State.Method)
	d := keyData{Kind: k, Options: string(c.Options), Sealed: c.Sealed, Standing: t.State.standing(k)}
	if t.State.By == bySession {
		d.Another = pathAdd
	}
	g.render(w, r, "key", sealed, page.View{
		Title: "Register your " + k.Noun, Data: d, Values: typed, Errors: mistakes,
	})
}

// standing says what a key will count for, before anybody registers it. What a
// session binds never counts for more than the session (N6, N23). An app is told
// nothing: it is what it is.
func (s state) standing(k kind) string {
	switch {
	case !k.key():
		return ""
	case s.By == bySession && s.Level < care.AAL3:
		return "You are signed in at " + s.Level.String() + ", so this " + k.Noun + " will count as " + s.Level.String() + "."
	}
	return "If your browser asks whether we may see the make and model, allow it. A " + k.Noun + " that proves that it cannot be copied counts as AAL3, any other as AAL2."
}

// postKey checks what the browser answered.
func (g *Registration) postKey(w http.ResponseWriter, r *http.Request) {
	form, t, ok := g.form(w, r, stepKey)
	if !ok {
		return
	}
	proven, err := g.answered(r, t, form)
	if mistakes := keyMistakes(err); mistakes != nil {
		typed := url.Values{"name": form["name"]}
		g.keyPage(w, r, t, form.Get("j"), typed, mistakes...)
		return
	}
	if err != nil {
		g.stop(w, r, t, err)
		return
	}
	t.State.Key = proven
	if typed := form.Get("name"); typed != "" {
		// The key has made its entry by now: a bad name is no reason to ask for
		// another one.
		name, err := credential.ParseName(typed)
		t.State.Name, t.State.Unnamed = name, err != nil
	}
	g.proven(w, r, t)
}

// answered is the key that a browser's answer proves.
func (g *Registration) answered(r *http.Request, t trip, form url.Values) (fido.Proven, error) {
	response, said, err := page.FIDOAnswer(form)
	if err == nil && said != "" {
		err = fido.FromBrowser(said, true)
	}
	if err != nil {
		return fido.Proven{}, err
	}
	proven, err := g.FIDO.FinishRegistration(r.Context(), form.Get("c"), bound(r, t), response)
	if err != nil || !proven.Synced {
		return proven, err
	}
	// Browsers offer a phone for a security key too. What it makes is a passkey by
	// another name, and those are in private beta.
	open, err := g.admits(r.Context(), t.State.UID, care.Passkey)
	if err == nil && !open {
		err = fault.New(fault.FIDOWrongDevice, errors.New("a key that may be copied, of somebody to whom passkeys are not open"))
	}
	return proven, err
}

// keyMistakes is what somebody can mend by trying again, or nil.
func keyMistakes(err error) []page.FieldError {
	return page.Mistakes(err, page.FIDOField, page.AndNext,
		fault.FIDOCancelled, fault.FIDOTimedOut, fault.FIDOAlreadyOnKey, fault.FIDONoPIN, fault.FIDOWrongDevice, fault.FIDOUnsupported,
		fault.FIDOBroken, fault.FIDOAnotherTab, fault.FIDORefused, fault.FIDONotVerified, fault.FIDOModelRefused, fault.FIDOModelRevoked,
		fault.FIDOAttestationMissing, fault.ScriptMissing)
}
