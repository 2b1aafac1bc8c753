package main

import (
	"bytes"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"carekey.dev/carekey/internal/credential/fido/metadata/metadatatest"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/person"
)

// What an operator does with the file of the FIDO Alliance, beside a running
// server: importing it, looking at it, and hearing of holders that were told.
func TestFIDOMetadataIsImportedAndShown(t *testing.T) {
	h, folder := furnished(t)

	model := uuid.MustParse("2fc0579f-8113-47ea-b116-bb5a8db9202a")
	p, maker := metadatatest.NewPublisher(t, "mds.example"), metadatatest.NewMaker(t, "Maker")
	root := filepath.Join(folder, "root.pem")
	file := func(no int, next time.Time, entries ...map[string]any) string {
		path := filepath.Join(folder, "blob.jwt")
		write(t, path, p.Write(metadatatest.File{No: no, NextUpdate: next.Format(time.DateOnly), Entries: entries}))
		return path
	}
	write(t, root, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Root.Certificate.Raw}))
	var lists []string
	for i, list := range p.Lists(time.Now().Add(-time.Hour), time.Now().Add(time.Hour)) {
		lists = append(lists, filepath.Join(folder, "list"+string(rune('0'+i))))
		write(t, lists[i], list.Raw)
	}
	var out bytes.Buffer
	c := &console{ctx: t.Context(), out: &out, err: os.Stderr, env: nothing}
	bring := func(command fidoImportCommand) string {
		t.Helper()
		out.Reset()
		command.Data = folder
		if err := command.Run(c); err != nil {
			return err.Error()
		}
		return out.String()
	}
	show := func(command fidoShowCommand) string {
		t.Helper()
		out.Reset()
		command.Data = folder
		if err := command.Run(c); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	says := func(said string, wanted ...string) {
		t.Helper()
		for _, want := range wanted {
			if !strings.Contains(said, want) {
				t.Errorf("%q is missing in\n%s", want, said)
			}
		}
	}

	says(show(fidoShowCommand{Models: "-"}), "No FIDO metadata has been imported")
	month := time.Now().AddDate(0, 1, 0)
	good := file(7, month, metadatatest.Entry(model, "Test Key 5", maker))
	says(bring(fidoImportCommand{File: good}), "not signed by the FIDO Alliance")
	says(bring(fidoImportCommand{File: good, Root: root}), metadatatest.ListAt, "--crl")
	says(bring(fidoImportCommand{File: good, Root: root, CRL: lists}), "Number 7 is imported: 1 models")
	says(bring(fidoImportCommand{File: good, Root: root, CRL: lists}), "Number 7 is there already")
	says(show(fidoShowCommand{Models: "-"}), "Number 7", "fresh", "revocation checked", "No model is refused")
	says(show(fidoShowCommand{Models: "key 5"}), "Test Key 5", model.String(), "hardware")
	says(show(fidoShowCommand{Models: "-", JSON: true}), `"overdue": false`, `"list": []`)

	err := h.DB.Write(t.Context(), func(tx *db.Tx) error {
		err := person.Create(tx, person.Person{UID: "555000100101", GivenName: "Amara", FamilyName: "OSEI", IDAssuranceLevel: 3, Email: "amara.osei@northgate.example.nhs.uk"})
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO authenticator (id, uid, method, name, journey, registered_at) VALUES ('k', '555000100101', 'security_key', 'My key', 'j', 1)`)
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO fido_credential (authenticator_id, uid, method, credential_id, public_key, sign_count, aaguid, model, format,
				attested, attachment, transports, discoverable, backup_eligible, backup_state, level_limit, provenance)
			SELECT 'k', uid, method, $1, $1, 0, $2, 'Test Key 5', 'packed', 1, '', '', 0, 0, 0, 3, $3 FROM authenticator WHERE id = 'k'`,
			[]byte{1}, model.String(), `{"model":"`+model.String()+`","path":["a"]}`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	revoked := metadatatest.Reported(metadatatest.Entry(model, "Test Key 5", maker), "REVOKED", "2026-03-01")
	said := bring(fidoImportCommand{File: file(8, time.Now().AddDate(0, 0, -7), revoked), Root: root, Unchecked: true})
	says(said, "out of date", "--overdue")
	said = bring(fidoImportCommand{File: file(8, time.Now().AddDate(0, 0, -7), revoked), Root: root, Unchecked: true, Overdue: true})
	says(said, "Number 8 is imported", "was not checked", "Holders of refused models who are told by mail now: 1.")
	says(show(fidoShowCommand{Models: "-"}), "OUT OF DATE", "revocation not checked", "Test Key 5", "REVOKED", "withdrawn")
	says(bring(fidoImportCommand{File: file(7, month, revoked), Root: root, CRL: lists}), "not newer")
	says(bring(fidoImportCommand{File: root, Root: root}), "no FIDO metadata BLOB")
	says(bring(fidoImportCommand{File: filepath.Join(folder, "nothing")}), "reading the FIDO metadata")
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
