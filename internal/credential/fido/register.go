package fido

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/google/uuid"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/fido/metadata"
	"carekey.dev/carekey/internal/credential/internal/proof"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/keys"
)

// handleSize is the size of a user handle in bytes (WebAuthn, 14.6.1 advises
// 64 random bytes at most; 256 bits are enough never to meet).
const handleSize = 32

// provenLife is how long a registered key may wait for the gate: an RA may be
// busy before the numbers are compared.
const provenLife = time.Hour

// Holder is whose key is registered, as the browser shows them.
type Holder struct {
	UID     care.UID
	Name    string
	Address care.Email
	// Replaces is the authenticator that goes when the new one comes, or "". It
	// may be the same device: that is how a key comes to count for more.
	Replaces string
}

// BeginRegistration asks for a new key of a method. bound names the browser and
// the journey. It is the first step for a person's first key, so their user
// handle may be stored.
func (f *FIDO) BeginRegistration(ctx context.Context, h Holder, method care.Method, bound string) (Ceremony, error) {
	if !slices.Contains(Methods(), method) || h.UID == "" {
		return Ceremony{}, fmt.Errorf("asking for a key: %q of %q is none of this room", method, h.UID)
	}
	handle, own, err := f.holder(ctx, h.UID)
	if err != nil {
		return Ceremony{}, err
	}
	own = slices.DeleteFunc(own, func(r row) bool { return r.AuthenticatorID == h.Replaces })
	a, err := f.newAsked()
	if err != nil {
		return Ceremony{}, err
	}
	a.UID, a.Methods = h.UID, []care.Method{method}
	name := string(h.Address)
	if name == "" {
		name = h.Name
	}
	selection, hints := selects(method)
	return ceremony(f.creating, a, bound, protocol.PublicKeyCredentialCreationOptions{
		RelyingParty: protocol.RelyingPartyEntity{
			CredentialEntity: protocol.CredentialEntity{Name: f.o.RPName}, ID: f.o.RPID,
		},
		User: protocol.UserEntity{
			CredentialEntity: protocol.CredentialEntity{Name: name},
			DisplayName:      h.Name, ID: protocol.URLEncodedBase64(handle),
		},
		Challenge: a.Challenge, Parameters: algorithms, Timeout: int(Life / time.Millisecond),
		CredentialExcludeList: descriptors(own), AuthenticatorSelection: selection, Hints: hints,
		Attestation: protocol.PreferDirectAttestation,
		Extensions:  protocol.AuthenticationExtensions{CredProps: true},
	})
}

// selects says which keys the browser may offer for a method. The user is
// verified by each: PIN, finger or face.
func selects(method care.Method) (protocol.AuthenticatorSelection, []protocol.PublicKeyCredentialHints) {
	s := protocol.AuthenticatorSelection{
		UserVerification: protocol.VerificationRequired, ResidentKey: protocol.ResidentKeyRequirementRequired,
	}
	var hints []protocol.PublicKeyCredentialHints
	switch method {
	case care.WindowsHello:
		s.AuthenticatorAttachment = protocol.Platform
		hints = []protocol.PublicKeyCredentialHints{protocol.PublicKeyCredentialHintClientDevice}
	case care.SecurityKey:
		s.AuthenticatorAttachment = protocol.CrossPlatform
		s.ResidentKey = protocol.ResidentKeyRequirementPreferred
		hints = []protocol.PublicKeyCredentialHints{protocol.PublicKeyCredentialHintSecurityKey}
	}
	if s.ResidentKey == protocol.ResidentKeyRequirementRequired {
		s.RequireResidentKey = protocol.ResidentKeyRequired()
	}
	return s, hints
}

// holder returns a person's user handle, which is made once, and their keys.
func (f *FIDO) holder(ctx context.Context, uid care.UID) (handle []byte, own []row, err error) {
	read := func(tx *db.Tx) error {
		handle, err = handleOf(tx, uid)
		if err != nil {
			return err
		}
		own, err = rowsOf(tx, uid)
		return err
	}
	if err := f.o.DB.Read(ctx, read); err != nil || handle != nil {
		return handle, own, err
	}
	fresh := make([]byte, handleSize)
	if _, err := io.ReadFull(f.o.Random, fresh); err != nil {
		return nil, nil, fmt.Errorf("making a user handle: %w", err)
	}
	err = f.o.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO fido_user (uid, handle, made_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
			uid, fresh, db.Micros(tx.Now()))
		if err != nil {
			return fmt.Errorf("storing a user handle: %w", err)
		}
		handle, err = handleOf(tx, uid)
		return err
	})
	return handle, own, err
}

// Proven is a key that has shown that it works. It travels in the registration
// journey; only this room can open what is sealed.
type Proven struct {
	Sealed string `json:"p"`
	// Level is the most that the key can reach, Why says in plain words why that
	// is not AAL3, or "". Model is what attestation has shown it to be, or "".
	Level care.AAL `json:"l,omitempty"`
	Model string   `json:"m,omitempty"`
	Why   string   `json:"w,omitempty"`
	// Synced: its provider may copy it to other devices, as passkeys are.
	Synced bool `json:"s,omitempty"`
}

type proven struct {
	Asked asked     `json:"a"`
	Row   row       `json:"r"`
	At    time.Time `json:"t"`
}

// FinishRegistration checks what the browser answered to BeginRegistration
// (WebAuthn, 7.1). bound is the same as there. Faults: FIDOAnotherTab,
// FIDORefused, FIDOOrigin, FIDONotVerified, FIDOWrongDevice, FIDOAlreadyOnKey,
// FIDOAttestationMissing, FIDOModelRefused, FIDOModelRevoked.
func (f *FIDO) FinishRegistration(ctx context.Context, sealed, bound string, response []byte) (Proven, error) {
	a, err := f.open(f.creating, sealed, bound)
	if err != nil {
		return Proven{}, err
	}
	created, err := protocol.ParseCredentialCreationResponseBytes(response)
	if err != nil {
		return Proven{}, refused(err)
	}
	if err := f.origin(created.Response.CollectedClientData); err != nil {
		return Proven{}, err
	}
	// User verification is judged below, so that it has an answer of its own.
	hash, err := f.verifyCreated(a, created)
	if err != nil {
		return Proven{}, refused(err)
	}
	r, err := fromResponse(a, created)
	if err != nil {
		return Proven{}, err
	}
	err = f.o.DB.Read(ctx, func(tx *db.Tx) error { return unknown(tx, r.CredentialID) })
	if err != nil {
		return Proven{}, err
	}
	why, err := f.judge(ctx, &r, metadata.Attestation{Object: created.Response.AttestationObject, ClientDataHash: hash})
	if err != nil {
		return Proven{}, err
	}
	p := Proven{Level: care.Level(r.evidence(true)), Model: r.Model, Why: why, Synced: r.BackupEligible}
	p.Sealed, err = keys.SealJSON(f.proven, nil, proven{Asked: a, Row: r, At: f.o.DB.Now()})
	return p, err
}

// verifyCreated checks everything but the attestation (WebAuthn, 7.1, steps 7
// to 20), which the metadata judges by its own roots. It returns the hash of the
// client data.
func (f *FIDO) verifyCreated(a asked, c *protocol.ParsedCredentialCreationData) ([]byte, error) {
	err := c.Response.CollectedClientData.Verify(a.challenge(), protocol.CreateCeremony, f.o.Origins, nil, nil, protocol.TopOriginExplicitVerificationMode, false)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(c.Raw.AttestationResponse.ClientDataJSON)
	// Of an object without statement, the library checks the rest.
	bare := c.Response.AttestationObject
	bare.Format, bare.AttStatement = string(protocol.AttestationFormatNone), nil
	err = bare.Verify(f.o.RPID, hash[:], false, true, nil, algorithms, protocol.AttestationPolicy{}, protocol.SignaturePolicy{})
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(c.RawID, bare.AuthData.AttData.CredentialID) { // 7.1, step 27
		return nil, errors.New("the browser names another credential than the key")
	}
	return hash[:], errors.Join(soundFormat(c.Response.AttestationObject.Format), soundKey(bare.AuthData.AttData.CredentialPublicKey))
}

// fromResponse reads what a verified response says, and checks what the library
// leaves to us: user verification, the flags of a backup, the kind of device.
func fromResponse(a asked, c *protocol.ParsedCredentialCreationData) (row, error) {
	data := c.Response.AttestationObject.AuthData
	aaguid, err := uuid.FromBytes(data.AttData.AAGUID)
	if err != nil {
		return row{}, refused(err)
	}
	r := row{
		UID: a.UID, Method: a.Methods[0], CredentialID: data.AttData.CredentialID, PublicKey: data.AttData.CredentialPublicKey,
		Count: int64(data.Counter), AAGUID: aaguid, Format: c.Response.AttestationObject.Format,
		Attachment: string(c.AuthenticatorAttachment), Transports: transports(c.Response.Transports),
		BackupEligible: data.Flags.HasBackupEligible(), BackupState: data.Flags.HasBackupState(),
	}
	if props := c.ClientExtensionResults.CredProps; props != nil && props.RK != nil {
		r.Discoverable = *props.RK
	}
	switch {
	case !data.Flags.HasUserVerified(): // 7.1 step 16: it was required
		return row{}, fault.New(fault.FIDONotVerified, errors.New("the key did not verify its user"))
	case r.BackupState && !r.BackupEligible: // 7.1 step 17
		return row{}, refused(errors.New("a key that is backed up and cannot be"))
	case r.Method == care.WindowsHello && r.Attachment == string(protocol.CrossPlatform),
		r.Method == care.SecurityKey && r.Attachment == string(protocol.Platform):
		return row{}, fault.New(fault.FIDOWrongDevice, fmt.Errorf("%s by a %s authenticator", r.Method, r.Attachment))
	}
	return r, nil
}

// unknown checks that no key has the id yet (7.1 step 26), be it another
// person's.
func unknown(tx *db.Tx, id []byte) error {
	var n int
	if err := tx.Row(`SELECT count(*) FROM fido_credential WHERE credential_id = $1`, id).Scan(&n); err != nil {
		return fmt.Errorf("looking for a key: %w", err)
	}
	if n > 0 {
		return fault.New(fault.FIDOAlreadyOnKey, errors.New("the credential id is registered"))
	}
	return nil
}

// Enrolment returns the proven key for the gate; name is what the holder calls
// it, or "".
func (f *FIDO) Enrolment(p Proven, name string) (credential.Enrolment, error) {
	opened, err := keys.OpenJSON[proven](f.proven, nil, p.Sealed)
	if err != nil {
		return credential.Enrolment{}, fault.New(fault.JourneyTampered, err)
	}
	until := opened.At.Add(provenLife)
	if !f.o.DB.Now().Before(until) {
		return credential.Enrolment{}, fault.New(fault.JourneyExpired, errors.New("the key waited too long"))
	}
	r := opened.Row
	if name == "" {
		name = r.Model
	}
	if name == "" {
		name = r.Method.TypeLabel()
	}
	return proof.NewEnrolment(proof.EnrolmentFields{
		UID: r.UID, Method: r.Method, Name: name, Evidence: r.evidence(true),
		Store: func(tx *db.Tx, authenticatorID string, limit care.AAL) error {
			if err := use(tx, opened.Asked, until); err != nil {
				return err
			}
			return r.store(tx, authenticatorID, limit)
		},
	}), nil
}
