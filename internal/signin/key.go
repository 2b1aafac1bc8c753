package signin

import (
	"errors"
	"net/http"
	"net/url"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/fido"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/page"
)

// pathKey is the page of security keys, Windows Hello and passkeys.
const pathKey = "/signin/key"

// keyWords are the words of the page for one of the three methods.
type keyWords struct {
	// Title is the page's, Do says what will happen, Button begins it and
	// Waiting stands there meanwhile.
	Title, Do, Button, Waiting string
	// Cannot says what is missing in a browser that cannot do it.
	Cannot string
	// Needs is what the script must find in the browser.
	Needs string
	// Address asks for the address, for a key that does not know its holder;
	// "" where there are none.
	Address string
	// Help is the page about the method.
	Help string
}

var keyPages = map[care.Method]keyWords{
	care.SecurityKey: {
		Help: "/help/security-key", Title: "Use your security key", Button: "Use my security key",
		Do:      "Plug your key into this computer, or hold it to the reader. Your browser asks for the PIN of your key and then for a touch.",
		Waiting: "Waiting for your key. Touch it when it blinks.",
		Cannot:  "This browser cannot use security keys. Use a current version of Chrome or Edge.",
		Address: "If your browser does not find your key, enter your Care Identity email address",
	},
	care.WindowsHello: {
		Help: "/help/windows-hello", Title: "Use Windows Hello", Button: "Use Windows Hello",
		Do:      "Windows asks for your face, your fingerprint or your PIN.",
		Waiting: "Waiting for Windows Hello.",
		Cannot:  "This browser cannot use Windows Hello, or it is not set up on this computer. It is set up in the settings of Windows: Accounts, Sign-in options.",
		Needs:   "platform",
	},
	care.Passkey: {
		Help: "/help/passkey", Title: "Use your passkey", Button: "Use my passkey",
		Do:      "Your phone or computer asks for your face, your fingerprint or your PIN. For a passkey on your phone, scan the QR code that your browser shows.",
		Waiting: "Waiting for your passkey.",
		Cannot:  "This browser cannot use passkeys. Use a current version of Chrome or Edge.",
		Address: "Or enter your Care Identity email address",
	},
}

type keyData struct {
	proveData
	keyWords
	// Options go to the browser, Sealed comes back with its answer.
	Options, Sealed string
	// Begin asks for the key at once, Conditional offers passkeys in the
	// address field.
	Begin, Conditional bool
}

// key shows the page that asks for a key. Each view has a challenge of its own.
func (s *SignIn) key(w http.ResponseWriter, r *http.Request) {
	sealed := r.URL.Query().Get("j")
	if t, ok := s.open(w, r, sealed, stepKey); ok {
		s.keyPage(w, r, http.StatusOK, t, sealed, page.View{Values: url.Values{"email": {t.State.Requirement.LoginHint}}})
	}
}

func (s *SignIn) keyPage(w http.ResponseWriter, r *http.Request, status int, t trip, sealed string, v page.View) {
	words, known := keyPages[t.State.Method]
	if !known {
		s.Kit.Fault(w, r, fault.New(fault.JourneyWrongStep, errors.New("the journey is not one of a key")))
		return
	}
	c, err := s.FIDO.BeginSignIn(r.Context(), []care.Method{t.State.Method}, t.State.Email, bound(r, t))
	if err != nil {
		s.Kit.Fault(w, r, err)
		return
	}
	data := keyData{
		keyWords: words, Options: string(c.Options), Sealed: c.Sealed, Begin: t.State.Begin,
		Conditional: t.State.Method == care.Passkey && t.State.Email == "",
	}
	if data.proveData, err = s.data(t, sealed); err != nil {
		s.Kit.Fault(w, r, err)
		return
	}
	if t.State.Email != "" {
		v.Values = url.Values{"email": {string(t.State.Email)}}
	}
	v.Title, v.At, v.Data, v.Journey, v.FormTargets = words.Title, pathKey, data, sealed, targets(t.State.Requirement)
	s.pages.Render(w, r, status, "key", v)
}

// bound ties a challenge to the browser and the journey.
func bound(r *http.Request, t trip) string { return page.Browser(r) + "/" + t.ID }

// tryAgain are the faults of a key after which another try may help: the page says
// them, and asks again.
var tryAgain = []*fault.Kind{
	fault.FIDOCancelled, fault.FIDOTimedOut, fault.FIDOAlreadyOnKey, fault.FIDONoPIN, fault.FIDOWrongDevice, fault.FIDOUnsupported,
	fault.FIDOBroken, fault.FIDOAnotherTab, fault.FIDORefused, fault.FIDOOrigin, fault.FIDOUnknownKey, fault.FIDOWrongMethod,
	fault.FIDONotVerified, fault.ScriptMissing,
}

// postKey takes what the browser answered and passes the gate.
func (s *SignIn) postKey(w http.ResponseWriter, r *http.Request) {
	form, t, ok := s.form(w, r, stepKey)
	if !ok {
		return
	}
	proof, err := s.keyProof(r, t, form)
	if err == nil {
		admitted, refused := s.pass(r, t, proof)
		if refused == nil {
			s.admit(w, r, t, admitted)
			return
		}
		err = refused
	}
	if mistakes := page.Mistakes(err, page.FIDOField, page.AndNext, tryAgain...); mistakes != nil {
		s.keyPage(w, r, http.StatusUnprocessableEntity, t, form.Get("j"), page.View{Errors: mistakes})
		return
	}
	if fault.Has(err, fault.LevelTooLow) {
		err = fault.As(err).With("Your key counts for less, as your list of authenticators says. Your Registration Authority can register it at a higher level.")
	}
	s.Kit.Fault(w, r, err, s.waysFrom(t)...)
}

// keyProof verifies what came from the page of a key.
func (s *SignIn) keyProof(r *http.Request, t trip, form url.Values) (credential.Proof, error) {
	response, said, err := page.FIDOAnswer(form)
	if err != nil {
		return credential.Proof{}, err
	}
	if said != "" {
		return credential.Proof{}, fido.FromBrowser(said, false)
	}
	proof, err := s.FIDO.FinishSignIn(r.Context(), form.Get("c"), bound(r, t), response)
	if err != nil || proof.Evidence().CountsAs() != care.Passkey {
		return proof, err
	}
	// Who has one and is not let in, or not any more.
	return proof, s.DB.Read(r.Context(), func(tx *db.Tx) error {
		open, err := s.Passkeys.Person(tx, proof.UID())
		if err == nil && (!open || !s.Passkeys.Service(t.State.Requirement.ClientID)) {
			err = fault.New(fault.PasskeyNotOpen, errors.New("the service, or the person and where they work, is not in the cohort"))
		}
		return err
	})
}

// postKeyEmail takes the address of whom the browser finds no key for: the next
// page names their keys to it. An address that nobody has gets keys too, which
// nobody has (ASVS 6.3.8).
func (s *SignIn) postKeyEmail(w http.ResponseWriter, r *http.Request) {
	form, t, ok := s.form(w, r, stepKey)
	if !ok {
		return
	}
	address, err := care.ParseEmail(form.Get("email"))
	if err != nil {
		s.keyPage(w, r, http.StatusUnprocessableEntity, t, form.Get("j"), page.View{Values: form, Errors: []page.FieldError{{
			Field: "email", Message: "Enter an email address in the correct format, like name@example.nhs.uk",
		}}})
		return
	}
	t.State.Email, t.State.Begin = address, true
	s.next(w, r, t, stepKey, pathKey)
}
