package gatetest

import (
	"context"
	"regexp"
	"slices"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/outbox"
)

// Mails delivers what waits in the outbox and returns it.
func (r *Rig) Mails() []outbox.Mail {
	r.t.Helper()
	waiting := r.Count(`outbox WHERE kind = 'mail' AND state = 'queued'`)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.Outbox.Run(ctx) }()
	defer func() { stop(); <-done }()
	late := time.After(20 * time.Second)
	var mails []outbox.Mail
	for range waiting {
		select {
		case m := <-r.mails:
			mails = append(mails, m)
		case <-late:
			r.t.Fatalf("%d of %d mails came", len(mails), waiting)
		}
	}
	return mails
}

// Mail delivers what waits, and takes the newest of a kind to somebody out of
// what has come.
func (r *Rig) Mail(to care.Email, template string) outbox.Mail {
	r.t.Helper()
	r.kept = append(r.kept, r.Mails()...)
	for i, m := range slices.Backward(r.kept) {
		if m.To == to && m.Template == template {
			r.kept = slices.Delete(r.kept, i, i+1)
			return m
		}
	}
	r.t.Fatalf("no mail %s came", template)
	return outbox.Mail{}
}

// NoMail fails the test if a mail waits or has come that nobody took.
func (r *Rig) NoMail() {
	r.t.Helper()
	for _, m := range append(r.kept, r.Mails()...) {
		r.t.Errorf("a mail %s went to %s", m.Template, m.To)
	}
}

var eightDigits = regexp.MustCompile(`\b[0-9]{8}\b`)

// Emailed is the code in the newest mail to somebody.
func (r *Rig) Emailed(to care.Email) string {
	r.t.Helper()
	return CodeIn(r.Mail(to, outbox.OneTimePassword))
}

// CodeIn is the 8-digit code in a mail.
func CodeIn(m outbox.Mail) string { return eightDigits.FindString(m.Text) }
