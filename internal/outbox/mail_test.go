package outbox

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
)

var update = flag.Bool("update", false, "write the golden files again")

// read opens a sealed mail.
func read(t interface{ Fatal(...any) }, box *Outbox, m Message) Mail {
	payload, err := box.sealer.Open(m.payload, bound(m.ID, m.Kind))
	if err != nil {
		t.Fatal(err)
	}
	var mail Mail
	if err := json.Unmarshal(payload, &mail); err != nil {
		t.Fatal(err)
	}
	return mail
}

// TestLetters holds the words of every mail against golden files.
func TestLetters(t *testing.T) {
	d := dbtest.OpenAt(t, newClock().now, Schema)
	box := open(t, d, Options{
		Service: "Care Identity", Operator: "Northgate Hospitals NHS Trust", Desk: "call the service desk on 0300 000 0000", From: "no-reply@care.example",
	})
	code := Code{Code: "71172512", Life: 10 * time.Minute, For: "register Microsoft Authenticator", By: "Dr Amara OSEI"}
	notice := Notice{
		Name: "Dr Amara OSEI", When: db.Time(1_767_225_600_000_000), Authenticator: "Microsoft Authenticator",
		Old: "amara@northgate.example.nhs.uk", New: "amara.osei@northgate.example.nhs.uk", Left: 1, NotMe: "https://care.example/not-me?t=abc",
		Model: "Test Key 5", Because: "the FIDO Alliance has withdrawn this model",
	}
	for template, data := range map[string]any{
		OneTimePassword: code, AddressChanged: notice, AuthenticatorRegistered: notice, AuthenticatorReplaced: notice, AuthenticatorRemoved: notice,
		AuthenticatorSuspended: notice, PasswordChanged: notice, RecoveryCodesMade: notice,
		RecoveryCodeUsed: notice, NewPhone: notice, AuthenticatorDisabled: notice, AuthenticatorRefused: notice,
	} {
		m, err := box.Mail("amara@northgate.example.nhs.uk", template, data)
		if err != nil {
			t.Errorf("%s: %v", template, err)
			continue
		}
		mail := read(t, box, m)
		got := "Subject: " + mail.Subject + "\n\n" + mail.Text
		golden := filepath.Join("testdata", template+".golden")
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s says\n%s\nwant\n%s", template, got, want)
		}
		// N22: each notice has the way to say "this wasn't me".
		if template != OneTimePassword && !strings.Contains(mail.Text, "\n"+notice.NotMe+"\n") {
			t.Errorf("%s has no link for those whom it surprises", template)
		}
	}
	files, err := letterFiles.ReadDir("letters")
	if err != nil || len(files) != 13 {
		t.Errorf("%d letters, of which one holds parts: is one not tested? %v", len(files), err)
	}
}

func TestLettersWithLittleToSay(t *testing.T) {
	d := dbtest.OpenAt(t, newClock().now, Schema)
	box := open(t, d, Options{Service: "Care Identity", From: "no-reply@care.example"})
	m, err := box.Mail("owen@example.nhs.uk", OneTimePassword, Code{Code: "71172512", Life: 10 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	text := read(t, box, m).Text
	for _, want := range []string{"71172512", "within 10 minutes", "Somebody asked for it at 09:30 on Monday 6 July 2026.", "Never share it", "comes from Care Identity. Please"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	m, err = box.Mail("owen@example.nhs.uk", AddressChanged, Notice{NotMe: "https://care.example/not-me"})
	if err != nil {
		t.Fatal(err)
	}
	text = read(t, box, m).Text
	if !strings.HasPrefix(text, "The email address of your care identity was changed at") || !strings.Contains(text, "tell your service desk") {
		t.Errorf("the notice says\n%s", text)
	}
}

func TestMailsThatCannotBeWrittenAreRefused(t *testing.T) {
	box := open(t, dbtest.Open(t, Schema), Options{})
	code := Code{Code: "12345678", Life: 10 * time.Minute}
	for name, c := range map[string]struct {
		to       care.Email
		template string
		data     any
	}{
		"no template":            {"a@example.nhs.uk", "no-such", registered},
		"parts":                  {"a@example.nhs.uk", "parts", registered},
		"a code in a notice":     {"a@example.nhs.uk", PasswordChanged, code},
		"a notice as a code":     {"a@example.nhs.uk", OneTimePassword, registered},
		"a code without digits":  {"a@example.nhs.uk", OneTimePassword, Code{Life: time.Hour}},
		"a code without life":    {"a@example.nhs.uk", OneTimePassword, Code{Code: "1"}},
		"a notice without link":  {"a@example.nhs.uk", PasswordChanged, Notice{}},
		"other data":             {"a@example.nhs.uk", PasswordChanged, "text"},
		"two addresses":          {"a@example.nhs.uk, b@example.nhs.uk", PasswordChanged, registered},
		"an address and header":  {"a@example.nhs.uk\r\nBcc: b@example.nhs.uk", PasswordChanged, registered},
		"a name with an address": {"A <a@example.nhs.uk>", PasswordChanged, registered},
		"no address":             {"", PasswordChanged, registered},
	} {
		if _, err := box.Mail(c.to, c.template, c.data); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, o := range []Options{
		{Service: "Care\r\nBcc: b@example.nhs.uk", From: "no-reply@care.example"},
		{Operator: "Trust\nX: y", From: "no-reply@care.example"},
		{Service: "=?utf-8?q?=0ABcc:_b?=", From: "no-reply@care.example"}, // an encoded word, RFC 2047
		{Service: "Care", From: "no address"},
	} {
		if _, err := New(dbtest.Open(t, Schema), ring, o); err == nil {
			t.Errorf("%+v: accepted", o)
		}
	}
}

// Whatever a person or an operator can put into a mail, it has the headers
// that we gave it and no others, and no more lines.
func TestNothingBecomesAHeader(t *testing.T) {
	d := dbtest.OpenAt(t, newClock().now, Schema)
	server := startMail(t, "127.0.0.1:0", false)
	send, err := SMTP(SMTPConfig{Host: server.host, Port: server.port, Security: "none"})
	if err != nil {
		t.Fatal(err)
	}
	nasty := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOf(rapid.SampledFrom([]string{
			"\r\n", "\n", "\r", "\x00", "\u0085", "\u2028", ".", "\r\n.\r\n", "Bcc: evil@example.com", "Subject: x", "=?utf-8?q?=0ABcc:_e?=", "{{.Code}}", "Łukasz", "\t", " ", "a",
		})).Draw(t, "pieces"), "")
	})
	rapid.Check(t, func(rt *rapid.T) {
		service := strings.ReplaceAll(oneLine(nasty.Draw(rt, "service")), "=?", "")
		box := open(t, d, Options{Service: service, From: "no-reply@care.example", Send: send})
		n := registered
		n.Name, n.Authenticator, n.Old = nasty.Draw(rt, "name"), nasty.Draw(rt, "authenticator"), care.Email(nasty.Draw(rt, "old"))
		template := rapid.SampledFrom([]string{AddressChanged, AuthenticatorRegistered}).Draw(rt, "template")
		m, err := box.Mail("amara@example.nhs.uk", template, n)
		if err != nil {
			rt.Fatal(err)
		}
		before := len(server.all())
		mail := read(rt, box, m)
		if err := send(t.Context(), mail); err != nil {
			rt.Fatal(err)
		}
		<-server.arrived
		got := server.all()
		if len(got) != before+1 || got[before].to != "amara@example.nhs.uk" {
			rt.Fatalf("sent %d mails, the last to %s", len(got)-before, got[before].to)
		}
		header, subject, text := parsed(t, got[before].raw)
		for name, values := range header {
			if !strings.Contains(" Date Message-Id Mime-Version From To Subject Content-Type Content-Transfer-Encoding Auto-Submitted ", " "+name+" ") || len(values) != 1 {
				rt.Errorf("header %s: %q", name, values)
			}
		}
		if strings.Join(strings.Fields(subject), " ") != strings.Join(strings.Fields(mail.Subject), " ") || text != mail.Text {
			rt.Errorf("subject %q, want %q\ntext %q\nwant %q", subject, mail.Subject, text, mail.Text)
		}
	})
}
