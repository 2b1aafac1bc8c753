package outbox

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"mime"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// mailServer is a real SMTP server that keeps what it is given.
type mailServer struct {
	server *smtp.Server
	host   string
	port   int
	roots  *x509.CertPool

	mu      sync.Mutex
	refuse  map[string]error // what MAIL, RCPT, DATA answer
	got     []received
	arrived chan struct{}
}

type received struct {
	from, to string
	secure   bool
	user     string
	raw      []byte
}

// startMail starts a server at address, "127.0.0.1:0" for any port.
func startMail(t *testing.T, address string, tlsNow bool) *mailServer {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	config, roots := certificate(t)
	m := &mailServer{host: "127.0.0.1", port: listener.Addr().(*net.TCPAddr).Port, roots: roots, refuse: map[string]error{}, arrived: make(chan struct{}, 100)}
	m.server = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &mailSession{m: m, c: c}, nil }))
	m.server.Domain = "mail.example"
	m.server.TLSConfig = config
	m.server.AllowInsecureAuth = true
	m.server.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	if tlsNow {
		listener = tls.NewListener(listener, config)
	}
	go m.server.Serve(listener)
	t.Cleanup(func() { m.server.Close() })
	return m
}

func (m *mailServer) answer(command string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refuse[command] = err
}

func (m *mailServer) refusal(command string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.refuse[command]
}

func (m *mailServer) all() []received {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.got
}

type mailSession struct {
	m        *mailServer
	c        *smtp.Conn
	from, to string
	user     string
}

func (s *mailSession) Reset()                   {}
func (s *mailSession) Logout() error            { return nil }
func (s *mailSession) AuthMechanisms() []string { return []string{sasl.Plain} }
func (s *mailSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "carekey" || password != "right" {
			return smtp.ErrAuthFailed
		}
		s.user = user
		return nil
	}), nil
}

func (s *mailSession) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return s.m.refusal("MAIL")
}

func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = to
	return s.m.refusal("RCPT")
}

func (s *mailSession) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := s.m.refusal("DATA"); err != nil {
		return err
	}
	_, secure := s.c.TLSConnectionState()
	s.m.mu.Lock()
	s.m.got = append(s.m.got, received{s.from, s.to, secure, s.user, raw})
	s.m.mu.Unlock()
	s.m.arrived <- struct{}{}
	return nil
}

// parsed reads a mail as a mailbox would.
func parsed(t *testing.T, raw []byte) (header netmail.Header, subject, text string) {
	t.Helper()
	message, err := netmail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	body := message.Body
	if message.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
		body = quotedprintable.NewReader(body)
	}
	content, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	subject, err = new(mime.WordDecoder).DecodeHeader(message.Header.Get("Subject"))
	if err != nil {
		t.Fatal(err)
	}
	return message.Header, subject, strings.ReplaceAll(string(content), "\r\n", "\n")
}

func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, roots
}

var anyMail = Mail{
	ID: "abc@care.example", FromName: "Care Identity", From: "no-reply@care.example", To: "amara@example.nhs.uk",
	Subject: "Hello", Text: "Grüße an den Łukasz\n.\nEnd\n", Date: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC),
}

func TestSMTPWithEachSecurity(t *testing.T) {
	for name, c := range map[string]struct {
		tlsNow bool
		config SMTPConfig
		fails  string
	}{
		"starttls":                 {false, SMTPConfig{}, ""},
		"starttls and sign-in":     {false, SMTPConfig{User: "carekey", Password: "right"}, ""},
		"tls":                      {true, SMTPConfig{Security: "tls"}, ""},
		"tls and sign-in":          {true, SMTPConfig{Security: "tls", User: "carekey", Password: "right"}, ""},
		"none on loopback":         {false, SMTPConfig{Security: "none"}, ""},
		"none and sign-in":         {false, SMTPConfig{Security: "none", User: "carekey", Password: "right"}, ""},
		"a wrong password":         {false, SMTPConfig{User: "carekey", Password: "wrong"}, "the mail server cannot be used"},
		"an untrusted certificate": {false, SMTPConfig{TLS: &tls.Config{}}, "the mail server cannot be used"},
	} {
		t.Run(name, func(t *testing.T) {
			m := startMail(t, "127.0.0.1:0", c.tlsNow)
			c.config.Host, c.config.Port = m.host, m.port
			if c.config.TLS == nil {
				c.config.TLS = &tls.Config{RootCAs: m.roots}
			}
			send, err := SMTP(c.config)
			if err != nil {
				t.Fatal(err)
			}
			err = send(t.Context(), anyMail)
			var failure *Failure
			if c.fails != "" {
				if !errors.As(err, &failure) || failure.Final || !strings.HasPrefix(failure.Text, c.fails) {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(errors.Unwrap(err))
			}
			got := m.all()[0]
			if got.secure != (c.config.Security != "none") || got.user != c.config.User {
				t.Errorf("secure: %v, user %q", got.secure, got.user)
			}
			header, subject, text := parsed(t, got.raw)
			if header.Get("Message-ID") != "<abc@care.example>" || header.Get("From") != `"Care Identity" <no-reply@care.example>` ||
				header.Get("To") != "<amara@example.nhs.uk>" || header.Get("Auto-Submitted") != "auto-generated" ||
				header.Get("Date") != "Mon, 02 Mar 2026 08:00:00 +0000" {
				t.Errorf("headers %v", header)
			}
			if subject != anyMail.Subject || text != anyMail.Text {
				t.Errorf("got %q, %q", subject, text)
			}
		})
	}
}

func TestMailIsNotSentUnencrypted(t *testing.T) {
	for _, host := range []string{"mail.example", "192.0.2.1", "127.example"} {
		if _, err := SMTP(SMTPConfig{Host: host, Security: "none"}); err == nil {
			t.Errorf("mail to %s may be unencrypted", host)
		}
	}
	m := startMail(t, "127.0.0.1:0", false)
	m.server.TLSConfig = nil // does not offer STARTTLS
	send, err := SMTP(SMTPConfig{Host: m.host, Port: m.port})
	if err != nil {
		t.Fatal(err)
	}
	if err := send(t.Context(), anyMail); err == nil || len(m.all()) != 0 {
		t.Errorf("sent without STARTTLS: %v", err)
	}
}

// RFC 5321 section 4.2.1: 4yz may be tried again, 5yz not.
func TestAnswersOfTheServer(t *testing.T) {
	refusal := func(code int) error {
		return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: "no thanks, amara@example.nhs.uk"}
	}
	for _, c := range []struct {
		command string
		code    int
		final   bool
	}{
		{"MAIL", 451, false}, {"RCPT", 450, false}, {"DATA", 452, false}, {"RCPT", 421, false},
		{"RCPT", 550, true}, {"DATA", 554, true}, {"MAIL", 553, true},
		{"MAIL", 530, false}, // wants a sign-in: the operator's to mend
	} {
		m := startMail(t, "127.0.0.1:0", false)
		m.answer(c.command, refusal(c.code))
		send, err := SMTP(SMTPConfig{Host: m.host, Port: m.port, Security: "none"})
		if err != nil {
			t.Fatal(err)
		}
		var failure *Failure
		if err := send(t.Context(), anyMail); !errors.As(err, &failure) {
			t.Errorf("%s %d: %v", c.command, c.code, err)
			continue
		}
		if failure.Final != c.final || strings.Contains(failure.Text, "amara") || !strings.Contains(failure.Text, "answered") {
			t.Errorf("%s %d: %q, final %v", c.command, c.code, failure.Text, failure.Final)
		}
	}
}

func TestServerThatIsNotThere(t *testing.T) {
	send, err := SMTP(SMTPConfig{Host: "127.0.0.1", Port: 1})
	if err != nil {
		t.Fatal(err)
	}
	var failure *Failure
	if err := send(t.Context(), anyMail); !errors.As(err, &failure) || failure.Final || !strings.Contains(failure.Text, "refused the connection") {
		t.Errorf("got %v", err)
	}
	for want, err := range map[string]error{
		"the server's name does not resolve": &net.DNSError{Err: "no such host", Name: "mail.example", IsNotFound: true},
		"timed out":                          fmt.Errorf("waiting: %w", context.DeadlineExceeded),
		"failed (*errors.errorString)":       errors.New("amara@example.nhs.uk"),
	} {
		if got := safeText(err); got != want {
			t.Errorf("%v: %q, want %q", err, got, want)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	m := startMail(t, "127.0.0.1:0", false)
	send, err = SMTP(SMTPConfig{Host: m.host, Port: m.port, Security: "none"})
	if err != nil {
		t.Fatal(err)
	}
	if err := send(ended, anyMail); err == nil {
		t.Error("sent although the context has ended")
	}
}
