package metadata_test

import (
	"crypto/x509"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"carekey.dev/carekey/internal/credential/fido/metadata"
	"carekey.dev/carekey/internal/credential/fido/metadata/metadatatest"
)

// TestWhatCannotBeReadOfAnEntryCostsNoMoreThanItself: the FIDO Alliance's file
// has certificates that no Go program can read, numbers that are too large, and
// the same model twice. What has been reported of a model counts all the same.
func TestWhatCannotBeReadOfAnEntryCostsNoMoreThanItself(t *testing.T) {
	maker := metadatatest.NewMaker(t, "Maker")
	unreadable := "bm90IGEgY2VydGlmaWNhdGU=" // base64, and no certificate
	for name, c := range map[string]struct {
		change            func(entry, statement map[string]any)
		hardware, revoked bool
		anchors, mistakes int
	}{
		"all is well": {func(_, _ map[string]any) {}, true, true, 1, 0},
		"a root": {func(_, s map[string]any) {
			s["attestationRootCertificates"] = []string{unreadable, metadatatest.Base64(maker.Root.Certificate), "?"}
		}, true, true, 1, 2},
		"a picture": {func(_, s map[string]any) { s["icon"] = "no picture at all" }, true, true, 1, 0},
		"a number that nobody needs": {func(_, s map[string]any) {
			s["userVerificationDetails"] = []any{[]any{map[string]any{"paDesc": map[string]any{"minComplexity": 34359738368}}}}
		}, true, true, 1, 0},
		"a date that nobody needs":  {func(e, _ map[string]any) { e["timeOfLastStatusChange"] = "long ago" }, true, true, 1, 0},
		"where keys are kept":       {func(_, s map[string]any) { s["keyProtection"] = "hardware" }, false, true, 1, 1},
		"the statement":             {func(e, _ map[string]any) { e["metadataStatement"] = 7 }, false, true, 0, 1},
		"no statement":              {func(e, _ map[string]any) { delete(e, "metadataStatement") }, false, true, 0, 0},
		"a report of another kind":  {func(e, _ map[string]any) { reported(e, map[string]any{"status": "NEW_STATUS", "severity": 9}) }, true, true, 1, 0},
		"a report that is a number": {func(e, _ map[string]any) { reported(e, 7) }, false, true, 1, 1},
		"the dates of the report": {func(e, _ map[string]any) {
			e["statusReports"] = []any{map[string]any{"status": "REVOKED", "effectiveDate": "soon", "sunsetDate": "never"}}
		}, true, true, 1, 2},
		"the batch of the report": {func(e, _ map[string]any) {
			e["statusReports"] = []any{map[string]any{"status": "REVOKED", "batchCertificate": "?"}}
		}, true, true, 1, 1},
	} {
		entry := metadatatest.Reported(metadatatest.Entry(key5, "Test Key 5", maker), "REVOKED", "2026-03-01")
		c.change(entry, metadatatest.Statement(entry))
		raw, err := json.Marshal(entry)
		if err != nil {
			t.Fatal(err)
		}
		models, err := metadata.ReadEntry(raw)
		mistakes := 0
		if err != nil {
			mistakes = len(strings.Split(err.Error(), "\n"))
		}
		if len(models) != 1 || mistakes != c.mistakes {
			t.Errorf("%s: %d models, %v", name, len(models), err)
			continue
		}
		m := models[0]
		status := metadata.New(metadata.Options{}).Of(m, today)
		if m.Name != key5.String() || m.Hardware != c.hardware || len(m.Anchors) != c.anchors || status.Revoked != c.revoked {
			t.Errorf("%s: %+v, %+v", name, m, status)
		}
	}
}

func reported(entry map[string]any, report any) {
	all := []any{report}
	for _, r := range entry["statusReports"].([]map[string]any) {
		all = append(all, r)
	}
	entry["statusReports"] = all
}

// TestNoteSaysWhatCouldNotBeRead for each entry, in one line that can be printed.
func TestNoteSaysWhatCouldNotBeRead(t *testing.T) {
	maker := metadatatest.NewMaker(t, "Maker")
	broken := metadatatest.Entry(key6, "Broken\x1b", maker)
	metadatatest.Statement(broken)["attestationRootCertificates"] = []string{"?", "?\n"}
	worded := metadatatest.Entry(other, "A  very\nlong \x1b\u202e\u200b"+strings.Repeat("name ", 40), maker)
	uaf := metadatatest.Entry(uuid.Nil, "UAF", maker)
	delete(uaf, "aaguid")
	uaf["aaid"] = "4E4E#4005"
	misnamed := metadatatest.Entry(key5, "Misnamed", maker)
	misnamed["aaguid"] = "five"
	blob := read(t, metadatatest.Entry(key5, "Test Key 5", maker), broken, worded, uaf, misnamed,
		metadatatest.Reported(metadatatest.Entry(key5, "Another Key 5", maker), "REVOKED", "2026-03-01"))
	var names []string
	for _, m := range blob.Models {
		names = append(names, m.Name)
	}
	if !slices.Equal(names, []string{key5.String(), key6.String(), other.String()}) || blob.Others != 1 {
		t.Errorf("models %q, others %d", names, blob.Others)
	}
	if d := blob.Models[2].Description; len([]rune(d)) > 101 || strings.ContainsAny(d, "\n\x1b\u202e\u200b") || !strings.HasPrefix(d, "A very long name ") {
		t.Errorf("description %q", d)
	}
	// What is held against one of two entries is held against both.
	if m := blob.Models[0]; m.Description != "Test Key 5" || !metadata.New(metadata.Options{}).Of(m, today).Revoked {
		t.Errorf("%+v", m)
	}
	for i, want := range []string{"entry 2: root certificate 1 of \"Broken\": ", "entry 5: the AAGUID of \"Misnamed\": ", "entry 6: another entry of " + key5.String()} {
		if i >= len(blob.Unread) || !strings.HasPrefix(blob.Unread[i], want) || strings.ContainsAny(blob.Unread[i], "\n\x1b") {
			t.Errorf("%q, want %q", blob.Unread, want)
		}
	}
	if len(blob.Unread) != 3 {
		t.Errorf("%q", blob.Unread)
	}
}

// TestAnchorOfSeveralModelsIsShared: whatever certificates it stands in, and
// however often a model names it (WebAuthn section 8.2.1).
func TestAnchorOfSeveralModelsIsShared(t *testing.T) {
	maker, another := metadatatest.NewMaker(t, "Maker"), metadatatest.NewMaker(t, "Another maker")
	again := *maker
	again.Root = metadatatest.SignFor(t, &x509.Certificate{
		Subject: maker.Root.Certificate.Subject, IsCA: true, BasicConstraintsValid: true,
	}, maker.Root.Key, metadatatest.Pair{})
	for name, c := range map[string]struct {
		entries []map[string]any
		shared  bool
	}{
		"one model's":                 {[]map[string]any{metadatatest.Entry(key5, "5", maker), metadatatest.Entry(key6, "6", another)}, false},
		"one model's, twice":          {[]map[string]any{metadatatest.Entry(key5, "5", maker, maker), metadatatest.Entry(key6, "6", another)}, false},
		"two models'":                 {[]map[string]any{metadatatest.Entry(key5, "5", maker), metadatatest.Entry(key6, "6", maker)}, true},
		"two models', certified anew": {[]map[string]any{metadatatest.Entry(key5, "5", maker), metadatatest.Entry(key6, "6", &again)}, true},
	} {
		for _, m := range read(t, c.entries...).Models {
			for _, a := range m.Anchors {
				if a.Shared != c.shared {
					t.Errorf("%s: the anchor of %s is shared: %t", name, m.Description, a.Shared)
				}
			}
		}
	}
}

// read reads a file with entries.
func read(t *testing.T, entries ...map[string]any) metadata.Blob {
	t.Helper()
	p := metadatatest.NewPublisher(t, "mds.example")
	blob, err := metadata.Verify(p.Write(metadatatest.File{No: 7, NextUpdate: "2026-04-01", Entries: entries}),
		metadata.Trust{Anchors: []*x509.Certificate{p.Root.Certificate}, UncheckedRevocation: true}, today)
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

// FuzzReadEntry: entries are written by makers.
func FuzzReadEntry(f *testing.F) {
	f.Add([]byte(`{"aaguid":"2fc0579f-8113-47ea-b116-bb5a8db9202a","metadataStatement":{"attestationTypes":["basic_full"]},"timeOfLastStatusChange":"2021-05-01"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		models, err := metadata.ReadEntry(raw)
		for _, m := range models {
			if strings.ContainsAny(m.Description, "\n\r") || m.Name != strings.ToLower(m.Name) {
				t.Errorf("%+v, %v", m, err)
			}
		}
	})
}
