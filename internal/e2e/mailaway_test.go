package e2e

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// forgets asks for a new password, which sends a code.
func (s *station) forgets(w *worker) {
	s.t.Helper()
	b := s.visit()
	b.Get("/recover/password").Submit("", url.Values{"email": {w.email}})
	sees(s.t, b, http.StatusOK, "It may take a few minutes to arrive.")
}

// TestMailLeavesWhenTheMailServerIsBack: people go on meanwhile, and nobody has
// to restart anything.
func TestMailLeavesWhenTheMailServerIsBack(t *testing.T) {
	t.Parallel()
	s := newStation(t, "")
	s.start()
	w := s.populate(1)[0]
	s.mail.empty()
	s.mail.down()
	s.forgets(w)
	eventually(t, "the log says why", func() bool {
		return strings.Contains(s.prog.output(), "the server refused the connection")
	})
	if strings.Contains(s.prog.output(), w.email) {
		t.Error("the log names the address")
	}
	if all := s.measured(); !strings.Contains(all, `carekey_outbox_messages{state="retried"} 1`) {
		t.Errorf("the metrics do not show the mail that is retried:\n%s", all)
	}
	s.signedIn(w)
	s.mail.up(t)
	s.mail.code(t, w.email)
}

// measured is what Prometheus would scrape.
func (s *station) measured() string {
	s.t.Helper()
	response, err := http.Get("http://" + s.metrics + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// TestMailThatWasPromisedIsSentAfterAKill: at least once, under the name that
// it had the first time, so that a mailbox can tell.
func TestMailThatWasPromisedIsSentAfterAKill(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *station) {
		w := s.populate(1)[0]
		s.mail.empty()
		s.mail.deferring(true)
		s.forgets(w)
		eventually(t, "the mail server has put it off", func() bool { return strings.Contains(s.prog.output(), `"msg":"not delivered"`) })
		s.prog.kill()
		s.mail.deferring(false)
		s.start()
		restarted := time.Now()
		l := s.mail.wait(t, w.email, func(l letter) bool { return eightDigits.MatchString(l.Text) })
		first := s.mail.putOff()
		if len(first) == 0 || l.ID == "" || l.ID != first[0].ID || l.Text != first[0].Text {
			t.Errorf("%v after the restart came %+v; it had been tried as %+v", time.Since(restarted), l, first)
		}
	})
}
