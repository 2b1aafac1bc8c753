package hsm

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// A key is used by whom a rule names, for what it names, and by nobody else.
func TestWhatNoRuleGivesNobodyHas(t *testing.T) {
	s := Service{Rules: []Rule{
		{UID: 500, Keys: "carekey-oidc-RS256-*", Algorithms: []jose.SignatureAlgorithm{jose.RS256}, May: []string{Sign, Generate}},
		{UID: 501, Keys: "audit", Algorithms: []jose.SignatureAlgorithm{jose.ES256}, May: []string{Sign}},
	}}
	for _, test := range []struct {
		uid       uint32
		act, key  string
		algorithm jose.SignatureAlgorithm
		want      bool
	}{
		{500, Sign, "carekey-oidc-RS256-1-abc", jose.RS256, true},
		{500, Generate, "carekey-oidc-RS256-2-abc", jose.RS256, true},
		{500, Destroy, "carekey-oidc-RS256-1-abc", jose.RS256, false},
		{500, Sign, "carekey-oidc-RS256-1-abc", jose.PS256, false},
		{500, Sign, "carekey-oidc-PS256-1-abc", jose.RS256, false},
		{500, Sign, "audit", jose.ES256, false},
		{501, Sign, "audit", jose.ES256, true},
		{501, Sign, "audit2", jose.ES256, false},
		{501, Sign, "carekey-oidc-RS256-1-abc", jose.RS256, false},
		{0, Sign, "audit", jose.ES256, false}, // not even root
	} {
		if got := s.allowed(Caller{UID: test.uid}, test.act, request{Key: test.key, Algorithm: test.algorithm}); got != test.want {
			t.Errorf("user %d may %s with %s by %s: %v, want %v", test.uid, test.act, test.key, test.algorithm, got, test.want)
		}
	}
}

func TestARuleThatMeansNothingIsRefused(t *testing.T) {
	good := Rule{Keys: "a-*", Algorithms: []jose.SignatureAlgorithm{jose.ES256}, May: []string{Sign}}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for name, rule := range map[string]Rule{
		"no pattern":   {Keys: "[", Algorithms: good.Algorithms, May: good.May},
		"no keys":      {Algorithms: good.Algorithms, May: good.May},
		"no algorithm": {Keys: "a-*", May: good.May},
		"HMAC":         {Keys: "a-*", Algorithms: []jose.SignatureAlgorithm{jose.HS256}, May: good.May},
		"no act":       {Keys: "a-*", Algorithms: good.Algorithms},
		"another act":  {Keys: "a-*", Algorithms: good.Algorithms, May: []string{"export"}},
	} {
		if rule.Check() == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// No request that is not meant gets as far as the rules; each gets a sentence.
func TestARequestThatIsNotMeantIsRefused(t *testing.T) {
	digest := strings.Repeat("A", 43) + "="
	for name, test := range map[string]struct {
		method, path, body string
		status             int
	}{
		"another method": {http.MethodGet, "/sign", ``, http.StatusNotFound},
		"another path":   {http.MethodPost, "/export", `{}`, http.StatusNotFound},
		"a longer path":  {http.MethodPost, "/x/sign", `{}`, http.StatusNotFound},
		"no JSON":        {http.MethodPost, "/sign", `sign this`, http.StatusBadRequest},
		"no key":         {http.MethodPost, "/sign", `{"algorithm":"ES256","digest":"` + digest + `"}`, http.StatusBadRequest},
		"a path as key":  {http.MethodPost, "/sign", `{"key":"../a","algorithm":"ES256","digest":"` + digest + `"}`, http.StatusBadRequest},
		"HMAC":           {http.MethodPost, "/sign", `{"key":"a","algorithm":"HS256","digest":"` + digest + `"}`, http.StatusBadRequest},
		"no digest":      {http.MethodPost, "/sign", `{"key":"a","algorithm":"ES256"}`, http.StatusBadRequest},
		"a short digest": {http.MethodPost, "/sign", `{"key":"a","algorithm":"ES256","digest":"AAAA"}`, http.StatusBadRequest},
		"a digest to destroy with": {
			http.MethodPost, "/destroy", `{"key":"a","algorithm":"ES256","digest":"` + digest + `"}`, http.StatusBadRequest,
		},
		"far too much": {http.MethodPost, "/sign", `{"key":"` + strings.Repeat("a", mostRequest) + `"}`, http.StatusRequestEntityTooLarge},
		"no rule":      {http.MethodPost, "/sign", `{"key":"a","algorithm":"ES256","digest":"` + digest + `"}`, http.StatusForbidden},
	} {
		var log bytes.Buffer
		s := Service{Log: slog.New(slog.NewTextHandler(&log, nil))}
		w, r := httptest.NewRecorder(), httptest.NewRequest(test.method, test.path, strings.NewReader(test.body))
		s.ServeHTTP(w, r.WithContext(withCaller(r.Context(), Caller{UID: 500})))
		var got answer
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != test.status || got.Error == "" || !strings.Contains(log.String(), "refused") {
			t.Errorf("%s: %d %s, log %s", name, w.Code, w.Body, log.String())
		}
	}
	s := Service{Log: slog.New(slog.DiscardHandler)}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/sign", strings.NewReader("{}")))
	if w.Code != http.StatusForbidden {
		t.Errorf("a caller whom the kernel does not know: %d", w.Code)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"key":"carekey-oidc-RS256-1-abc","algorithm":"RS256","digest":"` + strings.Repeat("A", 43) + `="}`))
	f.Add([]byte(`{"key":"a","algorithm":"none"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		asked, err := read(text)
		var no refused
		if err != nil && !errors.As(err, &no) {
			t.Fatalf("%q: %v is no refusal", text, err)
		}
		if err == nil && (!labelForm.MatchString(asked.Key) || asked.Digest != nil && len(asked.Digest) != 32) {
			t.Fatalf("%q was read as %+v", text, asked)
		}
	})
}
