package fido

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/google/uuid"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/fido/metadata"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
)

// row is a key as it is stored.
type row struct {
	AuthenticatorID string      `json:"-"`
	UID             care.UID    `json:"u"`
	Method          care.Method `json:"m"`
	CredentialID    []byte      `json:"i"`
	PublicKey       []byte      `json:"k"`
	Count           int64       `json:"c"`
	AAGUID          AAGUID      `json:"g"`
	Model           string      `json:"n,omitempty"`
	Format          string      `json:"f"`
	Attested        bool        `json:"a,omitempty"`
	// DeviceBound: the attested model keeps keys where they cannot be copied
	// from. Provenance is what a sign-in asks the metadata about.
	DeviceBound    bool                `json:"b,omitempty"`
	Provenance     metadata.Provenance `json:"p,omitzero"`
	Attachment     string              `json:"h,omitempty"`
	Transports     []string            `json:"t,omitempty"`
	Discoverable   bool                `json:"d,omitempty"`
	BackupEligible bool                `json:"e,omitempty"`
	BackupState    bool                `json:"s,omitempty"`
	// Limit is the level that stood behind the binding; AALNone before it.
	Limit care.AAL `json:"-"`
}

// evidence is what a signature of the key shows. A key that may be synced, or
// that no attestation shows to be in a device, is bound to none (decision 2,
// N8: NIST SP 800-63B-4 section 2.3 and appendix B).
func (r row) evidence(verified bool) care.Evidence {
	return care.Evidence{
		Method: r.Method, Key: true, PhishingResistant: true, UserVerified: verified,
		DeviceBound: r.DeviceBound && !r.BackupEligible, Synced: r.BackupEligible, Limit: r.Limit,
	}
}

const columns = `c.authenticator_id, c.uid, c.method, c.credential_id, c.public_key, c.sign_count, c.aaguid, c.model, c.format,
	c.attested, c.device_bound, c.provenance, c.attachment, c.transports, c.discoverable, c.backup_eligible, c.backup_state, c.level_limit`

// into returns where the columns go, and a function to call once they are
// there.
func (r *row) into() (to []any, done func() error) {
	var aaguid, transports, provenance string
	var attested, boundTo, discoverable, eligible, state int64
	to = []any{
		&r.AuthenticatorID, &r.UID, &r.Method, &r.CredentialID, &r.PublicKey, &r.Count, &aaguid, &r.Model, &r.Format,
		&attested, &boundTo, &provenance, &r.Attachment, &transports, &discoverable, &eligible, &state, &r.Limit,
	}
	return to, func() error {
		var err error
		if r.AAGUID, err = uuid.Parse(aaguid); err != nil {
			return fmt.Errorf("reading the model of a key: %w", err)
		}
		if err := json.Unmarshal([]byte(provenance), &r.Provenance); err != nil {
			return fmt.Errorf("reading where a key comes from: %w", err)
		}
		r.Transports = strings.Fields(transports)
		r.Attested, r.DeviceBound, r.Discoverable = attested != 0, boundTo != 0, discoverable != 0
		r.BackupEligible, r.BackupState = eligible != 0, state != 0
		return nil
	}
}

func rows(tx *db.Tx, query string, args ...any) ([]row, error) {
	found, err := tx.Rows(query, args...)
	if err != nil {
		return nil, fmt.Errorf("reading keys: %w", err)
	}
	defer found.Close()
	var all []row
	for found.Next() {
		var r row
		to, done := r.into()
		if err := errors.Join(found.Scan(to...)); err != nil {
			return nil, fmt.Errorf("reading keys: %w", err)
		}
		if err := done(); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	if err := found.Err(); err != nil {
		return nil, fmt.Errorf("reading keys: %w", err)
	}
	return all, nil
}

func rowsOf(tx *db.Tx, uid care.UID) ([]row, error) {
	return rows(tx, `SELECT `+columns+` FROM fido_credential c WHERE c.uid = $1 ORDER BY c.authenticator_id`, uid)
}

// handleOf returns a person's user handle, or nil.
func handleOf(tx *db.Tx, uid care.UID) ([]byte, error) {
	var handle []byte
	err := tx.Row(`SELECT handle FROM fido_user WHERE uid = $1`, uid).Scan(&handle)
	if err != nil && !errors.Is(err, db.ErrNoRows) {
		return nil, fmt.Errorf("reading a user handle: %w", err)
	}
	return handle, nil
}

// store writes the key under its new record.
func (r row) store(tx *db.Tx, authenticatorID string, limit care.AAL) error {
	provenance, err := json.Marshal(r.Provenance)
	if err != nil {
		return fmt.Errorf("writing where a key comes from: %w", err)
	}
	n, err := tx.Exec(`INSERT INTO fido_credential (authenticator_id, uid, method, credential_id, public_key, sign_count, aaguid,
			model, format, attested, attachment, transports, discoverable, backup_eligible, backup_state, level_limit,
			device_bound, provenance)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
		ON CONFLICT (credential_id) DO NOTHING`,
		authenticatorID, r.UID, r.Method, r.CredentialID, r.PublicKey, r.Count, r.AAGUID.String(),
		r.Model, r.Format, r.Attested, r.Attachment, strings.Join(r.Transports, " "), r.Discoverable, r.BackupEligible, r.BackupState,
		limit, r.DeviceBound, string(provenance))
	if err != nil {
		return fmt.Errorf("storing a key: %w", err)
	}
	if n == 0 {
		return fault.New(fault.FIDOAlreadyOnKey, errors.New("the credential id was registered meanwhile"))
	}
	return nil
}

// transports keeps those that the specification knows: a browser may send any
// words (WebAuthn, 5.8.4).
func transports(some []protocol.AuthenticatorTransport) []string {
	known := []protocol.AuthenticatorTransport{
		protocol.USB, protocol.NFC, protocol.BLE, protocol.SmartCard, protocol.Hybrid, protocol.Internal,
	}
	var kept []string
	for _, t := range known {
		if slices.Contains(some, t) {
			kept = append(kept, string(t))
		}
	}
	return kept
}

// descriptors name keys to the browser.
func descriptors(some []row) []protocol.CredentialDescriptor {
	var all []protocol.CredentialDescriptor
	for _, r := range some {
		d := protocol.CredentialDescriptor{Type: protocol.PublicKeyCredentialType, CredentialID: r.CredentialID}
		for _, t := range r.Transports {
			d.Transport = append(d.Transport, protocol.AuthenticatorTransport(t))
		}
		all = append(all, d)
	}
	return all
}

// Key is a registered key, for the pages of its holder.
type Key struct {
	AuthenticatorID string
	// Model is what its attestation has shown it to be, or ""; AAGUID is what it
	// says itself.
	Model  string
	AAGUID AAGUID
	// Level is the most that a sign-in by it can reach.
	Level care.AAL
	// Synced: its provider may copy it to other devices.
	Synced     bool
	Transports []string
}

// Of returns a person's keys.
func Of(tx *db.Tx, uid care.UID) ([]Key, error) {
	found, err := rowsOf(tx, uid)
	if err != nil {
		return nil, err
	}
	var all []Key
	for _, r := range found {
		all = append(all, Key{
			AuthenticatorID: r.AuthenticatorID, Model: r.Model, AAGUID: r.AAGUID, Level: care.Level(r.evidence(true)),
			Synced: r.BackupEligible, Transports: r.Transports,
		})
	}
	return all, nil
}

// Holders returns who holds an attested key, to be told when its model is
// found to be unsafe.
func Holders(tx *db.Tx) ([]metadata.Holder, error) {
	found, err := rows(tx, `SELECT `+columns+` FROM fido_credential c WHERE c.attested = 1 ORDER BY c.authenticator_id`)
	if err != nil {
		return nil, err
	}
	var all []metadata.Holder
	for _, r := range found {
		all = append(all, metadata.Holder{UID: r.UID, AuthenticatorID: r.AuthenticatorID, Provenance: r.Provenance})
	}
	return all, nil
}
