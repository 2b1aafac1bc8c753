package metadata_test

import (
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/credential/fido/metadata"
	"carekey.dev/carekey/internal/credential/fido/metadata/metadatatest"
)

func day(s string) time.Time {
	d, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return d
}

// TestFileIsBelievedOnlyFromThePublisher: MDS3 section 3.2. Signature, chain,
// revocation and date are what they have to be, or nothing is read.
func TestFileIsBelievedOnlyFromThePublisher(t *testing.T) {
	p, stranger := metadatatest.NewPublisher(t, "mds.example"), metadatatest.NewPublisher(t, "mds.example")
	file := metadatatest.File{No: 7, NextUpdate: "2026-04-01", Entries: []map[string]any{}}
	good := p.Write(file)
	trust := metadata.Trust{
		Anchors: []*x509.Certificate{p.Root.Certificate}, Lists: p.Lists(today.AddDate(0, 0, -1), today.AddDate(0, 0, 7)),
	}
	with := func(change func(*metadata.Trust)) metadata.Trust { changed := trust; change(&changed); return changed }
	written := func(change func(*metadatatest.File)) []byte {
		changed := file
		change(&changed)
		return p.Write(changed)
	}
	expired := p.NewSigner("mds.example", day("2025-01-01"), day("2026-03-01"))
	header, rest, _ := strings.Cut(string(good), ".")
	payload, signature, _ := strings.Cut(rest, ".")
	for name, c := range map[string]struct {
		file  []byte
		trust metadata.Trust
		now   time.Time
		want  error
	}{
		"good":                        {good, trust, today, nil},
		"with a line break":           {append(slices.Clone(good), '\n'), trust, today, nil},
		"of a stranger":               {stranger.Write(file), trust, today, metadata.ErrSignature},
		"by the FIDO Alliance's root": {good, metadata.Trust{}, today, metadata.ErrSignature},
		"another payload":             {[]byte(header + "." + payload[:20] + "A" + payload[21:] + "." + signature), trust, today, metadata.ErrSignature},
		"by an expired certificate":   {written(func(f *metadatatest.File) { f.Signer = &expired }), trust, today, metadata.ErrSignature},
		"certificates from elsewhere": {written(func(f *metadatatest.File) { f.Header = map[string]any{"x5u": "https://mds.example/chain"} }), trust, today, metadata.ErrSignature},
		"no certificates":             {written(func(f *metadatatest.File) { f.NoChain = true }), trust, today, metadata.ErrSignature},
		"no certificates, by a root":  {written(func(f *metadatatest.File) { f.NoChain, f.Signer = true, &p.Root }), trust, today, nil},
		"not signed":                  {[]byte("eyJhbGciOiJub25lIn0." + payload + "."), trust, today, metadata.ErrUnreadable},
		"revoked": {good, with(func(t *metadata.Trust) {
			t.Lists = p.Lists(today.AddDate(0, 0, -1), today.AddDate(0, 0, 7), p.Signer.Certificate)
		}), today, metadata.ErrSignature},
		"issuer revoked": {good, with(func(t *metadata.Trust) {
			t.Lists = p.Lists(today.AddDate(0, 0, -1), today.AddDate(0, 0, 7), p.Issuer.Certificate)
		}), today, metadata.ErrSignature},
		"no lists":             {good, with(func(t *metadata.Trust) { t.Lists = nil }), today, metadata.ErrRevocation},
		"lists of a stranger":  {good, with(func(t *metadata.Trust) { t.Lists = stranger.Lists(today.AddDate(0, 0, -1), today.AddDate(0, 0, 7)) }), today, metadata.ErrRevocation},
		"lists out of date":    {good, trust, today.AddDate(0, 0, 7), metadata.ErrRevocation},
		"no lists, accepted":   {good, with(func(t *metadata.Trust) { t.Lists, t.UncheckedRevocation = nil, true }), today, nil},
		"on its last day":      {written(func(f *metadatatest.File) { f.NextUpdate = "2026-03-02" }), trust, day("2026-03-02").Add(24*time.Hour - time.Second), nil},
		"after its last day":   {written(func(f *metadatatest.File) { f.NextUpdate = "2026-03-02" }), trust, day("2026-03-03"), metadata.ErrOverdue},
		"overdue, accepted":    {written(func(f *metadatatest.File) { f.NextUpdate = "2026-02-01" }), with(func(t *metadata.Trust) { t.Overdue = true }), today, nil},
		"no number":            {written(func(f *metadatatest.File) { f.No = 0 }), trust, today, metadata.ErrUnreadable},
		"no date":              {written(func(f *metadatatest.File) { f.NextUpdate = "soon" }), trust, today, metadata.ErrUnreadable},
		"no entries":           {written(func(f *metadatatest.File) { f.Entries = nil }), trust, today, metadata.ErrUnreadable},
		"something else":       {[]byte("<html>"), trust, today, metadata.ErrUnreadable},
		"nothing":              {nil, trust, today, metadata.ErrUnreadable},
		"far too much of that": {make([]byte, metadata.MostBytes+1), trust, today, metadata.ErrUnreadable},
	} {
		b, err := metadata.Verify(c.file, c.trust, c.now)
		if !errors.Is(err, c.want) || (c.want == nil) != (b.No == 7) {
			t.Errorf("%s: %+v, %v, want %v", name, b, err, c.want)
		}
		if err == nil && b.RevocationChecked == c.trust.UncheckedRevocation {
			t.Errorf("%s: checked: %t", name, b.RevocationChecked)
		}
	}
	_, err := metadata.Verify(good, with(func(t *metadata.Trust) { t.Lists = nil }), today)
	for _, words := range []string{metadatatest.ListAt, "Test publisher issuer", "Test publisher root"} {
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("the message does not say where the lists are: %v", err)
		}
	}
}

// TestAFileThatGoesOnToAnOlderRoot, as the FIDO Alliance's does since it moved to
// Root R46, ends at the first that is trusted: it needs no list beyond that.
func TestAFileThatGoesOnToAnOlderRoot(t *testing.T) {
	p, older := metadatatest.NewPublisher(t, "mds.example"), metadatatest.NewPublisher(t, "mds.example")
	crossed := metadatatest.SignFor(t, &x509.Certificate{
		Subject: p.Root.Certificate.Subject, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		CRLDistributionPoints: []string{"http://crl.example/older.crl"},
	}, p.Root.Key, older.Root)
	chain := []string{metadatatest.Base64(p.Signer.Certificate), metadatatest.Base64(p.Issuer.Certificate), metadatatest.Base64(crossed.Certificate)}
	file := p.Write(metadatatest.File{No: 7, NextUpdate: "2026-04-01", Entries: []map[string]any{}, NoChain: true, Header: map[string]any{"x5c": chain}})
	own := p.Lists(today.AddDate(0, 0, -1), today.AddDate(0, 0, 7))
	more := slices.Concat(own, older.Lists(today.AddDate(0, 0, -1), today.AddDate(0, 0, 7)))
	for name, c := range map[string]struct {
		anchors []*x509.Certificate
		lists   []*x509.RevocationList
		want    error
	}{
		"both roots":                      {[]*x509.Certificate{older.Root.Certificate, p.Root.Certificate}, own, nil},
		"the older one":                   {[]*x509.Certificate{older.Root.Certificate}, more, nil},
		"the older one, without its list": {[]*x509.Certificate{older.Root.Certificate}, own, metadata.ErrRevocation},
	} {
		b, err := metadata.Verify(file, metadata.Trust{Anchors: c.anchors, Lists: c.lists}, today)
		if !errors.Is(err, c.want) || (c.want == nil) != b.RevocationChecked {
			t.Errorf("%s: %+v, %v", name, b, err)
		}
	}
}

// TestPublisherIsTheOneNamed: the root behind the FIDO Alliance's certificate
// certifies any web site. (Here it is replaced by a test root.)
func TestPublisherIsTheOneNamed(t *testing.T) {
	file := metadatatest.File{No: 7, NextUpdate: "2026-04-01", Entries: []map[string]any{}}
	for host, good := range map[string]bool{"mds.fidoalliance.org": true, "mds.fidoalliance.org.example": false, "www.example": false} {
		p := metadatatest.NewPublisher(t, host)
		_, err := metadata.VerifyAtRoot(p.Write(file), p.Root.Certificate, today)
		if good != (err == nil) || !good && !errors.Is(err, metadata.ErrSignature) {
			t.Errorf("%s: %v", host, err)
		}
	}
}

// TestRootsOfTheFIDOAllianceAndApple are what they say on their sites.
func TestRootsOfTheFIDOAllianceAndApple(t *testing.T) {
	want := []string{
		"cbb522d7b7f127ad6a0113865bdf1cd4102e7d0759af635a7cf4720dc963c53b", // GlobalSign Root CA - R3
		"4fa3126d8d3a11d1c4855a4f807cbad6cf919d3a5a88b03bea2c6372d93c40c9", // GlobalSign Root R46
		"0915dd5c07a28db549d1f677bb5a75d4bfbe9561a773424327762e9e02f9bb29",
	}
	if got := metadata.EmbeddedSums(); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// FuzzVerify: no file that the publisher has not signed is believed.
func FuzzVerify(f *testing.F) {
	p := metadatatest.NewPublisher(f, "mds.example")
	good := p.Write(metadatatest.File{No: 7, NextUpdate: "2026-04-01", Entries: []map[string]any{
		metadatatest.Entry(key5, "Test Key 5", metadatatest.NewMaker(f, "Maker")),
	}})
	f.Add(good)
	f.Add([]byte("a.b.c"))
	f.Fuzz(func(t *testing.T, file []byte) {
		b, err := metadata.Verify(file, metadata.Trust{Anchors: []*x509.Certificate{p.Root.Certificate}, UncheckedRevocation: true}, today)
		if err == nil && (b.No != 7 || len(b.Models) != 1) {
			t.Errorf("%+v", b)
		}
	})
}
