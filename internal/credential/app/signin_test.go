package app

import (
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/internal/argon"
	"carekey.dev/carekey/internal/credential/internal/credtest"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/person"
	"carekey.dev/carekey/internal/throttle"
)

func TestPasswordAndCodeProveAPerson(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		a := newApp(h)
		p, record := enrol(t, h, a, "app-1")
		ticket, err := a.PasswordStep(t.Context(), amaraEmail, password, stranger)
		if err != nil {
			t.Fatal(err)
		}
		code := p.code(t, 0)
		proof, err := a.CodeStep(t.Context(), ticket, " "+code[:3]+" "+code[3:], stranger)
		if err != nil {
			t.Fatal(err)
		}
		if proof.UID() != amara || proof.AuthenticatorID() != record.ID || proof.Version() != record.Version || proof.Evidence() != evidence() {
			t.Errorf("%v %q %d %+v", proof.UID(), proof.AuthenticatorID(), proof.Version(), proof.Evidence())
		}
		if care.Level(proof.Evidence()) != care.AAL2 {
			t.Errorf("reaches %v", care.Level(proof.Evidence())) // N9: never AAL3
		}
		if err := h.Use(t, proof); err != nil {
			t.Error(err)
		}
	})
}

// ASVS 6.3.8: one answer, the same commits and statements, whoever has the
// address or not. A wrong one costs a second commit, in which a stranger's
// network is counted.
func TestAnswerAndWorkAreTheSameForEveryAddress(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		a := newApp(h)
		_, record := enrol(t, h, a, "app-1")
		attempt := func(name string, email care.Email, password string) {
			t.Helper()
			before := h.DB.Counters()
			_, err := a.PasswordStep(t.Context(), email, password, stranger)
			wants(t, err, fault.WrongEmailOrPassword)
			after := h.DB.Counters()
			if after.Commits-before.Commits != 2 || after.Statements-before.Statements != 2 || after.Reads != before.Reads {
				t.Errorf("%s: %d commits, %d statements", name, after.Commits-before.Commits, after.Statements-before.Statements)
			}
		}
		attempt("wrong password", amaraEmail, "gravel quiet 17")
		attempt("unknown address", "nobody@northgate.example.nhs.uk", password)
		attempt("unverified address", credtest.OwenEmail, password)
		attempt("unusable password", amaraEmail, "\x00\xff")
		h.Write(t, func(tx *db.Tx) error {
			return person.Close(tx, amara, person.Closure{Reason: "left", At: tx.Now()})
		})
		attempt("closed identity", amaraEmail, password)
		h.Write(t, func(tx *db.Tx) error {
			if err := person.Reopen(tx, amara); err != nil {
				return err
			}
			_, err := credential.Disable(tx, record.ID)
			return err
		})
		h.Advance(time.Hour)
		attempt("disabled authenticator", amaraEmail, password)
	})
}

func TestSuspensionIsToldToThoseWhoKnowThePassword(t *testing.T) {
	h := credtest.Open(t, Schema)
	a := newApp(h)
	_, record := enrol(t, h, a, "app-1")
	ticket := ticketFor(t, a)
	h.Write(t, func(tx *db.Tx) error { return credential.Suspend(tx, record.ID, "reported lost") })
	_, err := a.PasswordStep(t.Context(), amaraEmail, "gravel quiet 17", stranger)
	wants(t, err, fault.WrongEmailOrPassword)
	_, err = a.PasswordStep(t.Context(), amaraEmail, password, stranger)
	wants(t, err, fault.AuthenticatorSuspended)
	_, err = a.CodeStep(t.Context(), ticket, "123456", stranger)
	wants(t, err, fault.SignInTooOld)
}

// Decision 8, ASVS 7.4.1: a right password is good for one sign-in. At a shared
// computer the page of the code is still in the history after a sign-out; who
// goes back to it must not get in with a code alone.
func TestPasswordIsGoodForOneSignIn(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		a := newApp(h)
		p, _ := enrol(t, h, a, "app-1")
		ticket, tab, used := ticketFor(t, a), ticketFor(t, a), p.code(t, 0)
		lost, err := a.PasswordOnly(ticket)
		if err != nil {
			t.Fatal(err)
		}
		proof, err := a.CodeStep(t.Context(), ticket, p.code(t, 0), stranger)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Use(t, proof); err != nil {
			t.Fatal(err)
		}
		for _, wait := range []time.Duration{30 * time.Second, TicketLife - time.Minute} {
			h.Advance(wait)
			for _, code := range []string{used, p.code(t, 0), p.wrongCode(t)} {
				if _, err := a.CodeStep(t.Context(), ticket, code, stranger); !fault.Has(err, fault.SignInTooOld) {
					t.Errorf("the same password, and another code: %v", err)
				}
			}
			wants(t, h.Use(t, lost), fault.SignInTooOld)
			proof, err = a.CodeStep(t.Context(), tab, p.code(t, 0), stranger)
			if err != nil {
				t.Fatal(err)
			}
			if err := h.Use(t, proof); err != nil {
				t.Errorf("a password that was entered in another tab: %v", err)
			}
			tab = ticketFor(t, a)
		}
	})
}

// Design, the shape of speed: the password step makes one durable commit and
// the code step none; all the rest is the gate's.
func TestSignInCostsTwoCommitsAndFourStatements(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		a := newApp(h)
		p, _ := enrol(t, h, a, "app-1")
		steps := func(name string, commits, statements uint64, step func()) {
			t.Helper()
			before := h.DB.Counters()
			step()
			after := h.DB.Counters()
			if after.Commits-before.Commits != commits || after.Statements-before.Statements != statements {
				t.Errorf("%s: %d commits, %d statements", name, after.Commits-before.Commits, after.Statements-before.Statements)
			}
		}
		var ticket string
		var proof credential.Proof
		steps("password", 1, 1, func() { ticket = ticketFor(t, a) })
		steps("code", 0, 1, func() {
			var err error
			if proof, err = a.CodeStep(t.Context(), ticket, p.code(t, 0), stranger); err != nil {
				t.Fatal(err)
			}
		})
		steps("gate", 1, 2, func() {
			if err := h.Use(t, proof); err != nil {
				t.Fatal(err)
			}
		})
	})
}

func TestTicketWaitsTenMinutes(t *testing.T) {
	h := credtest.Open(t, Schema)
	a := newApp(h)
	p, _ := enrol(t, h, a, "app-1")
	ticket := ticketFor(t, a)
	h.Advance(TicketLife - time.Second)
	if _, err := a.CodeStep(t.Context(), ticket, p.code(t, 0), stranger); err != nil {
		t.Errorf("a second early: %v", err)
	}
	h.Advance(2 * time.Second)
	_, err := a.CodeStep(t.Context(), ticket, p.code(t, 0), stranger)
	wants(t, err, fault.SignInTooOld)
}

func TestPasswordWaitsTwentyMinutesForARecovery(t *testing.T) {
	h := credtest.Open(t, Schema)
	a := newApp(h)
	enrol(t, h, a, "app-1")
	ticket := ticketFor(t, a)
	h.Advance(RecoveryLife - time.Second)
	if _, err := a.PasswordOnly(ticket); err != nil {
		t.Errorf("a second early: %v", err)
	}
	h.Advance(2 * time.Second)
	_, err := a.PasswordOnly(ticket)
	wants(t, err, fault.SignInTooOld)
}

func TestTicketOfAnEarlierPasswordOrAnotherHouseIsWorthNothing(t *testing.T) {
	h := credtest.Open(t, Schema)
	a := newApp(h)
	p, record := enrol(t, h, a, "app-1")
	ticket := ticketFor(t, a)
	for _, forged := range []string{"", "x", ticket[:len(ticket)-2], "A" + ticket[1:], strings.ToUpper(ticket)} {
		_, err := a.CodeStep(t.Context(), forged, p.code(t, 0), stranger)
		wants(t, err, fault.SignInTooOld)
	}
	h.Write(t, func(tx *db.Tx) error { return credential.Changed(tx, record.ID) })
	_, err := a.CodeStep(t.Context(), ticket, p.code(t, 0), stranger)
	wants(t, err, fault.SignInTooOld)
}

func TestPasswordAloneIsOneFactor(t *testing.T) {
	h := credtest.Open(t, Schema)
	a := newApp(h)
	_, record := enrol(t, h, a, "app-1")
	proof, err := a.PasswordOnly(ticketFor(t, a))
	if err != nil {
		t.Fatal(err)
	}
	if proof.AuthenticatorID() != record.ID || care.Level(proof.Evidence()) != care.AAL1 {
		t.Errorf("%+v", proof.Evidence())
	}
	if err := h.Use(t, proof); err != nil {
		t.Error(err)
	}
}

func TestMistypedCodeIsNotCounted(t *testing.T) {
	h := credtest.Open(t, Schema)
	a := newApp(h)
	p, _ := enrol(t, h, a, "app-1")
	ticket := ticketFor(t, a)
	before := h.DB.Counters()
	for range 20 {
		for _, typed := range []string{"", "12345", "1234567", "12345a", "seven"} {
			_, err := a.CodeStep(t.Context(), ticket, typed, stranger)
			if f := wants(t, err, fault.AppCodeMistyped); f.Message() != "Enter 6 numbers." {
				t.Errorf("says %q", f.Message())
			}
		}
	}
	if after := h.DB.Counters(); after != before {
		t.Errorf("touched the database: %+v", after)
	}
	if _, err := a.CodeStep(t.Context(), ticket, p.code(t, 0), stranger); err != nil {
		t.Error(err)
	}
}

// N15: scheme and cost are stored, and a hash of old settings is made again at
// the next sign-in, for no further commit.
func TestHashIsMadeAgainWhenTheSettingsHaveChanged(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		p, _ := enrol(t, h, newApp(h), "app-1")
		old := storedHash(t, h)
		a := newApp(h, func(o *Options) { o.Cost = Cost{MemoryKiB: 128, Time: 1, Threads: 1} })
		ticket := ticketFor(t, a)
		if storedHash(t, h) != old {
			t.Error("the password step alone changed the hash")
		}
		proof, err := a.CodeStep(t.Context(), ticket, p.code(t, 0), stranger)
		if err != nil {
			t.Fatal(err)
		}
		before := h.DB.Counters().Commits
		if err := h.Use(t, proof); err != nil {
			t.Fatal(err)
		}
		if n := h.DB.Counters().Commits - before; n != 1 {
			t.Errorf("%d commits", n)
		}
		made, err := argon.Parse(storedHash(t, h))
		if err != nil || made.Cost.MemoryKiB != 128 {
			t.Errorf("stored %+v, %v", made.Cost, err)
		}
		h.Advance(time.Minute)
		if err := signIn(t, a, p); err != nil {
			t.Errorf("with the new hash: %v", err)
		}
	})
}

func storedHash(t *testing.T, h *credtest.House) string {
	t.Helper()
	var hash string
	h.Read(t, func(tx *db.Tx) error {
		return tx.Row(`SELECT password_hash FROM app_credential WHERE authenticator_id = 'app-1'`).Scan(&hash)
	})
	return hash
}

// The pool's bound protects everybody else; nobody loses a try to it.
func TestFullPoolAnswersBusyAndCountsNothing(t *testing.T) {
	h := credtest.Open(t, Schema)
	a := newApp(h, func(o *Options) { o.Pool = 1 })
	p, _ := enrol(t, h, a, "app-1")
	var places []*argon.Place
	for {
		place, err := a.pool.Enter()
		if err != nil {
			break
		}
		places = append(places, place)
	}
	for range 2 * throttle.FreeFailures {
		_, err := a.PasswordStep(t.Context(), amaraEmail, password, stranger)
		if f := wants(t, err, fault.Busy); f.RetryAfter != 2*time.Second {
			t.Errorf("retry after %v", f.RetryAfter)
		}
	}
	s := subject(countPassword, amaraEmail, stranger)
	h.Write(t, func(tx *db.Tx) error { // the pool that fills up while the attempt is counted
		_, err := a.o.Throttle.Reserve(tx, s)
		return err
	})
	wants(t, a.release(t.Context(), s, a.pool.Ask()), fault.Busy)
	for _, place := range places {
		place.Leave()
	}
	h.Read(t, func(tx *db.Tx) error {
		left, err := h.Throttle.Peek(tx, s)
		if left.TriesLeft != throttle.FreeFailures {
			t.Errorf("%d tries left", left.TriesLeft)
		}
		return err
	})
	if err := signIn(t, a, p); err != nil {
		t.Error(err)
	}
}
