//go:build cgo && linux

package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/rogpeppe/go-internal/testscript"

	"carekey.dev/carekey/internal/audit"
	"carekey.dev/carekey/internal/db"
	"carekey.dev/carekey/internal/db/dbtest"
	"carekey.dev/carekey/internal/hsm"
	"carekey.dev/carekey/internal/hsm/hsmtest"
	"carekey.dev/carekey/internal/hsm/pkcs11"
	"carekey.dev/carekey/internal/keys"
	"carekey.dev/carekey/internal/oidc/signing"
	"carekey.dev/carekey/internal/server"
	"carekey.dev/carekey/internal/server/config"
)

var (
	ring    = keys.NewRing(keys.Root{7})
	schemas = []fs.FS{signing.Schema, audit.Schema}
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"carekey-hsm": main})
}

func TestMistakesSayWhatToMend(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script"})
}

// everything is what Carekey needs, for the user who runs the tests.
const everything = `
  - {user: "%[1]d", keys: "carekey-oidc-RS256-*", algorithms: [RS256], may: [sign, generate, destroy]}
  - {user: "%[1]d", keys: "carekey-oidc-ES256-*", algorithms: [ES256], may: [sign, generate, destroy]}
  - {user: "%[1]d", keys: "carekey-oidc-PS256-*", algorithms: [PS256], may: [sign, generate, destroy]}
`

// program is a carekey-hsm on a token of its own.
type program struct {
	t      *testing.T
	socket string
	file   string
	log    *log
	stop   context.CancelFunc
	ended  chan error
}

// log is what the program writes.
type log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func start(t *testing.T, rules string) *program {
	t.Helper()
	token := hsmtest.New(t)
	folder, err := os.MkdirTemp("", "carekey-hsm") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	pin := filepath.Join(folder, "pin")
	p := &program{t: t, socket: filepath.Join(folder, "signing.sock"), file: filepath.Join(folder, "hsm.yaml"), log: &log{}}
	text := fmt.Sprintf("module: %s\ntoken: %s\npin_file: %s\nsocket: %s\nsocket_group: \"%d\"\nrules:%s",
		token.Module, token.Label, pin, p.socket, os.Getgid(), fmt.Sprintf(rules, os.Getuid()))
	for path, content := range map[string]string{pin: token.PIN + "\n", p.file: text} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p.run()
	return p
}

// run starts the program, again if it was stopped.
func (p *program) run() {
	p.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	p.stop, p.ended = stop, make(chan error, 1)
	go func() { p.ended <- run(ctx, arguments{Config: p.file, Verbose: true}, p.log) }()
	p.t.Cleanup(stop)
	patience, cancel := context.WithTimeout(p.t.Context(), 2*time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if conn, err := net.Dial("unix", p.socket); err == nil {
			conn.Close()
			return
		}
		select {
		case err := <-p.ended:
			p.t.Fatalf("carekey-hsm ended: %v", err)
		case <-patience.Done():
			p.t.Fatalf("carekey-hsm does not listen\n%s", p.log)
		case <-tick.C:
		}
	}
}

func (p *program) end() {
	p.t.Helper()
	p.stop()
	if err := <-p.ended; err != nil {
		p.t.Errorf("carekey-hsm ended with %v", err)
	}
}

func verified(t *testing.T, k *signing.Keys, algorithm jose.SignatureAlgorithm) (kid string) {
	t.Helper()
	token, err := k.Sign(algorithm, "JWT", map[string]any{"sub": "555000100101"})
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{algorithm})
	if err != nil {
		t.Fatal(err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(k.Public(), &set); err != nil {
		t.Fatal(err)
	}
	kid = parsed.Signatures[0].Header.KeyID
	if _, err := parsed.Verify(set.Key(kid)[0]); err != nil {
		t.Fatalf("%s: %v", algorithm, err)
	}
	return kid
}

func place(t *testing.T, k *signing.Keys, kid string) (inHSM bool) {
	t.Helper()
	list, err := k.Rotation().List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range list {
		if key.ID == kid {
			return key.InHSM
		}
	}
	t.Fatalf("there is no key %s", kid)
	return false
}

// Decision 20: keys move from the database into the HSM and back by rotation,
// and each key signs until its successor does.
func TestKeysMoveIntoTheHSMAndBackWithoutAGap(t *testing.T) {
	var past atomic.Int64
	begin := time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	dbtest.EachAt(t, func() time.Time { return begin.Add(time.Duration(past.Load())) }, schemas, func(t *testing.T, d *db.DB) {
		p := start(t, everything)
		open := func(module signing.HSM) *signing.Keys {
			t.Helper()
			k, err := signing.Open(t.Context(), signing.Options{DB: d, Ring: ring, HSM: module})
			if err != nil {
				t.Fatal(err)
			}
			return k
		}
		rotate := func(k *signing.Keys) {
			t.Helper()
			if err := k.Rotation().RunSchedule(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		open(nil) // makes the first keys in the database
		k := open(hsm.NewClient(p.socket))
		rotate(k)
		for _, algorithm := range signing.Algorithms() {
			if place(t, k, verified(t, k, algorithm)) {
				t.Errorf("%s: a key signs as soon as it is made", algorithm)
			}
		}
		past.Add(int64(signing.DefaultPublish))
		signed := map[jose.SignatureAlgorithm]string{}
		for _, algorithm := range signing.Algorithms() {
			if signed[algorithm] = verified(t, k, algorithm); !place(t, k, signed[algorithm]) {
				t.Errorf("%s: the key that signs is not in the HSM", algorithm)
			}
		}
		other := open(hsm.NewClient(p.socket)) // a second node
		for _, algorithm := range signing.Algorithms() {
			if verified(t, other, algorithm) != signed[algorithm] {
				t.Errorf("%s: two nodes sign with two keys", algorithm)
			}
		}
		if _, err := signing.Open(t.Context(), signing.Options{DB: d, Ring: ring}); err == nil || !strings.Contains(err.Error(), "signing.hsm_socket") {
			t.Errorf("without the HSM: %v", err)
		}
		back := signing.NewRotation(signing.Options{DB: d, Ring: ring})
		for _, algorithm := range signing.Algorithms() {
			if _, err := back.Rotate(t.Context(), signing.Demand{Algorithm: algorithm, After: signing.LeastPublish, Actor: "operator"}); err != nil {
				t.Fatal(err)
			}
		}
		past.Add(int64(signing.LeastPublish))
		rotate(k) // still has the socket, and makes the next ones there
		k = open(nil)
		rotate(k)
		past.Add(int64(signing.DefaultPublish + time.Minute))
		for _, algorithm := range signing.Algorithms() {
			if place(t, k, verified(t, k, algorithm)) {
				t.Errorf("%s: the key that signs is in an HSM that was given up", algorithm)
			}
		}
	})
}

// A retired key is destroyed in the HSM too.
func TestARetiredKeyIsDestroyedInTheHSM(t *testing.T) {
	p := start(t, everything)
	var past atomic.Int64
	begin := time.Date(2026, 11, 1, 9, 0, 0, 0, time.UTC)
	d := dbtest.OpenAt(t, func() time.Time { return begin.Add(time.Duration(past.Load())) }, schemas...)
	client := hsm.NewClient(p.socket)
	k, err := signing.Open(t.Context(), signing.Options{DB: d, Ring: ring, HSM: client})
	if err != nil {
		t.Fatal(err)
	}
	list, err := k.Rotation().List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	old := list[0] // ES256
	if _, err := k.Rotation().Rotate(t.Context(), signing.Demand{Algorithm: old.Algorithm, Actor: "operator"}); err != nil {
		t.Fatal(err)
	}
	past.Add(int64(signing.DefaultPublish + signing.Keep))
	if err := k.Rotation().RunSchedule(t.Context()); err != nil {
		t.Fatal(err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(k.Public(), &set); err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(nil)
	_, err = client.Signer(old.Label, old.Algorithm, set.Keys[0].Key).Sign(rand.Reader, digest[:], crypto.SHA256)
	if err == nil || !strings.Contains(err.Error(), "there is no such key") {
		t.Errorf("the retired key: %v", err)
	}
	if !strings.Contains(p.log.String(), `"msg":"done","act":"destroy","key":"`+old.Label+`"`) {
		t.Errorf("the log does not say that it was destroyed:\n%s", p.log)
	}
}

// Peer credentials and per-key policy: the kernel says who asks, the rules what
// they may.
func TestTheSocketIsForWhomTheRulesName(t *testing.T) {
	p := start(t, `
  - {user: "%[1]d", keys: "carekey-oidc-ES256-*", algorithms: [ES256], may: [sign, generate]}
  - {user: "4242", keys: "other-*", algorithms: [ES256], may: [sign, generate, destroy]}
`)
	client := hsm.NewClient(p.socket)
	if _, err := client.Generate(t.Context(), "carekey-oidc-ES256-1", jose.ES256); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"another user's key": second(client.Generate(t.Context(), "other-1", jose.ES256)),
		"another algorithm":  second(client.Generate(t.Context(), "carekey-oidc-ES256-2", jose.RS256)),
		"another act":        client.Destroy(t.Context(), "carekey-oidc-ES256-1", jose.ES256),
	} {
		if err == nil || !strings.Contains(err.Error(), "no rule lets this user do that with this key") {
			t.Errorf("%s: %v", name, err)
		}
	}
	info, err := os.Stat(p.socket)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket's mode is %v, %v", info.Mode(), err)
	}
	// A second program does not take the socket over.
	if _, err := hsm.Listen(p.socket, -1); err == nil || !strings.Contains(err.Error(), "another program listens") {
		t.Errorf("a second program: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// A signature that its key did not make goes nowhere.
func TestAWrongSignatureIsNotPassedOn(t *testing.T) {
	p := start(t, everything)
	client := hsm.NewClient(p.socket)
	if _, err := client.Generate(t.Context(), "carekey-oidc-ES256-1", jose.ES256); err != nil {
		t.Fatal(err)
	}
	public, err := client.Generate(t.Context(), "carekey-oidc-ES256-2", jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256(nil)
	_, err = client.Signer("carekey-oidc-ES256-1", jose.ES256, public).Sign(rand.Reader, digest[:], crypto.SHA256)
	if err == nil || !strings.Contains(err.Error(), "does not verify") {
		t.Errorf("the signature of another key: %v", err)
	}
}

// While carekey-hsm is away nothing is signed, and afterwards everything is;
// what it left behind does not keep it from starting.
func TestCarekeyGoesOnWhenTheHSMIsBack(t *testing.T) {
	p := start(t, everything)
	d := dbtest.Open(t, schemas...)
	options := signing.Options{DB: d, Ring: ring, HSM: hsm.NewClient(p.socket)}
	k, err := signing.Open(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	p.end()
	if _, err := k.Sign(jose.ES256, "JWT", nil); err == nil || !strings.Contains(err.Error(), p.socket) {
		t.Errorf("without carekey-hsm: %v", err)
	}
	if _, err := signing.Open(t.Context(), options); err == nil || !strings.Contains(err.Error(), "trying signing key") {
		t.Errorf("a start without carekey-hsm: %v", err)
	}
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: p.socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false) // as after a crash
	if err := dead.Close(); err != nil {
		t.Fatal(err)
	}
	p.run()
	verified(t, k, jose.ES256)
	p.end()
}

// A module that has lost its sessions is no use any more: the program ends, and
// its supervisor starts it anew.
func TestALostModuleEndsTheProgram(t *testing.T) {
	made := hsmtest.New(t)
	token, err := pkcs11.Open(pkcs11.Options{Module: made.Module, Label: made.Label, PIN: made.PIN})
	if err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp("", "carekey-hsm")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	socket := filepath.Join(folder, "s")
	rule := hsm.Rule{UID: uint32(os.Getuid()), Keys: "*", Algorithms: []jose.SignatureAlgorithm{jose.ES256}, May: []string{hsm.Generate}}
	ended := make(chan error, 1)
	go func() {
		ended <- serve(t.Context(), &settings{Socket: socket, group: -1, rules: []hsm.Rule{rule}}, token, slog.New(slog.DiscardHandler))
	}()
	if err := token.Close(); err != nil {
		t.Fatal(err)
	}
	client := hsm.NewClient(socket)
	for {
		_, err := client.Generate(t.Context(), "a", jose.ES256)
		if err == nil {
			t.Fatal("a lost module made a key")
		}
		select {
		case err := <-ended:
			if err == nil || !strings.Contains(err.Error(), "the module is lost") {
				t.Errorf("it ended with %v", err)
			}
			return
		default:
		}
	}
}

// TestTheSettingIsEnough: what an operator writes brings new keys into the HSM.
func TestTheSettingIsEnough(t *testing.T) {
	p := start(t, everything)
	folder := t.TempDir()
	root := filepath.Join(folder, "root.key")
	if err := keys.CreateRoot(root); err != nil {
		t.Fatal(err)
	}
	variables := map[string]string{
		"CAREKEY_BASE_URL": "http://localhost:8080", "CAREKEY_DATABASE_URL": "sqlite:" + filepath.Join(folder, "carekey.db"),
		"CAREKEY_ROOT_KEY_FILE": root, "CAREKEY_SMTP_HOST": "localhost", "CAREKEY_SMTP_FROM": "no-reply@northmoor.nhs.uk",
		"CAREKEY_SIGNING_HSM_SOCKET": p.socket,
	}
	c, err := config.Load("", func(name string) (string, bool) { value, ok := variables[name]; return value, ok })
	if err != nil {
		t.Fatal(err)
	}
	h, err := server.Furnish(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	key, err := h.Rotation().Rotate(t.Context(), signing.Demand{Algorithm: jose.PS256, Actor: "operator"})
	if err != nil || !key.InHSM {
		t.Errorf("the key is %+v: %v", key, err)
	}
}
