package fido_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/fido"
	"carekey.dev/carekey/internal/credential/fido/fidotest"
	"carekey.dev/carekey/internal/credential/internal/credtest"
	"carekey.dev/carekey/internal/fault"
)

// race runs do at once on each of two nodes, and returns how many succeeded. Each
// other has to fail by a kind.
func race(t *testing.T, nodes []*room, each int, kind *fault.Kind, do func(r *room) error) int64 {
	t.Helper()
	var won atomic.Int64
	var all sync.WaitGroup
	start := make(chan struct{})
	for i := range each * len(nodes) {
		all.Go(func() {
			<-start
			err := do(nodes[i%len(nodes)])
			switch {
			case err == nil:
				won.Add(1)
			case !fault.Has(err, kind):
				t.Errorf("racer %d: %v", i, err)
			}
		})
	}
	close(start)
	all.Wait()
	return won.Load()
}

func twoNodes(t *testing.T) []*room {
	t.Helper()
	h, url := credtest.OnPostgres(t, fido.Schema)
	return []*room{in(t, h), in(t, h.Node(t, url))}
}

// TestOfRacersForOneChallengeExactlyOneSignsIn, on two nodes: WebAuthn, 13.4.3.
// The others met a used challenge, and none of them a copied key.
func TestOfRacersForOneChallengeExactlyOneSignsIn(t *testing.T) {
	nodes := twoNodes(t)
	for name, key := range map[string]*fidotest.Key{"counts": fidotest.New(origin), "does not count": fidotest.NewSynced(origin)} {
		nodes[0].bind(name, key, care.Passkey)
		c := nodes[0].ask("", care.Passkey)
		response, err := key.Get(c.Options)
		must(t, err)
		won := race(t, nodes, 100, fault.FIDOAnotherTab, func(r *room) error {
			p, err := r.FinishSignIn(t.Context(), c.Sealed, bound, response)
			if err != nil {
				return err
			}
			return r.DB.Write(t.Context(), p.Consume)
		})
		if won != 1 {
			t.Errorf("%s: %d signed in", name, won)
		}
	}
	for _, r := range nodes {
		if len(r.suspended) > 0 {
			t.Errorf("suspended %v", r.suspended)
		}
	}
}

// TestOfRacingProofsOneOfAChallengeIsUsed: proofs that were made before any was
// used, the worst case for two nodes.
func TestOfRacingProofsOneOfAChallengeIsUsed(t *testing.T) {
	nodes := twoNodes(t)
	key := fidotest.New(origin)
	nodes[0].bind("a", key, care.SecurityKey)
	c := nodes[0].ask("", care.SecurityKey)
	response, err := key.Get(c.Options)
	must(t, err)
	proofs := make(chan credential.Proof, 1000)
	for range cap(proofs) {
		p, err := nodes[0].FinishSignIn(t.Context(), c.Sealed, bound, response)
		must(t, err)
		proofs <- p
	}
	won := race(t, nodes, cap(proofs)/2, fault.FIDOAnotherTab, func(r *room) error {
		return r.DB.Write(t.Context(), (<-proofs).Consume)
	})
	if won != 1 {
		t.Errorf("%d proofs were used", won)
	}
}

// TestRacingRegistrationsKnowThePersonByOneHandle: the first registration of a person, in
// two tabs on two nodes, knows them by one handle.
func TestRacingRegistrationsKnowThePersonByOneHandle(t *testing.T) {
	nodes := twoNodes(t)
	var handles sync.Map
	race(t, nodes, 20, nil, func(r *room) error {
		c, err := r.BeginRegistration(t.Context(), holder(amara), care.Passkey, bound)
		if err != nil {
			return err
		}
		o := publicKey[struct{ User struct{ ID string } }](t, c)
		handles.Store(o.User.ID, true)
		return nil
	})
	n := 0
	handles.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d handles", n)
	}
}
