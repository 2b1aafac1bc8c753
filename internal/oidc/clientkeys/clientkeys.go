// Package clientkeys knows with which keys and certificates relying parties
// sign: those that they registered, or those at their jwks_uri.
//
// A relying party and what it signed come in; the payload leaves, or a precise
// reason for its owner. Fetched keys are kept in memory for a while. Nothing is
// fetched but from an address that is registered, by the guarded client
// (decision 13), and never because a stranger asks more often than once a
// minute.
package clientkeys

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"carekey.dev/carekey/internal/relyingparty"
)

// How long fetched keys are used.
const (
	// Fresh is how long a set is used without looking again, so how long a key
	// that its owner withdrew is good still.
	Fresh = 5 * time.Minute
	// Stale is how long a set is used while its address does not answer. A
	// hospital's web server may be down for a night.
	Stale = 24 * time.Hour
	// Again is how often at most a set is fetched because of a key that is not
	// in it.
	Again = time.Minute
	// Pause is the shortest time between two fetches from an address.
	Pause = 10 * time.Second

	fetchWithin = 5 * time.Second
	mostBytes   = 256 << 10
	mostSets    = 1000
)

// Why a signature or a certificate is refused. What wraps them says more, for
// the relying party's owner alone.
var (
	ErrMalformed   = errors.New("it is not a signed JWT")
	ErrAlgorithm   = errors.New("it is signed with an algorithm that is not accepted from this client")
	ErrFetch       = errors.New("the client's keys cannot be read")
	ErrNoKey       = errors.New("the client's key set has no key for it")
	ErrSignature   = errors.New("the signature is by none of the client's keys")
	ErrCertificate = errors.New("the certificate is none of those that the client registered")
)

// Options is what the room needs.
type Options struct {
	// Client is the guarded client.
	Client *http.Client
	Now    func() time.Time
	Log    *slog.Logger
}

// Sets holds the key sets of relying parties.
type Sets struct {
	Options

	mu    sync.Mutex // guards what follows
	byURI map[string]*fetched
}

// New returns an empty holder.
func New(o Options) *Sets {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Sets{Options: o, byURI: map[string]*fetched{}}
}

// Header is what a JWT says of its signature.
type Header struct {
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
	Type      string `json:"typ"`
}

// Read returns header and payload of a compact JWS that nobody has verified.
func Read(token string) (Header, []byte, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return Header{}, nil, fmt.Errorf("%w: it has %d parts and not three", ErrMalformed, len(parts))
	}
	var header Header
	text, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err == nil {
		err = json.Unmarshal(text, &header)
	}
	if err != nil {
		return Header{}, nil, fmt.Errorf("%w: its header is unreadable", ErrMalformed)
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return Header{}, nil, fmt.Errorf("%w: its payload is unreadable", ErrMalformed)
	}
	return header, payload, nil
}

// Verify returns the payload of a compact JWS that a key of the relying party
// signed with one of the algorithms. The error is one of those above, or that
// of ctx.
func (s *Sets) Verify(ctx context.Context, rp relyingparty.RelyingParty, token string, algorithms []string) ([]byte, error) {
	header, _, err := Read(token)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(algorithms, header.Algorithm) {
		return nil, fmt.Errorf("%w: alg is %.16q, accepted are %s", ErrAlgorithm, header.Algorithm, strings.Join(algorithms, ", "))
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(header.Algorithm)})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	var payload []byte
	err = s.try(ctx, rp, func(keys set) (err error) {
		payload, err = keys.verify(signed, header.KeyID, header.Algorithm)
		return err
	})
	return payload, err
}

// Holds says why a certificate is none of the relying party's, or nil.
func (s *Sets) Holds(ctx context.Context, rp relyingparty.RelyingParty, certificate *x509.Certificate) error {
	return s.try(ctx, rp, func(keys set) error {
		if !keys.holds(certificate) {
			return fmt.Errorf("%w: %s", ErrCertificate, keys)
		}
		return nil
	})
}

// Describe says in one line which keys the relying party has at the moment.
func (s *Sets) Describe(ctx context.Context, rp relyingparty.RelyingParty) (string, error) {
	text := ""
	err := s.try(ctx, rp, func(keys set) error {
		text = keys.String()
		return nil
	})
	return text, err
}

// try gives the keys to use and, if they do not do, once more those that are
// at the address now: the client may have changed them.
func (s *Sets) try(ctx context.Context, rp relyingparty.RelyingParty, use func(set) error) error {
	if rp.JWKSURI == "" {
		if len(rp.JWKS) == 0 {
			return fmt.Errorf("%w: it registered neither jwks_uri nor jwks", ErrFetch)
		}
		keys, err := parse(rp.JWKS)
		if err != nil {
			return fmt.Errorf("%w: the registered jwks: %w", ErrFetch, err)
		}
		return use(keys)
	}
	keys, err := s.current(ctx, rp.JWKSURI)
	if err != nil {
		return err
	}
	refused := use(keys)
	if refused == nil {
		return nil
	}
	newer, ok := s.again(ctx, rp.JWKSURI)
	if !ok {
		return refused
	}
	return use(newer)
}

// read fetches a set. Its Content-Type does not matter: many serve a file.
func (s *Sets) read(ctx context.Context, uri string) (set, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, uri, nil)
	if err != nil {
		return set{}, err
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json;q=0.9, */*;q=0.1")
	answer, err := s.Client.Do(r)
	if err != nil {
		return set{}, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return set{}, fmt.Errorf("the answer is %d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, mostBytes+1))
	if err != nil {
		return set{}, err
	}
	if len(text) > mostBytes {
		return set{}, fmt.Errorf("the answer is longer than %d KiB", mostBytes>>10)
	}
	return parse(text)
}
