package fault_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"carekey.dev/carekey/internal/fault"
)

func TestEveryKindSaysWhatHappenedAndWhatToDo(t *testing.T) {
	seen := map[int]string{}
	for _, k := range fault.Kinds() {
		if k.Number < 100 || k.Number > 999 || seen[k.Number] != "" {
			t.Errorf("%s: number %d is not three digits or is taken by %q", k.Name, k.Number, seen[k.Number])
		}
		seen[k.Number] = k.Name
		if k.Name == "" || k.Title == "" || k.Desk == "" || k.Status < 400 || k.Status > 599 {
			t.Errorf("%d %s lacks a title, a word for the service desk or a status", k.Number, k.Name)
		}
		for _, sentence := range []string{k.Sentence, k.Next} {
			if !strings.HasSuffix(sentence, ".") {
				t.Errorf("%d %s: %q is not a sentence", k.Number, k.Name, sentence)
			}
		}
		if fault.KindOf(k.Number) != k {
			t.Errorf("KindOf(%d) is another kind", k.Number)
		}
	}
}

func TestReferenceCanBeReadOut(t *testing.T) {
	f := fault.New(fault.Internal, nil)
	for _, spoken := range []string{f.Ref, strings.ToLower(f.Ref), strings.ReplaceAll(f.Ref, "-", " "), strings.ReplaceAll(f.Ref, "0", "o")} {
		ref, kind, err := fault.ParseRef(spoken)
		if err != nil || ref != f.Ref || kind != fault.Internal {
			t.Errorf("ParseRef(%q) = %q, %v, %v; want %q", spoken, ref, kind, err, f.Ref)
		}
	}
	for _, bad := range []string{"", "412", "412-7XQ", "412-7XQ-9KU", "x12-7XQ-9KD", "412-7XQ-9KDD"} {
		if _, _, err := fault.ParseRef(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	if _, kind, err := fault.ParseRef("999-000-000"); err != nil || kind != nil {
		t.Errorf("a number of a newer version: %v, %v", kind, err)
	}
}

// TestWhatABrowserRefusedIsSaidToWhoeverHasNoKey: people with Windows Hello and
// with passkeys read these too, and have never seen a key.
func TestWhatABrowserRefusedIsSaidToWhoeverHasNoKey(t *testing.T) {
	for _, kind := range []*fault.Kind{fault.FIDOCancelled, fault.FIDOTimedOut} {
		if words := kind.Title + " " + kind.Sentence; strings.Contains(words, "key") {
			t.Errorf("%d speaks of a key: %s", kind.Number, words)
		}
	}
}

// TestWhoeverNeedsMoreIsNotSentBackToASecurityKey: it may be what did not
// reach the level.
func TestWhoeverNeedsMoreIsNotSentBackToASecurityKey(t *testing.T) {
	next := fault.LevelTooLow.Next
	if strings.Contains(next, "security key") || !strings.Contains(next, "Registration Authority") {
		t.Errorf("the way on is %q", next)
	}
}

func TestFaultKeepsItsCauseFromThePerson(t *testing.T) {
	cause := errors.New("pq: secret table")
	f := fault.New(fault.Internal, cause).With("Call us.")
	if strings.Contains(f.Message(), "secret") || !strings.HasSuffix(f.Message(), "Call us.") {
		t.Errorf("message %q", f.Message())
	}
	wrapped := fmt.Errorf("doing something: %w", f)
	if fault.As(wrapped) != f || !fault.Has(wrapped, fault.Internal) || !errors.Is(wrapped, cause) {
		t.Error("a wrapped fault is not found again")
	}
	if got := fault.As(cause); got.Kind != fault.Internal || !errors.Is(got, cause) {
		t.Errorf("an unforeseen error became %v", got)
	}
}
