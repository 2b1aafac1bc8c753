package audit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"golang.org/x/mod/sumdb/note"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/lease"
)

const (
	// leaseName is the lease of the one node that sequences.
	leaseName = "audit sequencer"
	leaseTTL  = 30 * time.Second
	// every is the least time between two checkpoints.
	every = time.Second
	// poll is how often the sequencer looks without having been woken: for
	// entries that other nodes committed.
	poll = 2 * time.Second
	// batch is how many entries are sequenced in one transaction.
	batch = 256
	// signed is woken after each new checkpoint.
	signed = "audit checkpoint"
)

// Options of a log.
type Options struct {
	DB   *db.DB
	Ring *keys.Ring
	// Origin names this log in its checkpoints, as a host name with a path and
	// without a scheme: "care.example.nhs.uk/audit". It is fixed when the
	// signing key is made; later values change nothing.
	Origin string
	// Node is unique to this process.
	Node string
	// Random is the system's if nil.
	Random io.Reader
	Log    *slog.Logger
}

// Log is the Merkle tree over the entries, and the key that signs it.
type Log struct {
	o        Options
	signer   note.Signer
	verifier string
}

// OpenLog reads the signing key, or makes it if this is the first start.
func OpenLog(ctx context.Context, o Options) (*Log, error) {
	if o.Random == nil {
		o.Random = rand.Reader
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	l := &Log{o: o}
	sealer := o.Ring.Sealer("audit signing key")
	sealed, verifier, err := readKey(ctx, o.DB)
	if errors.Is(err, db.ErrNoRows) {
		sealed, verifier, err = makeKey(ctx, o, sealer)
	}
	if err != nil {
		return nil, err
	}
	key, err := sealer.Open(sealed, []byte(verifier))
	if err != nil {
		return nil, fmt.Errorf("the audit log's signing key does not open with this root key: %w", err)
	}
	if l.signer, err = note.NewSigner(string(key)); err != nil {
		return nil, fmt.Errorf("reading the audit log's signing key: %w", err)
	}
	l.verifier = verifier
	return l, nil
}

// Verifier returns the public key of the checkpoints, in the form of
// golang.org/x/mod/sumdb/note: keep it where the database's owner cannot
// change it.
func (l *Log) Verifier() string { return l.verifier }

func readKey(ctx context.Context, d *db.DB) (sealed []byte, verifier string, err error) {
	err = d.Read(ctx, func(tx *db.Tx) error {
		return tx.Row(`SELECT sealed, verifier FROM audit_key ORDER BY number DESC LIMIT 1`).Scan(&sealed, &verifier)
	})
	if err != nil {
		return nil, "", fmt.Errorf("reading the audit log's signing key: %w", err)
	}
	return sealed, verifier, nil
}

// makeKey makes the first key, unless another node has just made it.
func makeKey(ctx context.Context, o Options, sealer *keys.Sealer) (sealed []byte, verifier string, err error) {
	if o.Origin == "" {
		return nil, "", errors.New("the audit log needs an origin, such as care.example.nhs.uk/audit")
	}
	key, verifier, err := note.GenerateKey(o.Random, o.Origin)
	if err != nil {
		return nil, "", fmt.Errorf("making the audit log's signing key: %w", err)
	}
	if _, err := note.NewVerifier(verifier); err != nil {
		return nil, "", fmt.Errorf("the audit log cannot have the origin %q: %w", o.Origin, err)
	}
	sealed, err = sealer.Seal([]byte(key), []byte(verifier))
	if err != nil {
		return nil, "", fmt.Errorf("sealing the audit log's signing key: %w", err)
	}
	err = o.DB.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO audit_key (number, verifier, sealed, created_at) VALUES (1, $1, $2, $3) ON CONFLICT (number) DO NOTHING`,
			verifier, sealed, db.Micros(tx.Now()))
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("storing the audit log's signing key: %w", err)
	}
	return readKey(ctx, o.DB)
}

// Run sequences and signs until ctx ends, whenever this node holds the lease.
func (l *Log) Run(ctx context.Context) error {
	return lease.Hold(ctx, l.o.DB, leaseName, l.o.Node, leaseTTL, l.work)
}

// work waits for commits and lets them gather for a second: so the log costs
// two transactions a second at most, and none when nothing happens.
func (l *Log) work(ctx context.Context, held lease.Held) error {
	heard, stop := l.o.DB.Listen(topic)
	defer stop()
	for {
		wait := every
		did, err := l.round(ctx, held)
		switch {
		case errors.Is(err, lease.ErrLost):
			return err
		case err != nil && ctx.Err() == nil:
			l.o.Log.Warn("the audit log waits", "error", err)
			wait = poll
		case !did:
			wait = 0
		}
		if !rest(ctx, wait, nil) || !rest(ctx, poll, heard) {
			return ctx.Err()
		}
	}
}

// rest waits, or until heard; false if ctx has ended.
func rest(ctx context.Context, d time.Duration, heard <-chan struct{}) bool {
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-heard:
		case <-timer.C:
		}
	}
	return ctx.Err() == nil
}

// round sequences everything that waits and signs what is new. Whatever a
// crash interrupts, the next round takes up.
func (l *Log) round(ctx context.Context, held lease.Held) (did bool, err error) {
	for {
		n, err := l.sequence(ctx, held)
		if err != nil {
			return did, err
		}
		did = did || n > 0
		if n < batch {
			break
		}
	}
	checkpointed, err := l.checkpoint(ctx, held)
	return did || checkpointed, err
}
