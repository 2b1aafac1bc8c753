package fido

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/keys"
)

// challengeSize is in bytes; WebAuthn, 13.4.3, asks for 16 at least.
const challengeSize = 32

// Ceremony is one question to the browser.
type Ceremony struct {
	// Options is {"publicKey": …} for PublicKeyCredential's parse…FromJSON.
	Options json.RawMessage
	// Sealed is the challenge and what it is for. Only this room can open it,
	// and only for the browser and journey that it was made for.
	Sealed string
}

// asked is what Sealed holds.
type asked struct {
	Challenge []byte        `json:"c"`
	Until     time.Time     `json:"t"`
	UID       care.UID      `json:"u,omitempty"` // of a registration
	Methods   []care.Method `json:"m"`           // one, for a registration
	Address   care.Email    `json:"e,omitempty"` // of a sign-in, if it was given
}

// challenge is as client data holds it.
func (a asked) challenge() string { return base64.RawURLEncoding.EncodeToString(a.Challenge) }

// name is what is kept of the challenge once it was used.
func (a asked) name() []byte { return keys.Hash(a.challenge()) }

func (f *FIDO) newAsked() (asked, error) {
	a := asked{Challenge: make([]byte, challengeSize), Until: f.o.DB.Now().Add(Life)}
	if _, err := io.ReadFull(f.o.Random, a.Challenge); err != nil {
		return a, fmt.Errorf("making a challenge: %w", err)
	}
	return a, nil
}

func ceremony(sealer *keys.Sealer, a asked, bound string, publicKey any) (Ceremony, error) {
	sealed, err := keys.SealJSON(sealer, []byte(bound), a)
	if err != nil {
		return Ceremony{}, err
	}
	options, err := json.Marshal(map[string]any{"publicKey": publicKey})
	if err != nil {
		return Ceremony{}, fmt.Errorf("writing the options of a ceremony: %w", err)
	}
	return Ceremony{Options: options, Sealed: sealed}, nil
}

// open opens what ceremony sealed, for the same browser and journey, in its
// time.
func (f *FIDO) open(sealer *keys.Sealer, sealed, bound string) (asked, error) {
	a, err := keys.OpenJSON[asked](sealer, []byte(bound), sealed)
	if err != nil {
		return a, fault.New(fault.FIDOAnotherTab, err)
	}
	if !f.o.DB.Now().Before(a.Until) {
		return a, fault.New(fault.FIDOAnotherTab, errors.New("the challenge has expired"))
	}
	return a, nil
}

// use makes a challenge used. Of any number of racing transactions on any
// number of nodes one succeeds (WebAuthn, 13.4.3: a challenge is for one
// ceremony). until is when nobody would accept it any more.
func use(tx *db.Tx, a asked, until time.Time) error {
	n, err := tx.Exec(`INSERT INTO fido_challenge (name, until) VALUES ($1, $2) ON CONFLICT DO NOTHING`,
		a.name(), db.Micros(until))
	if err != nil {
		return fmt.Errorf("using a challenge: %w", err)
	}
	if n == 0 {
		return errUsed()
	}
	return nil
}

func errUsed() error {
	return fault.New(fault.FIDOAnotherTab, errors.New("the challenge was used already"))
}

// keepOver is how long a used challenge stays after its time: on another node,
// whose clock runs behind, or in a request that is under way, it may still be
// accepted.
const keepOver = time.Minute

// Prune forgets the used challenges that are over on every node. The janitor
// calls it.
func Prune(tx *db.Tx) error {
	if _, err := tx.Exec(`DELETE FROM fido_challenge WHERE until <= $1`, db.Micros(tx.Now().Add(-keepOver))); err != nil {
		return fmt.Errorf("pruning used challenges: %w", err)
	}
	return nil
}

// algorithms are what a new key may sign with. Windows Hello on a TPM often
// has RS256 alone.
var algorithms = []protocol.CredentialParameter{
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgES256},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgEdDSA},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgRS256},
}

// refused turns an error of the library into the fault of a response that
// cannot be right, and keeps its details for the log.
func refused(err error) error {
	var e *protocol.Error
	if errors.As(err, &e) && e.DevInfo != "" {
		err = fmt.Errorf("%w (%s)", err, e.DevInfo)
	}
	return fault.New(fault.FIDORefused, err)
}

// origin checks first whether the page was opened under one of our origins,
// because an operator can mend that one: WebAuthn, 7.1 step 9 and 7.2 step 12.
func (f *FIDO) origin(c protocol.CollectedClientData) error {
	if !protocol.IsOriginInHaystack(c.Origin, f.o.Origins) {
		return fault.New(fault.FIDOOrigin, fmt.Errorf("the origin %q is none of %v", c.Origin, f.o.Origins))
	}
	return nil
}
