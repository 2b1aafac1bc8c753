package app

import (
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential"
	"carekey.dev/carekey/internal/credential/internal/credtest"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/throttle"
)

func TestEnrolmentNeedsAPasswordAndARightCode(t *testing.T) {
	h := credtest.Open(t, Schema)
	a := newApp(h)
	pending, err := a.Begin(amara, amaraEmail)
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.Finish(pending, "123456")
	wants(t, err, fault.PasswordMissing)
	_, err = a.SetPassword(t.Context(), pending, "password1")
	wants(t, err, fault.PasswordCommon)
	pending, err = a.SetPassword(t.Context(), pending, password)
	if err != nil {
		t.Fatal(err)
	}
	inside, err := a.openSetup(pending)
	if err != nil {
		t.Fatal(err)
	}
	p := phone{h, inside.Secret}
	for range 20 { // wrong ones are not counted: the secret was just shown
		_, err = a.Finish(pending, p.wrongCode(t))
		wants(t, err, fault.WrongAppCode)
	}
	_, err = a.Finish(pending, "12 34")
	wants(t, err, fault.AppCodeMistyped)
	e, err := a.Finish(pending, p.code(t, 0))
	if err != nil {
		t.Fatal(err)
	}
	if e.UID() != amara || e.Method() != care.AuthenticatorApp || e.Name() != "Microsoft Authenticator" || e.Evidence() != evidence() || e.Demo() {
		t.Errorf("%v %v %q %+v", e.UID(), e.Method(), e.Name(), e.Evidence())
	}
}

// N16: 112 bits at least; RFC 4226 recommends 160. Two set-ups share nothing.
func TestSecretsHave160BitsAndDiffer(t *testing.T) {
	h := credtest.Open(t, Schema)
	a := newApp(h)
	seen := map[string]bool{}
	for range 50 {
		pending, err := a.Begin(amara, amaraEmail)
		if err != nil {
			t.Fatal(err)
		}
		card, err := a.Card(pending)
		if err != nil {
			t.Fatal(err)
		}
		if key := strings.ReplaceAll(card.Key, " ", ""); len(key) != 32 || seen[key] {
			t.Fatalf("key %q", key)
		}
		seen[strings.ReplaceAll(card.Key, " ", "")] = true
	}
}

func TestPendingSetUpOpensNowhereElse(t *testing.T) {
	h := credtest.Open(t, Schema)
	a := newApp(h)
	pending, err := a.Begin(amara, amaraEmail)
	if err != nil {
		t.Fatal(err)
	}
	enrol(t, h, a, "app-1")
	ticket := ticketFor(t, a)
	for _, sealed := range []string{"", "x", pending.Sealed[1:], ticket} {
		_, err := a.Card(Pending{sealed})
		wants(t, err, fault.JourneyTampered)
	}
}

// Nothing that a thief of the database finds signs in: no password, no secret.
func TestDatabaseHoldsNoSecretInTheClear(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		a := newApp(h)
		p, _ := enrol(t, h, a, "app-1")
		var hash string
		var sealed []byte
		h.Read(t, func(tx *db.Tx) error {
			return tx.Row(`SELECT password_hash, secret FROM app_credential`).Scan(&hash, &sealed)
		})
		if strings.Contains(hash, "harbour") || strings.Contains(string(sealed), string(p.secret)) || len(sealed) < len(p.secret)+16 {
			t.Errorf("stored %q and %x", hash, sealed)
		}
		if _, err := a.secret(account{uid: credtest.Owen, sealed: sealed}); err == nil {
			t.Error("the secret opens for another person")
		}
	})
}

// Decision 6: a forgotten password takes the app's code beside the mailbox.
func TestForgottenPasswordIsReplacedWithACodeOfTheApp(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		a := newApp(h)
		p, record := enrol(t, h, a, "app-1")
		_, err := a.CheckCode(t.Context(), amara, amaraEmail, "12", stranger)
		wants(t, err, fault.AppCodeMistyped)
		_, err = a.CheckCode(t.Context(), credtest.Owen, credtest.OwenEmail, "123456", stranger)
		wants(t, err, fault.WrongAppCode)
		proof, err := a.CheckCode(t.Context(), amara, amaraEmail, p.code(t, 0), stranger)
		if err != nil {
			t.Fatal(err)
		}
		if proof.AuthenticatorID() != record.ID || care.Level(proof.Evidence()) != care.AAL1 {
			t.Errorf("%q %+v", proof.AuthenticatorID(), proof.Evidence())
		}
		change, err := a.ChangePassword(t.Context(), amara, record.ID, "quiet gravel 17 heron")
		if err != nil {
			t.Fatal(err)
		}
		if change.What() != credential.Password || change.AuthenticatorID() != record.ID || change.UID() != amara {
			t.Errorf("%q %q", change.What(), change.AuthenticatorID())
		}
		h.Write(t, func(tx *db.Tx) error {
			if err := proof.Consume(tx); err != nil {
				return err
			}
			return change.Store(tx)
		})
		_, err = a.PasswordStep(t.Context(), amaraEmail, password, stranger)
		wants(t, err, fault.WrongEmailOrPassword)
		if _, err = a.PasswordStep(t.Context(), amaraEmail, "quiet gravel 17 heron", stranger); err != nil {
			t.Error(err)
		}
		wants(t, h.Use(t, proof), fault.AppCodeUsed)
	})
}

func TestChangeOfSomebodyElsesPasswordIsRefused(t *testing.T) {
	h := credtest.Open(t, Schema)
	a := newApp(h)
	_, record := enrol(t, h, a, "app-1")
	_, err := a.ChangePassword(t.Context(), amara, record.ID, "short")
	wants(t, err, fault.PasswordTooShort)
	change, err := a.ChangePassword(t.Context(), credtest.Owen, record.ID, "quiet gravel 17 heron")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.DB.Write(t.Context(), change.Store); err == nil {
		t.Error("changed")
	}
}

func TestRemovingTheRecordRemovesItsSecrets(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		a := newApp(h)
		_, record := enrol(t, h, a, "app-1")
		h.Write(t, func(tx *db.Tx) error { return credential.NewBinder().Remove(tx, record.ID) })
		var rows int
		h.Read(t, func(tx *db.Tx) error { return tx.Row(`SELECT COUNT(*) FROM app_credential`).Scan(&rows) })
		if rows != 0 {
			t.Errorf("%d rows are left", rows)
		}
	})
}

// Decision 15: passwords and secrets of a file, and codes on a page, in dev
// mode alone.
func TestWorldFileAndDemoPhoneWorkInDevModeOnly(t *testing.T) {
	h := credtest.Open(t, Schema)
	serve := newApp(h, func(o *Options) { o.Dev = false })
	if _, err := serve.FromWorld(t.Context(), amara, password, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"); err == nil {
		t.Error("FromWorld works")
	}
	if _, err := serve.DemoCodes(t.Context()); err == nil {
		t.Error("DemoCodes works")
	}
	a := newApp(h)
	for _, secret := range []string{"", "JBSWY3DP", "not base 32!", "JBSWY3DPEHPK3PXP"} {
		if _, err := a.FromWorld(t.Context(), amara, password, secret); err == nil {
			t.Errorf("secret %q was accepted", secret)
		}
	}
	_, err := a.FromWorld(t.Context(), amara, "short", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP")
	wants(t, err, fault.PasswordTooShort)
	e, err := a.FromWorld(t.Context(), amara, password, "jbsw y3dp ehpk 3pxp JBSWY3DPEHPK3PXP")
	if err != nil {
		t.Fatal(err)
	}
	if !e.Demo() {
		t.Error("not marked as demo")
	}
	h.Bind(t, "app-1", e)
	codes, err := a.DemoCodes(t.Context())
	if err != nil || len(codes) != 1 {
		t.Fatalf("%v, %v", codes, err)
	}
	// The clock stands 10 seconds into a step.
	if c := codes[0]; c.UID != amara || c.Left != 20*time.Second || c.Used || !c.FromWorld {
		t.Errorf("%+v", c)
	}
	ticket := ticketFor(t, a)
	proof, err := a.CodeStep(t.Context(), ticket, codes[0].Code, stranger)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Use(t, proof); err != nil {
		t.Fatal(err)
	}
	if codes, err = a.DemoCodes(t.Context()); err != nil || !codes[0].Used {
		t.Errorf("%+v, %v", codes, err)
	}
}

// The time of an answer must not tell whether somebody has the address
// (ASVS 6.3.8): compare the two.
func BenchmarkPasswordStep(b *testing.B) {
	h := credtest.Open(b, Schema)
	a := newApp(h, func(o *Options) { o.Cost = Cost{} })
	enrol(b, h, a, "app-1")
	for name, email := range map[string]care.Email{"known": amaraEmail, "unknown": "nobody@northgate.example.nhs.uk"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				h.Advance(15*time.Minute + time.Second)
				_, err := a.PasswordStep(b.Context(), email, "a wrong guess", stranger)
				if !fault.Has(err, fault.WrongEmailOrPassword) && !fault.Has(err, fault.TriesUsedUp) {
					b.Fatal(err)
				}
			}
		})
	}
}

// ASVS 2.4.1: who is signed in, or has a link, must not keep all workers busy
// with passwords of their own choice, which nobody verifies.
func TestOnePersonChoosesAHundredPasswordsInAQuarterOfAnHour(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		a := newApp(h)
		mine, err := a.Begin(amara, amaraEmail)
		must(t, err)
		other, err := a.Begin(credtest.Owen, "owen.bell@northgate.example.nhs.uk")
		must(t, err)
		for range throttle.NetworkFailures / 2 {
			_, err := a.SetPassword(t.Context(), mine, password)
			must(t, err)
			_, err = a.ChangePassword(t.Context(), amara, "app-1", password)
			must(t, err)
		}
		_, err = a.SetPassword(t.Context(), mine, password)
		wants(t, err, fault.TooManyAttempts)
		_, err = a.ChangePassword(t.Context(), amara, "app-1", password)
		wants(t, err, fault.TooManyAttempts)
		_, err = a.SetPassword(t.Context(), other, password)
		must(t, err)
		h.Advance(throttle.NetworkWindow + time.Second)
		_, err = a.SetPassword(t.Context(), mine, password)
		must(t, err)
	})
}
