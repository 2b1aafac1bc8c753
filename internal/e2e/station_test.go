package e2e

import (
	"context"
	"crypto/tls"
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/page/pagetest"
	"carekey.dev/carekey/internal/porttest"
)

// station is an installation as an operator runs it: `carekey serve` over TLS,
// mail to a real server, and nobody in it but whom `carekey apply` and
// registration made. Several nodes may serve it.
type station struct {
	t                *testing.T
	dir, config      string
	url, port        string // https://localhost:…, of the first node
	metrics          string // address of its metrics
	database         string // as the configuration says it
	ca               *authority
	mail             *postbox
	phones           phones
	prog             *program
	certificate, key string
	secret           string // of the relying party
}

// worker is somebody whom the operator made and who registered an app.
type worker struct{ uid, email, password, secret string }

const (
	relyingParty = "ers.northmoor"
	callback     = "https://referrals.northmoor.example/callback"
	issuerPath   = "/openam/oauth2/realms/root/realms/NHSIdentity/realms/Healthcare"
)

// onEach runs a test on a station with SQLite and on one with PostgreSQL.
func onEach(t *testing.T, test func(t *testing.T, s *station)) {
	t.Helper()
	for name, database := range map[string]func(*testing.T) string{
		"SQLite":     func(*testing.T) string { return "" },
		"PostgreSQL": func(t *testing.T) string { return dbtest.Postgres(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStation(t, database(t))
			s.start()
			test(t, s)
		})
	}
}

// newStation writes what an operator writes before the first start. Without a
// database it is a SQLite file in the station's folder "var".
func newStation(t *testing.T, database string) *station {
	t.Helper()
	dir := t.TempDir()
	first := porttest.Ports(t, 2)
	s := &station{
		t: t, dir: dir, config: filepath.Join(dir, "carekey.yaml"), port: strconv.Itoa(first),
		url: "https://localhost:" + strconv.Itoa(first), metrics: "127.0.0.1:" + strconv.Itoa(first+1),
		database: database, ca: newAuthority(t), mail: newPostbox(t),
		certificate: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "cert.key"),
	}
	if err := os.Mkdir(filepath.Join(dir, "var"), 0o700); err != nil {
		t.Fatal(err)
	}
	if database == "" {
		s.database = "sqlite:" + filepath.Join(dir, "var", "carekey.db")
	}
	if err := keys.CreateRoot(filepath.Join(dir, "root.key")); err != nil {
		t.Fatal(err)
	}
	s.ca.issue(2, s.certificate, s.key)
	host, smtp, err := net.SplitHostPort(s.mail.addr)
	if err != nil {
		t.Fatal(err)
	}
	s.write("carekey.yaml", fmt.Sprintf(`
base_url: %s
listen: 127.0.0.1:%s
metrics_listen: %s
database: {url: %q}
root_key_file: %s
tls: {certificate_file: %s, key_file: %s}
smtp: {host: %s, port: %s, security: none, from: no-reply@northmoor.example}
operator: {name: Northmoor Hospitals, service_desk: call 01632 960100}
`, s.url, s.port, s.metrics, s.database, filepath.Join(dir, "root.key"), s.certificate, s.key, host, smtp))
	return s
}

func (s *station) write(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// start runs the first node and waits until it is ready.
func (s *station) start(env ...string) {
	s.t.Helper()
	s.prog = launch(s.t, env, "carekey", "serve", "--config", s.config)
	s.ready(s.prog, s.port)
}

// ready waits until a node says that it can serve.
func (s *station) ready(p *program, port string) {
	s.t.Helper()
	readyBy(s.t, p, s.client(port), s.url+"/readyz")
}

// node starts another node, and returns its port.
func (s *station) node() string {
	s.t.Helper()
	port := strconv.Itoa(porttest.Port(s.t))
	p := launch(s.t, []string{"CAREKEY_LISTEN=127.0.0.1:" + port, "CAREKEY_METRICS_LISTEN="}, "carekey", "serve", "--config", s.config)
	s.ready(p, port)
	return port
}

// client is a browser's way to the node on a port: whatever the address says,
// as behind a load balancer.
func (s *station) client(port string) *http.Client {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: s.ca.trust()}, ForceAttemptHTTP2: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+port)
		},
	}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Jar: jar, Transport: transport, Timeout: patience,
		CheckRedirect: func(r *http.Request, _ []*http.Request) error {
			if "https://"+r.URL.Host != s.url {
				return http.ErrUseLastResponse // to a relying party, which is only a name here
			}
			return nil
		},
	}
}

// visit is somebody's browser, without JavaScript, at the first node.
func (s *station) visit() *pagetest.Browser { return s.visitNode(s.port) }

func (s *station) visitNode(port string) *pagetest.Browser {
	return pagetest.Visit(s.t, s.url, s.client(port))
}

// command runs a carekey command beside the server.
func (s *station) command(args ...string) (string, error) {
	s.t.Helper()
	out, err := exec.Command(filepath.Join(programs, "carekey"), append(args, "--config", s.config)...).CombinedOutput()
	return string(out), err
}

// sql opens the database beside the server, as an operator's tools do.
func (s *station) sql() *sql.DB {
	s.t.Helper()
	driver, source := "pgx", s.database
	if path, ok := strings.CutPrefix(s.database, "sqlite:"); ok {
		driver, source = "sqlite", "file:"+path+"?_pragma=busy_timeout(10000)"
	}
	pool, err := sql.Open(driver, source)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { pool.Close() })
	return pool
}

var secretForm = regexp.MustCompile(`shown this once:\n  (\S+)\n`)

// populate makes n workers and a relying party with `carekey apply`.
func (s *station) populate(n int) []*worker {
	s.t.Helper()
	var world strings.Builder
	world.WriteString("email_allow_list: [nhs.net]\norganisations:\n  - {code: RX9, name: NORTHMOOR, ra: RX9}\npeople:\n")
	var all []*worker
	for i := range n {
		w := &worker{uid: fmt.Sprintf("5550001002%02d", i), email: fmt.Sprintf("worker%d@nhs.net", i), password: chosen}
		fmt.Fprintf(&world, `
  - uid: "%s"
    given_name: Ada
    family_name: QUILL%d
    id_assurance_level: 3
    email: {address: %s, verified: true}
    roles:
      - {id: "5550002002%02d", org_person_id: "5550003002%02d", org: RX9, role: "S8000:G8000:R8001", name: '"Clinical":"Clinical Provision":"Nurse Access Role"'}
`, w.uid, i, w.email, i, i)
		all = append(all, w)
	}
	fmt.Fprintf(&world, "relying_parties:\n  - {client_id: %s, name: Referrals, default_acr: AAL2_OR_AAL3_ANY, redirect_uris: [%q]}\n", relyingParty, callback)
	said, err := s.command("apply", "-f", s.write("world.yaml", world.String()))
	if err != nil || secretForm.FindStringSubmatch(said) == nil {
		s.t.Fatalf("apply: %v\n%s", err, said)
	}
	s.secret = secretForm.FindStringSubmatch(said)[1]
	for _, w := range all {
		s.register(w)
	}
	return all
}

var (
	registerLink = regexp.MustCompile(`https://localhost(?::\d+)?(/register\?t=[\w-]+)`)
	appSecret    = regexp.MustCompile(`[?;]secret=([A-Z2-7]{32,})`)
)

// register is a worker's first authenticator: the operator hands over a link,
// the worker walks the pages, the operator confirms the number.
func (s *station) register(w *worker) {
	t := s.t
	t.Helper()
	clerk := newClerk(t, "registration-link", w.uid, "authenticator_app", "--config", s.config)
	link := registerLink.FindStringSubmatch(clerk.reads("/register?t=") + clerk.reads("\n"))
	if link == nil {
		t.Fatal("the command printed no link")
	}
	b := s.visit()
	b.Get(link[1]).Submit("", url.Values{"confirm": {"yes"}})
	b.Submit("", url.Values{"email": {w.email}})
	b.Submit("", url.Values{"code": {s.mail.code(t, w.email)}})
	b.Submit("", url.Values{"password": {w.password}, "confirm": {w.password}})
	found := appSecret.FindStringSubmatch(b.Page)
	if found == nil {
		t.Fatalf("no secret on %s: %s", b.At, b.Text())
	}
	w.secret = found[1]
	b.Submit("", nil)
	b.Submit("", url.Values{"code": {s.phones.code(t, w.secret)}})
	clerk.reads("?")
	clerk.answers("y")
	clerk.ends()
	b.Get(b.At)
	sees(t, b, http.StatusOK, "Registration successful")
	s.mail.notice(t, w.email, "registered")
}

// sees checks the page that a browser shows.
func sees(t *testing.T, b *pagetest.Browser, status int, words ...string) {
	t.Helper()
	text := b.Text()
	for _, word := range words {
		if b.Status != status || !strings.Contains(text, word) {
			t.Fatalf("%s: status %d, want %d and %q:\n%s", b.At, b.Status, status, word, text)
		}
	}
}

// toCode walks a sign-in to the page that asks for the code.
func (s *station) toCode(b *pagetest.Browser, path string, w *worker) {
	s.t.Helper()
	s.toPassword(b, path, w)
	b.Submit("", url.Values{"password": {w.password}})
	sees(s.t, b, http.StatusOK, "Check your authenticator app")
}

func (s *station) toPassword(b *pagetest.Browser, path string, w *worker) {
	s.t.Helper()
	b.Get(path).Submit("", url.Values{"method": {"authenticator_app"}})
	b.Submit("", url.Values{"email": {w.email}})
	sees(s.t, b, http.StatusOK, "Enter your password")
}

// signIn walks a whole sign-in that begins at a path.
func (s *station) signIn(b *pagetest.Browser, path string, w *worker) {
	s.t.Helper()
	s.toCode(b, path, w)
	b.Submit("", url.Values{"code": {s.phones.code(s.t, w.secret)}})
}

// signedIn is a browser in which the worker is signed in.
func (s *station) signedIn(w *worker) *pagetest.Browser {
	s.t.Helper()
	b := s.visit()
	s.signIn(b, "/cim/", w)
	sees(s.t, b, http.StatusOK, "View your profile")
	return b
}

var referenceForm = regexp.MustCompile(`[0-9]{3}-[0-9A-Z]{3}-[0-9A-Z]{3}`)

// reference is what the person can read out from an error page.
func reference(t *testing.T, b *pagetest.Browser) string {
	t.Helper()
	ref := referenceForm.FindString(b.Text())
	if ref == "" {
		t.Fatalf("no reference on %s: %s", b.At, b.Text())
	}
	return ref
}

// eventually tries until check is content. It polls, as what happens beside a
// request tells nobody when it is done.
func eventually(t *testing.T, what string, check func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !check() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s: not after %s", what, patience)
		}
	}
}

// launchToFail runs a command that has to fail, and returns what it said.
func launchToFail(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(programs, "carekey"), args...).CombinedOutput()
	if err == nil || ctx.Err() != nil {
		t.Errorf("carekey %v ended with %v", args, err)
	}
	return string(out)
}
