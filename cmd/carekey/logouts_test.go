package main

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/relyingparty"
)

// What an operator sees of relying parties that were not told of a sign-out,
// and what they can do.
func TestLogoutsShowsWhoWasNotToldAndTriesAgain(t *testing.T) {
	h, folder := furnished(t)
	run := func(command logoutsCommand) string {
		t.Helper()
		var out bytes.Buffer
		command.Limit, command.Data = 100, folder
		if err := command.Run(&console{ctx: t.Context(), out: &out, err: os.Stderr, env: nothing}); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if said := run(logoutsCommand{}); said != "Every relying party has been told of every sign-out.\n" {
		t.Errorf("with nothing to show: %s", said)
	}
	if said := run(logoutsCommand{JSON: true}); said != "[]\n" {
		t.Errorf("with nothing to show, as JSON: %s", said)
	}
	m, err := h.Outbox.Seal("logout", []byte("d1"), 0)
	if err != nil {
		t.Fatal(err)
	}
	err = h.DB.Write(t.Context(), func(tx *db.Tx) error {
		if err := outbox.Put(tx, m); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO logout_delivery (id, message, client_id, sid, uid, why, made_at)
			VALUES ('d1', $1, 'e-rs', 's1', '555000100101', 'signed out', $2)`, m.ID, db.Micros(tx.Now()))
		if err != nil {
			return err
		}
		_, err = tx.Exec(`UPDATE outbox SET state = 'dead', ended_at = $1, attempts = 1, last_error = 'the relying party answered 400'`, db.Micros(tx.Now()))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	said := run(logoutsCommand{Client: "e-rs"})
	for _, want := range []string{"e-rs", "555000100101", "signed out", "given up", "the relying party answered 400"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is missing in\n%s", want, said)
		}
	}
	if said := run(logoutsCommand{JSON: true}); !strings.Contains(said, `"state": "given up"`) || strings.Contains(said, `"next"`) {
		t.Errorf("as JSON: %s", said)
	}
	ers := "555000000001.apps.national"
	err = h.DB.Write(t.Context(), func(tx *db.Tx) error {
		rp := relyingparty.RelyingParty{ClientID: ers, Name: "e-RS", RedirectURIs: []string{"https://ers.example.nhs.uk/callback"}}
		rp.Complete()
		return relyingparty.Put(tx, rp)
	})
	if err != nil {
		t.Fatal(err)
	}
	if said := run(logoutsCommand{Client: ers}); said != ers+" has been told of every sign-out.\n" {
		t.Errorf("of another relying party: %s", said)
	}
	for _, retry := range []bool{false, true} {
		mistyped := logoutsCommand{Client: "mistyped", Retry: retry, Limit: 100}
		mistyped.Data = folder
		err := mistyped.Run(&console{ctx: t.Context(), out: io.Discard, err: os.Stderr, env: nothing})
		if err == nil || !strings.Contains(err.Error(), "there is no relying party mistyped") {
			t.Errorf("of a client id that nobody has: %v", err)
		}
	}
	if said := run(logoutsCommand{Retry: true}); said != "1 will be tried again within 15 seconds.\n" {
		t.Errorf("trying again: %s", said)
	}
	if said := run(logoutsCommand{}); !strings.Contains(said, "retried") {
		t.Errorf("after that: %s", said)
	}
}
