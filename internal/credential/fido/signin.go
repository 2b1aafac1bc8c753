package fido

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-webauthn/webauthn/protocol"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/fido/metadata"
	"carekey.dev/carekey/internal/credential/internal/proof"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/keys"
)

// BeginSignIn asks for a signature by a key of one of the methods. With an
// address the browser is told which keys would do, for keys that cannot be found
// without; an address that nobody has gets keys that nobody has. address ""
// asks for a key that knows its holder. It writes nothing.
func (f *FIDO) BeginSignIn(ctx context.Context, methods []care.Method, address care.Email, bound string) (Ceremony, error) {
	methods = slices.DeleteFunc(care.InOrder(methods), func(m care.Method) bool { return !slices.Contains(Methods(), m) })
	if len(methods) == 0 {
		return Ceremony{}, errors.New("asking for a key: no method of this room")
	}
	a, err := f.newAsked()
	if err != nil {
		return Ceremony{}, err
	}
	a.Methods, a.Address = methods, address
	o := protocol.PublicKeyCredentialRequestOptions{
		Challenge: a.Challenge, RelyingPartyID: f.o.RPID, Timeout: int(Life / time.Millisecond),
		UserVerification: protocol.VerificationRequired, Hints: hints(methods),
	}
	if address != "" {
		if o.AllowedCredentials, err = f.allowed(ctx, methods, address); err != nil {
			return Ceremony{}, err
		}
	}
	return ceremony(f.getting, a, bound, o)
}

// hints let the browser begin with the right dialogue, if one method is asked
// for.
func hints(methods []care.Method) []protocol.PublicKeyCredentialHints {
	if len(methods) != 1 {
		return nil
	}
	_, some := selects(methods[0])
	return some
}

// claim is a key as a sign-in finds it.
type claim struct {
	row
	version   int64
	suspended bool
	disabled  bool
	handle    []byte
	used      bool // the challenge
	addressed bool // the key is its whose address was typed
	status    metadata.Status
}

// FinishSignIn checks what the browser answered to BeginSignIn (WebAuthn, 7.2).
// bound is the same as there. Use of the returned proof is refused if its
// challenge was used meanwhile. Faults: FIDOAnotherTab, FIDORefused, FIDOOrigin,
// FIDOUnknownKey, FIDOWrongMethod, FIDOCounterBack, FIDOModelRefused,
// FIDOModelRevoked, FIDOAttestationMissing, FIDOSuspended.
func (f *FIDO) FinishSignIn(ctx context.Context, sealed, bound string, response []byte) (proof.Proof, error) {
	a, err := f.open(f.getting, sealed, bound)
	if err != nil {
		return proof.Proof{}, err
	}
	got, err := protocol.ParseCredentialRequestResponseBytes(response)
	if err != nil {
		return proof.Proof{}, refused(err)
	}
	if err := f.origin(got.Response.CollectedClientData); err != nil {
		return proof.Proof{}, err
	}
	found, err := f.claimOf(ctx, a, got.RawID)
	if a.Address != "" && fault.Has(err, fault.FIDOUnknownKey) {
		// Whoever sends back the id that was named for an address must not learn
		// whether it is a decoy: it gets the answer, and the work, of a wrong
		// signature (ASVS 6.3.8).
		found, err = claim{row: row{PublicKey: standIn}}, nil
	}
	if err != nil {
		return proof.Proof{}, err
	}
	err = got.Verify(a.challenge(), f.o.RPID, "", f.o.Origins, nil, nil, protocol.TopOriginExplicitVerificationMode,
		false, false, true, found.PublicKey, protocol.SignaturePolicy{})
	if err == nil && found.AuthenticatorID == "" {
		err = errors.New("a signature of the stand-in") // its private key was thrown away
	}
	if err != nil {
		return proof.Proof{}, refused(err)
	}
	// From here on whoever asks has the key, and may learn how it stands.
	data := got.Response.AuthenticatorData
	if err := found.fits(a, got.Response.UserHandle, data.Flags); err != nil {
		return proof.Proof{}, err
	}
	if err := f.admits(found.row, found.status); err != nil {
		return proof.Proof{}, err
	}
	count := int64(data.Counter)
	if found.Count != 0 && count <= found.Count {
		return proof.Proof{}, f.copied(ctx, a, found, count)
	}
	return proof.New(proof.Fields{
		UID: found.UID, AuthenticatorID: found.AuthenticatorID, Version: found.version,
		Evidence: found.evidence(data.Flags.HasUserVerified()), At: f.o.DB.Now(),
		Consume: func(tx *db.Tx) error {
			if err := use(tx, a, a.Until); err != nil {
				return err
			}
			return found.count(tx, count, data.Flags.HasBackupState())
		},
	}), nil
}

// claimOf finds the key of an answer, and everything that it is judged by, in
// one transaction.
func (f *FIDO) claimOf(ctx context.Context, a asked, credentialID []byte) (claim, error) {
	var found claim
	err := f.o.DB.Read(ctx, func(tx *db.Tx) error {
		found = claim{}
		var suspended, disabled, used, addressed int64
		to, done := found.into()
		err := tx.Row(`SELECT `+columns+`, s.version, s.suspended_at, s.disabled_at, u.handle,
				CASE WHEN EXISTS (SELECT 1 FROM fido_challenge WHERE name = $2) THEN 1 ELSE 0 END,
				CASE WHEN EXISTS (SELECT 1 FROM person_sign_in p WHERE p.uid = c.uid AND p.address = $3) THEN 1 ELSE 0 END
			FROM fido_credential c
			JOIN authenticator_state s ON s.id = c.authenticator_id
			JOIN fido_user u ON u.uid = c.uid
			WHERE c.credential_id = $1`, credentialID, a.name(), a.Address).
			Scan(append(to, &found.version, &suspended, &disabled, &found.handle, &used, &addressed)...)
		if errors.Is(err, db.ErrNoRows) {
			return fault.New(fault.FIDOUnknownKey, err)
		}
		if err != nil {
			return fmt.Errorf("reading a key: %w", err)
		}
		found.suspended, found.disabled, found.used, found.addressed = suspended != 0, disabled != 0, used != 0, addressed != 0
		if err := done(); err != nil {
			return err
		}
		found.status, err = f.models.Status(tx, found.Provenance)
		return err
	})
	return found, err
}

// fits checks that an answer with a right signature is one to what was asked.
func (c claim) fits(a asked, handle []byte, flags protocol.AuthenticatorFlags) error {
	switch {
	case c.used:
		return errUsed()
	// 7.2 step 6: the holder is who was asked for; without an address, the key
	// has to say who that is.
	case a.Address == "" && len(handle) == 0:
		return refused(errors.New("a key that does not say whose it is"))
	case len(handle) > 0 && !keys.Equal(handle, c.handle):
		return refused(errors.New("the user handle is another person's"))
	case a.Address != "" && !c.addressed:
		return fault.New(fault.FIDOUnknownKey, errors.New("the key of another person than the address's"))
	case !slices.Contains(a.Methods, c.Method):
		return fault.New(fault.FIDOWrongMethod, fmt.Errorf("a %s, asked for %v", c.Method, a.Methods))
	// 7.2 steps 18 and 19: whether a key can be copied never changes.
	case flags.HasBackupEligible() != c.BackupEligible, flags.HasBackupState() && !flags.HasBackupEligible():
		return refused(errors.New("the key's flags of a backup are not those of its registration"))
	case c.suspended || c.disabled:
		return fault.New(fault.FIDOSuspended, nil)
	}
	return nil
}

// count notes the counter and the backup, unless the counter is not above the
// one that is stored by now (7.2 step 22). Two right signatures that overtake
// each other look the same as a copy, so only the sign-in is refused here: a
// copy meets copied when it tries again.
func (c claim) count(tx *db.Tx, count int64, backup bool) error {
	n, err := tx.Exec(`UPDATE fido_credential SET sign_count = $1, backup_state = $2
		WHERE authenticator_id = $3 AND (sign_count < $1 OR sign_count = 0)`, count, backup, c.AuthenticatorID)
	if err != nil {
		return fmt.Errorf("counting a signature: %w", err)
	}
	if n == 1 {
		return nil
	}
	return fault.New(fault.FIDOCounterBack, fmt.Errorf("the counter %d is not above the stored one, or the key is gone", count))
}

// copied reports a key whose counter went back: there are two of it, or it is
// broken. The answer's challenge is used up first, so that only a signature that
// is new can do this. The stored counter stays.
func (f *FIDO) copied(ctx context.Context, a asked, c claim, count int64) error {
	err := f.o.DB.Write(ctx, func(tx *db.Tx) error { return use(tx, a, a.Until) })
	if err != nil {
		return fmt.Errorf("refusing a key whose counter went back: %w", err)
	}
	const why = "signature counter went back: the key may have been copied"
	if err := f.o.Suspend(ctx, c.UID, c.AuthenticatorID, why); err != nil {
		return fmt.Errorf("suspending a key whose counter went back: %w", err)
	}
	return fault.New(fault.FIDOCounterBack, fmt.Errorf("authenticator %s: counter %d after %d", c.AuthenticatorID, count, c.Count))
}
