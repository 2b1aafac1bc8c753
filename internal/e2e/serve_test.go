package e2e

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"carekey.dev/carekey/internal/page/pagetest"
	"carekey.dev/carekey/internal/porttest"
)

// party is the relying party's side, by a library that knows nothing of
// Carekey.
func (s *station) party(ctx context.Context) (*oidc.Provider, oauth2.Config) {
	s.t.Helper()
	provider, err := oidc.NewProvider(ctx, s.url+issuerPath)
	if err != nil {
		s.t.Fatal(err)
	}
	return provider, oauth2.Config{
		ClientID: relyingParty, ClientSecret: s.secret, Endpoint: provider.Endpoint(), RedirectURL: callback,
		Scopes: []string{oidc.ScopeOpenID, "profile", "nationalrbacaccess"},
	}
}

// TestAWorkerSignsInToARelyingPartyOverTLS is the whole way with the parts that
// production has: both databases, a certificate, mail, and a relying party that
// checks what it gets with a library of its own.
func TestAWorkerSignsInToARelyingPartyOverTLS(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *station) {
		w := s.populate(1)[0]
		ctx := context.WithValue(t.Context(), oauth2.HTTPClient, s.client(s.port))
		provider, party := s.party(ctx)
		pkce := oauth2.GenerateVerifier()
		asked, err := url.Parse(party.AuthCodeURL("state-1", oidc.Nonce("nonce-1"), oauth2.S256ChallengeOption(pkce)))
		if err != nil {
			t.Fatal(err)
		}
		b := s.visit()
		s.signIn(b, asked.RequestURI(), w)
		back, err := url.Parse(b.Header.Get("Location"))
		if err != nil || back.Query().Get("state") != "state-1" || back.Query().Get("code") == "" {
			t.Fatalf("status %d leads to %q: %v\n%s", b.Status, b.Header.Get("Location"), err, b.Text())
		}
		token, err := party.Exchange(ctx, back.Query().Get("code"), oauth2.VerifierOption(pkce))
		if err != nil {
			t.Fatal(err)
		}
		raw, _ := token.Extra("id_token").(string)
		id, err := provider.Verifier(&oidc.Config{ClientID: relyingParty}).Verify(ctx, raw)
		if err != nil || id.Subject != w.uid || id.Nonce != "nonce-1" {
			t.Fatalf("ID token %+v: %v", id, err)
		}
		info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(token))
		if err != nil || info.Subject != w.uid {
			t.Errorf("userinfo %+v: %v", info, err)
		}
		b.Get("/cim/profile")
		sees(t, b, http.StatusOK, w.email)
	})
}

func TestACertificateIsReplacedWithoutARestart(t *testing.T) {
	t.Parallel()
	s := newStation(t, "")
	s.start()
	serial := func() int64 {
		conn, err := tls.Dial("tcp", "127.0.0.1:"+s.port, &tls.Config{RootCAs: s.ca.trust(), ServerName: "localhost"})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if got := serial(); got != 2 {
		t.Fatalf("the first certificate has the serial number %d", got)
	}

	// A renewal that went wrong never takes the service down.
	good, err := os.ReadFile(s.certificate)
	if err != nil {
		t.Fatal(err)
	}
	s.write("cert.pem", "cut off")
	eventually(t, "the bad certificate is in the log", func() bool {
		return serial() == 2 && strings.Contains(s.prog.output(), "the new TLS certificate is not used")
	})
	s.write("cert.pem", string(good))

	// A good one is taken over with a handshake, and the files are read again on
	// SIGHUP even if they look as before.
	s.ca.issue(3, s.certificate, s.key)
	eventually(t, "the new certificate is served", func() bool { return serial() == 3 })
	taken := func() int { return strings.Count(s.prog.output(), "a new TLS certificate is in use") }
	before := taken()
	if err := s.prog.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the files are read again", func() bool { return taken() > before })
	if got := serial(); got != 3 {
		t.Errorf("after SIGHUP the certificate has the serial number %d", got)
	}
}

// TestAStartThatCannotSucceedSaysOneLine: what to mend, and an exit that a
// supervisor notices (design, faces of the program).
func TestAStartThatCannotSucceedSaysOneLine(t *testing.T) {
	t.Parallel()
	s := newStation(t, "")
	text, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ from, to, want string }{
		"plain http for everybody": {"tls: {", "tsl: {", `:7: unknown field "tsl"`},
		"plain http off loopback": {
			"listen: 127.0.0.1:" + s.port + "\n", "listen: 0.0.0.0:" + s.port + "\ntls: {}\n#",
			"plain http for everybody: name tls.certificate_file and tls.key_file",
		},
		"http for people elsewhere": {"base_url: https://localhost:" + s.port, "base_url: http://id.northmoor.example", "begins with https://"},
		"no YAML":                   {"base_url: ", "base_url: [", ":"},
		"a root key that is gone":   {"root.key", "lost.key", "put it back"},
		"no database there":         {"/var/", "/no-such-folder/", "no such file or directory"},
		"mail in the clear":         {"host: 127.0.0.1", "host: mail.northmoor.example", "none is for a mail server on this machine only"},
		"nobody's port":             {"port: ", "port: 7", "is no port"},
		"the wrong key":             {"key_file: " + s.key, "key_file: " + s.certificate, "reading the TLS certificate"},
	} {
		wrong := strings.Replace(string(text), c.from, c.to, 1)
		if c.to == "listen: 0.0.0.0:"+s.port+"\ntls: {}\n#" {
			wrong = strings.Replace(wrong, "\ntls: {c", "\n#tls: {c", 1)
		}
		s.config = s.write("wrong.yaml", wrong)
		said, err := s.command("serve")
		if err == nil || strings.Count(said, "\n") != 1 || !strings.HasPrefix(said, "carekey: ") || !strings.Contains(said, c.want) {
			t.Errorf("%s: %v\n%s", name, err, said)
		}
	}
}

// TestADemonstrationIsNotServedInEarnest: everybody can read its passwords
// (decision 15).
func TestADemonstrationIsNotServedInEarnest(t *testing.T) {
	t.Parallel()
	s := newStation(t, "")
	data := filepath.Join(s.dir, "var")
	port := strconv.Itoa(porttest.Port(t))
	dev := launch(t, nil, "carekey", "dev", "--data", data, "--listen", "localhost:"+port)
	ready(t, dev, "http://localhost:"+port+"/readyz")
	dev.stop()
	cmd := exec.Command(filepath.Join(programs, "carekey"), "serve", "--config", s.config)
	cmd.Env = append(os.Environ(), "CAREKEY_ROOT_KEY_FILE="+filepath.Join(data, "root.key"))
	out, err := cmd.CombinedOutput()
	said := string(out)
	if err == nil || strings.Count(said, "\n") != 1 || !strings.Contains(said, "this database is a demonstration") {
		t.Errorf("serve said %q, %v", said, err)
	}
}

// TestPlainHTTPIsServedToNamedProxiesOnly: without TLS, only named proxies are served
// (decision 14).
func TestPlainHTTPIsServedToNamedProxiesOnly(t *testing.T) {
	t.Parallel()
	s := newStation(t, "")
	p := launch(t, []string{
		"CAREKEY_LISTEN=0.0.0.0:" + s.port, "CAREKEY_TRUSTED_PROXIES=192.0.2.1",
		"CAREKEY_TLS_CERTIFICATE_FILE=", "CAREKEY_TLS_KEY_FILE=",
	}, "carekey", "serve", "--config", s.config)
	plain := "http://127.0.0.1:" + s.port
	ready(t, p, plain+"/readyz")
	b := pagetest.Visit(t, plain, http.DefaultClient)
	b.Get("/cim/")
	sees(t, b, http.StatusForbidden, "Reference")
}

func TestASecondServerOnTheSameFolderIsRefused(t *testing.T) {
	t.Parallel()
	s := newStation(t, "")
	s.start()
	for name, args := range map[string][]string{
		"serve": {"serve", "--config", s.config},
		"dev":   {"dev", "--data", s.dir + "/var", "--listen", "localhost:0"},
	} {
		other := launchToFail(t, args...)
		if strings.Count(other, "\n") != 1 || !strings.Contains(other, "is in use by another carekey (process ") {
			t.Errorf("%s said %q", name, other)
		}
	}
	s.visit().Get("/help") // the first one is unharmed
}

func TestAWorldFileWithAMistakeAppliesNothing(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *station) {
		path := s.write("world.yaml", `email_allow_list: [nhs.net]
organisations:
  - {code: RX9, name: NORTHMOOR, ra: RX9}
people:
  - uid: "555000100301"
    given_name: Ada
    family_name: QUILL
    email: {address: ada.quill@example.com, verified: true}
`)
		said, err := s.command("apply", "-f", path)
		if want := path + ":8: email.address: the domain example.com is not on the email allow list"; err == nil || !strings.Contains(said, want) {
			t.Errorf("apply said %q, %v, want %q", said, err, want)
		}
		said, err = s.command("apply", "--dry-run", "-f", s.write("good.yaml", "organisations:\n  - {code: RX9, name: NORTHMOOR, ra: RX9}\n"))
		if err != nil || !strings.Contains(said, "+ organisation RX9 NORTHMOOR") {
			t.Errorf("something of the file was applied: %v\n%s", err, said)
		}
	})
}

// TestAnUnknownClientIsNeverSentAnywhere: without a known client and its exact
// address there is nowhere safe to go (RFC 9700 section 2.1).
func TestAnUnknownClientIsNeverSentAnywhere(t *testing.T) {
	t.Parallel()
	s := newStation(t, "")
	s.start()
	s.populate(0)
	good := url.Values{
		"client_id": {relyingParty}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid"}, "state": {"s"},
	}
	b := s.visit()
	b.Get(issuerPath + "/authorize?" + good.Encode())
	sees(t, b, http.StatusOK, "Select your login method")
	for name, change := range map[string]url.Values{
		"unknown client":    {"client_id": {"nobody"}},
		"no client":         {"client_id": {}},
		"no address":        {"redirect_uri": {}},
		"another host":      {"redirect_uri": {"https://evil.example/callback"}},
		"a slash more":      {"redirect_uri": {callback + "/"}},
		"a query more":      {"redirect_uri": {callback + "?x=1"}},
		"capitals":          {"redirect_uri": {strings.ToUpper(callback)}},
		"a port":            {"redirect_uri": {strings.Replace(callback, ".example/", ".example:443/", 1)}},
		"plain http":        {"redirect_uri": {strings.Replace(callback, "https", "http", 1)}},
		"somebody's name":   {"redirect_uri": {strings.Replace(callback, "https://", "https://evil@", 1)}},
		"two addresses":     {"redirect_uri": {callback, "https://evil.example/"}},
		"a script":          {"redirect_uri": {"javascript:alert(1)"}},
		"a path that walks": {"redirect_uri": {callback + "/../callback"}},
	} {
		query := url.Values{}
		for field, values := range good {
			query[field] = values
		}
		for field, values := range change {
			query[field] = values
		}
		for _, by := range []string{http.MethodGet, http.MethodPost} {
			if b := s.visit(); by == http.MethodGet {
				b.Get(issuerPath + "/authorize?" + query.Encode())
				wantPage(t, name, b)
			} else {
				b.Post(issuerPath+"/authorize", query)
				wantPage(t, name+" by a form", b)
			}
		}
	}
}

func wantPage(t *testing.T, name string, b *pagetest.Browser) {
	t.Helper()
	if b.Status != http.StatusBadRequest || b.Header.Get("Location") != "" || !referenceForm.MatchString(b.Text()) {
		t.Errorf("%s: status %d, leads to %q:\n%s", name, b.Status, b.Header.Get("Location"), b.Text())
	}
	pagetest.Check(t, b.Page)
}

func TestFormsAreAtMost64KiB(t *testing.T) {
	t.Parallel()
	s := newStation(t, "")
	s.start()
	b := s.visit()
	b.Get("/cim/")
	large := strings.Repeat("a", 64<<10)
	b.Submit("", url.Values{"method": {large}})
	sees(t, b, http.StatusRequestEntityTooLarge, "That is too much text", "Reference")
	pagetest.Check(t, b.Page)
	for _, path := range []string{
		"/signin", "/signin/email", "/signin/password", "/signin/code", "/recover/password", "/register", "/not-me",
		issuerPath + "/authorize",
	} {
		if status := b.Raw(http.MethodPost, path, "x="+large, nil); status != http.StatusRequestEntityTooLarge {
			t.Errorf("%s answers %d to 64 KiB and two bytes", path, status)
		}
	}
	// A form of 64 KiB is read, and then lacks its token against forgery.
	if status := b.Raw(http.MethodPost, "/signin/email", "x="+large[2:], nil); status != http.StatusForbidden {
		t.Errorf("a form of 64 KiB is answered with %d", status)
	}
	// A program is told as RFC 6749 section 5.2 says.
	if status := b.Raw(http.MethodPost, issuerPath+"/access_token", "x="+large, nil); status != http.StatusBadRequest {
		t.Errorf("the token endpoint answers %d", status)
	}
}

// TestExplainKnowsWhatAPersonReadsOut: decision 26.
func TestExplainKnowsWhatAPersonReadsOut(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *station) {
		b := s.visit()
		b.Get("/no/such/page?j=sealed-journey")
		ref := reference(t, b)
		for _, read := range []string{ref, strings.ToLower(ref), strings.ReplaceAll(ref, "-", " "), " " + strings.ToLower(strings.ReplaceAll(ref, "-", "")) + " "} {
			var said string
			eventually(t, "explain "+read, func() bool {
				var err error
				if said, err = s.command("explain", read); err != nil {
					t.Fatalf("%v\n%s", err, said)
				}
				return strings.Contains(said, "where:")
			})
			for _, want := range []string{ref, "page not found", "There is no page at this address.", "GET /no/such/page\n", " UTC\n", "request:"} {
				if !strings.Contains(said, want) || strings.Contains(said, "sealed-journey") {
					t.Errorf("explain %q does not say %q:\n%s", read, want, said)
				}
			}
		}
		said, err := s.command("explain", "101", "7xq", "9kd")
		if err != nil || !strings.Contains(said, "The service is very busy") || !strings.Contains(said, "Nothing is stored about it") {
			t.Errorf("a reference that was never stored: %v\n%s", err, said)
		}
	})
}
