package fido

import (
	"context"
	"errors"
	"fmt"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/fido/metadata"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
)

// whySynced says why a key does not count as AAL3, in the words of the result
// page. The metadata has the other reasons.
const whySynced = "It can be copied to your other devices, so it is not bound to this one."

// judge says what a key's attestation shows, and whether the key may be
// registered. r is filled in. It returns why the key does not reach AAL3, or "".
func (f *FIDO) judge(ctx context.Context, r *row, a metadata.Attestation) (why string, err error) {
	v, err := f.models.Judge(ctx, a)
	if errors.Is(err, metadata.ErrStatement) {
		return "", refused(err)
	}
	if err != nil {
		return "", err
	}
	r.Attested, r.DeviceBound, r.Provenance = v.Attested, v.DeviceBound, v.Provenance
	if v.Attested {
		r.Model = v.Status.Description
	}
	if err := f.admits(*r, v.Status); err != nil {
		return "", err
	}
	if r.BackupEligible {
		return whySynced, nil
	}
	return v.Why, nil
}

// Barred returns those of a person's keys that can sign in no more although
// nobody suspended them: their models are not accepted now.
func (f *FIDO) Barred(tx *db.Tx, uid care.UID) ([]string, error) {
	held, err := rowsOf(tx, uid)
	if err != nil {
		return nil, err
	}
	var barred []string
	for _, r := range held {
		status, err := f.models.Status(tx, r.Provenance)
		if err != nil {
			return nil, err
		}
		if f.admits(r, status) != nil {
			barred = append(barred, r.AuthenticatorID)
		}
	}
	return barred, nil
}

// admits judges a key whose attestation was judged: at its registration, and
// again at each sign-in, because models fall from grace. Neither "none" nor a
// statement that the key signed for itself satisfies Attested or Listed
// (WebAuthn, 6.5.4: self attestation has no trust anchor).
func (f *FIDO) admits(r row, s metadata.Status) error {
	switch {
	case s.Revoked:
		return fault.New(fault.FIDOModelRevoked, fmt.Errorf("model %s: %s", r.Provenance.Model, s.Reason))
	case s.Refused:
		return fault.New(fault.FIDOModelRefused, fmt.Errorf("model %s is refused", r.Provenance.Model))
	}
	policy := f.o.Policies[r.Method]
	switch {
	case policy != Attested && policy != Listed:
	case !r.Attested:
		return fault.New(fault.FIDOAttestationMissing, fmt.Errorf("%s wants an attestation that is trusted", r.Method))
	case policy == Listed && !s.Listed:
		return fault.New(fault.FIDOModelRefused, fmt.Errorf("model %s is not listed", r.Provenance.Model))
	}
	return nil
}
