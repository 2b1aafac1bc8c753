package argon

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/keys"
)

// cheap is a cost for tests.
var cheap = Cost{MemoryKiB: 64, Time: 1, Threads: 1}

func place(t testing.TB, p *Pool) *Place {
	t.Helper()
	at, err := p.Enter()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(at.Leave)
	return at
}

// N15: salt of 32 bits at least, scheme and cost stored, and a pepper that the
// database does not hold.
func TestStoredHashNamesItsSchemeCostSaltAndPepper(t *testing.T) {
	ring := keys.NewRing(keys.Root{1})
	h := New(ring, "password", Cost{}, rand.Reader)
	hash, err := h.Hash(t.Context(), place(t, NewPool(1)), "harbour lamp 42 otter")
	if err != nil {
		t.Fatal(err)
	}
	text := hash.String()
	if !strings.HasPrefix(text, "$argon2id$v=19$m=19456,t=2,p=1,keyid=") {
		t.Errorf("stored as %q", text)
	}
	parsed, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if len(parsed.Salt) < 16 || len(parsed.Sum) != 32 || parsed.Cost != DefaultCost {
		t.Errorf("%+v", parsed)
	}
}

func TestVerifyKnowsTheSecretAndNoOther(t *testing.T) {
	h := New(keys.NewRing(keys.Root{1}), "password", cheap, rand.Reader)
	at := place(t, NewPool(1))
	hash, err := h.Hash(t.Context(), at, "harbour lamp 42 otter")
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 200)
	for secret, want := range map[string]bool{
		"harbour lamp 42 otter": true, "harbour lamp 42 otteR": false, "": false, "harbour lamp 42 otter" + long: false,
	} {
		if ok, err := h.Verify(t.Context(), at, hash, secret); err != nil || ok != want {
			t.Errorf("Verify(%q) = %v, %v", secret, ok, err)
		}
	}
}

func TestHashIsWorthNothingWithoutThePepper(t *testing.T) {
	at := place(t, NewPool(1))
	hash, err := New(keys.NewRing(keys.Root{1}), "password", cheap, rand.Reader).Hash(t.Context(), at, "harbour lamp")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(keys.NewRing(keys.Root{2}), "password", cheap, rand.Reader).Verify(t.Context(), at, hash, "harbour lamp"); err == nil {
		t.Error("another root verified the hash")
	}
	other := New(keys.NewRing(keys.Root{1}), "recovery", cheap, rand.Reader)
	if ok, err := other.Verify(t.Context(), at, hash, "harbour lamp"); ok || err != nil {
		t.Errorf("another purpose: %v, %v", ok, err)
	}
}

func TestOldHashVerifiesAndIsStaleAfterANewRootOrCost(t *testing.T) {
	at := place(t, NewPool(1))
	hash, err := New(keys.NewRing(keys.Root{1}), "password", cheap, rand.Reader).Hash(t.Context(), at, "harbour lamp")
	if err != nil {
		t.Fatal(err)
	}
	rotated := keys.NewRing(keys.Root{2}, keys.Root{1})
	for name, h := range map[string]*Hasher{
		"root": New(rotated, "password", cheap, rand.Reader),
		"cost": New(keys.NewRing(keys.Root{1}), "password", Cost{MemoryKiB: 128, Time: 1, Threads: 1}, rand.Reader),
	} {
		if ok, err := h.Verify(t.Context(), at, hash, "harbour lamp"); !ok || err != nil {
			t.Errorf("new %s: %v, %v", name, ok, err)
		}
		if !h.Stale(hash) {
			t.Errorf("new %s: not stale", name)
		}
	}
	if New(keys.NewRing(keys.Root{1}), "password", cheap, rand.Reader).Stale(hash) {
		t.Error("stale under the same settings")
	}
}

func TestFullPoolAnswersBusyAtOnce(t *testing.T) {
	pool := NewPool(2)
	var places []*Place
	for range 2 * (1 + queuePerWorker) {
		places = append(places, place(t, pool))
	}
	_, err := pool.Enter()
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != fault.Busy || f.RetryAfter != 2*time.Second {
		t.Fatalf("want Busy with a time to retry, got %v", err)
	}
	if err := pool.Ask(); !fault.Has(err, fault.Busy) {
		t.Errorf("asked a full pool: %v", err)
	}
	places[0].Leave()
	places[0].Leave() // twice is once
	if err := pool.Ask(); err != nil {
		t.Errorf("asked a pool with a place: %v", err)
	}
	place(t, pool)
	if _, err := pool.Enter(); !fault.Has(err, fault.Busy) {
		t.Errorf("leaving twice freed two places: %v", err)
	}
}

func TestPoolNeverRunsMoreThanItsSize(t *testing.T) {
	pool := NewPool(2)
	var running, most atomic.Int64
	var all sync.WaitGroup
	for range 40 {
		at := place(t, pool)
		all.Go(func() {
			err := at.run(t.Context(), func() {
				n := running.Add(1)
				for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
				}
				running.Add(-1)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if most.Load() > 2 {
		t.Errorf("%d at once", most.Load())
	}
}

func TestWaitingForAWorkerEndsWithTheRequest(t *testing.T) {
	pool := NewPool(1)
	first, second := place(t, pool), place(t, pool)
	inside, finish := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		if err := first.run(context.Background(), func() { close(inside); <-finish }); err != nil {
			t.Error(err)
		}
	})
	<-inside
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := second.run(gone, func() { t.Error("ran") }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	close(finish)
	all.Wait()
}

func FuzzParse(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1,keyid=5f0c1a9e$c2FsdHNhbHRzYWx0c2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	f.Add("$argon2id$v=19$m=19456,t=2,p=1,keyid=5f0c1a9e$c2FsdHNhbHRzYWx0c2FsdA")
	f.Add("$argon2id$v=19$m=4294967295,t=2,p=1,keyid=x$c2FsdA$AAAA")
	f.Add("$2b$10$x")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := Parse(text)
		if err != nil {
			return
		}
		if h.String() != text {
			t.Errorf("%q was read as %q", text, h.String())
		}
		if h.Cost.MemoryKiB > maxMemoryKiB || h.Cost.Time > maxTime || len(h.Salt) < 4 {
			t.Errorf("%q was accepted", text)
		}
	})
}

// One default hash: what a password sign-in costs beside its commits.
func BenchmarkHash(b *testing.B) {
	h := New(keys.NewRing(keys.Root{1}), "password", DefaultCost, rand.Reader)
	at := place(b, NewPool(1))
	for b.Loop() {
		if _, err := h.Hash(b.Context(), at, "harbour lamp 42 otter"); err != nil {
			b.Fatal(err)
		}
	}
}
