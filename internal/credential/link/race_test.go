package link

import (
	"fmt"
	"sync"
	"testing"

	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/internal/credtest"
	"carekey.dev/carekey/internal/fault"
)

// TestFiftyStartsOnTwoNodesHaveOneWinner: decision 5. A link is consumed for
// one journey, however many press the button at once.
func TestFiftyStartsOnTwoNodesHaveOneWinner(t *testing.T) {
	h, url := credtest.OnPostgres(t, Schema)
	nodes := []*Links{newRoom(h), newRoom(h.Node(t, url))}
	token := made(t, nodes[0])
	journeys := make(chan string, 50)
	var all sync.WaitGroup
	for i := range cap(journeys) {
		all.Go(func() {
			journey := fmt.Sprintf("journey %d", i)
			found, err := nodes[i%2].Start(t.Context(), token, journey, "browser of "+journey)
			if err == nil {
				journeys <- found.journey
			} else if !fault.Has(err, fault.LinkUsed) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(journeys) != 1 {
		t.Fatalf("%d journeys started", len(journeys))
	}
	winner := <-journeys
	found, err := nodes[1].Of(t.Context(), winner)
	if err != nil || found.State != Started {
		t.Errorf("%s has %+v, %v", winner, found, err)
	}
}

// TestIntroductionIsUsedOnceOnTwoNodes: two tabs finish at the same moment.
func TestIntroductionIsUsedOnceOnTwoNodes(t *testing.T) {
	h, url := credtest.OnPostgres(t, Schema)
	nodes := []*credtest.House{h, h.Node(t, url)}
	l := newRoom(h)
	for round := range 10 {
		journey := fmt.Sprintf("journey %d", round)
		_, found := waiting(t, l, journey)
		if err := l.Confirm(t.Context(), found.ID, by); err != nil {
			t.Fatal(err)
		}
		used := make(chan bool, 2)
		var all sync.WaitGroup
		proofs := make([]credential.Proof, len(nodes))
		for i, node := range nodes {
			var err error
			if proofs[i], err = newRoom(node).Proof(t.Context(), journey); err != nil {
				t.Fatal(err)
			}
		}
		for i, node := range nodes {
			all.Go(func() {
				if err := node.Use(t, proofs[i]); err == nil {
					used <- true
				} else if !fault.Has(err, fault.LinkUsed) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if len(used) != 1 {
			t.Fatalf("round %d: used %d times", round, len(used))
		}
	}
}
