package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/lease"
)

// placed is an entry that has just been given its index.
type placed struct {
	index int64
	leaf  tlog.Hash
}

// sequence gives the oldest entries that wait their places in the tree and
// returns how many they were. Entries are found by having no index, never by a
// watermark: a transaction that committed late is found late, and the index
// has no gap (decision 19).
func (l *Log) sequence(ctx context.Context, held lease.Held) (int, error) {
	waiting := false
	err := l.o.DB.Read(ctx, func(tx *db.Tx) error {
		var n int64
		err := tx.Row(`SELECT COUNT(*) FROM (SELECT id FROM audit_entry WHERE idx IS NULL LIMIT 1) AS waiting`).Scan(&n)
		waiting = n > 0
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("looking for audit entries: %w", err)
	}
	if !waiting {
		return 0, nil
	}
	n := 0
	err = l.o.DB.Write(ctx, func(tx *db.Tx) error {
		if err := held.Confirm(tx); err != nil {
			return err
		}
		// Two sequencers at once (a lease is only time) take turns here.
		var size int64
		if err := tx.Row(`SELECT size FROM audit_tree WHERE id = 1` + tx.ForUpdate()).Scan(&size); err != nil {
			return err
		}
		entries, err := place(tx, size)
		if err != nil {
			return err
		}
		n = len(entries)
		if err := grow(tx, size, entries); err != nil {
			return err
		}
		_, err = tx.Exec(`UPDATE audit_tree SET size = $1 WHERE id = 1`, size+int64(n))
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("sequencing audit entries: %w", err)
	}
	return n, nil
}

// place numbers the entries from size on and returns them in that order.
func place(tx *db.Tx, size int64) ([]placed, error) {
	rows, err := tx.Rows(`UPDATE audit_entry SET idx = numbered.place FROM
			(SELECT id AS name, $1 + row_number() OVER (ORDER BY at, id) AS place FROM
				(SELECT id, at FROM audit_entry WHERE idx IS NULL ORDER BY at, id LIMIT $2) AS waiting) AS numbered
		WHERE audit_entry.id = numbered.name AND audit_entry.idx IS NULL RETURNING idx, leaf`, size-1, batch)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var entries []placed
	for rows.Next() {
		var e placed
		var leaf []byte
		if err := rows.Scan(&e.index, &leaf); err != nil {
			return nil, err
		}
		if len(leaf) != tlog.HashSize {
			return nil, fmt.Errorf("entry %d: %w", e.index, ErrChanged)
		}
		e.leaf = tlog.Hash(leaf)
		entries = append(entries, e)
	}
	if err := rows.Close(); err != nil {
		return nil, err
	}
	slices.SortFunc(entries, func(a, b placed) int { return int(a.index - b.index) })
	for i, e := range entries {
		if e.index != size+int64(i) {
			return nil, fmt.Errorf("the index would have a gap at %d", size+int64(i))
		}
	}
	return entries, nil
}

// grow appends the leaves to the tree.
func grow(tx *db.Tx, size int64, entries []placed) error {
	tree := &hashes{tx: tx, known: map[int64]tlog.Hash{}}
	first := tlog.StoredHashCount(size)
	next := first
	for _, e := range entries {
		added, err := tlog.StoredHashesForRecordHash(e.index, e.leaf, tree)
		if err != nil {
			return fmt.Errorf("adding leaf %d: %w", e.index, err)
		}
		for _, h := range added {
			tree.known[next] = h
			next++
		}
	}
	return insertHashes(tx, tree.known, first, next)
}

// many is how many rows one INSERT writes: one statement text for full
// blocks, one for what remains.
const many = 64

func insertHashes(tx *db.Tx, known map[int64]tlog.Hash, from, to int64) error {
	for from < to {
		n := int64(1)
		if to-from >= many {
			n = many
		}
		var sql strings.Builder
		sql.WriteString(`INSERT INTO audit_hash (position, hash) VALUES `)
		var args []any
		for i := range n {
			if i > 0 {
				sql.WriteString(", ")
			}
			fmt.Fprintf(&sql, "($%d, $%d)", 2*i+1, 2*i+2)
			h := known[from+i]
			args = append(args, from+i, h[:])
		}
		if _, err := tx.Exec(sql.String(), args...); err != nil {
			return fmt.Errorf("storing the tree: %w", err)
		}
		from += n
	}
	return nil
}

// hashes reads the stored tree, as a tlog.HashReader.
type hashes struct {
	tx    *db.Tx
	known map[int64]tlog.Hash
}

// Hashes returns a reader of the tree for proofs within tx.
func Hashes(tx *db.Tx) tlog.HashReader { return &hashes{tx: tx, known: map[int64]tlog.Hash{}} }

// ReadHashes implements tlog.HashReader.
func (r *hashes) ReadHashes(positions []int64) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(positions))
	for i, position := range positions {
		h, ok := r.known[position]
		if !ok {
			var stored []byte
			if err := r.tx.Row(`SELECT hash FROM audit_hash WHERE position = $1`, position).Scan(&stored); err != nil {
				return nil, fmt.Errorf("reading hash %d of the audit tree: %w", position, err)
			}
			if len(stored) != tlog.HashSize {
				return nil, fmt.Errorf("hash %d of the audit tree: %w", position, ErrChanged)
			}
			h = tlog.Hash(stored)
			r.known[position] = h
		}
		list[i] = h
	}
	return list, nil
}
