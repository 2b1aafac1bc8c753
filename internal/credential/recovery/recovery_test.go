package recovery

import (
	"crypto/rand"
	"errors"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/internal/argon"
	"carekey.dev/carekey/internal/credential/internal/credtest"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/throttle"
)

const amara = credtest.Amara

var stranger = throttle.Subject{Network: netip.MustParseAddr("192.0.2.1")}

func newRoom(h *credtest.House) *Recovery {
	return New(Options{
		DB: h.DB, Ring: h.Ring, Throttle: h.Throttle, Outbox: h.Outbox, NotMe: credtest.NotMe, Random: rand.Reader,
		Cost: argon.Cost{MemoryKiB: 64, Time: 1, Threads: 1}, Pool: argon.NewPool(4),
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wants(t testing.TB, err error, kind *fault.Kind) *fault.Error {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != kind {
		t.Fatalf("got %v, want %s", err, kind.Name)
	}
	return f
}

func made(t testing.TB, h *credtest.House, r *Recovery) []string {
	t.Helper()
	codes, change, err := r.Make(t.Context(), amara, "app-1")
	if err != nil {
		t.Fatal(err)
	}
	h.Write(t, change.Store)
	return codes
}

func left(t testing.TB, h *credtest.House) int {
	t.Helper()
	var n int
	h.Read(t, func(tx *db.Tx) error {
		var err error
		n, err = Left(tx, amara)
		return err
	})
	return n
}

// N20: ten codes of at least 64 bits, readable.
func TestListHasTenCodesOf65Bits(t *testing.T) {
	h := credtest.Open(t, Schema)
	r := newRoom(h)
	form := regexp.MustCompile(`^[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{4}-[0-9A-HJKMNP-TV-Z]{5}$`)
	seen := map[string]bool{}
	for range 5 {
		codes, change, err := r.Make(t.Context(), amara, "app-1")
		if err != nil {
			t.Fatal(err)
		}
		if len(codes) != Codes || change.What() != credential.RecoveryCodes || change.UID() != amara || change.AuthenticatorID() != "app-1" {
			t.Errorf("%d codes, %q", len(codes), change.What())
		}
		for _, code := range codes {
			if !form.MatchString(code) || seen[code] {
				t.Errorf("code %q", code)
			}
			seen[code] = true
		}
	}
}

func TestCodeWorksOnceAndThePersonIsTold(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		r := newRoom(h)
		codes := made(t, h, r)
		sloppy := strings.ToLower(strings.NewReplacer("-", " ", "0", "o", "1", "l").Replace(codes[3]))
		proof, err := r.Check(t.Context(), amara, sloppy, stranger)
		if err != nil {
			t.Fatal(err)
		}
		if e := (care.Evidence{RecoveryCode: true}); proof.UID() != amara || proof.Evidence() != e || care.Level(proof.Evidence()) != care.AALNone {
			t.Errorf("%v %+v", proof.UID(), proof.Evidence()) // decision 6: recovery never raises a level
		}
		if left(t, h) != Codes {
			t.Error("the check alone spent the code")
		}
		if err := h.Use(t, proof); err != nil {
			t.Fatal(err)
		}
		if left(t, h) != Codes-1 {
			t.Errorf("%d left", left(t, h))
		}
		if m := h.Mail(t); m.To != credtest.AmaraEmail || !strings.Contains(m.Text, "9 codes left") { // N22
			t.Errorf("to %s: %s", m.To, m.Text)
		}
		wants(t, h.Use(t, proof), fault.RecoveryCodeUsed)
		_, err = r.Check(t.Context(), amara, codes[3], stranger)
		wants(t, err, fault.RecoveryCodeUsed)
		if _, err = r.Check(t.Context(), amara, codes[4], stranger); err != nil {
			t.Errorf("another code: %v", err)
		}
	})
}

func TestParallelUsesOfOneCodeHaveOneWinner(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		r := newRoom(h)
		codes := made(t, h, r)
		var proofs []credential.Proof
		for range throttle.FreeFailures - 1 {
			proof, err := r.Check(t.Context(), amara, codes[0], stranger)
			if err != nil {
				t.Fatal(err)
			}
			proofs = append(proofs, proof)
		}
		var won atomic.Int64
		var all sync.WaitGroup
		for _, proof := range proofs {
			all.Go(func() {
				if err := h.Use(t, proof); err == nil {
					won.Add(1)
				} else if !fault.Has(err, fault.RecoveryCodeUsed) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Errorf("%d won", won.Load())
		}
	})
}

func TestNewListVoidsTheOldOne(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		r := newRoom(h)
		old := made(t, h, r)
		proof, err := r.Check(t.Context(), amara, old[0], stranger)
		if err != nil {
			t.Fatal(err)
		}
		fresh := made(t, h, r)
		wants(t, h.Use(t, proof), fault.RecoveryCodeUsed)
		_, err = r.Check(t.Context(), amara, old[1], stranger)
		wants(t, err, fault.WrongRecoveryCode)
		if _, err = r.Check(t.Context(), amara, fresh[0], stranger); err != nil {
			t.Error(err)
		}
		if left(t, h) != Codes {
			t.Errorf("%d left", left(t, h))
		}
	})
}

func TestMistypedCodeIsNotCounted(t *testing.T) {
	h := credtest.Open(t, Schema)
	r := newRoom(h)
	made(t, h, r)
	before := h.DB.Counters()
	for _, typed := range []string{"", "7K3M-Q9TX", "7K3M-Q9TX-2WB4NX", "711725", "!!!!-!!!!-!!!!!"} {
		_, err := r.Check(t.Context(), amara, typed, stranger)
		wants(t, err, fault.RecoveryCodeMistyped)
	}
	if after := h.DB.Counters(); after != before {
		t.Error("touched the database")
	}
}

// Whoever has no list is answered alike, for the same work.
func TestPersonWithoutAListIsAnsweredLikeOneWith(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		r := newRoom(h)
		made(t, h, r)
		work := func(uid care.UID) [2]uint64 {
			before := h.DB.Counters()
			_, err := r.Check(t.Context(), uid, "0000-0000-00000", stranger)
			wants(t, err, fault.WrongRecoveryCode)
			after := h.DB.Counters()
			return [2]uint64{after.Commits - before.Commits, after.Statements - before.Statements}
		}
		if with, without := work(amara), work(credtest.Owen); with != without {
			t.Errorf("%v with a list, %v without", with, without)
		}
	})
}

// Decision 9: counted before it is verified.
func TestParallelGuessesAreAllCounted(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		r := newRoom(h)
		codes := made(t, h, r)
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				_, err := r.Check(t.Context(), amara, "0000-0000-00000", stranger)
				if !fault.Has(err, fault.WrongRecoveryCode) && !fault.Has(err, fault.TooManyAttempts) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		var attempts int64
		h.Read(t, func(tx *db.Tx) error {
			return tx.Row(`SELECT failures + refused FROM throttle WHERE rule = 1`).Scan(&attempts)
		})
		if attempts != 100 {
			t.Errorf("%d were counted", attempts)
		}
		_, err := r.Check(t.Context(), amara, codes[0], stranger)
		wants(t, err, fault.TooManyAttempts)
	})
}

// N10: 100 failures in a row end the list; a new one begins afresh.
func TestHundredFailuresInARowEndTheList(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		r := newRoom(h)
		codes := made(t, h, r)
		for i := range throttle.MaxConsecutive {
			if left(t, h) == 0 {
				t.Fatalf("ended after %d failures", i)
			}
			_, err := r.Check(t.Context(), amara, "0000-0000-00000", stranger)
			wants(t, err, fault.WrongRecoveryCode)
			h.Advance(throttle.LongWait + time.Second)
		}
		if left(t, h) != 0 {
			t.Fatal("the list still works")
		}
		if m := h.Mail(t); m.To != credtest.AmaraEmail || !strings.Contains(m.Text, "Your list of recovery codes") {
			t.Errorf("to %s: %s", m.To, m.Text)
		}
		_, err := r.Check(t.Context(), amara, codes[0], stranger)
		wants(t, err, fault.TriesUsedUp)
		fresh := made(t, h, r)
		if _, err := r.Check(t.Context(), amara, fresh[0], stranger); err != nil {
			t.Errorf("a new list: %v", err)
		}
	})
}

// N24: salted and password-hashed, so that the table is no list of codes.
func TestDatabaseHoldsNoCode(t *testing.T) {
	h := credtest.Open(t, Schema)
	r := newRoom(h)
	codes := made(t, h, r)
	h.Read(t, func(tx *db.Tx) error {
		var scheme string
		if err := tx.Row(`SELECT scheme FROM recovery_set`).Scan(&scheme); err != nil {
			return err
		}
		if parsed, err := argon.Parse(scheme); err != nil || len(parsed.Salt) < 16 || len(parsed.Sum) != 0 {
			t.Errorf("scheme %q, %v", scheme, err)
		}
		var sum []byte
		if err := tx.Row(`SELECT sum FROM recovery_code WHERE position = 0`).Scan(&sum); err != nil {
			return err
		}
		if len(sum) != 32 || strings.Contains(string(sum), codes[0]) {
			t.Errorf("sum %x", sum)
		}
		return nil
	})
}

func TestFullPoolAnswersBusyAndCountsNothing(t *testing.T) {
	h := credtest.Open(t, Schema)
	r := newRoom(h)
	codes := made(t, h, r)
	for {
		place, err := r.o.Pool.Enter()
		if err != nil {
			break
		}
		t.Cleanup(place.Leave)
	}
	before := h.DB.Counters()
	_, err := r.Check(t.Context(), amara, codes[0], stranger)
	wants(t, err, fault.Busy)
	_, _, err = r.Make(t.Context(), amara, "app-1")
	wants(t, err, fault.Busy)
	if h.DB.Counters() != before {
		t.Error("touched the database")
	}
}

func TestTicketCarriesACheckedCodeToTheEndOfItsJourney(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		r := newRoom(h)
		codes := made(t, h, r)
		_, err := r.CheckFirst(t.Context(), amara, "0000-0000-00000", stranger)
		wants(t, err, fault.WrongRecoveryCode)
		ticket, err := r.CheckFirst(t.Context(), amara, codes[0], stranger)
		if err != nil {
			t.Fatal(err)
		}
		h.Advance(TicketLife - time.Second)
		proof, err := r.Proof(t.Context(), ticket)
		if err != nil {
			t.Fatalf("a second early: %v", err)
		}
		if err := h.Use(t, proof); err != nil {
			t.Fatal(err)
		}
		_, err = r.Proof(t.Context(), ticket)
		wants(t, err, fault.RecoveryCodeUsed)
		h.Advance(2 * time.Second)
		_, err = r.Proof(t.Context(), ticket)
		wants(t, err, fault.SignInTooOld)
		_, err = r.Proof(t.Context(), ticket[1:])
		wants(t, err, fault.SignInTooOld)
	})
}

func TestTicketOfAReplacedListIsWorthNothing(t *testing.T) {
	h := credtest.Open(t, Schema)
	r := newRoom(h)
	codes := made(t, h, r)
	ticket, err := r.CheckFirst(t.Context(), amara, codes[0], stranger)
	if err != nil {
		t.Fatal(err)
	}
	made(t, h, r)
	_, err = r.Proof(t.Context(), ticket)
	wants(t, err, fault.WrongRecoveryCode)
}

// ASVS 2.4.1: a list takes ten hashes, and nobody needs a hundred of them.
func TestOnePersonMakesAHundredListsInAQuarterOfAnHour(t *testing.T) {
	h := credtest.Open(t, Schema)
	r := newRoom(h)
	for range throttle.NetworkFailures {
		_, _, err := r.Make(t.Context(), amara, "app-1")
		must(t, err)
	}
	_, _, err := r.Make(t.Context(), amara, "app-1")
	wants(t, err, fault.TooManyAttempts)
	_, _, err = r.Make(t.Context(), credtest.Owen, "app-2")
	must(t, err)
}
