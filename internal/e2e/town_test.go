package e2e

import (
	"crypto/tls"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"carekey.dev/carekey/internal/page/pagetest"
)

// town is an installation on port 443, behind an address without a port, and
// somebody who is signed in there: what the relying parties of others meet. The
// issuer names the port all the same (wire rule 1).
type town struct {
	*station
	worker *worker
	person *pagetest.Browser
	client *http.Client
}

var madeSecret = regexp.MustCompile(`The client secret of (\S+) .*shown this once:\n  (\S+)\n`)

// newTown starts the installation, with settings of its own, and signs its
// worker in. Port 443 takes root, or net.ipv4.ip_unprivileged_port_start.
func newTown(t *testing.T, settings string) *town {
	t.Helper()
	s := newStation(t, "")
	text, err := os.ReadFile(s.config)
	if err != nil {
		t.Fatal(err)
	}
	const base, port = "https://localhost", "443"
	config := strings.NewReplacer(s.url, base, "listen: 127.0.0.1:"+s.port+"\n", "listen: 127.0.0.1:"+port+"\n").Replace(string(text))
	s.url, s.port = base, port
	s.write("carekey.yaml", config+"outgoing: {allow_networks: [127.0.0.0/8, \"::1/128\"]}\n"+settings)
	o := &town{station: s}
	o.start()
	o.worker = o.populate(1)[0]
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: o.ca.trust()}}
	t.Cleanup(transport.CloseIdleConnections)
	o.client = &http.Client{Jar: jar, Transport: transport, Timeout: patience}
	o.person = pagetest.Visit(t, o.url, o.client)
	o.station.signIn(o.person, "/cim/", o.worker)
	return o
}

// register applies relying parties, and returns the secrets that were made for
// them by their client id.
func (o *town) register(parties ...map[string]any) map[string]string {
	o.t.Helper()
	text, err := json.Marshal(map[string]any{"relying_parties": parties}) // JSON is YAML
	if err != nil {
		o.t.Fatal(err)
	}
	said, err := o.command("apply", "-f", o.write("parties.yaml", string(text)))
	if err != nil {
		o.t.Fatalf("apply: %v\n%s", err, said)
	}
	secrets := map[string]string{}
	for _, found := range madeSecret.FindAllStringSubmatch(said, -1) {
		secrets[found[1]] = found[2]
	}
	return secrets
}

// visit opens an address as the signed-in person, follows wherever it leads,
// and returns what is there.
func (o *town) visit(address string) (*http.Response, string) {
	o.t.Helper()
	request, err := http.NewRequestWithContext(o.t.Context(), http.MethodGet, address, nil)
	if err != nil {
		o.t.Fatal(err)
	}
	request.Header.Set("Accept", "text/html,application/json") // as a browser that goes to a page
	res, err := o.client.Do(request)
	if err != nil {
		o.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	return res, string(body)
}

var (
	onwardTo     = regexp.MustCompile(`<form method="post" action="([^"]+)" data-carekey-onward>`)
	onwardFields = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)">`)
)

// onward does what the button of the page does that posts an answer to a
// relying party, if the page is that one.
func (o *town) onward(page string) string {
	o.t.Helper()
	to := onwardTo.FindStringSubmatch(page)
	if to == nil {
		return page
	}
	form := url.Values{}
	for _, field := range onwardFields.FindAllStringSubmatch(page[strings.Index(page, to[0]):], -1) {
		form.Set(field[1], html.UnescapeString(field[2]))
	}
	res, err := o.client.PostForm(html.UnescapeString(to[1]), form)
	if err != nil {
		o.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	return string(body)
}

// trusted is the environment of a program that believes the town's authority.
func (o *town) trusted() []string {
	return []string{"NODE_EXTRA_CA_CERTS=" + o.authorityFile(), "SSL_CERT_FILE=" + o.authorityFile()}
}

func (o *town) authorityFile() string {
	path := filepath.Join(o.dir, "ca.pem")
	if _, err := os.Stat(path); err != nil {
		o.ca.write(path, "CERTIFICATE", o.ca.certificate.Raw)
	}
	return path
}

// npm installs what a relying party of others is made of and returns its
// folder.
func npm(t *testing.T, name string) string {
	t.Helper()
	folder, err := filepath.Abs(filepath.Join("thirdparty", name))
	if err != nil {
		t.Fatal(err)
	}
	install := exec.Command("npm", "ci", "--no-progress", "--no-audit", "--no-fund", "--loglevel=error", "--prefer-offline", "--fetch-retries=5")
	install.Dir = folder
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm ci in %s: %v\n%s", name, err, out)
	}
	return folder
}

// fields reads a JSON object.
func fields(t *testing.T, text string) map[string]any {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return all
}

// in returns what is at a path of names in nested objects.
func in(object map[string]any, names ...string) any {
	var at any = object
	for _, name := range names {
		inner, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = inner[name]
	}
	return at
}

// issuer is the town's issuer, with its port (wire rule 1).
func (o *town) issuer() string { return o.url + ":443" + issuerPath }

// launchServer runs a program that does not end well by itself: killing it is
// how it is stopped.
func launchServer(t *testing.T, cmd *exec.Cmd) *program {
	t.Helper()
	p := &program{t: t, cmd: cmd, done: make(chan error, 1)}
	cmd.Stdout, cmd.Stderr = p, p
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with the children that it starts
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.done <- cmd.Wait() }()
	t.Cleanup(func() {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(cmd.Path), tail(p.output(), 60))
		}
	})
	return p
}

// publicFolder makes a folder that other users of this machine can read.
func publicFolder(t *testing.T, files map[string]string) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "carekey-public-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, text)
	}
	return folder
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// publicAuthority puts the town's certificate authority into a folder.
func (o *town) publicAuthority(folder string) string {
	path := filepath.Join(folder, "ca.pem")
	o.ca.write(path, "CERTIFICATE", o.ca.certificate.Raw)
	if err := os.Chmod(path, 0o644); err != nil {
		o.t.Fatal(err)
	}
	return path
}
