package outbox

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/wneessen/go-mail"
)

// SMTPConfig says how to reach the mail server that takes mail on.
type SMTPConfig struct {
	Host string
	// Port is 587 for starttls, 465 for tls and 25 for none, if it is zero.
	Port int
	// Security is "starttls" (the default), "tls", or "none", which only a
	// server on a loopback address may have: mails carry codes.
	Security string
	// User and Password sign in, if User is not empty.
	User, Password string
	// Hello is the name that this machine gives; the system's if empty.
	Hello string
	// TLS is for an operator's own certificate authority; nil means the
	// system's roots.
	TLS *tls.Config
}

// smtpTimeout bounds the connection and each step after it.
const smtpTimeout = 20 * time.Second

// SMTP returns a way to send mail through a server.
func SMTP(c SMTPConfig) (func(context.Context, Mail) error, error) {
	options := []mail.Option{mail.WithTimeout(smtpTimeout)}
	port := c.Port
	switch c.Security {
	case "", "starttls":
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
		port = orElse(port, 587)
	case "tls":
		options = append(options, mail.WithSSL())
		port = orElse(port, 465)
	case "none":
		if !loopback(c.Host) {
			return nil, fmt.Errorf("mail to %s must be encrypted: security none is for a server on this machine only", c.Host)
		}
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
		port = orElse(port, 25)
	default:
		return nil, fmt.Errorf("%q is no security of a mail server: write starttls, tls or none", c.Security)
	}
	options = append(options, mail.WithPort(port), mail.WithTLSConfig(tlsConfig(c)))
	if c.User != "" {
		auth := mail.SMTPAuthAutoDiscover
		if c.Security == "none" {
			auth = mail.SMTPAuthPlainNoEnc // on this machine only, see above
		}
		options = append(options, mail.WithSMTPAuth(auth), mail.WithUsername(c.User), mail.WithPassword(c.Password))
	}
	if c.Hello != "" {
		options = append(options, mail.WithHELO(c.Hello))
	}
	client, err := mail.NewClient(c.Host, options...)
	if err != nil {
		return nil, fmt.Errorf("setting up the mail server %s: %w", c.Host, err)
	}
	return func(ctx context.Context, m Mail) error {
		message, err := m.message()
		if err != nil {
			return Permanent("the mail cannot be written", err)
		}
		err = client.DialAndSendWithContext(ctx, message)
		if err == nil || message.IsDelivered() {
			// The server has taken it on; that it then hung up is no matter.
			return nil
		}
		return smtpFailure(err)
	}, nil
}

// message is the mail as it goes over the wire.
func (m Mail) message() (*mail.Msg, error) {
	message := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := message.FromFormat(m.FromName, string(m.From)); err != nil {
		return nil, fmt.Errorf("setting the sender: %w", err)
	}
	if err := message.To(string(m.To)); err != nil {
		return nil, fmt.Errorf("setting the recipient: %w", err)
	}
	message.Subject(m.Subject)
	message.SetMessageIDWithValue(m.ID)
	message.SetDateWithValue(m.Date)
	// RFC 3834: no out-of-office answers to a machine.
	message.SetGenHeader("Auto-Submitted", "auto-generated")
	message.SetBodyString(mail.TypeTextPlain, m.Text)
	return message, nil
}

// smtpFailure tells a mail that is refused for good (5yz, RFC 5321 section
// 4.2.1) from a server that cannot be used at the moment. It keeps the codes
// and drops the server's words, which often repeat the address.
func smtpFailure(err error) error {
	var refused *mail.SendError
	if !errors.As(err, &refused) || refused.ErrorCode() == 0 {
		return Temporary("the mail server cannot be used: "+safeText(err), err)
	}
	code := refused.ErrorCode()
	text := fmt.Sprintf("the mail server answered %d %s", code, refused.EnhancedStatusCode())
	if code < 500 || ours(code) {
		return Temporary(text, err)
	}
	return Permanent(text, err)
}

// ours reports whether the server refuses Carekey and not the mail: it wants
// another sign-in or encryption (RFC 4954 section 6). The operator can mend it.
func ours(code int) bool { return code == 530 || code == 534 || code == 535 || code == 538 }

func tlsConfig(c SMTPConfig) *tls.Config {
	if c.TLS == nil {
		return &tls.Config{ServerName: c.Host, MinVersion: tls.VersionTLS12}
	}
	own := c.TLS.Clone()
	if own.ServerName == "" {
		own.ServerName = c.Host
	}
	own.MinVersion = max(own.MinVersion, tls.VersionTLS12)
	return own
}

func loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

func orElse(port, otherwise int) int {
	if port == 0 {
		return otherwise
	}
	return port
}
