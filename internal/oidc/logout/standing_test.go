package logout_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/oidc/logout"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/relyingparty"
)

// A 400 is final for us; when the relying party was mended, an operator has it
// tried again.
func TestAnOperatorHasWhatWasGivenUpTriedAgain(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		rp := newReceiver(t)
		rp.says(http.StatusBadRequest, "")
		h.register(rp, "e-rs", "ncrs")
		h.signOut(h.signedIn("e-rs"))
		n := h.node(h.DB, rp)
		n.tell()
		n.deliver(1, rp)
		rp.says(http.StatusOK, "")
		h.clock.pass(3 * 24 * time.Hour)
		h.write(func(tx *db.Tx) error {
			all, err := logout.Deliveries(tx, logout.Filter{ClientID: "e-rs", Most: 10})
			if err != nil {
				return err
			}
			again, err := logout.Retry(tx, all, "operator")
			if again != 1 {
				t.Errorf("%d tried again", again)
			}
			return err
		})
		n.deliver(1, rp)
		if got := h.deliveries(logout.Filter{Told: true}); len(got) != 1 || got[0] != "e-rs told 2" {
			t.Errorf("%v", got)
		}
		var audited int
		h.write(func(tx *db.Tx) error {
			all, err := logout.Deliveries(tx, logout.Filter{Told: true, Most: 10})
			if err != nil {
				return err
			}
			if again, err := logout.Retry(tx, all, "operator"); again != 0 || err != nil {
				t.Errorf("what was told is told again: %d, %v", again, err)
			}
			return tx.Row(`SELECT count(*) FROM audit_entry WHERE action = 'logout.retried'`).Scan(&audited)
		})
		if audited != 1 {
			t.Errorf("%d audit entries", audited)
		}
	})
}

func TestAfterADayARelyingPartyIsGivenUp(t *testing.T) {
	h := open(t)
	rp := newReceiver(t)
	rp.says(http.StatusServiceUnavailable, "")
	h.register(rp, "e-rs")
	h.signOut(h.signedIn("e-rs"))
	n := h.node(h.DB, rp)
	n.tell()
	began := h.Now()
	for {
		one := h.listed(logout.Filter{})[0]
		if one.State == logout.GivenUp {
			break
		}
		h.clock.pass(one.Next.Sub(h.Now()))
		n.deliver(1, rp)
	}
	if took := h.Now().Sub(began); took < 22*time.Hour || took > logout.Life {
		t.Errorf("given up after %s", took)
	}
}

func TestWhatIsCountedIsWhatHasNotArrived(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		rp := newReceiver(t)
		h.register(rp, "e-rs", "ncrs")
		n := h.node(h.DB, rp)
		for _, answer := range []int{200, 400, 500, 400} {
			rp.says(answer, "")
			h.signOut(h.signedIn("e-rs"))
			n.tell()
			n.deliver(1, rp)
		}
		h.signOut(h.signedIn("ncrs"))
		n.tell()
		var got []logout.Count
		err := h.Read(t.Context(), func(tx *db.Tx) (err error) {
			got, err = logout.Stand(tx)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		want := []logout.Count{{"e-rs", logout.GivenUp, 2}, {"e-rs", logout.Retried, 1}, {"ncrs", logout.Waiting, 1}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("counted (-want +got):\n%s", diff)
		}
	})
}

func TestDeliveriesAreListedAsLongAsTheOutboxKnowsThem(t *testing.T) {
	each(t, func(t *testing.T, h *house) {
		rp := newReceiver(t)
		h.register(rp, "told", "refused")
		n := h.node(h.DB, rp)
		h.signOut(h.signedIn("told"))
		n.tell()
		n.deliver(1, rp)
		rp.says(http.StatusBadRequest, "")
		h.signOut(h.signedIn("refused"))
		n.tell()
		n.deliver(1, rp)
		for _, step := range []struct {
			pass time.Duration
			want int
		}{{6 * 24 * time.Hour, 2}, {2 * 24 * time.Hour, 1}, {21 * 24 * time.Hour, 1}, {2 * 24 * time.Hour, 0}} {
			h.clock.pass(step.pass)
			var left int
			h.write(func(tx *db.Tx) error {
				if err := outbox.Prune(tx); err != nil {
					return err
				}
				if err := logout.Prune(tx); err != nil {
					return err
				}
				return tx.Row(`SELECT count(*) FROM logout_delivery`).Scan(&left)
			})
			if left != step.want {
				t.Errorf("%d are left, want %d", left, step.want)
			}
		}
	})
}

// OpenID Connect Front-Channel Logout sections 2 and 3: iss and sid are added
// as query parameters; those of the address stay.
func TestFramesNameTheIssuerAndTheSession(t *testing.T) {
	h := open(t)
	rp := newReceiver(t)
	h.register(rp, "e-rs", "ncrs", "mesh")
	for client, uri := range map[string]string{"e-rs": "https://ers.example/leave", "mesh": "https://mesh.example/leave?a=1&b"} {
		h.write(func(tx *db.Tx) error {
			rp, err := relyingparty.ByID(tx, client)
			if err != nil {
				return err
			}
			rp.FrontchannelLogoutURI = uri
			return relyingparty.Put(tx, rp)
		})
	}
	s := h.signedIn("mesh", "ncrs", "e-rs", "removed")
	h.signedIn("mesh")
	got, err := h.node(h.DB, rp).Frames(t.Context(), s.SID)
	if err != nil {
		t.Fatal(err)
	}
	query := "iss=https%3A%2F%2Fid.northmoor.example%3A443%2Fopenam%2Foauth2%2Frealms%2Froot%2Frealms%2FNHSIdentity%2Frealms%2FHealthcare&sid=" + s.SID
	want := []string{"https://ers.example/leave?" + query, "https://mesh.example/leave?a=1&b&" + query}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("frames (-want +got):\n%s", diff)
	}
}
