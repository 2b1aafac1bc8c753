package e2e

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"

	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/page/pagetest"
)

// TestRequestsInProgressEndBeforeTheServerDoes: a password that is on its way
// when the operator stops the server is answered, and the journey goes on at
// the next start.
func TestRequestsInProgressEndBeforeTheServerDoes(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *station) {
		w := s.populate(1)[0]
		client := s.client(s.port)
		b := pagetest.Visit(t, s.url, client)
		s.toPassword(b, "/cim/", w)
		target, form := b.Form("")
		form.Set("password", w.password)
		body := form.Encode()

		conn, err := tls.Dial("tcp", "127.0.0.1:"+s.port, &tls.Config{RootCAs: s.ca.trust(), ServerName: "localhost"})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost:%s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\nExpect: 100-continue\r\n",
			strings.TrimPrefix(target, s.url), s.port, len(body))
		for _, cookie := range client.Jar.Cookies(must(t, target)) {
			fmt.Fprintf(conn, "Cookie: %s=%s\r\n", cookie.Name, cookie.Value)
		}
		io.WriteString(conn, "\r\n")
		answer := bufio.NewReader(conn)
		for range 2 { // "100 Continue": the server is in the handler and reads
			if _, err := answer.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.prog.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		eventually(t, "nobody new is let in", func() bool {
			other, err := net.Dial("tcp", "127.0.0.1:"+s.port)
			if err == nil {
				other.Close()
			}
			return err != nil
		})
		io.WriteString(conn, body)
		response, err := http.ReadResponse(answer, nil)
		if err != nil || response.StatusCode != http.StatusSeeOther || !strings.HasPrefix(response.Header.Get("Location"), "/signin/code?") {
			t.Fatalf("the request in progress is answered with %+v, %v", response, err)
		}
		s.prog.ends()

		s.start()
		client.CloseIdleConnections()
		b.Get(response.Header.Get("Location"))
		b.Submit("", url.Values{"code": {s.phones.code(t, w.secret)}})
		sees(t, b, http.StatusOK, "View your profile")
	})
}

func must(t *testing.T, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestNodesAreAlike: any node answers any request (ground rule 4), and what
// counts once counts once for all of them.
func TestNodesAreAlike(t *testing.T) {
	t.Parallel()
	s := newStation(t, dbtest.Postgres(t))
	s.start()
	second := s.node()
	workers := s.populate(2)

	// A sign-in that begins on one node ends on the other, and the session is
	// alive on both.
	client := s.client(s.port)
	b := pagetest.Visit(t, s.url, client)
	s.toCode(b, "/cim/", workers[0])
	elsewhere := s.client(second)
	elsewhere.Jar = client.Jar
	other := pagetest.Visit(t, s.url, elsewhere)
	other.Get(b.At).Submit("", url.Values{"code": {s.phones.code(t, workers[0].secret)}})
	sees(t, other, http.StatusOK, "View your profile")
	b.Get("/cim/profile")
	sees(t, b, http.StatusOK, workers[0].email)

	// Signed out on one is signed out on the other.
	other.Submit("/signout", nil)
	b.Get("/cim/profile")
	sees(t, b, http.StatusOK, "Select your login method")

	// One code, sent to both nodes at the same moment, signs in once.
	w := workers[1]
	code := s.phones.code(t, w.secret)
	var both sync.WaitGroup
	pages := []*pagetest.Browser{s.visit(), s.visitNode(second)}
	for _, b := range pages {
		s.toCode(b, "/cim/", w)
	}
	for _, b := range pages {
		target, form := b.Form("")
		form.Set("code", code)
		both.Go(func() { b.Post(strings.TrimPrefix(target, s.url), form) })
	}
	both.Wait()
	in := 0
	for _, b := range pages {
		switch text := b.Text(); {
		case strings.Contains(text, "View your profile"):
			in++
		case !strings.Contains(text, "used"):
			t.Errorf("the other one reads %d:\n%s", b.Status, text)
		}
	}
	if in != 1 {
		t.Errorf("one code signed in %d times", in)
	}
}
