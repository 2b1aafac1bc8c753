package metadata

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Mistakes of a file. Each is wrapped with what was found.
var (
	ErrSignature  = errors.New("the file is not signed by the FIDO Alliance")
	ErrRevocation = errors.New("whether the certificate that signed the file has been revoked is not known")
	ErrOverdue    = errors.New("the file is out of date")
	ErrUnreadable = errors.New("the file is no FIDO metadata BLOB")
)

// MostBytes is the largest file that is read. The FIDO Alliance's has some
// 10 MiB, most of it pictures.
const MostBytes = 64 << 20

// publisher is the name in the certificate of the FIDO Alliance. It has to be
// there, because the root of the chain is one that certifies any web site.
const publisher = "mds.fidoalliance.org"

// algorithms that may sign a file: none is symmetric (RFC 8725 section 3.1).
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512,
}

// Trust says when a file is believed.
type Trust struct {
	// Anchors are other roots than those of the FIDO Alliance.
	Anchors []*x509.Certificate
	// Lists are certificate revocation lists of the issuers in the chain.
	Lists []*x509.RevocationList
	// UncheckedRevocation accepts that a list is missing, Overdue that a newer
	// file should be there by now.
	UncheckedRevocation, Overdue bool
}

// Blob is a file that was verified.
type Blob struct {
	No         int64
	NextUpdate time.Time
	Models     []Model
	// Others are entries of authenticators that no browser can use (UAF).
	Others int
	// Unread says of what could not be read why, one text for an entry.
	Unread []string
	// Signer is the subject of the certificate that signed, Sum the SHA-256 sum
	// of the file. Anchor is what it rests on: the name of the FIDO Alliance's
	// service, or the sum of an operator's root.
	Signer, Anchor, Sum string
	// RevocationChecked: no certificate of the signature is on a list.
	RevocationChecked bool
}

// Verify reads a file, whose signature and date have to be good now (MDS3
// section 3.2).
func Verify(file []byte, t Trust, now time.Time) (Blob, error) {
	if len(t.Anchors) > 0 {
		return verifyAt(file, t.Anchors, "", t, now)
	}
	return verifyAt(file, embedded("mds.pem"), publisher, t, now)
}

// verifyAt verifies a file that rests on anchors, and was signed by a host if
// one is given.
func verifyAt(file []byte, anchors []*x509.Certificate, host string, t Trust, now time.Time) (Blob, error) {
	if len(file) > MostBytes {
		return Blob{}, fmt.Errorf("%w: it is larger than %d MiB", ErrUnreadable, MostBytes>>20)
	}
	file = bytes.TrimSpace(file)
	parsed, err := jose.ParseSignedCompact(string(file), algorithms)
	if err != nil {
		return Blob{}, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	sum := sha256.Sum256(file)
	b := Blob{Sum: hex.EncodeToString(sum[:])}
	payload, err := b.verify(parsed, anchors, host, t, now)
	if err != nil {
		return Blob{}, err
	}
	if err := b.read(payload); err != nil {
		return Blob{}, err
	}
	// The date is the last day on which this file is the newest.
	if !t.Overdue && !now.Before(b.NextUpdate.AddDate(0, 0, 1)) {
		return Blob{}, fmt.Errorf("%w: the next one was to come by %s", ErrOverdue, b.NextUpdate.Format(time.DateOnly))
	}
	return b, nil
}

// verify checks the signature and returns what was signed.
func (b *Blob) verify(parsed *jose.JSONWebSignature, anchors []*x509.Certificate, host string, t Trust, now time.Time) ([]byte, error) {
	header := parsed.Signatures[0].Protected
	if _, byReference := header.ExtraHeaders["x5u"]; byReference {
		return nil, fmt.Errorf("%w: its certificates are to be fetched from elsewhere (x5u)", ErrSignature)
	}
	pool := x509.NewCertPool()
	for _, a := range anchors {
		pool.AddCert(a)
	}
	chains, err := header.Certificates(x509.VerifyOptions{
		Roots: pool, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if errors.Is(err, jose.ErrMissingX5cHeader) {
		chains, err = bare(parsed, anchors, now)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	chain := chains[0]
	if host != "" {
		if err := chain[0].VerifyHostname(host); err != nil {
			return nil, fmt.Errorf("%w: the certificate is not that of %s: %w", ErrSignature, host, err)
		}
	}
	payload, err := parsed.Verify(chain[0].PublicKey)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSignature, err)
	}
	b.Signer, b.Anchor = chain[0].Subject.String(), sumOf(chain[len(chain)-1].Raw)
	if host != "" {
		// The FIDO Alliance is one publisher by whichever of its roots: numbers of
		// another row would bring an old file back (MDS3 section 3.2, step 6).
		b.Anchor = host
	}
	b.RevocationChecked, err = checkRevocation(chain, t, now)
	return payload, err
}

// bare is the chain of a file without certificates: then an anchor itself has
// signed it (MDS3 section 3.2, step 4).
func bare(parsed *jose.JSONWebSignature, anchors []*x509.Certificate, now time.Time) ([][]*x509.Certificate, error) {
	for _, a := range anchors {
		if !inForce(a, now) {
			continue
		}
		if _, err := parsed.Verify(a.PublicKey); err == nil {
			return [][]*x509.Certificate{{a}}, nil
		}
	}
	return nil, errors.New("it carries no certificate, and no trusted one has signed it")
}

// checkRevocation looks for the certificates of a chain on the lists of their
// issuers. A list has to be there for each that says where one is (MDS3
// section 3.2, step 4: all certificates in the chain must be checked).
func checkRevocation(chain []*x509.Certificate, t Trust, now time.Time) (bool, error) {
	var missing []string
	for i, c := range chain[:len(chain)-1] {
		list := listOf(chain[i+1], t.Lists, now)
		if list == nil {
			if len(c.CRLDistributionPoints) > 0 {
				missing = append(missing, fmt.Sprintf("%s, from %s", c.Issuer, strings.Join(c.CRLDistributionPoints, " or ")))
			}
			continue
		}
		for _, entry := range list.RevokedCertificateEntries {
			if entry.SerialNumber.Cmp(c.SerialNumber) == 0 {
				return false, fmt.Errorf("%w: the certificate of %s was revoked on %s", ErrSignature, c.Subject, entry.RevocationTime.Format(time.DateOnly))
			}
		}
	}
	if len(missing) > 0 && !t.UncheckedRevocation {
		return false, fmt.Errorf("%w: these lists are needed, in force now: %s", ErrRevocation, strings.Join(missing, "; "))
	}
	return len(missing) == 0, nil
}

// listOf returns an issuer's list that is in force now, nil if there is none.
func listOf(issuer *x509.Certificate, lists []*x509.RevocationList, now time.Time) *x509.RevocationList {
	for _, list := range lists {
		inForce := !list.ThisUpdate.After(now) && (list.NextUpdate.IsZero() || list.NextUpdate.After(now))
		if inForce && bytes.Equal(list.RawIssuer, issuer.RawSubject) && list.CheckSignatureFrom(issuer) == nil {
			return list
		}
	}
	return nil
}

// read reads what was signed. What cannot be read of an entry is noted and
// costs no more than itself: makers write them.
func (b *Blob) read(payload []byte) error {
	var written struct {
		No         int64             `json:"no"`
		NextUpdate string            `json:"nextUpdate"`
		Entries    []json.RawMessage `json:"entries"`
	}
	if err := json.Unmarshal(payload, &written); err != nil {
		return fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	next, err := time.Parse(time.DateOnly, written.NextUpdate)
	if err != nil || written.No <= 0 || written.Entries == nil {
		return fmt.Errorf("%w: it has no number (no), no date of the next one (nextUpdate), or no entries", ErrUnreadable)
	}
	b.No, b.NextUpdate = written.No, next
	at := map[string]int{}
	for i, raw := range written.Entries {
		models, err := readEntry(raw)
		if err == nil && len(models) == 0 {
			b.Others++
		}
		for _, m := range models {
			first, twice := at[m.Name]
			if !twice {
				at[m.Name] = len(b.Models)
				b.Models = append(b.Models, m)
				continue
			}
			err = errors.Join(err, fmt.Errorf("another entry of %s comes before, and counts", m.Name))
			b.Models[first].Reports = append(b.Models[first].Reports, m.Reports...) // what is held against one is held against both
		}
		if err != nil {
			b.Unread = append(b.Unread, fmt.Sprintf("entry %d: %s", i+1, line(err.Error(), 300)))
		}
	}
	share(b.Models)
	return nil
}
