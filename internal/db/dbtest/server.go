package dbtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"carekey.dev/carekey/internal/porttest"
)

// TestServer is a PostgreSQL server in a temporary folder.
type TestServer struct {
	URL string // of its own database, as superuser

	supervisor *exec.Cmd
	life       io.Closer // the server lives until this is closed
}

// supervise starts the server and waits until its standard input ends, which it does when this process ends, however it ends. Then it
// stops the server and removes its folder. So no test needs to clean up, and none can forget to.
const supervise = `
"$BIN/initdb" --pgdata="$DIR/data" --username=carekey --auth=trust --encoding=UTF8 --locale=C --no-sync >"$DIR/log" 2>&1 || exit 1
"$BIN/postgres" -D "$DIR/data" -k "$DIR" -p "$PORT" -c listen_addresses=127.0.0.1 "$@" >>"$DIR/log" 2>&1 &
server=$!
cat >/dev/null
kill -QUIT $server
wait $server
rm -rf "$DIR"
`

// StartServer starts a server with settings such as "max_connections=20". It stops when this process ends, or by Stop.
func StartServer(settings ...string) (*TestServer, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	credential, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "carekey-postgres-")
	if err != nil {
		return nil, err
	}
	if credential != nil {
		if err := os.Chown(dir, int(credential.Uid), int(credential.Gid)); err != nil {
			return nil, err
		}
	}
	port, err := porttest.Reserve(1) // making its folder takes a second, in which others start servers too
	if err != nil {
		return nil, err
	}
	args := []string{"-c", supervise, "supervise"}
	// Tests are about what the program does, not about the disk; what needs the truth of COMMIT cuts connections, not the power.
	for _, setting := range slices.Concat([]string{"fsync=off", "full_page_writes=off", "shared_buffers=32MB", "max_connections=200", "autovacuum=off"}, settings) {
		args = append(args, "-c", setting)
	}
	cmd := exec.Command("/bin/sh", args...)
	cmd.Dir = dir
	cmd.Env = []string{"BIN=" + bin, "DIR=" + dir, "PORT=" + strconv.Itoa(port), "PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
	// A group of its own: Ctrl-C reaches this process, and the supervisor tidies up after it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: credential}
	life, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting PostgreSQL: %w", err)
	}
	s := &TestServer{
		URL:        fmt.Sprintf("postgres://carekey@127.0.0.1:%d/postgres?sslmode=disable", port),
		supervisor: cmd,
		life:       life,
	}
	if err := s.await(); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		return nil, errors.Join(fmt.Errorf("starting PostgreSQL: %w\n%s", err, log), s.Stop())
	}
	return s, nil
}

// Stop ends the server and waits until its folder is gone.
func (s *TestServer) Stop() error {
	_ = s.life.Close()
	var exit *exec.ExitError
	if err := s.supervisor.Wait(); err != nil && !errors.As(err, &exit) {
		return err
	}
	return nil
}

// await returns when the server answers.
func (s *TestServer) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := pgx.Connect(ctx, s.URL)
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

// programs finds the server's programs, which Debian keeps out of PATH.
func programs() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) == 0 {
		return "", errors.New("tests need PostgreSQL: initdb was not found in PATH or /usr/lib/postgresql (Debian: apt-get install postgresql)")
	}
	slices.SortFunc(found, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(found[len(found)-1]), nil
}

func version(path string) int {
	n, _ := strconv.Atoi(strings.Split(path, "/")[4])
	return n
}

// unprivileged is whom to run the server as: PostgreSQL refuses root. Nil: as we are.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			return nil, err
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("tests need an unprivileged user to run PostgreSQL as root: there is neither postgres nor nobody")
}
