// Package e2e walks Carekey's journeys as people do: the real programs, a real
// browser, real mail, and independent tools that read the QR code and compute
// the codes.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"carekey.dev/carekey/internal/porttest"
)

const root = "../.."

// programs is the folder of the built programs.
var programs string

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		os.Exit(1)
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	for tool, debian := range map[string]string{"chromium": "chromium", "zbarimg": "zbar-tools", "oathtool": "oathtool"} {
		if _, err := exec.LookPath(tool); err != nil {
			return 1, fmt.Errorf("%s is missing: install Debian's %s", tool, debian)
		}
	}
	dir, err := os.MkdirTemp("", "carekey-e2e-")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	programs = filepath.Join(dir, "bin")
	build := exec.Command("go", "build", "-o", programs+"/", "./cmd/...")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("building: %w\n%s", err, out)
	}
	if err := loadAxe(); err != nil {
		return 1, err
	}
	stop, err := startChromium(dir)
	if err != nil {
		return 1, err
	}
	defer stop()
	if err := manyAtOnce(); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// atOnce is how many tests run side by side, unless the command line says so:
// they wait for browsers, servers and clocks more than they work.
const atOnce = "4"

func manyAtOnce() error {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if given {
		return nil
	}
	return flag.Set("test.parallel", atOnce)
}

// program is a running process.
type program struct {
	t    *testing.T
	cmd  *exec.Cmd
	mu   sync.Mutex
	out  bytes.Buffer
	done chan error
}

func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *program) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

// launch starts a program, which is stopped after the test.
func launch(t *testing.T, env []string, name string, args ...string) *program {
	t.Helper()
	cmd := exec.Command(filepath.Join(programs, name), args...)
	cmd.Env = append(os.Environ(), env...)
	return launchAs(t, cmd)
}

func launchAs(t *testing.T, cmd *exec.Cmd) *program {
	t.Helper()
	p := &program{t: t, cmd: cmd, done: make(chan error, 1)}
	p.cmd.Stdout, p.cmd.Stderr = p, p
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.done <- p.cmd.Wait() }()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(cmd.Path), tail(p.output(), 60))
		}
	})
	return p
}

func tail(text string, lines int) string {
	all := strings.Split(text, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// stop ends the program as an operator would, and waits for it.
func (p *program) stop() {
	if p.cmd.ProcessState != nil {
		return
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	p.ends()
}

// ends waits until the program has ended by itself.
func (p *program) ends() {
	p.t.Helper()
	select {
	case err := <-p.done:
		if err != nil {
			p.t.Errorf("the program ended with %v", err)
		}
	case <-time.After(patience):
		p.t.Errorf("the program did not stop when it was told to")
		p.cmd.Process.Kill()
		<-p.done
	}
}

// kill ends the program as a power cut would.
func (p *program) kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// ready waits until an address answers.
func ready(t *testing.T, p *program, url string) {
	t.Helper()
	readyBy(t, p, http.DefaultClient, url)
}

func readyBy(t *testing.T, p *program, client *http.Client, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		res, err := client.Get(url)
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case err := <-p.done:
			p.done <- err
			t.Fatalf("the program ended: %v\n%s", err, p.output())
		case <-ctx.Done():
			t.Fatalf("%s does not answer: %v\n%s", url, err, p.output())
		case <-tick.C:
		}
	}
}

// house is a running Carekey in dev mode with its demo relying parties.
type house struct {
	t      *testing.T
	url    string // http://localhost:…
	data   string
	rp     int // first port of the demo relying parties
	mail   *postbox
	env    []string
	args   []string
	prog   *program
	phones phones
}

// newHouse starts Carekey and the demo relying parties on free ports, with the
// demo world and settings of its own.
func newHouse(t *testing.T, settings ...string) *house {
	t.Helper()
	h := &house{t: t, data: filepath.Join(t.TempDir(), "data"), rp: porttest.Ports(t, 4), mail: newPostbox(t)}
	port := strconv.Itoa(porttest.Port(t))
	h.url = "http://localhost:" + port
	world, err := os.ReadFile(filepath.Join(root, "internal", "world", "demo.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(world)
	for i := range 4 {
		text = strings.ReplaceAll(text, ":"+strconv.Itoa(9090+i)+"/", ":"+strconv.Itoa(h.rp+i)+"/")
	}
	path := filepath.Join(t.TempDir(), "world.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	host, smtpPort, err := net.SplitHostPort(h.mail.addr)
	if err != nil {
		t.Fatal(err)
	}
	h.env = append([]string{"CAREKEY_SMTP_HOST=" + host, "CAREKEY_SMTP_PORT=" + smtpPort}, settings...)
	h.args = []string{"dev", "--listen", "localhost:" + port, "--data", h.data, "--world", path}
	h.start()
	demo := launch(t, nil, "carekey-demo-rp", "--issuer", h.url+"/openam/oauth2/realms/root/realms/NHSIdentity/realms/Healthcare", "--port", strconv.Itoa(h.rp))
	for n := range 4 {
		ready(t, demo, h.face(n))
	}
	return h
}

// face is the address of a demo relying party: 0 e-RS, 1 NCRS, 2 MESH, 3 the
// one that wants AAL3.
func (h *house) face(n int) string { return "http://localhost:" + strconv.Itoa(h.rp+n) + "/" }

func (h *house) start() {
	h.t.Helper()
	h.prog = launch(h.t, h.env, "carekey", h.args...)
	ready(h.t, h.prog, h.url+"/readyz")
}

// restart stops Carekey and starts it again on the same data.
func (h *house) restart() {
	h.t.Helper()
	h.prog.stop()
	h.start()
}

// clerk is an operator at the command line who stands for the RA: they run
// registration-link, read what it says and answer.
type clerk struct {
	t     *testing.T
	lines *bufio.Reader
	in    io.WriteCloser
	cmd   *exec.Cmd
}

func (h *house) clerk(args ...string) *clerk {
	h.t.Helper()
	return newClerk(h.t, append(args, "--data", h.data)...)
}

func newClerk(t *testing.T, args ...string) *clerk {
	t.Helper()
	cmd := exec.Command(filepath.Join(programs, "carekey"), args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &clerk{t, bufio.NewReader(out), in, cmd}
	t.Cleanup(func() { in.Close(); cmd.Process.Kill() })
	return c
}

// reads waits until the command has said something that holds the words, and
// returns all it has said since.
func (c *clerk) reads(words string) string {
	c.t.Helper()
	var said strings.Builder
	for !strings.Contains(said.String(), words) {
		b, err := c.lines.ReadByte()
		if err != nil {
			c.t.Fatalf("the command ended without saying %q: %v\n%s", words, err, said.String())
		}
		said.WriteByte(b)
	}
	return said.String()
}

func (c *clerk) answers(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.in, text+"\n"); err != nil {
		c.t.Fatal(err)
	}
}

// ends waits for the command and returns the rest of what it says.
func (c *clerk) ends() string {
	c.t.Helper()
	rest, err := io.ReadAll(c.lines)
	if err != nil && !errors.Is(err, os.ErrClosed) {
		c.t.Fatal(err)
	}
	if err := c.cmd.Wait(); err != nil {
		c.t.Fatalf("the command failed: %v\n%s", err, rest)
	}
	return string(rest)
}
