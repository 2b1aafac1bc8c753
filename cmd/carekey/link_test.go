package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/server"
)

// introduction is a carekey registration-link that runs beside a house, with
// the operator's hands on it.
type introduction struct {
	t      *testing.T
	house  *server.House
	said   *bufio.Reader
	answer io.Writer
	ended  chan error
	cancel context.CancelFunc
}

func introduce(t *testing.T, args ...string) *introduction {
	t.Helper()
	h, folder := furnished(t)
	if err := h.Populate(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	said, out := io.Pipe()
	in, answer := io.Pipe()
	c := &console{ctx: ctx, in: in, out: out, err: os.Stderr, env: nothing}
	command := &linkCommand{UID: args[0], Type: args[1], place: place{Data: folder}}
	i := &introduction{t, h, bufio.NewReader(said), answer, make(chan error, 1), cancel}
	go func() {
		err := command.Run(c)
		out.Close()
		i.ended <- err
	}()
	t.Cleanup(cancel)
	return i
}

// hears reads what the command says until a text matches.
func (i *introduction) hears(pattern string) string {
	i.t.Helper()
	form := regexp.MustCompile(pattern)
	var all strings.Builder
	for !form.MatchString(all.String()) {
		b, err := i.said.ReadByte()
		if err != nil {
			i.t.Fatalf("the command ended without saying %q: %s", pattern, all.String())
		}
		all.WriteByte(b)
	}
	return form.FindStringSubmatch(all.String())[1]
}

func (i *introduction) ends() error {
	i.t.Helper()
	if _, err := io.Copy(io.Discard, i.said); err != nil {
		i.t.Fatal(err)
	}
	return <-i.ended
}

// walk is the worker's side as far as the number.
func (i *introduction) walk() (journey, number string) {
	i.t.Helper()
	token := i.hears(`http://localhost:8080/register\?t=(\S+)\n`)
	if _, err := i.house.Links.Start(i.t.Context(), token, "journey", "browser"); err != nil {
		i.t.Fatal(err)
	}
	number, err := i.house.Links.Await(i.t.Context(), "journey")
	if err != nil {
		i.t.Fatal(err)
	}
	return "journey", number
}

func TestTheOperatorConfirmsTheNumberOnBothScreensDecision4(t *testing.T) {
	i := introduce(t, "555000100102", "authenticator_app")
	journey, number := i.walk()
	if shown := i.hears(`Does the worker's screen show (\d\d)\? \[y/N\] `); shown != number {
		t.Errorf("the command shows %s, the worker's screen %s", shown, number)
	}
	if _, err := i.house.Links.Proof(t.Context(), journey); !fault.Has(err, fault.LinkNotConfirmed) {
		t.Errorf("before the answer: %v", err)
	}
	if _, err := io.WriteString(i.answer, "y\n"); err != nil {
		t.Fatal(err)
	}
	if err := i.ends(); err != nil {
		t.Fatal(err)
	}
	if _, err := i.house.Links.Proof(t.Context(), journey); err != nil {
		t.Errorf("after the answer: %v", err)
	}
}

func TestAnythingButAYesRegistersNothing(t *testing.T) {
	for _, answer := range []string{"\n", "n\n", "47\n", "yeah\n"} {
		i := introduce(t, "555000100102", "authenticator_app")
		journey, _ := i.walk()
		i.hears(`(\[y/N\]) `)
		if _, err := io.WriteString(i.answer, answer); err != nil {
			t.Fatal(err)
		}
		if err := i.ends(); err == nil || err.Error() != "refused: nothing was registered" {
			t.Errorf("%q: the command says %v", answer, err)
		}
		if _, err := i.house.Links.Proof(t.Context(), journey); !fault.Has(err, fault.LinkRefused) {
			t.Errorf("%q: the worker is told %v", answer, err)
		}
	}
}

func TestAnInterruptedIntroductionRegistersNothing(t *testing.T) {
	i := introduce(t, "555000100102", "authenticator_app")
	journey, _ := i.walk()
	i.hears(`(\[y/N\]) `)
	i.cancel()
	if err := i.ends(); err == nil {
		t.Error("the command ended well")
	}
	if _, err := i.house.Links.Proof(t.Context(), journey); !fault.Has(err, fault.LinkNotConfirmed) {
		t.Errorf("the worker is told %v", err)
	}
}

func TestANewerLinkEndsTheOlderOnesIntroduction(t *testing.T) {
	i := introduce(t, "555000100102", "authenticator_app")
	i.hears(`(register\?t=)`)
	if _, err := i.house.Links.Create(t.Context(), "555000100102", "authenticator_app", operator); err != nil {
		t.Fatal(err)
	}
	if err := i.ends(); err == nil || !strings.Contains(err.Error(), "newer link") {
		t.Errorf("the command says %v", err)
	}
}

// TestALinkIsForEachTypeThatCanBeRegistered, and for no other.
func TestALinkIsForEachTypeThatCanBeRegistered(t *testing.T) {
	for _, method := range []string{"authenticator_app", "security_key", "windows_hello", "passkey"} {
		i := introduce(t, "555000100102", method)
		token := i.hears(`register\?t=(\S+)\n`)
		if made, err := i.house.Links.Peek(t.Context(), token); err != nil || string(made.Method) != method {
			t.Errorf("a link for %s is for %s, %v", method, made.Method, err)
		}
	}
	for _, method := range []string{"ipad_app", "smartcard", "key"} {
		says := strconv.Quote(method) + " cannot be registered with a link: use one of [authenticator_app windows_hello security_key passkey]"
		command := &linkCommand{UID: "555000100102", Type: method}
		if err := command.Run(&console{ctx: t.Context(), out: io.Discard}); err == nil || err.Error() != says {
			t.Errorf("%s: %v", method, err)
		}
	}
}
