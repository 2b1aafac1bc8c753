// Package keys is the key ring: everything that Carekey seals or authenticates
// with a symmetric key hangs on a root key that lives outside the database and
// outside its backup.
//
// A root comes in from a file; sealers and MACs for a named purpose go out. A
// key for one purpose never opens what another sealed. The room does no
// database work and never logs.
package keys

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
)

// RootSize is the size of a root key in bytes.
const RootSize = 32

// Root is one root key.
type Root [RootSize]byte

// LoadRoot reads the roots of a file: one base64 key a line, the newest first.
// Old roots still open what they sealed. A file that others can read is
// refused.
func LoadRoot(path string) ([]Root, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading the root key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("the root key %s can be read by others: run chmod 600 %s", path, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the root key: %w", err)
	}
	var roots []Root
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(key) != RootSize {
			return nil, fmt.Errorf("the root key %s must hold lines of %d bytes in base64", path, RootSize)
		}
		roots = append(roots, Root(key))
	}
	if len(roots) == 0 {
		return nil, fmt.Errorf("the root key %s is empty", path)
	}
	return roots, nil
}

// CreateRoot makes a new root key at path, readable by its owner alone. It
// never replaces a file.
func CreateRoot(path string) error {
	var key Root
	rand.Read(key[:])
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("creating the root key: %w", err)
	}
	_, err = fmt.Fprintln(file, base64.StdEncoding.EncodeToString(key[:]))
	return errors.Join(err, file.Sync(), file.Close())
}
