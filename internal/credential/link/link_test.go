package link

import (
	"crypto/rand"
	"errors"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/internal/credtest"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/fault"
	"carekey.dev/carekey/internal/keys"
)

const by = "operator"

func newRoom(h *credtest.House) *Links { return New(h.DB, rand.Reader) }

func wants(t testing.TB, err error, kind *fault.Kind) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || f.Kind != kind {
		t.Fatalf("got %v, want %s", err, kind.Name)
	}
}

func made(t testing.TB, l *Links) string {
	t.Helper()
	token, err := l.Create(t.Context(), credtest.Owen, care.AuthenticatorApp, by)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func started(t testing.TB, l *Links, journey string) (string, Link) {
	t.Helper()
	token := made(t, l)
	found, err := l.Start(t.Context(), token, journey, "browser")
	if err != nil {
		t.Fatal(err)
	}
	return token, found
}

func waiting(t testing.TB, l *Links, journey string) (string, Link) {
	t.Helper()
	token, found := started(t, l, journey)
	if _, err := l.Await(t.Context(), journey); err != nil {
		t.Fatal(err)
	}
	return token, found
}

// Decision 4: the whole way, from the RA's link to the confirmed number.
func TestConfirmedLinkProvesAnIntroduction(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		l := newRoom(h)
		token := made(t, l)
		if raw := regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`); !raw.MatchString(token) { // 256 bits
			t.Errorf("token %q", token)
		}
		found, err := l.Start(t.Context(), token, "j", "browser")
		if err != nil {
			t.Fatal(err)
		}
		if found.UID != credtest.Owen || found.Method != care.AuthenticatorApp || found.State != Started || found.By != by {
			t.Errorf("%+v", found)
		}
		number, err := l.Await(t.Context(), "j")
		if err != nil || !regexp.MustCompile(`^[1-9][0-9]$`).MatchString(number) {
			t.Fatalf("number %q, %v", number, err)
		}
		for range 5 {
			if again, err := l.Await(t.Context(), "j"); err != nil || again != number {
				t.Errorf("then %q, %v", again, err)
			}
		}
		screen, err := l.Watch(t.Context(), found.ID)
		if err != nil || screen.Number != number || screen.State != Waiting {
			t.Errorf("the RA sees %+v, %v", screen, err)
		}
		if err := l.Confirm(t.Context(), found.ID, by); err != nil {
			t.Fatal(err)
		}
		if err := l.Confirm(t.Context(), found.ID, by); err != nil {
			t.Errorf("confirming twice: %v", err)
		}
		proof, err := l.Proof(t.Context(), "j")
		if err != nil {
			t.Fatal(err)
		}
		e := care.Evidence{Method: care.AuthenticatorApp, Introduced: true}
		if proof.UID() != credtest.Owen || proof.Evidence() != e || care.Level(proof.Evidence()) != care.AALNone {
			t.Errorf("%v %+v", proof.UID(), proof.Evidence())
		}
		if err := h.Use(t, proof); err != nil {
			t.Fatal(err)
		}
		wants(t, h.Use(t, proof), fault.LinkUsed)
		_, err = l.Proof(t.Context(), "j")
		wants(t, err, fault.LinkUsed)
		_, err = l.Start(t.Context(), token, "j", "browser")
		wants(t, err, fault.LinkUsed)
	})
}

// Decision 4, the negative test: whoever holds the link alone gets no proof.
func TestUnconfirmedLinkProvesNothing(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		l := newRoom(h)
		_, found := started(t, l, "j")
		_, err := l.Proof(t.Context(), "j")
		wants(t, err, fault.LinkNotConfirmed)
		wants(t, l.Confirm(t.Context(), found.ID, by), fault.LinkNotWaiting)
		if _, err := l.Await(t.Context(), "j"); err != nil {
			t.Fatal(err)
		}
		_, err = l.Proof(t.Context(), "j")
		wants(t, err, fault.LinkNotConfirmed)
		if err := l.Refuse(t.Context(), found.ID, by); err != nil {
			t.Fatal(err)
		}
		_, err = l.Proof(t.Context(), "j")
		wants(t, err, fault.LinkRefused)
		_, err = l.Await(t.Context(), "j")
		wants(t, err, fault.LinkRefused)
		wants(t, l.Confirm(t.Context(), found.ID, by), fault.LinkNotWaiting)
		for _, journey := range []string{"", "another"} {
			_, err = l.Proof(t.Context(), journey)
			wants(t, err, fault.LinkUnknown)
		}
	})
}

// Seed 0, decision 5: "The register link will expire after 3 minutes".
func TestRegistrationLinkExpiresAfterThreeMinutes(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		l := newRoom(h)
		token := made(t, l)
		h.Advance(3*time.Minute - time.Second)
		if _, err := l.Start(t.Context(), token, "in time", "browser"); err != nil {
			t.Errorf("a second early: %v", err)
		}
		token = made(t, l)
		h.Advance(3*time.Minute + time.Second)
		_, err := l.Start(t.Context(), token, "too late", "browser")
		wants(t, err, fault.LinkExpired)
		found, err := l.Peek(t.Context(), token)
		wants(t, err, fault.LinkExpired)
		if found.State != Expired || found.UID != credtest.Owen {
			t.Errorf("%+v", found)
		}
	})
}

// Decision 5: a journey that started in time is not ended by the 3 minutes,
// and can be confirmed for 30.
func TestStartedLinkCanBeConfirmedForThirtyMinutes(t *testing.T) {
	h := credtest.Open(t, Schema)
	l := newRoom(h)
	_, found := waiting(t, l, "j")
	h.Advance(Limit - time.Second)
	if err := l.Confirm(t.Context(), found.ID, by); err != nil {
		t.Fatalf("a second early: %v", err)
	}
	proof, err := l.Proof(t.Context(), "j")
	if err != nil {
		t.Fatal(err)
	}
	h.Advance(2 * time.Second)
	wants(t, h.Use(t, proof), fault.LinkTooLate)
	_, err = l.Proof(t.Context(), "j")
	wants(t, err, fault.LinkTooLate)

	_, found = waiting(t, l, "k")
	h.Advance(Limit + time.Second)
	wants(t, l.Confirm(t.Context(), found.ID, by), fault.LinkTooLate)
	_, err = l.Await(t.Context(), "k")
	wants(t, err, fault.LinkTooLate)
}

// Decision 5: consumed by the POST, for one journey, idempotently for it.
func TestLinkStartsOneJourneyInOneBrowser(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		l := newRoom(h)
		token, _ := started(t, l, "j")
		if _, err := l.Start(t.Context(), token, "j", "browser"); err != nil {
			t.Errorf("the same journey again: %v", err)
		}
		_, err := l.Start(t.Context(), token, "another", "browser")
		wants(t, err, fault.LinkUsed)
		_, err = l.Start(t.Context(), token, "j", "another browser")
		wants(t, err, fault.LinkUsed)
		_, err = l.Start(t.Context(), token+"x", "j", "browser")
		wants(t, err, fault.LinkUnknown)
		for range 2 {
			if _, journey, err := l.Resume(t.Context(), token, "browser"); err != nil || journey != "j" {
				t.Errorf("resumed %q, %v", journey, err)
			}
		}
		_, _, err = l.Resume(t.Context(), token, "another browser")
		wants(t, err, fault.LinkUsed)
	})
}

func TestLinkThatNobodyStartedCannotBeResumed(t *testing.T) {
	h := credtest.Open(t, Schema)
	l := newRoom(h)
	token := made(t, l)
	if _, journey, err := l.Resume(t.Context(), token, "browser"); err == nil || journey != "" {
		t.Errorf("resumed %q", journey)
	}
	_, _, err := l.Resume(t.Context(), "unknown", "browser")
	wants(t, err, fault.LinkUnknown)
}

func TestPeekingNeverUsesALink(t *testing.T) {
	h := credtest.Open(t, Schema)
	l := newRoom(h)
	token := made(t, l)
	writes := h.DB.Counters().Writes
	for range 10 {
		if found, err := l.Peek(t.Context(), token); err != nil || found.State != Open {
			t.Fatalf("%+v, %v", found, err)
		}
	}
	if h.DB.Counters().Writes != writes {
		t.Error("peeking wrote")
	}
	if _, err := l.Start(t.Context(), token, "j", "browser"); err != nil {
		t.Error(err)
	}
	_, err := l.Peek(t.Context(), token)
	wants(t, err, fault.LinkUsed)
	_, err = l.Peek(t.Context(), "unknown")
	wants(t, err, fault.LinkUnknown)
}

func TestNewLinkVoidsTheEarlierOnesOfPersonAndType(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		l := newRoom(h)
		open := made(t, l)
		_, far := waiting(t, l, "j")
		_, err := l.Peek(t.Context(), open)
		wants(t, err, fault.LinkReplaced)
		other, err := l.Create(t.Context(), credtest.Owen, care.Passkey, by)
		if err != nil {
			t.Fatal(err)
		}
		elsewhere, err := l.Create(t.Context(), credtest.Amara, care.AuthenticatorApp, by)
		if err != nil {
			t.Fatal(err)
		}
		made(t, l)
		wants(t, l.Confirm(t.Context(), far.ID, by), fault.LinkNotWaiting)
		_, err = l.Await(t.Context(), "j")
		wants(t, err, fault.LinkReplaced)
		_, err = l.Proof(t.Context(), "j")
		wants(t, err, fault.LinkReplaced)
		for _, token := range []string{other, elsewhere} {
			if _, err := l.Peek(t.Context(), token); err != nil {
				t.Errorf("another type or person: %v", err)
			}
		}
	})
}

// A link that is stolen and a worker who presses the button at the same time:
// one of them has it.
func TestParallelStartsHaveOneWinner(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		l := newRoom(h)
		token := made(t, l)
		var won atomic.Int64
		var all sync.WaitGroup
		for _, journey := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
			all.Go(func() {
				_, err := l.Start(t.Context(), token, journey, "browser of "+journey)
				switch {
				case err == nil:
					won.Add(1)
				case !fault.Has(err, fault.LinkUsed):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Errorf("%d journeys started", won.Load())
		}
	})
}

func TestConfirmationAndRefusalAtOnceAreOneDecision(t *testing.T) {
	credtest.Each(t, Schema, func(t *testing.T, h *credtest.House) {
		l := newRoom(h)
		_, found := waiting(t, l, "j")
		var done atomic.Int64
		var all sync.WaitGroup
		for _, decide := range []func() error{
			func() error { return l.Confirm(t.Context(), found.ID, by) },
			func() error { return l.Refuse(t.Context(), found.ID, by) },
		} {
			all.Go(func() {
				if err := decide(); err == nil {
					done.Add(1)
				} else if !fault.Has(err, fault.LinkNotWaiting) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if done.Load() != 1 {
			t.Errorf("%d decisions", done.Load())
		}
	})
}

func TestEachStepOfALinkIsAudited(t *testing.T) {
	h := credtest.Open(t, Schema)
	l := newRoom(h)
	_, found := waiting(t, l, "j")
	if err := l.Confirm(t.Context(), found.ID, by); err != nil {
		t.Fatal(err)
	}
	_, other := waiting(t, l, "k")
	if err := l.Refuse(t.Context(), other.ID, by); err != nil {
		t.Fatal(err)
	}
	var actions []string
	h.Read(t, func(tx *db.Tx) error {
		rows, err := tx.Rows(`SELECT action FROM audit_entry ORDER BY action`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var action string
			if err := rows.Scan(&action); err != nil {
				return err
			}
			actions = append(actions, action)
		}
		return rows.Err()
	})
	want := []string{"link.confirmed", "link.created", "link.created", "link.refused", "link.started", "link.started"}
	if !slices.Equal(actions, want) {
		t.Errorf("%v", actions)
	}
}

func TestDatabaseHoldsTheHashOfTheTokenAlone(t *testing.T) {
	h := credtest.Open(t, Schema)
	token := made(t, newRoom(h))
	var stored []byte
	h.Read(t, func(tx *db.Tx) error { return tx.Row(`SELECT token_hash FROM registration_link`).Scan(&stored) })
	if !keys.Equal(stored, keys.Hash(token)) || len(stored) != 32 {
		t.Errorf("stored %x", stored)
	}
}

func TestPruneDeletesLinksThatAreLongOver(t *testing.T) {
	h := credtest.Open(t, Schema)
	l := newRoom(h)
	_, old := started(t, l, "j")
	h.Advance(7*24*time.Hour + time.Second)
	_, fresh := started(t, l, "k")
	h.Write(t, Prune)
	_, err := l.Watch(t.Context(), old.ID)
	wants(t, err, fault.LinkUnknown)
	if _, err := l.Watch(t.Context(), fresh.ID); err != nil {
		t.Error(err)
	}
}
