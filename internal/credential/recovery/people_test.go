package recovery

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/internal/credtest"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
)

func TestCodeIsOfNoUseToAnotherPerson(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		r := newRoom(h)
		codes := made(t, h, r)
		_, others, err := r.Make(t.Context(), credtest.Owen, "app-2")
		if err != nil {
			t.Fatal(err)
		}
		h.Write(t, others.Store)
		_, err = r.Check(t.Context(), credtest.Owen, codes[0], stranger)
		wants(t, err, fault.WrongRecoveryCode)
		if left(t, h) != Codes {
			t.Error("Owen's try cost Amara a code")
		}
	})
}

// TestOneCodeOnTwoNodesIsUsedOnce: N20, single use.
func TestOneCodeOnTwoNodesIsUsedOnce(t *testing.T) {
	h, url := credtest.OnPostgres(t, Schema)
	nodes := []*credtest.House{h, h.Node(t, url)}
	for position, code := range made(t, h, newRoom(h)) {
		used := make(chan bool, 2)
		var all sync.WaitGroup
		proofs := make([]credential.Proof, len(nodes))
		for i, node := range nodes {
			var err error
			if proofs[i], err = newRoom(node).Check(t.Context(), amara, code, stranger); err != nil {
				t.Fatal(err)
			}
		}
		for i, node := range nodes {
			all.Go(func() {
				if err := node.Use(t, proofs[i]); err == nil {
					used <- true
				} else if !fault.Has(err, fault.RecoveryCodeUsed) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if len(used) != 1 {
			t.Fatalf("code %d was used %d times", position, len(used))
		}
	}
	if left(t, h) != 0 {
		t.Errorf("%d left", left(t, h))
	}
}

// TestNoTableHoldsWhatWasTyped: neither the tables of this room nor the
// counters, the outbox or the audit log hold a code.
func TestNoTableHoldsWhatWasTyped(t *testing.T) {
	h := credtest.Open(t, Schema)
	r := newRoom(h)
	codes := made(t, h, r)
	proof, err := r.Check(t.Context(), amara, codes[0], stranger)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Use(t, proof); err != nil {
		t.Fatal(err)
	}
	if _, err := r.CheckFirst(t.Context(), amara, codes[1], stranger); err != nil {
		t.Fatal(err)
	}
	for table, columns := range map[string]string{
		"recovery_set":  `uid || scheme`,
		"recovery_code": `uid || hex(sum)`,
		"throttle":      `hex(key)`,
		"outbox":        `id || kind || hex(payload)`,
		"audit_entry":   `action || fields`,
	} {
		var text string
		h.Read(t, func(tx *db.Tx) error {
			return tx.Row(fmt.Sprintf(`SELECT COALESCE(group_concat(%s), '') FROM %s`, columns, table)).Scan(&text)
		})
		for _, code := range codes {
			bare := strings.ReplaceAll(code, "-", "")
			if strings.Contains(text, code) || strings.Contains(text, bare) || strings.Contains(text, fmt.Sprintf("%X", bare)) {
				t.Errorf("%s holds a code", table)
			}
		}
	}
}
