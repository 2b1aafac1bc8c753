package app

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/internal/credtest"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/throttle"
)

// N16, RFC 6238 section 5.2, decision 10: a code is accepted once, and never
// one of an earlier step.
func TestCodeIsAcceptedOnce(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		a := newApp(h)
		p, _ := enrol(t, h, a, "app-1")
		earlier, now := p.code(t, -30*time.Second), p.code(t, 0)
		if err := signIn(t, a, p); err != nil {
			t.Fatal(err)
		}
		for _, code := range []string{now, earlier} {
			_, err := a.CodeStep(t.Context(), ticketFor(t, a), code, stranger)
			wants(t, err, fault.AppCodeUsed)
		}
		h.Advance(30 * time.Second)
		if err := signIn(t, a, p); err != nil {
			t.Errorf("the next code: %v", err)
		}
	})
}

func TestCodeOfTheRegistrationCannotSignIn(t *testing.T) {
	h := credtest.Open(t, Schema)
	a := newApp(h)
	p, _ := enrol(t, h, a, "app-1")
	h.Advance(-time.Minute)
	_, err := a.CodeStep(t.Context(), ticketFor(t, a), p.code(t, 0), stranger)
	wants(t, err, fault.AppCodeUsed)
}

// N16: two nodes verify one code at the same time; exactly one of them wins.
func TestTwoNodesRaceForOneCodeAndOneWins(t *testing.T) {
	h, url := credtest.OnPostgres(t, Schema)
	nodes := []*credtest.House{h, h.Node(t, url)}
	apps := []*App{newApp(nodes[0]), newApp(nodes[1])}
	p, _ := enrol(t, h, apps[0], "app-1")
	for range 25 {
		h.Advance(time.Minute)
		race(t, p, nodes, apps)
	}
}

func TestParallelUsesOfOneCodeOnOneNodeHaveOneWinner(t *testing.T) {
	h := credtest.Open(t, Schema)
	a := newApp(h)
	p, _ := enrol(t, h, a, "app-1")
	race(t, p, []*credtest.House{h, h, h, h, h, h, h, h}, []*App{a, a, a, a, a, a, a, a})
}

func race(t *testing.T, p phone, nodes []*credtest.House, apps []*App) {
	t.Helper()
	ticket, code := ticketFor(t, apps[0]), p.code(t, 0)
	var won, lost atomic.Int64
	var all sync.WaitGroup
	for i, a := range apps {
		all.Go(func() {
			proof, err := a.CodeStep(t.Context(), ticket, code, stranger)
			if err == nil {
				err = nodes[i].Use(t, proof)
			}
			switch {
			case err == nil:
				won.Add(1)
			case fault.Has(err, fault.AppCodeUsed), fault.Has(err, fault.TooManyAttempts), fault.Has(err, fault.SignInTooOld):
				lost.Add(1) // the losers are counted like other wrong tries, or find their password spent
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 || int(lost.Load()) != len(apps)-1 {
		t.Fatalf("%d won, %d lost", won.Load(), lost.Load())
	}
}

const crowd = 1000

// counted returns how many attempts the database has seen for an action.
func counted(t *testing.T, h *credtest.House) (attempts int64) {
	t.Helper()
	h.Read(t, func(tx *db.Tx) error {
		return tx.Row(`SELECT CAST(COALESCE(MAX(failures + refused), 0) AS BIGINT) FROM throttle WHERE rule = 1`).Scan(&attempts)
	})
	return attempts
}

// Decision 9: an attempt is counted in the database before it is verified, so
// a thousand guesses at once are a thousand.
func TestThousandParallelPasswordsCountAsAThousand(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		a := newApp(h, func(o *Options) { o.Pool = crowd })
		p, _ := enrol(t, h, a, "app-1")
		var verified, refused atomic.Int64
		guess(t, func(i int) {
			guess := "a wrong guess"
			if i%50 == 49 {
				guess = password
			}
			_, err := a.PasswordStep(t.Context(), amaraEmail, guess, stranger)
			switch {
			case err == nil, fault.Has(err, fault.WrongEmailOrPassword):
				verified.Add(1)
			case fault.Has(err, fault.TooManyAttempts):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
		if verified.Load() != throttle.FreeFailures || refused.Load() != crowd-throttle.FreeFailures {
			t.Errorf("%d were verified, %d refused", verified.Load(), refused.Load())
		}
		if n := counted(t, h); n != crowd {
			t.Errorf("%d were counted", n)
		}
		wants(t, signIn(t, a, p), fault.TooManyAttempts)
	})
}

func TestThousandParallelCodesCountAsAThousand(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		a := newApp(h)
		p, _ := enrol(t, h, a, "app-1")
		ticket, wrong := ticketFor(t, a), p.wrongCode(t)
		guess(t, func(int) {
			_, err := a.CodeStep(t.Context(), ticket, wrong, stranger)
			if !fault.Has(err, fault.WrongAppCode) && !fault.Has(err, fault.TooManyAttempts) {
				t.Error(err)
			}
		})
		if n := counted(t, h); n != crowd {
			t.Errorf("%d were counted", n)
		}
		// The right one among them is refused like the others.
		_, err := a.CodeStep(t.Context(), ticket, p.code(t, 0), stranger)
		wants(t, err, fault.TooManyAttempts)
		h.Advance(throttle.FirstWait + time.Second)
		proof, err := a.CodeStep(t.Context(), ticket, p.code(t, 0), stranger)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Use(t, proof); err != nil {
			t.Errorf("after the wait: %v", err)
		}
	})
}

// codeSteps are the two ways to enter a code of the app.
var codeSteps = map[string]func(t *testing.T, a *App, ticket, code string) (credential.Proof, error){
	"sign-in": func(t *testing.T, a *App, ticket, code string) (credential.Proof, error) {
		return a.CodeStep(t.Context(), ticket, code, stranger)
	},
	"forgotten password": func(t *testing.T, a *App, _, code string) (credential.Proof, error) {
		return a.CheckCode(t.Context(), amara, amaraEmail, code, stranger)
	},
}

// Decision 9, N10: while an address or a network has to wait, a right code and
// a wrong one get the same answer after the same work. Else whoever knows the
// password finds the code during the wait, where guesses are not counted, and
// enters it when the wait is over.
func TestRightAndWrongCodesLookTheSameWhileWaiting(t *testing.T) {
	for way, enter := range codeSteps {
		for why, block := range map[string]func(t *testing.T, h *credtest.House, a *App, enter func(code string) error, wrong string){
			"wrong codes of this address": func(t *testing.T, _ *credtest.House, _ *App, enter func(code string) error, wrong string) {
				for range throttle.FreeFailures {
					wants(t, enter(wrong), fault.WrongAppCode)
				}
			},
			"failures of the network": func(t *testing.T, _ *credtest.House, a *App, _ func(code string) error, _ string) {
				for i := range throttle.NetworkFailures {
					_, err := a.PasswordStep(t.Context(), care.Email(fmt.Sprintf("nobody%d@northgate.example.nhs.uk", i)), "a guess", stranger)
					wants(t, err, fault.WrongEmailOrPassword)
				}
			},
		} {
			t.Run(way+", after "+why, func(t *testing.T) {
				credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
					a := newApp(h)
					p, _ := enrol(t, h, a, "app-1")
					ticket, wrong, right := ticketFor(t, a), p.wrongCode(t), p.code(t, 0)
					block(t, h, a, func(code string) error { _, err := enter(t, a, ticket, code); return err }, wrong)
					try := func(code string) (string, [3]uint64) {
						before := h.DB.Counters()
						_, err := enter(t, a, ticket, code)
						after := h.DB.Counters()
						return wants(t, err, fault.TooManyAttempts).Message(),
							[3]uint64{after.Commits - before.Commits, after.Statements - before.Statements, after.Reads - before.Reads}
					}
					said, cost := try(wrong)
					if saidToRight, costOfRight := try(right); saidToRight != said || costOfRight != cost {
						t.Errorf("wrong: %q, %d; right: %q, %d", said, cost, saidToRight, costOfRight)
					}
				})
			})
		}
	}
}

func guess(t *testing.T, try func(i int)) {
	t.Helper()
	var all sync.WaitGroup
	for i := range crowd {
		all.Go(func() { try(i) })
	}
	all.Wait()
}

func TestWrongCodeSaysHowManyTriesAreLeft(t *testing.T) {
	h := credtest.Open(t, Schema)
	a := newApp(h)
	p, _ := enrol(t, h, a, "app-1")
	ticket := ticketFor(t, a)
	var said []string
	for range throttle.FreeFailures {
		_, err := a.CodeStep(t.Context(), ticket, p.wrongCode(t), stranger)
		said = append(said, wants(t, err, fault.WrongAppCode).Message())
	}
	for i, want := range []string{"", "", "2 tries left", "1 try left", "again in 10 seconds"} {
		if !strings.Contains(said[i], want) {
			t.Errorf("after wrong code %d: %q, want %q", i+1, said[i], want)
		}
	}
	_, err := a.CodeStep(t.Context(), ticket, p.wrongCode(t), stranger)
	wants(t, err, fault.TooManyAttempts)
}

// N10, N11: 100 failures in a row switch the authenticator off, password and
// app together; the person is told; only binding again helps.
func TestHundredFailuresInARowDisableTheAuthenticator(t *testing.T) {
	for name, fail := range map[string]func(t *testing.T, a *App, p phone) error{
		"passwords": func(t *testing.T, a *App, _ phone) error {
			_, err := a.PasswordStep(t.Context(), amaraEmail, "a wrong guess", stranger)
			return err
		},
		"codes": func(t *testing.T, a *App, p phone) error {
			_, err := a.CheckCode(t.Context(), amara, amaraEmail, p.wrongCode(t), stranger)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
				a := newApp(h)
				p, record := enrol(t, h, a, "app-1")
				for i := range throttle.MaxConsecutive {
					if usable(t, h, record.ID) != nil {
						t.Fatalf("disabled after %d failures", i)
					}
					err := fail(t, a, p)
					if !fault.Has(err, fault.WrongEmailOrPassword) && !fault.Has(err, fault.WrongAppCode) {
						t.Fatalf("failure %d: %v", i+1, err)
					}
					h.Advance(throttle.LongWait + time.Second)
				}
				if usable(t, h, record.ID) == nil {
					t.Fatal("still usable after 100 failures")
				}
				if m := h.Mail(t); m.To != amaraEmail || !strings.Contains(m.Text, "too many times in a row") ||
					!strings.Contains(m.Text, "https://care.example/not-me?t=") {
					t.Errorf("told %s: %s", m.To, m.Text)
				}
				h.Advance(throttle.LongWait + time.Second)
				if err := signIn(t, a, p); err == nil {
					t.Fatal("the 101st, a right one, was accepted")
				}
				h.Write(t, func(tx *db.Tx) error { return credential.NewBinder().Remove(tx, record.ID) })
				again, _ := enrol(t, h, a, "app-2")
				if err := signIn(t, a, again); err != nil {
					t.Errorf("after binding again: %v", err)
				}
			})
		})
	}
}

var errDisabled = errors.New("disabled")

func usable(t *testing.T, h *credtest.House, id string) error {
	t.Helper()
	var record credential.Record
	h.Read(t, func(tx *db.Tx) error {
		var err error
		record, err = credential.ByID(tx, id)
		return err
	})
	if record.DisabledAt.IsZero() {
		return nil
	}
	return errDisabled
}

func TestDisablingIsAudited(t *testing.T) {
	h := credtest.Open(t, Schema)
	a := newApp(h)
	_, record := enrol(t, h, a, "app-1")
	for range 2 { // the second finds it done
		if err := a.disable(t.Context(), account{uid: amara, authenticator: record.ID}, amaraEmail); err != nil {
			t.Fatal(err)
		}
	}
	var entries int
	h.Read(t, func(tx *db.Tx) error {
		return tx.Row(`SELECT COUNT(*) FROM audit_entry WHERE action = 'authenticator.disabled' AND subject = $1`, amara).Scan(&entries)
	})
	if entries != 1 {
		t.Errorf("%d entries", entries)
	}
}
