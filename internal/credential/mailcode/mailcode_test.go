package mailcode

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/internal/credtest"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/throttle"
)

func newRoom(h *credtest.House) *MailCode {
	return New(Options{DB: h.DB, Ring: h.Ring, Outbox: h.Outbox, Throttle: h.Throttle, Random: rand.Reader})
}

func request(journey string) Request {
	return Request{
		Journey: journey, Purpose: "register Microsoft Authenticator", By: "Dr Amara OSEI",
		UID: credtest.Amara, Address: credtest.AmaraEmail, Deliver: true,
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

var inMail = regexp.MustCompile(`(?m)^ +([0-9]{8})$`)

// sent asks for a code and reads it in the mailbox.
func sent(t testing.TB, h *credtest.House, m *MailCode, r Request) string {
	t.Helper()
	if err := m.Send(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	mail := h.Mail(t)
	found := inMail.FindStringSubmatch(mail.Text)
	if found == nil || mail.To != r.Address || !strings.Contains(mail.Text, r.Purpose) || !strings.Contains(mail.Text, "within 10 minutes") {
		t.Fatalf("to %s: %s", mail.To, mail.Text)
	}
	return found[1]
}

// other is a code that is not code.
func other(code string) string {
	if code[0] == '9' {
		return "0" + code[1:]
	}
	return string(code[0]+1) + code[1:]
}

func TestCodeProvesTheMailboxAndNothingElse(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		m := newRoom(h)
		code := sent(t, h, m, request("j"))
		_, err := m.Proof(t.Context(), "j")
		wants(t, err, fault.MailCodeMissing)
		proof, err := m.Check(t.Context(), "j", " "+code[:4]+" - "+code[4:])
		if err != nil {
			t.Fatal(err)
		}
		if proof.UID() != credtest.Amara || proof.Address() != credtest.AmaraEmail || proof.AuthenticatorID() != "" {
			t.Errorf("%v %v %q", proof.UID(), proof.Address(), proof.AuthenticatorID())
		}
		if level := care.Level(proof.Evidence()); level != care.AALNone { // N17, ASVS 6.3.6
			t.Errorf("reaches %v", level)
		}
		if address, err := m.Address(t.Context(), "j"); err != nil || address != credtest.AmaraEmail {
			t.Errorf("%v, %v", address, err)
		}
	})
}

// Decision 5: consumed for one journey, idempotently for it.
func TestCodeBelongsToItsJourneyUntilTheGateHasUsedIt(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		m := newRoom(h)
		code := sent(t, h, m, request("j"))
		_, err := m.Check(t.Context(), "another", code)
		wants(t, err, fault.MailCodeMissing)
		sent(t, h, m, request("another"))
		_, err = m.Check(t.Context(), "another", code)
		wants(t, err, fault.WrongMailCode)
		for range 3 {
			if _, err := m.Check(t.Context(), "j", code); err != nil {
				t.Fatal(err)
			}
		}
		first, err := m.Proof(t.Context(), "j")
		if err != nil {
			t.Fatal(err)
		}
		again, err := m.Proof(t.Context(), "j")
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Use(t, first); err != nil {
			t.Fatal(err)
		}
		wants(t, h.Use(t, again), fault.MailCodeUsed)
		_, err = m.Proof(t.Context(), "j")
		wants(t, err, fault.MailCodeUsed)
		_, err = m.Check(t.Context(), "j", code)
		wants(t, err, fault.MailCodeUsed)
		h.Advance(Pause)
		wants(t, m.Send(t.Context(), request("j")), fault.MailCodeUsed)
	})
}

// N17, seed 0: 10 minutes; what was entered in time stays the journey's for
// 20 more.
func TestCodeExpiresAfterTenMinutes(t *testing.T) {
	h := credtest.Open(t, Schema)
	m := newRoom(h)
	code := sent(t, h, m, request("j"))
	late := sent(t, h, m, request("late"))
	h.Advance(Life - time.Second)
	if _, err := m.Check(t.Context(), "j", code); err != nil {
		t.Errorf("a second early: %v", err)
	}
	h.Advance(2 * time.Second)
	for journey, code := range map[string]string{"late": late, "j": code} {
		_, err := m.Check(t.Context(), journey, code)
		wants(t, err, fault.MailCodeExpired)
	}
	h.Advance(Hold - 3*time.Second) // a second before the end of what was checked
	proof, err := m.Proof(t.Context(), "j")
	if err != nil {
		t.Fatalf("a second early: %v", err)
	}
	h.Advance(2 * time.Second)
	_, err = m.Proof(t.Context(), "j")
	wants(t, err, fault.MailCodeExpired)
	wants(t, h.Use(t, proof), fault.MailCodeUsed)
}

func TestFiveWrongTriesEndACode(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		m := newRoom(h)
		code := sent(t, h, m, request("j"))
		for _, want := range []string{"4 tries left", "3 tries left", "2 tries left", "1 try left"} {
			_, err := m.Check(t.Context(), "j", other(code))
			if f := wants(t, err, fault.WrongMailCode); !strings.Contains(f.Message(), want) {
				t.Errorf("says %q, want %q", f.Message(), want)
			}
		}
		for _, typed := range []string{other(code), other(code), code} {
			_, err := m.Check(t.Context(), "j", typed)
			if f := wants(t, err, fault.MailCodeSpent); !strings.Contains(f.Kind.Next, "new one-time password") {
				t.Errorf("then %q", f.Kind.Next)
			}
		}
		h.Advance(Pause)
		fresh := sent(t, h, m, request("j"))
		if _, err := m.Check(t.Context(), "j", fresh); err != nil {
			t.Errorf("the new code: %v", err)
		}
	})
}

func TestMistypedCodeIsNotCounted(t *testing.T) {
	h := credtest.Open(t, Schema)
	m := newRoom(h)
	code := sent(t, h, m, request("j"))
	before := h.DB.Counters()
	for _, typed := range []string{"", "1234567", "123456789", "1234567x", "my code"} {
		_, err := m.Check(t.Context(), "j", typed)
		if f := wants(t, err, fault.MailCodeMistyped); f.Message() != "Enter 8 numbers." {
			t.Errorf("says %q", f.Message())
		}
	}
	if after := h.DB.Counters(); after.Writes != before.Writes {
		t.Error("was counted")
	}
	if _, err := m.Check(t.Context(), "j", code); err != nil {
		t.Error(err)
	}
}

func TestManyParallelGuessesAreFiveTries(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		m := newRoom(h)
		code := sent(t, h, m, request("j"))
		var wrong, spent atomic.Int64
		var all sync.WaitGroup
		for range 200 {
			all.Go(func() {
				_, err := m.Check(t.Context(), "j", other(code))
				switch {
				case fault.Has(err, fault.WrongMailCode):
					wrong.Add(1)
				case fault.Has(err, fault.MailCodeSpent):
					spent.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		all.Wait()
		var tries int64
		h.Read(t, func(tx *db.Tx) error { return tx.Row(`SELECT tries FROM mail_code`).Scan(&tries) })
		if tries != Tries || wrong.Load() >= Tries || wrong.Load()+spent.Load() != 200 {
			t.Errorf("%d tries, %d wrong, %d spent", tries, wrong.Load(), spent.Load())
		}
		_, err := m.Check(t.Context(), "j", code)
		wants(t, err, fault.MailCodeSpent)
	})
}

func TestResendKillsTheEarlierCodeOnceAMinuteAtMostFiveTimes(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		m := newRoom(h)
		code := sent(t, h, m, request("j"))
		h.Advance(Pause - time.Second)
		if f := wants(t, m.Send(t.Context(), request("j")), fault.MailCodeTooSoon); f.RetryAfter != time.Second {
			t.Errorf("retry after %v", f.RetryAfter)
		}
		h.Advance(time.Second)
		for i := range Resends {
			fresh := sent(t, h, m, request("j"))
			if fresh != code { // one in a hundred million
				_, err := m.Check(t.Context(), "j", code)
				wants(t, err, fault.WrongMailCode)
			}
			code = fresh
			if i == Resends-1 {
				break
			}
			h.Advance(Pause)
		}
		h.Advance(Pause)
		wants(t, m.Send(t.Context(), request("j")), fault.MailCodeTooMany)
		if _, err := m.Check(t.Context(), "j", code); err != nil {
			t.Errorf("the last code: %v", err)
		}
	})
}

func TestNewCodeTakesBackThatTheOldOneWasEntered(t *testing.T) {
	h := credtest.Open(t, Schema)
	m := newRoom(h)
	code := sent(t, h, m, request("j"))
	proof, err := m.Check(t.Context(), "j", code)
	if err != nil {
		t.Fatal(err)
	}
	h.Advance(Pause)
	elsewhere := request("j")
	elsewhere.Address = "amara@elsewhere.example.nhs.uk"
	sent(t, h, m, elsewhere)
	_, err = m.Proof(t.Context(), "j")
	wants(t, err, fault.MailCodeMissing)
	wants(t, h.Use(t, proof), fault.MailCodeUsed)
}

func TestOneAddressGetsTwentyCodesAnHour(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		m := newRoom(h)
		for i := range hourly {
			if err := m.Send(t.Context(), request(fmt.Sprint("j", i))); err != nil {
				t.Fatal(err)
			}
		}
		if f := wants(t, m.Send(t.Context(), request("one more")), fault.MailCodeTooMany); f.RetryAfter == 0 {
			t.Error("no time to retry")
		}
		nobody := request("other")
		nobody.Address = "somebody.else@example.nhs.uk"
		if err := m.Send(t.Context(), nobody); err != nil {
			t.Errorf("another address: %v", err)
		}
		h.Advance(time.Hour + time.Second)
		if err := m.Send(t.Context(), request("one more")); err != nil {
			t.Errorf("an hour later: %v", err)
		}
	})
}

// Decision 9: throttling is not a weapon. Strangers who ask for codes for
// somebody's address use up their own count, and not that of its holder, who
// is signed in, has a link, or sits at their own browser.
func TestStrangersCannotUseUpTheHoldersCodes(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		m := newRoom(h)
		for i := range hourly {
			if err := m.Send(t.Context(), request(fmt.Sprint("stranger", i))); err != nil {
				t.Fatal(err)
			}
		}
		wants(t, m.Send(t.Context(), request("another stranger")), fault.MailCodeTooMany)
		for _, asker := range []string{"person " + string(credtest.Amara), "browser d1"} {
			for i := range hourly {
				holder := request(fmt.Sprint(asker, i))
				holder.Asker = asker
				if err := m.Send(t.Context(), holder); err != nil {
					t.Fatalf("%s: %v", asker, err)
				}
			}
			last := request(asker + " again")
			last.Asker = asker
			wants(t, m.Send(t.Context(), last), fault.MailCodeTooMany)
		}
	})
}

// Decision 9, ASVS 2.4.1: a stranger who asks in the name of one person after
// another is stopped by their network, whether or not anybody has the
// addresses; who has shown something else goes on.
func TestStrangersOfOneNetworkGetAHundredCodes(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		m := newRoom(h)
		ask := func(i int, network, asker string) error {
			r := request(fmt.Sprint("j", i, network, asker))
			r.Address, r.Deliver, r.Asker = care.Email(fmt.Sprintf("nobody%d@example.nhs.uk", i)), i%2 == 0, asker
			r.Network = netip.MustParseAddr(network)
			return m.Send(t.Context(), r)
		}
		for i := range throttle.NetworkFailures {
			if err := ask(i, "192.0.2.1", ""); err != nil {
				t.Fatalf("%d: %v", i+1, err)
			}
		}
		f := wants(t, ask(1000, "192.0.2.1", ""), fault.MailCodeTooMany)
		if f.RetryAfter <= 0 || f.RetryAfter > throttle.NetworkWindow {
			t.Errorf("wait %v", f.RetryAfter)
		}
		if err := ask(1001, "192.0.2.2", ""); err != nil {
			t.Errorf("another network: %v", err)
		}
		if err := ask(1002, "192.0.2.1", "person 555000100101"); err != nil {
			t.Errorf("who has signed in: %v", err)
		}
		if _, err := h.Throttle.Attempt(t.Context(), h.DB, throttle.Subject{
			Action: "password", Address: "amara@example.nhs.uk", Network: netip.MustParseAddr("192.0.2.1"),
		}); err != nil {
			t.Errorf("signing in there: %v", err)
		}
		h.Advance(throttle.NetworkWindow + time.Second)
		if err := ask(1003, "192.0.2.1", ""); err != nil {
			t.Errorf("after the wait: %v", err)
		}
	})
}

// ASVS 2.4.1: whoever is signed in can name any address as their new one, and
// must not send mail to all the world with it.
func TestOneAskerGetsAHundredCodesForWhateverAddresses(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		m := newRoom(h)
		ask := func(i int, asker string) error {
			r := request(fmt.Sprint("j", i, asker))
			r.Address, r.Asker = care.Email(fmt.Sprintf("somebody%d@example.nhs.uk", i)), asker
			r.Network = netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", i%200))
			return m.Send(t.Context(), r)
		}
		for i := range throttle.NetworkFailures {
			if err := ask(i, "person 555000100101"); err != nil {
				t.Fatalf("%d: %v", i+1, err)
			}
		}
		f := wants(t, ask(1000, "person 555000100101"), fault.MailCodeTooMany)
		if f.RetryAfter <= 0 || f.RetryAfter > throttle.NetworkWindow {
			t.Errorf("wait %v", f.RetryAfter)
		}
		for _, other := range []string{"person 555000100103", ""} {
			if err := ask(1001, other); err != nil {
				t.Errorf("%q: %v", other, err)
			}
		}
		h.Advance(throttle.NetworkWindow + time.Second)
		if err := ask(1002, "person 555000100101"); err != nil {
			t.Errorf("after the wait: %v", err)
		}
	})
}

// ASVS 6.3.8: an address that nobody has costs the same and answers the same.
func TestUnknownAddressIsTreatedLikeAKnownOneButGetsNoMail(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		m := newRoom(h)
		known, unknown := request("known"), request("unknown")
		unknown.UID, unknown.Address, unknown.Deliver = "", "nobody@northgate.example.nhs.uk", false
		known.Network, unknown.Network = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.1")
		work := func(do func()) [2]uint64 {
			before := h.DB.Counters()
			do()
			after := h.DB.Counters()
			return [2]uint64{after.Commits - before.Commits, after.Statements - before.Statements}
		}
		send := func(r Request) func() {
			return func() {
				if err := m.Send(t.Context(), r); err != nil {
					t.Fatal(err)
				}
			}
		}
		guess := func(r Request) func() {
			return func() {
				_, err := m.Check(t.Context(), r.Journey, "00000000")
				wants(t, err, fault.WrongMailCode)
			}
		}
		if a, b := work(send(unknown)), work(send(known)); a != b || a[0] != 1 {
			t.Errorf("sending: %v for an unknown address, %v for a known one", a, b)
		}
		if a, b := work(guess(unknown)), work(guess(known)); a != b {
			t.Errorf("checking: %v for an unknown address, %v for a known one", a, b)
		}
		var rows int
		h.Read(t, func(tx *db.Tx) error { return tx.Row(`SELECT COUNT(*) FROM outbox`).Scan(&rows) })
		if rows != 2 {
			t.Errorf("%d rows in the outbox", rows)
		}
		if mail := h.Mail(t); mail.To != credtest.AmaraEmail {
			t.Errorf("a mail to %s", mail.To)
		}
		h.Advance(Pause)
		send(known)() // a second mail comes, and none to nobody between them
		if mail := h.Mail(t); mail.To != credtest.AmaraEmail {
			t.Errorf("a mail to %s", mail.To)
		}
	})
}

func TestNoCodeIsRightWhereNoMailWasSent(t *testing.T) {
	h := credtest.Open(t, Schema)
	m := newRoom(h)
	r := request("j")
	r.Deliver = false
	if err := m.Send(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	salt := []byte("a known salt ...")
	h.Write(t, func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE mail_code SET salt = $1, code = $2`, salt, m.codes.Sum(salt, []byte("j"), []byte("12345678")))
		return err
	})
	_, err := m.Check(t.Context(), "j", "12345678")
	wants(t, err, fault.WrongMailCode)
}

func TestDatabaseHoldsNeitherCodeNorAddressInTheClear(t *testing.T) {
	h := credtest.Open(t, Schema)
	m := newRoom(h)
	code := sent(t, h, m, request("j"))
	var address, stored []byte
	h.Read(t, func(tx *db.Tx) error { return tx.Row(`SELECT address, code FROM mail_code`).Scan(&address, &stored) })
	if strings.Contains(string(address), "amara") || strings.Contains(string(stored), code) {
		t.Errorf("stored %q and %q", address, stored)
	}
}

func TestPruneDeletesWhatNoJourneyCanUse(t *testing.T) {
	h := credtest.Open(t, Schema)
	m := newRoom(h)
	sent(t, h, m, request("old"))
	h.Advance(23 * time.Hour)
	sent(t, h, m, request("new"))
	h.Advance(time.Hour + time.Second)
	h.Write(t, Prune)
	_, err := m.Address(t.Context(), "old")
	wants(t, err, fault.MailCodeMissing)
	if _, err := m.Address(t.Context(), "new"); err != nil {
		t.Error(err)
	}
}
