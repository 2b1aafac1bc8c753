package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/lease"
)

var schemas = []fs.FS{Schema, lease.Schema}

// openLog returns a log and the lease that a round confirms.
func openLog(t testing.TB, d *db.DB, node string) (*Log, lease.Held) {
	t.Helper()
	l, err := OpenLog(t.Context(), Options{DB: d, Ring: keys.NewRing(keys.Root{1}), Origin: "care.example/audit", Node: node})
	if err != nil {
		t.Fatal(err)
	}
	held := lease.Held{Name: leaseName, Holder: node, Epoch: 1}
	err = d.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO lease (name, holder, epoch, until) VALUES ($1, $2, 1, $3) ON CONFLICT (name) DO NOTHING`,
			held.Name, held.Holder, db.Micros(tx.Now().Add(time.Hour)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return l, held
}

func record1(t *testing.T, d *db.DB, action string) {
	t.Helper()
	if err := d.Write(t.Context(), func(tx *db.Tx) error { return Record(tx, Entry{Action: action}) }); err != nil {
		t.Error(err)
	}
}

// check verifies everything as an auditor would: the signature, and each entry
// up to the root.
func check(t *testing.T, d *db.DB, verifier string) Checkpoint {
	t.Helper()
	var c Checkpoint
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		text, _, err := Latest(tx)
		if err != nil {
			return err
		}
		if c, err = OpenCheckpoint(text, verifier); err != nil {
			return err
		}
		if root, err := tlog.TreeHash(c.Size, Hashes(tx)); err != nil || root != c.Root {
			return fmt.Errorf("the tree's root is %v (%v), the signed one %v", root, err, c.Root)
		}
		var leaves []tlog.Hash
		for i := range c.Size {
			s, _, err := At(tx, i)
			if err != nil {
				return err
			}
			leaf, err := s.Leaf()
			if err != nil {
				return err
			}
			leaves = append(leaves, leaf)
			proof, err := tlog.ProveRecord(c.Size, i, Hashes(tx))
			if err != nil {
				return err
			}
			if err := tlog.CheckRecord(proof, c.Size, c.Root, i, leaf); err != nil {
				return fmt.Errorf("entry %d: %w", i, err)
			}
		}
		if root := mth(leaves); root != c.Root {
			return fmt.Errorf("the root of the leaves is %v, the signed one %v", root, c.Root)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// mth is the Merkle tree hash as RFC 6962 section 2.1 defines it.
func mth(leaves []tlog.Hash) tlog.Hash {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	return tlog.NodeHash(mth(leaves[:k]), mth(leaves[k:]))
}

func count(t *testing.T, d *db.DB, query string) (n int64) {
	t.Helper()
	if err := d.Read(t.Context(), func(tx *db.Tx) error { return tx.Row(query).Scan(&n) }); err != nil {
		t.Fatal(err)
	}
	return n
}

// Decision 19: a dense index whatever commits in parallel, even while two
// nodes sequence at once because a lease was not enough.
func TestIndexIsDenseUnderParallelCommitsAndTwoSequencers(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		const writers, each = 16, 40
		a, held := openLog(t, d, "a")
		b, _ := openLog(t, d, "b")
		if a.Verifier() != b.Verifier() {
			t.Fatal("two nodes have made two keys")
		}
		ctx, stop := context.WithCancel(t.Context())
		var sequencers, all sync.WaitGroup
		for _, l := range []*Log{a, b} {
			sequencers.Go(func() {
				for ctx.Err() == nil {
					if _, err := l.round(t.Context(), held); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for w := range writers {
			all.Go(func() {
				for n := range each {
					record1(t, d, fmt.Sprintf("writer%d.%d", w, n))
				}
			})
		}
		all.Wait()
		stop()
		sequencers.Wait()
		if _, err := a.round(t.Context(), held); err != nil {
			t.Fatal(err)
		}
		if c := check(t, d, a.Verifier()); c.Size != writers*each {
			t.Errorf("the checkpoint holds %d of %d entries", c.Size, writers*each)
		}
		if n := count(t, d, `SELECT COUNT(*) FROM audit_entry WHERE idx IS NULL`); n != 0 {
			t.Errorf("%d entries have no place", n)
		}
	})
}

func TestEntryOfAFailedTransactionIsNotThere(t *testing.T) {
	d := dbtest.Open(t, schemas...)
	broken := errors.New("broken")
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		if err := Record(tx, signIn); err != nil {
			return err
		}
		return broken
	})
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if n := count(t, d, `SELECT COUNT(*) FROM audit_entry`); n != 0 {
		t.Errorf("%d entries", n)
	}
}

func TestCrashBetweenSequencingAndSigningLeavesNoGap(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		l, held := openLog(t, d, "a")
		for n := range 3 {
			record1(t, d, fmt.Sprintf("first.%d", n))
		}
		if n, err := l.sequence(t.Context(), held); err != nil || n != 3 {
			t.Fatal(n, err)
		} // and the node dies here, before it signs
		record1(t, d, "later")
		again, _ := openLog(t, d, "a")
		if did, err := again.round(t.Context(), held); err != nil || !did {
			t.Fatal(did, err)
		}
		if c := check(t, d, l.Verifier()); c.Size != 4 {
			t.Errorf("the checkpoint holds %d entries, want 4", c.Size)
		}
		// And dies before it signs, without anything later.
		record1(t, d, "last")
		if _, err := l.sequence(t.Context(), held); err != nil {
			t.Fatal(err)
		}
		if did, err := again.round(t.Context(), held); err != nil || !did {
			t.Fatal(did, err)
		}
		if c := check(t, d, l.Verifier()); c.Size != 5 {
			t.Errorf("the checkpoint holds %d entries, want 5", c.Size)
		}
		if did, err := again.round(t.Context(), held); err != nil || did {
			t.Errorf("a round with nothing to do: did %v, %v", did, err)
		}
	})
}

func TestBatchesGrowOneTree(t *testing.T) {
	d := dbtest.Open(t, schemas...)
	l, held := openLog(t, d, "a")
	total := int64(0)
	for _, n := range []int{1, 2, 5, batch - 1, batch, 2*batch + 3} {
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			for i := range n {
				if err := Record(tx, Entry{Action: fmt.Sprintf("entry.%d", i)}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		total += int64(n)
		if _, err := l.round(t.Context(), held); err != nil {
			t.Fatal(err)
		}
		if c := check(t, d, l.Verifier()); c.Size != total {
			t.Fatalf("the checkpoint holds %d of %d entries", c.Size, total)
		}
	}
	if rows := count(t, d, `SELECT COUNT(*) FROM audit_checkpoint`); rows > 2 {
		t.Errorf("%d checkpoints are kept of one hour", rows)
	}
}

func TestNodeWithoutTheLeaseSequencesNothing(t *testing.T) {
	d := dbtest.Open(t, schemas...)
	l, held := openLog(t, d, "a")
	record1(t, d, "entry")
	held.Epoch--
	if _, err := l.round(t.Context(), held); !errors.Is(err, lease.ErrLost) {
		t.Fatalf("got %v", err)
	}
	if n := count(t, d, `SELECT COUNT(*) FROM audit_hash`); n != 0 {
		t.Errorf("%d hashes", n)
	}
}

func TestCheckpointOfAnotherKeyOrTextIsRefused(t *testing.T) {
	d := dbtest.Open(t, schemas...)
	l, held := openLog(t, d, "a")
	record1(t, d, "entry")
	if _, err := l.round(t.Context(), held); err != nil {
		t.Fatal(err)
	}
	var text string
	err := d.Read(t.Context(), func(tx *db.Tx) error {
		var err error
		text, _, err = Latest(tx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	other, _ := openLog(t, dbtest.Open(t, schemas...), "a")
	if _, err := OpenCheckpoint(text, other.Verifier()); err == nil {
		t.Error("the key of another log verifies it")
	}
	if _, err := OpenCheckpoint(strings.Replace(text, "\n1\n", "\n2\n", 1), l.Verifier()); err == nil {
		t.Error("a changed size verifies")
	}
	if c, err := OpenCheckpoint(text, l.Verifier()); err != nil || c.Size != 1 || c.Origin != "care.example/audit" {
		t.Errorf("the real one: %+v, %v", c, err)
	}
}

// Ground rule 7: the signing key lies in the database sealed.
func TestSigningKeyIsSealed(t *testing.T) {
	d := dbtest.Open(t, schemas...)
	l, _ := openLog(t, d, "a")
	var sealed []byte
	err := d.Read(t.Context(), func(tx *db.Tx) error { return tx.Row(`SELECT sealed FROM audit_key`).Scan(&sealed) })
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(sealed), "PRIVATE+KEY") {
		t.Error("the key is in the clear")
	}
	again, err := OpenLog(t.Context(), Options{DB: d, Ring: keys.NewRing(keys.Root{2}, keys.Root{1}), Origin: "another.example", Node: "b"})
	if err != nil || again.Verifier() != l.Verifier() {
		t.Errorf("after a new root: %v", err)
	}
	if _, err := OpenLog(t.Context(), Options{DB: d, Ring: keys.NewRing(keys.Root{2}), Node: "b"}); err == nil {
		t.Error("a wrong root opens the key")
	}
	if _, err := OpenLog(t.Context(), Options{DB: dbtest.Open(t, schemas...), Ring: keys.NewRing(keys.Root{1}), Origin: "not a name"}); err == nil {
		t.Error("an origin with spaces makes a key that nobody can read")
	}
}

func TestRunSignsWhatIsCommitted(t *testing.T) {
	dbtest.Each(t, schemas, func(t *testing.T, d *db.DB) {
		l, err := OpenLog(t.Context(), Options{DB: d, Ring: keys.NewRing(keys.Root{1}), Origin: "care.example/audit", Node: "a"})
		if err != nil {
			t.Fatal(err)
		}
		heard, unlisten := d.Listen(signed)
		defer unlisten()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- l.Run(ctx) }()
		for n := range int64(2) {
			record1(t, d, "entry")
			<-heard
			if c := check(t, d, l.Verifier()); c.Size != n+1 {
				t.Errorf("the checkpoint holds %d entries, want %d", c.Size, n+1)
			}
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if n := count(t, d, `SELECT until FROM lease`); n != 0 {
			t.Error("the lease was not released")
		}
	})
}

func BenchmarkRecord(b *testing.B) {
	d := dbtest.Open(b, schemas...)
	err := d.Write(b.Context(), func(tx *db.Tx) error {
		for b.Loop() {
			if err := Record(tx, signIn); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

func BenchmarkSequence(b *testing.B) {
	d := dbtest.Open(b, schemas...)
	l, held := openLog(b, d, "a")
	for b.Loop() {
		b.StopTimer()
		err := d.Write(b.Context(), func(tx *db.Tx) error {
			for range batch {
				if err := Record(tx, signIn); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if _, err := l.round(b.Context(), held); err != nil {
			b.Fatal(err)
		}
	}
}
