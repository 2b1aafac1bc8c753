package audit

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/lease"
)

// Checkpoint is what the log's key has signed: so many entries with this root.
// Its text is a signed note with three lines (C2SP tlog-checkpoint): origin,
// size, root hash in base64.
type Checkpoint struct {
	Origin string
	Size   int64
	Root   tlog.Hash
}

// OpenCheckpoint verifies a signed checkpoint with the log's public key.
func OpenCheckpoint(text, verifier string) (Checkpoint, error) {
	v, err := note.NewVerifier(verifier)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("reading the audit log's public key: %w", err)
	}
	n, err := note.Open([]byte(text), note.VerifierList(v))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("verifying a checkpoint: %w", err)
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) < 4 || lines[0] != v.Name() {
		return Checkpoint{}, errors.New("verifying a checkpoint: it is not one of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 {
		return Checkpoint{}, errors.New("verifying a checkpoint: its second line is no size")
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return Checkpoint{}, errors.New("verifying a checkpoint: its third line is no hash")
	}
	return Checkpoint{Origin: lines[0], Size: size, Root: tlog.Hash(root)}, nil
}

func (c Checkpoint) text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, base64.StdEncoding.EncodeToString(c.Root[:]))
}

// Latest returns the text of the last signed checkpoint and when it was
// signed; db.ErrNoRows before the first entry.
func Latest(tx *db.Tx) (text string, at time.Time, err error) {
	var micros int64
	if err := tx.Row(`SELECT note, at FROM audit_checkpoint ORDER BY size DESC LIMIT 1`).Scan(&text, &micros); err != nil {
		return "", time.Time{}, fmt.Errorf("reading the last checkpoint: %w", err)
	}
	return text, db.Time(micros), nil
}

// checkpoint signs the tree if it has grown since the last checkpoint.
func (l *Log) checkpoint(ctx context.Context, held lease.Held) (bool, error) {
	c := Checkpoint{Origin: l.signer.Name()}
	isNew := false
	err := l.o.DB.Read(ctx, func(tx *db.Tx) error {
		var last int64
		if err := tx.Row(`SELECT size, COALESCE((SELECT MAX(size) FROM audit_checkpoint), 0) FROM audit_tree WHERE id = 1`).
			Scan(&c.Size, &last); err != nil {
			return err
		}
		isNew = c.Size > last
		if !isNew {
			return nil
		}
		var err error
		c.Root, err = tlog.TreeHash(c.Size, Hashes(tx))
		return err
	})
	if err != nil {
		return false, fmt.Errorf("hashing the audit tree: %w", err)
	}
	if !isNew {
		return false, nil
	}
	text, err := note.Sign(&note.Note{Text: c.text()}, l.signer)
	if err != nil {
		return false, fmt.Errorf("signing a checkpoint: %w", err)
	}
	err = l.o.DB.Write(ctx, func(tx *db.Tx) error {
		if err := held.Confirm(tx); err != nil {
			return err
		}
		tx.Wake(signed)
		_, err := tx.Exec(`INSERT INTO audit_checkpoint (hour, size, at, note) VALUES ($1, $2, $3, $4)
			ON CONFLICT (hour) DO UPDATE SET size = excluded.size, at = excluded.at, note = excluded.note WHERE excluded.size > audit_checkpoint.size`,
			tx.Now().Unix()/3600, c.Size, db.Micros(tx.Now()), string(text))
		return err
	})
	if err != nil {
		return false, fmt.Errorf("storing a checkpoint: %w", err)
	}
	return true, nil
}
