package e2e

import (
	"bytes"
	"context"
	"io"
	"mime"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"

	"carekey.dev/carekey/internal/porttest"
)

// letter is a mail as it arrived.
type letter struct {
	ID, To, Subject, Text string
}

// postbox is a real SMTP server that keeps what arrives.
type postbox struct {
	addr     string
	server   *smtp.Server
	mu       sync.Mutex
	letters  []letter
	deferred []letter // what came while deferring
	later    bool
	arrived  chan struct{}
}

func newPostbox(t *testing.T) *postbox {
	t.Helper()
	p := &postbox{addr: porttest.Address(porttest.Port(t)), arrived: make(chan struct{})}
	p.up(t)
	t.Cleanup(p.down)
	return p
}

// up opens the server, at the address that it had before.
func (p *postbox) up(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	p.addr = listener.Addr().String()
	p.server = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &delivery{box: p}, nil }))
	p.server.Domain = "localhost"
	go p.server.Serve(listener)
}

// down closes the server: connections are refused.
func (p *postbox) down() { p.server.Close() }

// deferring makes the server answer "try again later" after it has read a mail,
// or take mail again.
func (p *postbox) deferring(later bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.later = later
}

type delivery struct {
	box *postbox
	to  string
}

func (d *delivery) Mail(string, *smtp.MailOptions) error      { return nil }
func (d *delivery) Rcpt(to string, _ *smtp.RcptOptions) error { d.to = to; return nil }
func (d *delivery) Reset()                                    {}
func (d *delivery) Logout() error                             { return nil }
func (d *delivery) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return err
	}
	var body io.Reader = m.Body
	if strings.EqualFold(m.Header.Get("Content-Transfer-Encoding"), "quoted-printable") {
		body = quotedprintable.NewReader(body)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if err != nil {
		return err
	}
	d.box.mu.Lock()
	defer d.box.mu.Unlock()
	l := letter{ID: m.Header.Get("Message-Id"), To: d.to, Subject: subject, Text: string(text)}
	if d.box.later {
		d.box.deferred = append(d.box.deferred, l)
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "later, please"}
	}
	d.box.letters = append(d.box.letters, l)
	close(d.box.arrived)
	d.box.arrived = make(chan struct{})
	return nil
}

// wait returns the newest letter to an address that is after the first skip
// ones and matches, as soon as it has arrived.
func (p *postbox) wait(t *testing.T, to string, matches func(letter) bool) letter {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		p.mu.Lock()
		arrived := p.arrived
		for _, l := range slices.Backward(p.letters) {
			if strings.EqualFold(l.To, to) && matches(l) {
				p.mu.Unlock()
				return l
			}
		}
		p.mu.Unlock()
		select {
		case <-arrived:
		case <-ctx.Done():
			t.Fatalf("no such mail to %s; there is: %+v", to, p.all())
		}
	}
}

func (p *postbox) all() []letter {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.letters)
}

// putOff returns what the server has asked to send again.
func (p *postbox) putOff() []letter {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.deferred)
}

// empty throws away what has arrived.
func (p *postbox) empty() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.letters = nil
}

var eightDigits = regexp.MustCompile(`\b(\d{4} ?\d{4})\b`)

// code waits for the emailed 8-digit code and takes it out of the box.
func (p *postbox) code(t *testing.T, to string) string {
	t.Helper()
	l := p.wait(t, to, func(l letter) bool { return eightDigits.MatchString(l.Text) })
	p.empty()
	return eightDigits.FindStringSubmatch(l.Text)[1]
}

// notice waits for a mail whose subject contains the words.
func (p *postbox) notice(t *testing.T, to, subject string) letter {
	t.Helper()
	return p.wait(t, to, func(l letter) bool { return strings.Contains(strings.ToLower(l.Subject), strings.ToLower(subject)) })
}
