package hsm

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path"
	"regexp"
	"slices"

	"github.com/go-jose/go-jose/v4"
)

// Token is the module that holds the keys. Its functions are safe for
// concurrent use.
type Token interface {
	// Generate makes a key that cannot be exported; ErrExists if the label is
	// taken.
	Generate(label string, algorithm jose.SignatureAlgorithm) (crypto.PublicKey, error)
	// Sign signs a SHA-256 digest, an ECDSA signature in ASN.1; ErrNoKey if
	// there is no key of that label and kind.
	Sign(label string, algorithm jose.SignatureAlgorithm, digest []byte) ([]byte, error)
	// Destroy deletes a key; one that is not there is no error.
	Destroy(label string) error
}

// Errors of a Token.
var (
	ErrNoKey  = errors.New("there is no such key for that algorithm")
	ErrExists = errors.New("there is a key of that name already")
)

// Rule gives a user of this machine the use of some keys. What no rule gives,
// nobody has.
type Rule struct {
	UID uint32
	// Keys is a pattern of labels (path.Match): "carekey-oidc-RS256-*".
	Keys       string
	Algorithms []jose.SignatureAlgorithm
	// May are the acts: Sign, Generate, Destroy.
	May []string
}

// Check says what is wrong with a rule, or nil.
func (r Rule) Check() error {
	if _, err := path.Match(r.Keys, ""); err != nil || r.Keys == "" {
		return fmt.Errorf("%q is no pattern of key names: write carekey-oidc-RS256-*", r.Keys)
	}
	for _, algorithm := range r.Algorithms {
		if !slices.Contains(algorithms, algorithm) {
			return fmt.Errorf("%q is not one of %v", algorithm, algorithms)
		}
	}
	for _, act := range r.May {
		if act != Sign && act != Generate && act != Destroy {
			return fmt.Errorf("%q is not one of [%s %s %s]", act, Sign, Generate, Destroy)
		}
	}
	if len(r.Algorithms) == 0 || len(r.May) == 0 {
		return errors.New("a rule names algorithms, and what may be done")
	}
	return nil
}

var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.PS256}

// Caller is who asks, as the kernel says.
type Caller struct {
	UID uint32
	PID int32
}

// Service answers on the socket.
type Service struct {
	Token Token
	Rules []Rule
	// Failed is told when the module failed, nil for nobody.
	Failed func(error)
	Log    *slog.Logger
}

// mostRequest bounds a request: a label, an algorithm and a digest.
const mostRequest = 4 << 10

// labelForm keeps labels to what every module and every log can hold.
var labelForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// refused is a request that is answered with a status and a sentence.
type refused struct {
	status int
	reason string
}

func (r refused) Error() string { return r.reason }

// ServeHTTP answers one request of the caller whom Serve put into its context.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	caller, ok := r.Context().Value(callerKey{}).(Caller)
	if !ok {
		s.write(w, http.StatusForbidden, answer{Error: "it is not known who asks"})
		return
	}
	act, asked, got := path.Base(r.URL.Path), request{}, answer{}
	err := s.parse(r, act, &asked)
	if err == nil {
		got, err = s.act(caller, act, asked)
	}
	log := s.Log.With("act", act, "key", asked.Key, "algorithm", asked.Algorithm, "uid", caller.UID, "pid", caller.PID)
	var no refused
	switch {
	case errors.As(err, &no):
		log.Warn("refused", "reason", no.reason)
		s.write(w, no.status, answer{Error: no.reason})
	case err != nil:
		log.Error("the module failed", "err", err)
		if s.Failed != nil {
			s.Failed(err)
		}
		s.write(w, http.StatusServiceUnavailable, answer{Error: "the module failed; the log of carekey-hsm says how"})
	default:
		level := slog.LevelInfo
		if act == Sign {
			level = slog.LevelDebug // one for each sign-in
		}
		log.Log(r.Context(), level, "done")
		s.write(w, http.StatusOK, got)
	}
}

func (s *Service) parse(r *http.Request, act string, into *request) error {
	if r.Method != http.MethodPost || r.URL.Path != "/"+act || act != Sign && act != Generate && act != Destroy {
		return refused{http.StatusNotFound, "a request is POST /sign, /generate or /destroy"}
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, mostRequest+1))
	if err != nil {
		return refused{http.StatusBadRequest, "the request was cut off"}
	}
	asked, err := read(text)
	if err != nil {
		return err
	}
	if (act == Sign) != (asked.Digest != nil) {
		return refused{http.StatusBadRequest, "a digest goes with sign, and with nothing else"}
	}
	*into = asked
	return nil
}

// read parses a request and holds it to what is meaningful.
func read(text []byte) (request, error) {
	var asked request
	if len(text) > mostRequest {
		return request{}, refused{http.StatusRequestEntityTooLarge, "the request is too large"}
	}
	if err := json.Unmarshal(text, &asked); err != nil {
		return request{}, refused{http.StatusBadRequest, "the request is not the JSON that is wanted"}
	}
	switch {
	case !labelForm.MatchString(asked.Key):
		return request{}, refused{http.StatusBadRequest, "a key's name has 1 to 64 letters, digits, dots, dashes and underscores"}
	case !slices.Contains(algorithms, asked.Algorithm):
		return request{}, refused{http.StatusBadRequest, "the algorithm is RS256, ES256 or PS256"}
	case asked.Digest != nil && len(asked.Digest) != sha256.Size:
		return request{}, refused{http.StatusBadRequest, "the digest is one of SHA-256"}
	}
	return asked, nil
}

// act does what is asked, if a rule says so.
func (s *Service) act(caller Caller, act string, asked request) (answer, error) {
	if !s.allowed(caller, act, asked) {
		return answer{}, refused{http.StatusForbidden, "no rule lets this user do that with this key"}
	}
	var got answer
	var public crypto.PublicKey
	var err error
	switch act {
	case Sign:
		got.Signature, err = s.Token.Sign(asked.Key, asked.Algorithm, asked.Digest)
	case Generate:
		if public, err = s.Token.Generate(asked.Key, asked.Algorithm); err == nil {
			got.Public, err = x509.MarshalPKIXPublicKey(public)
		}
	case Destroy:
		err = s.Token.Destroy(asked.Key)
	}
	switch {
	case errors.Is(err, ErrNoKey):
		return answer{}, refused{http.StatusNotFound, err.Error()}
	case errors.Is(err, ErrExists):
		return answer{}, refused{http.StatusConflict, err.Error()}
	case err != nil:
		return answer{}, err
	}
	return got, nil
}

func (s *Service) allowed(caller Caller, act string, asked request) bool {
	return slices.ContainsFunc(s.Rules, func(rule Rule) bool {
		named, err := path.Match(rule.Keys, asked.Key)
		return err == nil && named && rule.UID == caller.UID &&
			slices.Contains(rule.May, act) && slices.Contains(rule.Algorithms, asked.Algorithm)
	})
}

func (s *Service) write(w http.ResponseWriter, status int, body answer) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		s.Log.Debug("the caller left", "err", err)
	}
}

// callerKey is where Serve puts the Caller of a connection.
type callerKey struct{}

func withCaller(ctx context.Context, caller Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, caller)
}
