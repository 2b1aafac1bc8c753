// Package metadata knows the models of security keys, Windows Hello and
// passkeys: what the FIDO Alliance publishes of them (the Metadata Service,
// MDS3), and what the operator allows.
//
// The signed file of the FIDO Alliance comes in from the command line; an
// attestation comes in from the room above. Models, their standing, and a
// verdict on the attestation leave: from which model a key comes and whether
// that model binds keys to the device, or why that is not shown. Holders of
// models that are found to be unsafe are told by mail. The room makes no proof,
// fetches nothing, and believes no name of a model that no certificate stands
// behind (decision 2).
package metadata

import (
	"crypto/x509"
	"embed"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/google/uuid"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/outbox"
)

//go:embed schema/*.sql
var schema embed.FS

// Schema holds this room's migrations. They come after credential's.
var Schema fs.FS = schema

// Source knows models by their names: the tables of this room, unless a test
// has its own.
type Source interface {
	Lookup(tx *db.Tx, name string) (Model, bool, error)
}

// Options of the room. Only DB is always needed.
type Options struct {
	DB *db.DB
	// Source replaces the tables if it is set.
	Source Source
	// Roots are certificates that the operator trusts to attest models of
	// which the FIDO Alliance publishes nothing.
	Roots []*x509.Certificate
	// Allowed and Refused are AAGUIDs that the operator names. Allowed models
	// are the ones that the policy "listed" accepts.
	Allowed, Refused []string

	// Outbox, NotMe and Holders are for telling the holders of models that are
	// refused. Holders returns who holds an attested key.
	Outbox  *outbox.Outbox
	NotMe   func(uid care.UID, authenticatorID string) (string, error)
	Holders func(tx *db.Tx) ([]Holder, error)
}

// Holder is somebody who holds an attested key.
type Holder struct {
	UID             care.UID
	AuthenticatorID string
	Provenance      Provenance
}

// Store is the room.
type Store struct {
	o     Options
	apple []*x509.Certificate
}

// New returns the room.
func New(o Options) *Store {
	o.Allowed, o.Refused = slices.Clone(o.Allowed), slices.Clone(o.Refused)
	for _, list := range [][]string{o.Allowed, o.Refused} {
		for i := range list {
			list[i] = strings.ToLower(list[i])
		}
	}
	if o.Source == nil {
		o.Source = tables{}
	}
	return &Store{o: o, apple: embedded("apple.pem")}
}

// Provenance is what an attestation has shown about where a key comes from.
// Whoever keeps the key keeps it too, as JSON; the zero value: nothing shown.
type Provenance struct {
	// Model is the AAGUID of the model, or a key identifier for U2F. It is ""
	// where a root of the operator attests no particular model.
	Model string `json:"model,omitempty"`
	// Path are the SHA-256 sums of the certificates that attested the key, in
	// hexadecimal, its own first and the roots last: the FIDO Alliance sometimes
	// revokes a batch, or names the root whose key became known.
	Path []string `json:"path,omitempty"`
}

// Attested reports whether anything was shown.
func (p Provenance) Attested() bool { return len(p.Path) > 0 }

//go:embed anchors/*.pem
var anchorFiles embed.FS

// embedded returns the certificates of a file that comes with the program.
func embedded(name string) []*x509.Certificate {
	text, err := anchorFiles.ReadFile("anchors/" + name)
	if err != nil {
		panic(err) // the file is part of the program
	}
	all, err := parsePEM(text)
	if err != nil {
		panic(err)
	}
	return all
}

// ReadRoots returns the certificates of a PEM file.
func ReadRoots(path string) ([]*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading root certificates: %w", err)
	}
	all, err := parsePEM(text)
	if err != nil {
		return nil, fmt.Errorf("reading root certificates from %s: %w", path, err)
	}
	return all, nil
}

func parsePEM(text []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(all)+1, err)
		}
		all = append(all, certificate)
	}
	if len(all) == 0 {
		return nil, errors.New("there is no PEM certificate in it")
	}
	return all, nil
}

// ParseAAGUID returns an AAGUID as this room writes it.
func ParseAAGUID(s string) (string, error) {
	id, err := uuid.Parse(s)
	if err != nil || len(s) != 36 || id == uuid.Nil {
		return "", fmt.Errorf("%q is no AAGUID: one looks like 2fc0579f-8113-47ea-b116-bb5a8db9202a", s)
	}
	return id.String(), nil
}
