package metadata_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"carekey.dev/carekey/internal/care"
	"carekey.dev/carekey/internal/credential/fido/metadata"
	"carekey.dev/carekey/internal/credential/fido/metadata/metadatatest"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/outbox"
	"carekey.dev/carekey/internal/person"
)

// TestOnlyANewerFileReplacesTheOneThatIsThere: MDS3 section 3.2, step 6. Of the
// files under one root the number decides.
func TestOnlyANewerFileReplacesTheOneThatIsThere(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		maker := metadatatest.NewMaker(t, "Maker")
		p, another := metadatatest.NewPublisher(t, "mds.example"), metadatatest.NewPublisher(t, "mds.example")
		bring := func(p *metadatatest.Publisher, no int, models ...uuid.UUID) (bool, error) {
			t.Helper()
			entries := []map[string]any{}
			for _, m := range models {
				entries = append(entries, metadatatest.Entry(m, "Key of "+strconv.Itoa(no), maker))
			}
			b, err := metadata.Verify(p.Write(metadatatest.File{No: no, NextUpdate: "2026-04-01", Entries: entries}),
				metadata.Trust{Anchors: []*x509.Certificate{p.Root.Certificate}, UncheckedRevocation: true}, h.db.Now())
			if err != nil {
				t.Fatal(err)
			}
			return metadata.Import(t.Context(), h.db, b, "operator")
		}
		for _, step := range []struct {
			name   string
			p      *metadatatest.Publisher
			no     int
			models []uuid.UUID
			want   error
			left   int64
		}{
			{"the first", p, 7, []uuid.UUID{key5, key6}, nil, 2},
			{"the same number with other words", p, 7, []uuid.UUID{key5}, metadata.ErrOlder, 2},
			{"an older one", p, 6, []uuid.UUID{key5}, metadata.ErrOlder, 2},
			{"a newer one", p, 9, []uuid.UUID{key5}, nil, 1},
			{"an older one of another publisher", another, 1, nil, nil, 0},
		} {
			stored, err := bring(step.p, step.no, step.models...)
			if !errors.Is(err, step.want) || stored != (step.want == nil) {
				t.Errorf("%s: stored %t, %v", step.name, stored, err)
			}
			if s := h.stand(); s.Models != step.left {
				t.Errorf("%s: %+v", step.name, s)
			}
		}
	})
}

// TestAnOldFileUnderAnotherRootOfThePublisherIsOld: MDS3 section 3.2, step 6. The
// program trusts two roots of the FIDO Alliance.
func TestAnOldFileUnderAnotherRootOfThePublisherIsOld(t *testing.T) {
	h := open(t)
	for _, step := range []struct {
		no   int
		want error
	}{{7, nil}, {6, metadata.ErrOlder}, {8, nil}} {
		p := metadatatest.NewPublisher(t, "mds.fidoalliance.org")
		b, err := metadata.VerifyAtRoot(p.Write(metadatatest.File{No: step.no, NextUpdate: "2026-04-01", Entries: []map[string]any{}}),
			p.Root.Certificate, h.db.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := metadata.Import(t.Context(), h.db, b, "operator"); !errors.Is(err, step.want) {
			t.Errorf("number %d: %v, want %v", step.no, err, step.want)
		}
	}
}

func (h house) stand() (s metadata.Standing) {
	h.t.Helper()
	err := h.db.Read(h.t.Context(), func(tx *db.Tx) (err error) {
		s, err = metadata.Stand(tx)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// TestSameFileAgainIsNoMistake: an operator's timer imports the same file many
// times.
func TestSameFileAgainIsNoMistake(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		p := metadatatest.NewPublisher(t, "mds.example")
		file := p.Write(metadatatest.File{No: 7, NextUpdate: "2026-04-01", Entries: []map[string]any{}})
		for i := range 2 {
			b, err := metadata.Verify(file, metadata.Trust{Anchors: []*x509.Certificate{p.Root.Certificate}, UncheckedRevocation: true}, h.db.Now())
			if err != nil {
				t.Fatal(err)
			}
			if stored, err := metadata.Import(t.Context(), h.db, b, "operator"); err != nil || stored != (i == 0) {
				t.Errorf("time %d: %t, %v", i+1, stored, err)
			}
		}
		var entries int64
		err := h.db.Read(t.Context(), func(tx *db.Tx) error {
			return tx.Row(`SELECT COUNT(*) FROM audit_entry WHERE action = 'fido_metadata.imported'`).Scan(&entries)
		})
		if err != nil || entries != 1 {
			t.Errorf("%d audit entries, %v", entries, err)
		}
	})
}

// TestNewestOfFilesThatComeAtOnceWins on two nodes, whatever their order.
func TestNewestOfFilesThatComeAtOnceWins(t *testing.T) {
	nodes := dbtest.Nodes(t, 2, schemas()...)
	p, maker := metadatatest.NewPublisher(t, "mds.example"), metadatatest.NewMaker(t, "Maker")
	now := nodes[0].Now()
	var group sync.WaitGroup
	for no := 1; no <= 20; no++ {
		b, err := metadata.Verify(p.Write(metadatatest.File{
			No: no, NextUpdate: now.AddDate(0, 1, 0).Format(time.DateOnly),
			Entries: []map[string]any{metadatatest.Entry(key5, "Key of "+strconv.Itoa(no), maker)},
		}), metadata.Trust{Anchors: []*x509.Certificate{p.Root.Certificate}, UncheckedRevocation: true}, now)
		if err != nil {
			t.Fatal(err)
		}
		group.Go(func() {
			if _, err := metadata.Import(t.Context(), nodes[no%2], b, "operator"); err != nil && !errors.Is(err, metadata.ErrOlder) {
				t.Error(err)
			}
		})
	}
	group.Wait()
	err := nodes[0].Read(t.Context(), func(tx *db.Tx) error {
		m, known, err := metadata.Lookup(tx, key5.String())
		if s, failed := metadata.Stand(tx); failed != nil || s.No != 20 || !known || m.Description != "Key of 20" {
			t.Errorf("%+v, %+v, %v", s, m, failed)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestFreshnessEndsWithTheDayOfTheNextFile.
func TestFreshnessEndsWithTheDayOfTheNextFile(t *testing.T) {
	h := open(t)
	if s := h.stand(); s.No != 0 || s.Overdue(today) > 0 {
		t.Errorf("nothing imported: %+v", s)
	}
	h.publish(1)
	s := h.stand()
	if !s.ImportedAt.Equal(today) || s.RevocationChecked || s.Signer == "" {
		t.Errorf("%+v", s)
	}
	end := day("2026-04-02")
	if s.Overdue(end.Add(-time.Second)) > 0 || s.Overdue(end.Add(time.Second)) != time.Second {
		t.Errorf("overdue by %s one second before, %s one second after", s.Overdue(end.Add(-time.Second)), s.Overdue(end.Add(time.Second)))
	}
}

// TestUnsafeModelIsRefusedWhileTheReportHolds: MDS3 section 3.1.4. A report
// holds from its date to its sunset; one about a batch concerns that batch; no
// later certification takes it back.
func TestUnsafeModelIsRefusedWhileTheReportHolds(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		maker := metadatatest.NewMaker(t, "Maker")
		batch, good := maker.Batch(key5), maker.Batch(key5)
		r := metadatatest.NewRegistration(t, key5)
		s := metadata.New(metadata.Options{DB: h.db})
		no := 0
		for name, c := range map[string]struct {
			status, from string
			more         []string
			at           time.Time
			by           metadatatest.Pair
			revoked      bool
		}{
			"revoked":                    {"REVOKED", "2026-03-01", nil, today, good, true},
			"without a date":             {"REVOKED", "", nil, today, good, true},
			"user key, from afar":        {"USER_KEY_REMOTE_COMPROMISE", "2026-03-01", nil, today, good, true},
			"user key, by hand":          {"USER_KEY_PHYSICAL_COMPROMISE", "2026-03-01", nil, today, good, true},
			"attestation key":            {"ATTESTATION_KEY_COMPROMISE", "2026-03-01", nil, today, good, true},
			"user verification":          {"USER_VERIFICATION_BYPASS", "2026-03-01", nil, today, good, true},
			"only an update":             {"UPDATE_AVAILABLE", "2026-03-01", nil, today, good, false},
			"the second before its date": {"REVOKED", "2026-03-02", nil, day("2026-03-02").Add(-time.Second), good, false},
			"from its date":              {"REVOKED", "2026-03-02", nil, day("2026-03-02"), good, true},
			"the second before its end":  {"REVOKED", "2026-01-01", []string{"sunsetDate", "2026-03-02"}, day("2026-03-02").Add(-time.Second), good, true},
			"from its end":               {"REVOKED", "2026-01-01", []string{"sunsetDate", "2026-03-02"}, day("2026-03-02"), good, false},
			"of this batch":              {"ATTESTATION_KEY_COMPROMISE", "", []string{"certificate", metadatatest.Base64(batch.Certificate)}, today, batch, true},
			"of the maker's root":        {"ATTESTATION_KEY_COMPROMISE", "", []string{"certificate", metadatatest.Base64(maker.Root.Certificate)}, today, good, true},
			"of another batch":           {"ATTESTATION_KEY_COMPROMISE", "", []string{"batchCertificate", metadatatest.Base64(batch.Certificate)}, today, good, false},
		} {
			h.at(c.at)
			entry := metadatatest.Reported(metadatatest.Entry(key5, "Test Key 5", maker), c.status, c.from, c.more...)
			no++
			h.publish(no, metadatatest.Reported(entry, "FIDO_CERTIFIED_L2", "2026-03-02"))
			v, err := s.Judge(t.Context(), attestation(t, r, maker.PackedBy(r, c.by)))
			if err != nil || !v.Attested || v.Status.Revoked != c.revoked || v.Status.Good() == c.revoked || (v.Status.Reason != "") != c.revoked {
				t.Errorf("%s, at its registration: %+v, %v", name, v, err)
			}
			err = h.db.Read(t.Context(), func(tx *db.Tx) error {
				st, err := s.Status(tx, v.Provenance)
				if st != v.Status {
					t.Errorf("%s, at a sign-in: %+v, want %+v", name, st, v.Status)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
}

// TestListsOfTheOperatorJudgeWhatIsAttested, and nothing that merely says what
// it is.
func TestListsOfTheOperatorJudgeWhatIsAttested(t *testing.T) {
	h := open(t)
	maker := metadatatest.NewMaker(t, "Maker")
	h.publish(1, metadatatest.Entry(key5, "Test Key 5", maker), metadatatest.Entry(key6, "Test Key 6", maker))
	s := metadata.New(metadata.Options{DB: h.db, Allowed: []string{strings.ToUpper(key5.String())}, Refused: []string{key6.String()}})
	for model, want := range map[uuid.UUID]metadata.Status{
		key5: {Description: "Test Key 5", Listed: true},
		key6: {Description: "Test Key 6", Refused: true, Reason: "your organisation does not accept this model"},
	} {
		r := metadatatest.NewRegistration(t, model)
		v, err := s.Judge(t.Context(), attestation(t, r, maker.Packed(r)))
		if err != nil || v.Status != want {
			t.Errorf("%s: %+v, %v", want.Description, v, err)
		}
		for _, raw := range [][]byte{r.Self(t), r.None(t)} {
			v, err := s.Judge(t.Context(), attestation(t, r, raw))
			if err != nil || v.Status != (metadata.Status{Description: want.Description}) {
				t.Errorf("%s, not attested: %+v, %v", want.Description, v, err)
			}
		}
	}
}

// TestHoldersOfARefusedModelAreToldOnce: N22. By mail, once each, also when
// imports and nodes repeat it; keys that attest nothing are not concerned.
func TestHoldersOfARefusedModelAreToldOnce(t *testing.T) {
	each(t, func(t *testing.T, h house) {
		h.at(today)
		holders := h.holders(key5, key6)

		s := h.telling(holders)
		maker := metadatatest.NewMaker(t, "Maker")
		entries := func(status string) []map[string]any {
			return []map[string]any{
				metadatatest.Reported(metadatatest.Entry(key5, "Test Key 5", maker), status, "2026-03-03"),
				metadatatest.Entry(key6, "Test Key 6", maker),
			}
		}
		tell := func(want int) {
			t.Helper()
			if n, err := s.TellHolders(t.Context()); err != nil || n != want {
				t.Errorf("told %d, want %d, %v", n, want, err)
			}
		}
		h.publish(1, entries("REVOKED")...)
		tell(0) // it comes into force tomorrow
		h.at(day("2026-03-03"))
		tell(1)
		tell(0)
		h.publish(2, entries("USER_KEY_REMOTE_COMPROMISE")...)
		tell(0)
		err := h.db.Read(t.Context(), func(tx *db.Tx) error {
			var letters, entries int64
			if err := tx.Row(`SELECT COUNT(*) FROM outbox`).Scan(&letters); err != nil {
				return err
			}
			err := tx.Row(`SELECT COUNT(*) FROM audit_entry WHERE action = 'authenticator.model_refused'`).Scan(&entries)
			if letters != 1 || entries != 1 {
				t.Errorf("%d mails, %d audit entries", letters, entries)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// holders makes a person with a security key of each model, and one that
// attests nothing.
func (h house) holders(models ...uuid.UUID) []metadata.Holder {
	h.t.Helper()
	const amara = care.UID("555000100101")
	all := []metadata.Holder{{UID: amara, AuthenticatorID: "silent"}, {UID: amara, AuthenticatorID: "removed", Provenance: metadata.Provenance{Model: models[0].String(), Path: []string{"a"}}}}
	err := h.db.Write(h.t.Context(), func(tx *db.Tx) error {
		err := person.Create(tx, person.Person{UID: amara, GivenName: "Amara", FamilyName: "OSEI", IDAssuranceLevel: 3, Email: "amara.osei@northgate.example.nhs.uk"})
		if err != nil {
			return err
		}
		for _, id := range append([]string{"silent"}, names(models)...) {
			_, err := tx.Exec(`INSERT INTO authenticator (id, uid, method, name, journey, registered_at) VALUES ($1, $2, 'security_key', 'My key', $1, 1)`, id, amara)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, id := range names(models) {
		all = append(all, metadata.Holder{UID: amara, AuthenticatorID: id, Provenance: metadata.Provenance{Model: id, Path: []string{"a"}}})
	}
	return all
}

func names(models []uuid.UUID) (all []string) {
	for _, m := range models {
		all = append(all, m.String())
	}
	return all
}

func (h house) telling(holders []metadata.Holder) *metadata.Store {
	h.t.Helper()
	box, err := outbox.New(h.db, keys.NewRing(keys.Root{7}), outbox.Options{
		Service: "Care Identity", From: "no-reply@care.example", Random: rand.Reader,
		Send: func(context.Context, outbox.Mail) error { return nil },
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return metadata.New(metadata.Options{
		DB: h.db, Outbox: box,
		NotMe:   func(uid care.UID, id string) (string, error) { return "https://care.example/not-me?t=" + id, nil },
		Holders: func(*db.Tx) ([]metadata.Holder, error) { return holders, nil },
	})
}
