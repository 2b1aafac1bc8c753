package signin

import (
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/gate/gatetest"
)

// spent is what the database did during do.
func (h *house) spent(do func()) (commits, statements, reads uint64) {
	before := h.Rig.DB.Counters()
	do()
	after := h.Rig.DB.Counters()
	return after.Commits - before.Commits, after.Statements - before.Statements, after.Reads - before.Reads
}

// TestSignInCostsTwoCommitsAndSevenStatements holds the hot path to its budget,
// for a person who knows everything right: 3 commits and 12 statements for the
// whole sign-in, of which the token exchange needs one commit.
//
//   - password: the attempt is counted and the account read (1, committed);
//   - code: the account is read (1);
//   - gate: the person is locked and the authenticator touched; the code and
//     the attempts are used; the session and the audit entry are written (5,
//     committed).
func TestSignInCostsTwoCommitsAndSevenStatements(t *testing.T) {
	h := newHouse(t)
	v := h.visitor()
	for _, c := range []struct {
		who        string
		role       care.RoleWish
		statements uint64
	}{
		{"a new browser", care.NoRole, 7},
		// It has a session that is not good enough: that is read, and ended.
		{"a browser that was signed in", care.NoRole, 7 + 2},
		// The session is read once more, with the person and the roles.
		{"where a role is wanted", care.AnyRole, 7 + 2 + 1},
	} {
		h.Clock.Later(20 * time.Second) // within a minute, no activity is recorded
		req := withRole(c.role)
		req.AuthenticatedAfter = h.Clock.Now()
		commits, statements, reads := h.spent(func() {
			v.get("/signin?req=" + h.sealed(req)).toCode(amara).code(amara).isAt("/authorize")
		})
		t.Logf("%s: %d commits, %d statements, %d reads", c.who, commits, statements, reads)
		if commits != 2 || statements != c.statements {
			t.Errorf("%s: %d commits and %d statements, want 2 and %d", c.who, commits, statements, c.statements)
		}
	}
}

// TestStrangerCostsWhatAColleagueCosts: ASVS 6.3.8. The same commits and
// statements, whether or not anybody has the address.
func TestStrangerCostsWhatAColleagueCosts(t *testing.T) {
	h := newHouse(t)
	wrong := func(address care.Email) [3]uint64 {
		v := h.asked(ers()).toPassword(gatetest.Who{Email: address})
		commits, statements, reads := h.spent(func() { v.submit("/signin/password", "password", "a wrong password") })
		return [3]uint64{commits, statements, reads}
	}
	known, unknown := wrong(amara.Email), wrong("nobody@northgate.example.nhs.uk")
	if known != unknown {
		t.Errorf("known: %v, unknown: %v", known, unknown)
	}
}
