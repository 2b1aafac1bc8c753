package gate_test

import (
	"fmt"
	"sync"
	"testing"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/gate"
	"carekey.dev/carekey/internal/gate/gatetest"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/session"
)

// atOnce runs the functions at the same time and returns their errors.
func atOnce(functions ...func() error) []error {
	errs := make([]error, len(functions))
	var begin, end sync.WaitGroup
	begin.Add(1)
	for i, f := range functions {
		end.Go(func() { begin.Wait(); errs[i] = f() })
	}
	begin.Done()
	end.Wait()
	return errs
}

// TestOneCodeOpensOneSessionOnTwoNodes: N16. Both nodes have found the code
// right; the gate lets one of them in.
func TestOneCodeOpensOneSessionOnTwoNodes(t *testing.T) {
	nodes := gatetest.Nodes(t, 2)
	const rounds, each = 20, 4
	for round := range rounds {
		var tries []func() error
		nodes[0].Clock.Later(gatetest.Step)
		ticket, code := nodes[0].Ticket(amara), nodes[0].Code(amara.Secret)
		for i := range each {
			node := nodes[i%2]
			p, err := node.App.CodeStep(t.Context(), ticket, code, gatetest.Stranger)
			if err != nil {
				t.Fatal(err)
			}
			tries = append(tries, func() error {
				_, err := node.Gate.SignIn(t.Context(), admission(p))
				return err
			})
		}
		in := 0
		for _, err := range atOnce(tries...) {
			if err == nil {
				in++
			} else if !fault.Has(err, fault.AppCodeUsed) {
				t.Errorf("round %d: %v", round, err)
			}
		}
		if in != 1 {
			t.Fatalf("round %d: one code opened %d sessions", round, in)
		}
	}
	if n := nodes[0].Count(live); n != rounds {
		t.Errorf("%d sessions after %d codes", n, rounds)
	}
}

// TestTwoTabsRegisterOneOfEachType: two journeys that end at the same time on
// two nodes do not both bind.
func TestTwoTabsRegisterOneOfEachType(t *testing.T) {
	nodes := gatetest.Nodes(t, 2)
	r := nodes[0]
	s := openFor(r, owen.UID)
	for round := range 10 {
		var tries []func() error
		for i, node := range nodes {
			journey := fmt.Sprintf("journey %d %d", round, i)
			enrolment, _ := node.NewApp(owen.UID, owen.Email)
			b := gate.Binding{
				Journey: journey, Enrolment: enrolment, Session: s,
				Proofs: []credential.Proof{r.Mailbox(journey, owen.UID, owen.Email)},
			}
			tries = append(tries, func() error { _, err := node.Gate.Bind(t.Context(), b); return err })
		}
		bound := 0
		for _, err := range atOnce(tries...) {
			if err == nil {
				bound++
			} else if !fault.Has(err, fault.AlreadyRegistered) {
				t.Errorf("round %d: %v", round, err)
			}
		}
		held := r.Held(owen.UID)
		if bound != 1 || len(held) != 1 {
			t.Fatalf("round %d: %d bound, %d held", round, bound, len(held))
		}
		r.Write(func(tx *db.Tx) error { return credential.NewBinder().Remove(tx, held[0].ID) })
	}
}

// openFor opens a session of somebody who has another way to sign in.
func openFor(r *gatetest.Rig, uid care.UID) *session.Session {
	token, sid := r.Opener.NewToken()
	r.Write(func(tx *db.Tx) error {
		_, err := r.Opener.Open(tx, session.Opening{
			Token: token, SID: sid, UID: uid, AAL: care.AAL2, Method: care.Passkey, AuthenticatorID: "passkey", Terms: "2026-10",
		})
		return err
	})
	return r.Alive(token)
}

// TestNoSessionSlipsPastItsEnd: a sign-in has passed every check and is about
// to commit on one node, while the other closes the person, or suspends or
// replaces the phone, and ends the sessions (ASVS 7.4.2). None is left over.
func TestNoSessionSlipsPastItsEnd(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, r *gatetest.Rig) func() error{
		"closed": func(t *testing.T, r *gatetest.Rig) func() error {
			return func() error {
				return r.DB.Write(t.Context(), func(tx *db.Tx) error {
					if err := person.Close(tx, amara.UID, person.Closure{Reason: "left", At: tx.Now()}); err != nil {
						return err
					}
					return session.EndAll(tx, amara.UID, "identity closed")
				})
			}
		},
		"reported lost": func(t *testing.T, r *gatetest.Rig) func() error {
			s, id := openFor(r, amara.UID), r.Held(amara.UID)[0].ID
			return func() error { return r.Gate.ReportLost(t.Context(), s, id) }
		},
		"replaced": func(t *testing.T, r *gatetest.Rig) func() error {
			b := introduced(r, "j", amara)
			b.Replaces = r.Held(amara.UID)[0].ID
			return func() error { _, err := r.Gate.Bind(t.Context(), b); return err }
		},
	} {
		t.Run(name, func(t *testing.T) {
			nodes := gatetest.Nodes(t, 3)
			end := prepare(t, nodes[1])
			a := admission(nodes[0].AppProof(amara))
			release := holdAuditLog(t, nodes[2])
			signedIn, ended := make(chan error, 1), make(chan error, 1)
			go func() { _, err := nodes[0].Gate.SignIn(t.Context(), a); signedIn <- err }()
			waitUntil(nodes[2], func(waiting int) bool { return waiting == 1 })
			go func() { ended <- end() }()
			waitUntil(nodes[2], func(waiting int) bool { return waiting == 2 || len(ended) > 0 })
			release()
			if err := <-signedIn; err != nil {
				t.Errorf("signing in: %v", err)
			}
			if err := <-ended; err != nil {
				t.Errorf("ending: %v", err)
			}
			if n := nodes[0].Count(live+` AND uid = $1 AND authenticator_id <> 'passkey'`, amara.UID); n != 0 {
				t.Errorf("%d sessions live on", n)
			}
		})
	}
}

// TestASignInThatWaitedSeesWhatItWaitedFor: the other way round. Somebody else
// holds the person, and the sign-in finds the phone and the person as they are
// left: the statement that waited had seen them as they were before.
func TestASignInThatWaitedSeesWhatItWaitedFor(t *testing.T) {
	for name, change := range map[string]func(tx *db.Tx, id string) error{
		"closed": func(tx *db.Tx, _ string) error {
			return person.Close(tx, amara.UID, person.Closure{Reason: "left", At: tx.Now()})
		},
		"suspended": func(tx *db.Tx, id string) error { return credential.Suspend(tx, id, "lost") },
		"changed":   credential.Changed,
		"removed":   credential.NewBinder().Remove,
	} {
		t.Run(name, func(t *testing.T) {
			nodes := gatetest.Nodes(t, 3)
			id, a := nodes[0].Held(amara.UID)[0].ID, admission(nodes[0].AppProof(amara))
			changed, over, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
			changing := sync.OnceFunc(func() { close(changed) })
			go func() {
				ended <- nodes[1].DB.Write(t.Context(), func(tx *db.Tx) error {
					defer changing()
					if _, err := person.Lock(tx, amara.UID); err != nil {
						return err
					}
					if err := change(tx, id); err != nil {
						return err
					}
					changing()
					<-over
					return nil
				})
			}()
			<-changed
			signedIn := make(chan error, 1)
			go func() { _, err := nodes[0].Gate.SignIn(t.Context(), a); signedIn <- err }()
			waitUntil(nodes[2], func(waiting int) bool { return waiting == 1 || len(signedIn) > 0 })
			close(over)
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			if err := <-signedIn; !fault.Has(err, fault.NotAdmitted) {
				t.Errorf("signing in: %v", err)
			}
			if n := nodes[0].Count(live); n != 0 {
				t.Errorf("%d sessions", n)
			}
		})
	}
}

// holdAuditLog keeps every transaction from writing its audit entry, which the
// gate does last, until the returned function is called.
func holdAuditLog(t *testing.T, r *gatetest.Rig) (release func()) {
	held, over, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	holding := sync.OnceFunc(func() { close(held) })
	go func() {
		defer close(done)
		err := r.DB.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(`LOCK TABLE audit_entry IN EXCLUSIVE MODE`)
			holding()
			<-over
			return err
		})
		if err != nil {
			t.Errorf("holding the audit log: %v", err)
		}
	}()
	<-held
	return func() { close(over); <-done }
}

// waitUntil looks how many transactions wait for a lock until that is enough.
func waitUntil(r *gatetest.Rig, enough func(waiting int) bool) {
	for !enough(r.Count(`pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)) {
	}
}
